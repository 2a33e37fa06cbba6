//! The metrics of a running dispatcher.

use serde_json::Value;

use super::{Service, Site};

/// What `/metrics.json` says.
pub struct Metrics(Vec<Value>);

impl Metrics {
    /// As they are now.
    pub async fn of(service: &Service, site: &Site) -> Self {
        let (status, metrics) = service.get(site, "/metrics.json").await;
        assert_eq!(status, 200);
        Self(metrics.as_array().unwrap().clone())
    }

    /// All series of that name.
    pub fn series(&self, name: &str) -> impl Iterator<Item = &Value> {
        let name = format!("arvados_dispatchcloud_{name}");
        let families = self.0.iter().filter(move |it| it["name"] == name);
        families.flat_map(|it| it["metric"].as_array().unwrap())
    }

    fn number(series: &Value) -> Option<f64> {
        ["gauge", "counter"].into_iter().find_map(|kind| series[kind]["value"].as_f64())
    }

    /// Of the series with these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |it: &Value, (name, value): &(&str, &str)| {
            it["label"].as_array().unwrap().iter().any(|it| it["name"] == *name && it["value"] == *value)
        };
        let mut series = self.series(name);
        Self::number(series.find(|it| labels.iter().all(|label| has(it, label)))?)
    }

    /// Of all series of that name.
    pub fn sum(&self, name: &str) -> f64 {
        self.series(name).filter_map(Self::number).sum()
    }
}

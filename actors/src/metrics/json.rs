//! `/metrics.json`: the metric families as protobuf's JSON mapping writes them.
//!
//! As there, 64-bit integers (`sampleCount`, `cumulativeCount`) are strings, what is not finite is `"NaN"`
//! or `"Infinity"`, and empty lists are left out.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

/// The families as one JSON list.
pub fn to_json(families: &[MetricFamily]) -> Value {
    families.iter().map(family).collect()
}

fn family(family: &MetricFamily) -> Value {
    let kind = family.get_field_type();
    let metrics: Vec<Value> = family.get_metric().iter().map(|it| metric(it, kind)).collect();
    json!({"name": family.name(), "help": family.help(), "type": format!("{kind:?}"), "metric": metrics})
}

fn metric(metric: &Metric, kind: MetricType) -> Value {
    let mut fields = Map::new();
    if !metric.get_label().is_empty() {
        fields.insert("label".to_owned(), metric.get_label().iter().map(label).collect());
    }
    let (name, value) = match kind {
        MetricType::COUNTER => ("counter", json!({"value": number(metric.get_counter().get_value())})),
        MetricType::GAUGE => ("gauge", json!({"value": number(metric.get_gauge().get_value())})),
        MetricType::SUMMARY => ("summary", summary(metric)),
        MetricType::HISTOGRAM => ("histogram", histogram(metric)),
        MetricType::UNTYPED => ("untyped", json!({})),
    };
    fields.insert(name.to_owned(), value);
    Value::Object(fields)
}

fn label(label: &LabelPair) -> Value {
    json!({"name": label.name(), "value": label.value()})
}

fn summary(metric: &Metric) -> Value {
    let summary = metric.get_summary();
    let quantile =
        |it: &prometheus::proto::Quantile| json!({"quantile": it.quantile(), "value": number(it.value())});
    let mut value = json!({
        "sampleCount": summary.sample_count().to_string(),
        "sampleSum": number(summary.sample_sum()),
    });
    if !summary.get_quantile().is_empty() {
        value["quantile"] = summary.get_quantile().iter().map(quantile).collect();
    }
    value
}

fn histogram(metric: &Metric) -> Value {
    let histogram = metric.get_histogram();
    let bucket = |it: &prometheus::proto::Bucket| json!({"cumulativeCount": it.cumulative_count().to_string(), "upperBound": number(it.upper_bound())});
    json!({
        "sampleCount": histogram.get_sample_count().to_string(),
        "sampleSum": number(histogram.get_sample_sum()),
        "bucket": histogram.get_bucket().iter().map(bucket).collect::<Vec<_>>(),
    })
}

/// JSON has no word for what is not finite.
fn number(value: f64) -> Value {
    match value {
        _ if value.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => value.into(),
    }
}

//! The driver's own series: VMs and starts by zone, stopped VMs that it has deleted, and every failed call. The Cloud actor
//! counts the port's methods and their errors, for all drivers; what a method gets over, a zone that is full, shows only
//! here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use dispatch_cloud_kit::ErrorCounter;
use dispatch_core::label::BoundedLabel;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

const PREFIX: &str = "arvados_dispatchcloud_gce";

/// The series; all of configured zones exist from the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    instances: IntGaugeVec,
    starts: IntCounterVec,
    stopped: IntCounter,
    errors: ErrorCounter,
    zones: Vec<String>,
    /// Values of `gce_instances{zone}`: of zones that are not configured, only the cloud speaks.
    zone_labels: BoundedLabel,
    /// The zones that the gauge shows.
    shown: RefCell<BTreeSet<String>>,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If they are registered already.
    pub fn new(registry: &Registry, zones: &[String]) -> Result<Self, prometheus::Error> {
        let instances = Opts::new(format!("{PREFIX}_instances"), "Number of instances that exist, by zone.");
        let starts =
            Opts::new(format!("{PREFIX}_instance_starts_total"), "Attempts to start an instance, by zone.");
        let stopped = Opts::new(
            format!("{PREFIX}_stopped_instances_deleted_total"),
            "Instances that had stopped by themselves and were deleted.",
        );
        let metrics = Self {
            instances: IntGaugeVec::new(instances, &["zone"])?,
            starts: IntCounterVec::new(starts, &["zone", "success"])?,
            stopped: IntCounter::with_opts(stopped)?,
            errors: ErrorCounter::new(
                registry,
                "gce",
                "Failed calls of Compute Engine's API, by call and error code.",
            )?,
            zone_labels: BoundedLabel::with_known(zones.iter().map(String::as_str)),
            zones: zones.to_vec(),
            shown: RefCell::default(),
        };
        registry.register(Box::new(metrics.instances.clone()))?;
        registry.register(Box::new(metrics.starts.clone()))?;
        registry.register(Box::new(metrics.stopped.clone()))?;
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        self.listed([]);
        for zone in &self.zones {
            for success in ["0", "1"] {
                self.starts.with_label_values(&[zone.as_str(), success]);
            }
        }
    }

    /// The counter of failed calls.
    pub fn errors(&self) -> &ErrorCounter {
        &self.errors
    }

    /// The counter of stopped VMs that were deleted.
    pub fn stopped(&self) -> &IntCounter {
        &self.stopped
    }

    /// An attempt to make one there.
    pub fn attempted(&self, zone: &str, success: bool) {
        let success = if success { "1" } else { "0" };
        self.starts.with_label_values(&[zone, success]).inc();
    }

    /// Sets the number of instances that exist now, given the zone of each. A zone that is no longer configured is shown
    /// while something is in it.
    pub fn listed<'a>(&self, zones: impl IntoIterator<Item = &'a str>) {
        let mut counts: BTreeMap<_, _> = self.zones.iter().map(|zone| (zone.as_str(), 0)).collect();
        for zone in zones {
            *counts.entry(self.zone_labels.bounded(zone)).or_default() += 1;
        }
        for (zone, count) in &counts {
            self.instances.with_label_values(&[*zone]).set(*count);
        }
        // Last: whoever reads meanwhile, on another thread, must not find less than there is.
        let now = counts.into_keys().map(str::to_owned).collect();
        for stale in self.shown.replace(now).difference(&self.shown.borrow()) {
            // It is there: we have shown it.
            let _ = self.instances.remove_label_values(&[stale]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(registry: &Registry) -> Vec<(String, f64)> {
        let families = registry.gather();
        let gauges = families.iter().filter(|it| it.name() == "arvados_dispatchcloud_gce_instances");
        let of = |it: &prometheus::proto::Metric| {
            (it.get_label()[0].value().to_owned(), it.get_gauge().get_value())
        };
        gauges.flat_map(|it| it.get_metric().iter().map(of)).collect()
    }

    #[test]
    fn a_zone_of_former_times_is_shown_while_something_is_in_it() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &["new".to_owned()]).unwrap();
        let of = |rows: &[(&str, f64)]| rows.iter().map(|(it, n)| ((*it).to_owned(), *n)).collect::<Vec<_>>();
        assert_eq!(shown(&registry), of(&[("new", 0.0)]));
        metrics.listed(["old", "new", "new"]);
        assert_eq!(shown(&registry), of(&[("new", 2.0), ("old", 1.0)]));
        metrics.listed(["new"]);
        assert_eq!(shown(&registry), of(&[("new", 1.0)]));
    }

    #[test]
    fn a_thousand_zones_are_64_and_other() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &["ours".to_owned()]).unwrap();
        let zones: Vec<_> = (0..1000).map(|number| format!("zone-{number}")).collect();
        metrics.listed(zones.iter().map(String::as_str).chain(["ours"]));
        let shown: BTreeMap<_, _> = shown(&registry).into_iter().collect();
        assert_eq!((shown.len(), shown["other"], shown["ours"]), (64 + 2, 936.0, 1.0));
    }
}

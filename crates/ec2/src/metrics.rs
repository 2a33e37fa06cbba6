//! The driver's own series: VMs and starts by subnet, ends that nobody here asked for, and every failed call of EC2's API. The Cloud actor counts
//! the port's methods and their errors, for all drivers; what a method gets over, a subnet that is full or prices
//! that cannot be had, shows only here.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use dispatch_cloud_kit::ErrorCounter;
use dispatch_core::label::BoundedLabel;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::answer::instances::Listed;

const PREFIX: &str = "arvados_dispatchcloud_ec2";
/// Where no subnet is configured, EC2 takes its default one.
const NO_SUBNET: &str = "";

/// The series; all of configured subnets exist from the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    instances: IntGaugeVec,
    starts: IntCounterVec,
    ends: IntCounterVec,
    reasons: BoundedLabel,
    errors: ErrorCounter,
    subnets: Vec<String>,
    /// Values of `ec2_instances{subnet_id}`: of subnets that are not configured, only the cloud speaks.
    subnet_labels: BoundedLabel,
    /// The subnets that the gauge shows.
    shown: RefCell<BTreeSet<String>>,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// If they are registered already.
    pub fn new(registry: &Registry, subnets: &[String]) -> Result<Self, prometheus::Error> {
        let instances = Opts::new(format!("{PREFIX}_instances"), "Number of instances running, by subnet.");
        let starts =
            Opts::new(format!("{PREFIX}_instance_starts_total"), "Attempts to start an instance, by subnet.");
        let ends = Opts::new(
            format!("{PREFIX}_instance_ends_total"),
            "Ends of instances that were not asked for here, by EC2's state reason.",
        );
        let metrics = Self {
            instances: IntGaugeVec::new(instances, &["subnet_id"])?,
            starts: IntCounterVec::new(starts, &["subnet_id", "success"])?,
            ends: IntCounterVec::new(ends, &["reason"])?,
            reasons: BoundedLabel::default(),
            errors: ErrorCounter::new(registry, "ec2", "Failed calls of EC2's API, by call and error code.")?,
            subnet_labels: BoundedLabel::with_known(subnets.iter().map(String::as_str).chain([NO_SUBNET])),
            subnets: subnets.to_vec(),
            shown: RefCell::default(),
        };
        registry.register(Box::new(metrics.instances.clone()))?;
        registry.register(Box::new(metrics.starts.clone()))?;
        registry.register(Box::new(metrics.ends.clone()))?;
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        self.listed(&[]);
        let default = [NO_SUBNET.to_owned()];
        for subnet in if self.subnets.is_empty() { &default[..] } else { &self.subnets[..] } {
            for success in ["0", "1"] {
                self.starts.with_label_values(&[subnet.as_str(), success]);
            }
        }
    }

    /// The counter of failed calls.
    pub fn errors(&self) -> &ErrorCounter {
        &self.errors
    }

    /// An attempt to make one there.
    pub fn attempted(&self, subnet: Option<&str>, success: bool) {
        let success = if success { "1" } else { "0" };
        self.starts.with_label_values(&[subnet.unwrap_or(NO_SUBNET), success]).inc();
    }

    /// One has ended, with that reason: a code, and mostly words after it.
    pub fn ended(&self, reason: &str) {
        let code = reason.split(':').next().unwrap_or_default().trim();
        self.ends.with_label_values(&[self.reasons.bounded(code)]).inc();
    }

    /// Sets the number of instances that exist now. A subnet that is no longer configured is shown while something is
    /// in it.
    pub fn listed(&self, listed: &[Listed]) {
        let configured = self.subnets.iter().map(|subnet| (subnet.as_str(), 0));
        let mut counts: BTreeMap<&str, i64> = configured.chain([(NO_SUBNET, 0)]).collect();
        for it in listed {
            *counts.entry(self.subnet_labels.bounded(&it.subnet)).or_default() += 1;
        }
        for (subnet, count) in &counts {
            self.instances.with_label_values(&[*subnet]).set(*count);
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
    use std::sync::atomic::{AtomicBool, Ordering};

    use dispatch_cloud_kit::{Failure, Meaning};

    use super::*;
    use crate::request::Action;
    use crate::spot::tests::listed;

    #[test]
    fn a_thousand_codes_and_a_thousand_subnets_of_ec2_are_64_and_other() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &["subnet-ours".to_owned()]).unwrap();
        for number in 0..1_000 {
            let code = format!("InvalidParameter.{number}");
            metrics.errors().failed(Action::RunInstances, &Failure::ours(Meaning::Other, &code, "no"));
        }
        let subnets: Vec<_> = (0..1_000).map(|number| in_subnet(&format!("subnet-{number}"))).collect();
        metrics.listed(&subnets);
        metrics.listed(&[&subnets[..], &[in_subnet("subnet-ours")]].concat());
        let families = registry.gather();
        let errors =
            families.iter().find(|it| it.name() == "arvados_dispatchcloud_ec2_errors_total").unwrap();
        let counts: Vec<_> = errors.get_metric().iter().map(|it| it.get_counter().get_value()).collect();
        assert_eq!((counts.len(), counts.iter().sum::<f64>()), (65, 1_000.0));
        let shown: BTreeMap<_, _> = shown(&registry).into_iter().collect();
        assert_eq!((shown.len(), shown["other"], shown["subnet-ours"]), (64 + 3, 936.0, 1.0));
    }

    fn in_subnet(subnet: &str) -> Listed {
        Listed { subnet: subnet.to_owned(), ..listed("i-1", "m5.large", "a", false) }
    }

    fn shown(registry: &Registry) -> Vec<(String, f64)> {
        let families = registry.gather();
        let gauges = families.iter().filter(|it| it.name() == "arvados_dispatchcloud_ec2_instances");
        let of = |it: &prometheus::proto::Metric| {
            (it.get_label()[0].value().to_owned(), it.get_gauge().get_value())
        };
        gauges.flat_map(|it| it.get_metric().iter().map(of)).collect()
    }

    #[test]
    fn a_subnet_of_former_times_is_shown_while_something_is_in_it() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &["new".to_owned()]).unwrap();
        let of = |rows: &[(&str, f64)]| rows.iter().map(|(it, n)| ((*it).to_owned(), *n)).collect::<Vec<_>>();
        metrics.listed(&[in_subnet("old"), in_subnet("new"), in_subnet("new")]);
        assert_eq!(shown(&registry), of(&[("", 0.0), ("new", 2.0), ("old", 1.0)]));
        metrics.listed(&[in_subnet("new")]);
        assert_eq!(shown(&registry), of(&[("", 0.0), ("new", 1.0)]));
    }

    #[test]
    fn whoever_reads_while_a_listing_is_counted_finds_every_subnet() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, &["a".to_owned(), "b".to_owned()]).unwrap();
        let (reader, ended) = (registry.clone(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let mut least = usize::MAX;
                while !ended.load(Ordering::Relaxed) {
                    least = least.min(shown(&reader).len());
                }
                least
            });
            for _ in 0..20_000 {
                metrics.listed(&[in_subnet("a"), in_subnet("b")]);
            }
            ended.store(true, Ordering::Relaxed);
            assert_eq!(reading.join().unwrap().clamp(0, 3), 3, "the default's, and two");
        });
    }
}

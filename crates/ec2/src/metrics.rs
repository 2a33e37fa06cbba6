//! The driver's own series, by subnet. Calls and their errors are counted by the Cloud actor, for all drivers.

use std::collections::BTreeMap;

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::answer::instances::Listed;

const PREFIX: &str = "arvados_dispatchcloud_ec2";

/// The series; all of configured subnets exist from the start.
#[derive(Debug)]
pub(crate) struct Metrics {
    instances: IntGaugeVec,
    starts: IntCounterVec,
    subnets: Vec<String>,
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
        let metrics = Self {
            instances: IntGaugeVec::new(instances, &["subnet_id"])?,
            starts: IntCounterVec::new(starts, &["subnet_id", "success"])?,
            subnets: subnets.to_vec(),
        };
        registry.register(Box::new(metrics.instances.clone()))?;
        registry.register(Box::new(metrics.starts.clone()))?;
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        self.listed(&[]);
        let default = [String::new()];
        for subnet in if self.subnets.is_empty() { &default[..] } else { &self.subnets[..] } {
            for success in ["0", "1"] {
                self.starts.with_label_values(&[subnet.as_str(), success]);
            }
        }
    }

    /// An attempt to make one there.
    pub fn attempted(&self, subnet: Option<&str>, success: bool) {
        let success = if success { "1" } else { "0" };
        self.starts.with_label_values(&[subnet.unwrap_or_default(), success]).inc();
    }

    /// Those that there are now. A subnet that is no longer configured is shown while something is in it.
    pub fn listed(&self, listed: &[Listed]) {
        let configured = self.subnets.iter().map(|subnet| (subnet.as_str(), 0));
        let mut counts: BTreeMap<&str, i64> = configured.chain([("", 0)]).collect();
        for it in listed {
            *counts.entry(&it.subnet).or_default() += 1;
        }
        self.instances.reset();
        for (subnet, count) in counts {
            self.instances.with_label_values(&[subnet]).set(count);
        }
    }
}

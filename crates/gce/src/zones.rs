//! Where new VMs go: the configured zones in turn ([`Places`]).

use dispatch_cloud_kit::{Failure, Meaning, Places};
use dispatch_core::instance::Offering;
use dispatch_core::time::Timestamp;
use slog::Logger;

use crate::errors::reach;

/// The configured zones.
#[derive(Debug)]
pub(crate) struct Zones(Places);

impl Zones {
    /// In the site's order.
    pub fn new(zones: &[String]) -> Self {
        Self(Places::new(zones, reach))
    }

    /// Tries one after the other until one succeeds, or fails of something that another zone would not cure. A name is
    /// unique within a zone only: where nobody knows whether there is a VM, no other zone is tried.
    pub async fn try_each<'a, T, F>(
        &'a self,
        offering: &Offering,
        attempt: impl Fn(&'a str) -> F,
        now: Timestamp,
        log: &Logger,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let tell = |zone: &str, failure: &Failure, left_out: u64| {
            slog::warn!(log, "no instance in this zone, trying the next"; "Zone" => zone,
                "error" => &failure.message, "Code" => &failure.code, "Repeated" => left_out);
        };
        let attempt = |zone: Option<&'a str>| {
            let tried = zone.map(&attempt);
            async {
                match tried {
                    Some(tried) => tried.await,
                    None => Err(Failure::ours(Meaning::Other, "no_zone", "no zone is configured (Zones)")),
                }
            }
        };
        self.0.try_each(offering, attempt, now, tell).await
    }
}

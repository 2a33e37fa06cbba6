//! The driver's own series: failed calls of Azure's API, and what was cleaned up. The Cloud actor counts the port's methods
//! and their errors, for all drivers; what a method gets over shows only here.

use dispatch_cloud_kit::ErrorCounter;
use prometheus::{IntCounterVec, Opts, Registry};

/// What may be left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// A NIC that no VM has.
    Interface,
    /// A disk that no VM has.
    Disk,
    /// A VM that Azure could not make.
    Machine,
}

impl Leftover {
    const ALL: [Self; 3] = [Self::Interface, Self::Disk, Self::Machine];

    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interface => "nic",
            Self::Disk => "disk",
            Self::Machine => "vm",
        }
    }
}

/// The series.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    errors: ErrorCounter,
    leftovers: IntCounterVec,
}

impl Metrics {
    /// Registers them; all kinds exist from the start.
    ///
    /// # Errors
    /// If they are registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let errors =
            ErrorCounter::new(registry, "azure", "Failed calls of Azure's API, by call and error code.")?;
        let options = Opts::new(
            "arvados_dispatchcloud_azure_leftovers_deleted_total",
            "What failed orders had left and was deleted, by kind.",
        );
        let leftovers = IntCounterVec::new(options, &["kind"])?;
        registry.register(Box::new(leftovers.clone()))?;
        for kind in Leftover::ALL {
            leftovers.with_label_values(&[kind.as_str()]);
        }
        Ok(Self { errors, leftovers })
    }

    /// The counter of failed calls.
    pub fn errors(&self) -> &ErrorCounter {
        &self.errors
    }

    /// One was deleted.
    pub fn deleted(&self, kind: Leftover) {
        self.leftovers.with_label_values(&[kind.as_str()]).inc();
    }
}

//! What users of a site have submitted, when, and how long it took.

use std::time::Duration;

use dispatch_core::container::{RuntimeConstraints, SchedulingParameters};
use dispatch_core::time::{Timestamp, since};
use serde_json::json;

use crate::controller::Submission;
use crate::controller::state::ContainerSpec;

/// An image whose size counts for nothing: what a job needs stands in its own fields.
const NO_IMAGE: &str = "d41d8cd98f00b204e9800998ecf8427e+0";

/// One container of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// When its user submitted it.
    pub submitted_at: Timestamp,
    /// What it asks for. The site's configuration adds its reserves to that.
    pub constraints: RuntimeConstraints,
    /// Bytes of scratch that it asks for.
    pub scratch: u64,
    /// Whether it wants a preemptible instance, and no other.
    pub preemptible: bool,
    /// Its priority, above 0.
    pub priority: i64,
    /// From the start of its process to the end.
    pub duration: Duration,
}

/// The jobs of a site in the order of their submission: one at least.
#[derive(Debug, Clone, PartialEq)]
pub struct History(Vec<Job>);

impl History {
    /// These jobs; `None` = there are none. Jobs of the same moment stay in the order in which they are given.
    pub fn of(mut jobs: Vec<Job>) -> Option<Self> {
        jobs.sort_by_key(|job| job.submitted_at);
        (!jobs.is_empty()).then_some(Self(jobs))
    }

    /// All jobs.
    pub fn jobs(&self) -> &[Job] {
        &self.0
    }

    /// When the first job was submitted.
    pub fn began(&self) -> Timestamp {
        self.0[0].submitted_at
    }

    /// From the first submission to the last.
    pub fn length(&self) -> Duration {
        since(self.0[self.0.len() - 1].submitted_at, self.began())
    }
}

impl Job {
    /// The container request that its user makes.
    pub(super) fn submission(&self) -> Submission {
        let mut mounts = serde_json::Map::new();
        if self.scratch > 0 {
            mounts.insert("/tmp".to_owned(), json!({ "kind": "tmp", "capacity": self.scratch }));
        }
        let scheduling =
            SchedulingParameters { preemptible: self.preemptible, ..SchedulingParameters::default() };
        let spec = ContainerSpec {
            container_image: NO_IMAGE.to_owned(),
            mounts,
            runtime_constraints: self.constraints.clone(),
            scheduling,
            ..ContainerSpec::default()
        };
        Submission { priority: self.priority, ..Submission::of(spec) }
    }
}

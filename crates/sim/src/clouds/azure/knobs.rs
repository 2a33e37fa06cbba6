//! How the fake behaves.

use std::collections::{BTreeSet, VecDeque};

use dispatch_core::time::Timestamp;

use super::rules::Limits;

/// How the fake behaves.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// How many questions (for an operation, or listings) each operation takes.
    pub questions: u32,
    /// What `Retry-After` says of operations; `None` = nothing.
    pub retry_after: Option<u64>,
    /// How many items a page has.
    pub page: usize,
    /// Whether lists spell ids and names in capitals.
    pub shouts: bool,
    /// The time.
    pub now: Timestamp,
    /// How many more calls are served before all others are refused for half a minute; `None` = all are.
    pub calls_left: Option<u64>,
    /// How long tokens are valid.
    pub token_seconds: u64,
    /// Groups that are there.
    pub groups: BTreeSet<String>,
    /// What the subscription may have.
    pub limits: Limits,
    /// Why the next VMs fail after they were accepted: code and message; `None` = that one does not.
    pub failures: VecDeque<Option<(String, String)>>,
    /// Whether deletes leave NICs and disks, as VMs of old API versions do.
    pub leaves: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            questions: 1,
            retry_after: Some(0),
            page: 100,
            shouts: false,
            now: "2026-11-22T21:09:52.512Z".parse().expect("a constant"),
            calls_left: None,
            token_seconds: 86_399,
            groups: ["cluster", "images", "network"].map(str::to_owned).into(),
            limits: Limits::default(),
            failures: VecDeque::new(),
            leaves: false,
        }
    }
}

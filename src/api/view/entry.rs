//! A container of the queue, as the API shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_actors::clock;
use dispatch_core::container::ContainerState;
use dispatch_core::fit::Resources;
use dispatch_core::id::{ContainerUuid, TypeName};
use dispatch_core::instance::InstanceType;
use dispatch_core::plan::Waiting;
use dispatch_core::queue::Entry;
use dispatch_core::time::Timestamp;
use serde::Serialize;

use super::container::ContainerView;
use super::explain::Explanation;
use super::{in_wall_time, time};

/// What we know of a container, and what we are going to do about it.
#[derive(Debug, Serialize)]
pub struct EntryView<'a> {
    container: ContainerView<'a>,
    instance_resources: Resources,
    /// The most preferred first.
    instance_types: Vec<TypeView<'a>>,
    first_seen_at: String,
    /// Why it waits, for its user; empty if it is running or final.
    scheduling_status: String,
    #[serde(serialize_with = "in_wall_time")]
    explain: Explanation<'a>,
}

/// A type as the site's configuration has it, with what other readers look for.
#[derive(Debug, Serialize)]
struct TypeView<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(flatten)]
    it: &'a InstanceType,
    /// All its disk.
    #[serde(rename = "Scratch")]
    scratch: u64,
}

impl<'a> EntryView<'a> {
    /// An entry that can be read, or could be once.
    pub fn of(
        entry: &'a Entry,
        waiting: Option<&'a Waiting>,
        ends: &BTreeMap<TypeName, Timestamp>,
        explain: Explanation<'a>,
    ) -> Self {
        let is_waiting = matches!(entry.record.state, ContainerState::Queued | ContainerState::Locked);
        let text = waiting.filter(|_| is_waiting).map(|waiting| waiting.text(ends)).unwrap_or_default();
        Self {
            container: ContainerView::of(&entry.record),
            instance_resources: entry.needs,
            instance_types: entry.types().iter().map(TypeView::of).collect(),
            first_seen_at: time(Some(clock::shown(entry.first_seen))),
            scheduling_status: text,
            explain,
        }
    }

    /// A record that could never be read.
    pub fn unreadable(uuid: ContainerUuid, explain: Explanation<'a>) -> Self {
        Self {
            container: ContainerView::unreadable(uuid),
            instance_resources: Resources::default(),
            instance_types: Vec::new(),
            first_seen_at: time(None),
            scheduling_status: String::new(),
            explain,
        }
    }
}

impl<'a> TypeView<'a> {
    fn of(it: &'a Arc<InstanceType>) -> Self {
        Self { name: it.name.as_str(), it, scratch: it.scratch() }
    }
}

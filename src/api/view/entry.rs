//! A container of the queue, as the API shows it.

use std::collections::BTreeMap;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, TypeName};
use dispatch_core::plan::Waiting;
use dispatch_core::queue::Entry;
use dispatch_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::constraints::{ResourcesView, TypeView};
use super::container::ContainerView;
use super::event::EventView;
use super::explain::Explanation;
use super::left::Left;
use super::{shown, time};

/// What we know of a container, and what we are going to do about it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct EntryView<'a> {
    container: ContainerView<'a>,
    instance_resources: ResourcesView,
    /// The most preferred first.
    instance_types: Vec<TypeView<'a>>,
    /// When it came into the queue of this process.
    #[schema(format = DateTime)]
    first_seen_at: String,
    /// Why it waits, for its user; empty if it is running or final.
    scheduling_status: String,
    pub(super) explain: Explanation<'a>,
    /// Its last events, oldest first. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) events: Option<&'a [EventView]>,
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
            instance_resources: ResourcesView::of(entry.needs),
            instance_types: entry.types().iter().map(|it| TypeView::of(it)).collect(),
            first_seen_at: shown(entry.first_seen),
            scheduling_status: text,
            explain,
            events: None,
        }
    }

    /// A record that could never be read.
    pub fn unreadable(uuid: ContainerUuid, explain: Explanation<'a>) -> Self {
        Self {
            container: ContainerView::unreadable(uuid),
            instance_resources: ResourcesView::default(),
            instance_types: Vec::new(),
            first_seen_at: time(None),
            scheduling_status: String::new(),
            explain,
            events: None,
        }
    }

    /// One that has left the queue, with every key that others have.
    pub fn left(uuid: ContainerUuid, left: &'a Left, explain: Explanation<'a>) -> Self {
        Self {
            container: ContainerView::left(uuid, &left.state),
            scheduling_status: left.scheduling_status(),
            ..Self::unreadable(uuid, explain)
        }
    }
}

//! Who waits for each type: a lock is given back only for a container of higher priority.

use std::collections::BTreeMap;

use super::Item;
use crate::container::ContainerState;
use crate::id::TypeName;

/// The highest priority of the Queued containers that want each type.
#[derive(Default)]
pub(super) struct QueuedPriorities {
    pub(super) all: BTreeMap<TypeName, i64>,
    pub(super) supervisors: BTreeMap<TypeName, i64>,
}

impl QueuedPriorities {
    /// O(containers + lists of types × their length): containers that want the same types share a list.
    pub(super) fn of(line: &[Item<'_>]) -> Self {
        let mut by_list = BTreeMap::new();
        let queued = line.iter().filter(|item| item.in_line && item.state == ContainerState::Queued);
        for item in queued {
            let list = (item.types.as_ptr(), item.supervisor);
            let (_, most) = by_list.entry(list).or_insert((item.types, i64::MIN));
            *most = item.entry.record.priority.max(*most);
        }
        let mut queued = Self::default();
        for ((_, supervisor), (types, priority)) in by_list {
            for it in types {
                note(&mut queued.all, &it.name, priority);
                if supervisor {
                    note(&mut queued.supervisors, &it.name, priority);
                }
            }
        }
        queued
    }
}

fn note(highest: &mut BTreeMap<TypeName, i64>, name: &TypeName, priority: i64) {
    let most = highest.entry(name.clone()).or_insert(i64::MIN);
    *most = priority.max(*most);
}

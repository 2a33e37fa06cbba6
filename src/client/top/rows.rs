//! Which rows a view has, in their order: what is searched for, and nothing else.

use super::data::{Container, Vm};
use super::model::{Model, View};

/// What stands in a row: its place in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// A container of the data.
    Container(usize),
    /// A group of the fleet.
    Type(usize),
    /// A group of the fleet, and an instance in it.
    Instance(usize, usize),
    /// An event.
    Event(usize),
}

/// The rows of a view. O(all that it could show).
pub(super) fn of(model: &Model, view: View) -> Vec<Row> {
    match view {
        View::Line => line(model),
        View::Fleet => fleet(model),
        View::Events => events(model),
    }
}

/// What tells a row from all others of its view.
pub(super) fn key(model: &Model, row: Row) -> &str {
    match row {
        Row::Container(at) => &model.data.containers[at].uuid,
        Row::Type(at) => &model.data.fleet[at].name,
        Row::Instance(group, at) => &model.data.fleet[group].instances[at].key,
        Row::Event(at) => &model.events[at].key,
    }
}

/// Whoever searches means those that run, too.
fn line(model: &Model) -> Vec<Row> {
    let wanted = model.filter.as_str();
    let is_shown = |it: &Container| {
        (model.shows_all || !wanted.is_empty() || it.waits())
            && (it.uuid.contains(wanted) || it.instances.iter().any(|id| id.contains(wanted)))
    };
    let all = model.data.containers.iter().enumerate();
    all.filter(|(_, it)| is_shown(it)).map(|(at, _)| Row::Container(at)).collect()
}

/// A type without a row of an instance is left out of a search.
fn fleet(model: &Model) -> Vec<Row> {
    let wanted = model.filter.as_str();
    let has = |vm: &Vm| {
        vm.key.contains(wanted) || vm.is.running_container_uuids.iter().any(|uuid| uuid.contains(wanted))
    };
    let mut rows = Vec::new();
    for (number, group) in model.data.fleet.iter().enumerate() {
        let found = group.instances.iter().enumerate().filter(|(_, vm)| has(vm));
        let found: Vec<_> = found.map(|(at, _)| Row::Instance(number, at)).collect();
        if wanted.is_empty() || !found.is_empty() {
            rows.push(Row::Type(number));
            rows.extend(found);
        }
    }
    rows
}

fn events(model: &Model) -> Vec<Row> {
    let all = model.events.iter().enumerate();
    all.filter(|(_, event)| event.mentions(&model.filter)).map(|(at, _)| Row::Event(at)).collect()
}

//! What a dispatcher decodes from the records that the simulated controller shows.

use dispatch_core::container::{MountNeeds, Record, Standing};
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{Page, Undecodable};
use dispatch_core::time::Timestamp;
use serde_json::Value;

use super::FakeArvados;
use super::filters::ListQuery;
use super::port::POLLED;
use super::state::Container;

pub(super) fn page_of<T>(
    arvados: &FakeArvados,
    query: &ListQuery,
    moment: Timestamp,
    decode: impl Fn(&Container) -> Result<T, Undecodable>,
) -> Page<T> {
    let mut page = Page { items: vec![], undecodable: vec![] };
    for container in arvados.list_as_of(query, moment).items {
        match decode(container) {
            Ok(item) => page.items.push(item),
            Err(undecodable) => page.undecodable.push(undecodable),
        }
    }
    page
}

/// An error if one of these attributes has a value that a strict client cannot decode.
fn poison_in(container: &Container, attributes: &[&str]) -> Result<(), Undecodable> {
    let poisoned = container.overrides.iter().find(|(name, value)| {
        let read = attributes.contains(&name.as_str());
        let indispensable = matches!(name.as_str(), "uuid" | "state");
        read && (indispensable || !value.is_null())
    });
    match poisoned {
        None => Ok(()),
        Some((name, value)) => Err(Undecodable {
            uuid: (name != "uuid").then_some(container.uuid),
            reason: format!("{name}: unexpected {value}"),
        }),
    }
}

fn is_null(container: &Container, attribute: &str) -> bool {
    container.overrides.get(attribute).is_some_and(Value::is_null)
}

pub(super) fn record_of(container: &Container) -> Result<Record, Undecodable> {
    poison_in(container, &POLLED)?;
    let spec = &container.spec;
    let standing = standing_of(container);
    Ok(Record {
        uuid: container.uuid,
        state: standing.state,
        priority: if is_null(container, "priority") { 0 } else { standing.priority },
        locked_by: if is_null(container, "locked_by_uuid") { None } else { standing.locked_by },
        runtime_constraints: if is_null(container, "runtime_constraints") {
            Default::default()
        } else {
            spec.runtime_constraints.clone()
        },
        container_image: if is_null(container, "container_image") {
            String::new()
        } else {
            spec.container_image.clone()
        },
        scheduling: if is_null(container, "scheduling_parameters") {
            Default::default()
        } else {
            spec.scheduling.clone()
        },
        created_at: (!is_null(container, "created_at")).then_some(container.created_at),
        preemption_notice: container.runtime_status.get("preemptionNotice").and_then(notice_of),
        lock_count: Some(container.lock_count),
    })
}

fn notice_of(value: &Value) -> Option<String> {
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)).filter(|it| !it.is_empty())
}

pub(super) fn mounts_of(container: &Container) -> Result<(ContainerUuid, MountNeeds), Undecodable> {
    poison_in(container, &["uuid", "mounts"])?;
    let needs =
        if is_null(container, "mounts") { MountNeeds::default() } else { container.spec.mount_needs() };
    Ok((container.uuid, needs))
}

pub(super) fn standing_of(container: &Container) -> Standing {
    Standing { state: container.state, priority: container.priority, locked_by: container.locked_by }
}

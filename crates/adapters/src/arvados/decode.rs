//! From the controller's JSON to the core's records. One bad record hurts only itself.

use dispatch_core::container::{
    ContainerState, GpuRequest, MountNeeds, Record, RuntimeConstraints, SchedulingParameters, Standing,
};
use dispatch_core::id::{ContainerUuid, TokenUuid};
use dispatch_core::ports::{Page, Undecodable};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{Place, Trouble};

/// What decodes one item of a list.
pub(super) type Decoder<T> = fn(&Place<'_>) -> Result<T, Trouble>;

#[derive(Deserialize)]
struct List<'a> {
    /// Raw, so that a number that does not fit anywhere does not take its neighbours with it.
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct JustUuid {
    uuid: String,
}

/// A list's items, each on its own.
pub(super) fn page<T>(body: &str, decoder: Decoder<T>) -> Result<Page<T>, Trouble> {
    let list: List<'_> =
        serde_json::from_str(body).map_err(|error| format!("not a list of items: {error}"))?;
    let mut page = Page { items: Vec::with_capacity(list.items.len()), undecodable: Vec::new() };
    for raw in list.items {
        match one(raw.get(), decoder) {
            Ok(item) => page.items.push(item),
            Err(reason) => page.undecodable.push(Undecodable { uuid: uuid_at_least(raw.get()), reason }),
        }
    }
    Ok(page)
}

/// One object.
pub(super) fn one<T>(text: &str, decoder: Decoder<T>) -> Result<T, Trouble> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let place = Place::root(&value);
    if value.is_object() { decoder(&place) } else { Err(place.unexpected("an object")) }
}

fn uuid_at_least(text: &str) -> Option<ContainerUuid> {
    serde_json::from_str::<JustUuid>(text).ok()?.uuid.parse().ok()
}

/// The uuid of the token that asked.
pub(super) fn token(place: &Place<'_>) -> Result<TokenUuid, Trouble> {
    let uuid = place.field("uuid");
    uuid.parsed()?.ok_or_else(|| uuid.unexpected("a token uuid"))
}

/// The polled columns.
pub(super) fn record(place: &Place<'_>) -> Result<Record, Trouble> {
    let (uuid, standing) = standing(place)?;
    Ok(Record {
        uuid,
        state: standing.state,
        priority: standing.priority,
        locked_by: standing.locked_by,
        runtime_constraints: runtime_constraints(&place.field("runtime_constraints").object()?)?,
        container_image: place.field("container_image").text()?,
        scheduling: scheduling(&place.field("scheduling_parameters").object()?)?,
        created_at: place.field("created_at").parsed()?,
        lock_count: lock_count(&place.field("lock_count"))?,
    })
}

/// Asked for with a single record only: absent from lists.
fn lock_count(place: &Place<'_>) -> Result<Option<u32>, Trouble> {
    if place.is_null() {
        return Ok(None);
    }
    Ok(Some(u32::try_from(place.size()?).unwrap_or(u32::MAX)))
}

/// What an update answers with, and whose it is.
pub(super) fn standing(place: &Place<'_>) -> Result<(ContainerUuid, Standing), Trouble> {
    let state = place.field("state");
    let name = state.text()?;
    let state = ContainerState::from_name(&name).ok_or_else(|| state.unexpected("a state of a container"))?;
    let priority = place.field("priority").integer()?;
    let locked_by = place.field("locked_by_uuid").parsed()?;
    Ok((container(place)?, Standing { state, priority, locked_by }))
}

/// A container's mounts, of which only the size of its scratch space is kept.
pub(super) fn mounts(place: &Place<'_>) -> Result<(ContainerUuid, MountNeeds), Trouble> {
    let mut tmp_bytes = 0_u64;
    for mount in place.field("mounts").fields()? {
        let mount = mount.object()?;
        if mount.field("kind").text()? == "tmp" {
            tmp_bytes = tmp_bytes.saturating_add(mount.field("capacity").size()?);
        }
    }
    Ok((container(place)?, MountNeeds { tmp_bytes }))
}

fn container(place: &Place<'_>) -> Result<ContainerUuid, Trouble> {
    let uuid = place.field("uuid");
    uuid.parsed()?.ok_or_else(|| uuid.unexpected("a container uuid"))
}

fn runtime_constraints(place: &Place<'_>) -> Result<RuntimeConstraints, Trouble> {
    let gpu = place.field("gpu").object()?;
    Ok(RuntimeConstraints {
        api: place.field("API").truth()?,
        ram: place.field("ram").size()?,
        vcpus: place.field("vcpus").size()?,
        keep_cache_ram: place.field("keep_cache_ram").size()?,
        keep_cache_disk: place.field("keep_cache_disk").size()?,
        gpu: GpuRequest {
            stack: gpu.field("stack").text()?,
            driver_version: gpu.field("driver_version").text()?,
            hardware_target: gpu.field("hardware_target").texts()?,
            device_count: gpu.field("device_count").size()?,
            vram: gpu.field("vram").size()?,
        },
    })
}

fn scheduling(place: &Place<'_>) -> Result<SchedulingParameters, Trouble> {
    Ok(SchedulingParameters {
        partitions: place.field("partitions").texts()?,
        preemptible: place.field("preemptible").truth()?,
        max_run_time: place.field("max_run_time").integer()?,
        supervisor: place.field("supervisor").truth()?,
    })
}

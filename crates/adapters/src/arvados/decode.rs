//! Converts the controller's JSON to the core's records. A record that cannot be decoded does not affect the
//! others.

use dispatch_core::container::{
    ContainerState, GpuRequest, MountNeeds, Record, RuntimeConstraints, SchedulingParameters, Standing,
};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, TokenUuid};
use dispatch_core::ports::{Page, Undecodable};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{DecodeError, Place};

/// A function that decodes one item of a list.
pub(super) type Decoder<T> = fn(&Place<'_>) -> Result<T, DecodeError>;

#[derive(Deserialize)]
struct List<'a> {
    /// Raw text: a number that fits no type then spoils its own item only.
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct JustUuid {
    uuid: String,
}

/// Decodes the items of a list, each by itself.
pub(super) fn page<T>(body: &str, decoder: Decoder<T>) -> Result<Page<T>, DecodeError> {
    let list: List<'_> =
        serde_json::from_str(body).map_err(|error| format!("not a list of items: {error}"))?;
    let mut page = Page { items: Vec::with_capacity(list.items.len()), undecodable: Vec::new() };
    for raw in list.items {
        match one(raw.get(), decoder) {
            Ok(item) => page.items.push(item),
            Err(reason) => page.undecodable.push(Undecodable { uuid: uuid_if_readable(raw.get()), reason }),
        }
    }
    Ok(page)
}

/// Decodes one object.
pub(super) fn one<T>(text: &str, decoder: Decoder<T>) -> Result<T, DecodeError> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let place = Place::root(&value);
    if value.is_object() { decoder(&place) } else { Err(place.unexpected("an object")) }
}

fn uuid_if_readable(text: &str) -> Option<ContainerUuid> {
    serde_json::from_str::<JustUuid>(text).ok()?.uuid.parse().ok()
}

/// The uuid of the token that the request was made with.
pub(super) fn token(place: &Place<'_>) -> Result<TokenUuid, DecodeError> {
    let uuid = place.field("uuid");
    uuid.parsed()?.ok_or_else(|| uuid.unexpected("a token uuid"))
}

/// Decodes the columns that polls select.
pub(super) fn record(place: &Place<'_>) -> Result<Record, DecodeError> {
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
        preemption_notice: preemption_notice(&place.field("runtime_status").field("preemptionNotice")),
        lock_count: lock_count(&place.field("lock_count"))?,
    })
}

/// What the process has written there is for people, so no form of it makes a record unreadable. At most 500 characters.
fn preemption_notice(place: &Place<'_>) -> Option<String> {
    let notice = place.text().unwrap_or_else(|_| place.as_json());
    Some(notice.chars().take(500).collect::<String>()).filter(|notice| !notice.trim().is_empty())
}

/// The server sends it only with a single record, never with a list.
fn lock_count(place: &Place<'_>) -> Result<Option<u32>, DecodeError> {
    if place.is_null() {
        return Ok(None);
    }
    Ok(Some(u32::try_from(place.size()?).unwrap_or(u32::MAX)))
}

/// Decodes the answer to an update, and the uuid of the container that the answer is about.
pub(super) fn standing(place: &Place<'_>) -> Result<(ContainerUuid, Standing), DecodeError> {
    let state = place.field("state");
    let name = state.text()?;
    let state = ContainerState::from_name(&name).ok_or_else(|| state.unexpected("a state of a container"))?;
    let priority = place.field("priority").integer()?;
    let locked_by = place.field("locked_by_uuid").parsed()?;
    Ok((container(place)?, Standing { state, priority, locked_by }))
}

/// Decodes a container's mounts, and keeps only the size of its scratch space.
pub(super) fn mounts(place: &Place<'_>) -> Result<(ContainerUuid, MountNeeds), DecodeError> {
    let mut tmp_bytes = 0_u64;
    for mount in place.field("mounts").fields()? {
        let mount = mount.object()?;
        if mount.field("kind").text()? == "tmp" {
            tmp_bytes = tmp_bytes.saturating_add(mount.field("capacity").size()?);
        }
    }
    Ok((container(place)?, MountNeeds { tmp_bytes }))
}

/// Decodes a container request: the container that is tried for it, and its own uuid.
pub(super) fn container_request(
    place: &Place<'_>,
) -> Result<(ContainerUuid, ContainerRequestUuid), DecodeError> {
    let (request, container) = (place.field("uuid"), place.field("container_uuid"));
    let container = container.parsed()?.ok_or_else(|| container.unexpected("a container uuid"))?;
    let request = request.parsed()?.ok_or_else(|| request.unexpected("a container request uuid"))?;
    Ok((container, request))
}

fn container(place: &Place<'_>) -> Result<ContainerUuid, DecodeError> {
    let uuid = place.field("uuid");
    uuid.parsed()?.ok_or_else(|| uuid.unexpected("a container uuid"))
}

fn runtime_constraints(place: &Place<'_>) -> Result<RuntimeConstraints, DecodeError> {
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

fn scheduling(place: &Place<'_>) -> Result<SchedulingParameters, DecodeError> {
    Ok(SchedulingParameters {
        partitions: place.field("partitions").texts()?,
        preemptible: place.field("preemptible").truth()?,
        max_run_time: place.field("max_run_time").integer()?,
        supervisor: place.field("supervisor").truth()?,
    })
}

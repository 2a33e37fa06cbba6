//! A container's record, with every key that records have elsewhere; those that we do not read are empty.

use dispatch_core::container::{ContainerState, Record, RuntimeConstraints, SchedulingParameters};
use dispatch_core::id::{ContainerUuid, TokenUuid};
use serde::Serialize;

use super::{NO_TIME, time};

/// Something that is never shown.
type Nothing = Option<()>;

#[derive(Debug, Serialize)]
pub struct ContainerView<'a> {
    uuid: ContainerUuid,
    etag: &'static str,
    created_at: String,
    modified_by_user_uuid: &'static str,
    modified_at: &'static str,
    command: Nothing,
    container_image: &'a str,
    cwd: &'static str,
    environment: Nothing,
    locked_by_uuid: &'a str,
    lock_count: u32,
    mounts: Nothing,
    output: &'static str,
    output_path: &'static str,
    output_glob: Nothing,
    /// Far above 2^53: exact, never a float.
    priority: i64,
    runtime_constraints: &'a RuntimeConstraints,
    state: &'static str,
    scheduling_parameters: &'a SchedulingParameters,
    exit_code: i32,
    runtime_status: Nothing,
    started_at: Nothing,
    finished_at: Nothing,
    gateway_address: &'static str,
    interactive_session_started: bool,
    output_storage_classes: Nothing,
    runtime_user_uuid: &'static str,
    runtime_auth_scopes: Nothing,
    runtime_token: &'static str,
    auth_uuid: &'static str,
    log: &'static str,
    cost: u32,
    subrequests_cost: u32,
    service: bool,
    published_ports: Nothing,
}

static NO_CONSTRAINTS: RuntimeConstraints = RuntimeConstraints {
    api: false,
    ram: 0,
    vcpus: 0,
    keep_cache_ram: 0,
    keep_cache_disk: 0,
    gpu: dispatch_core::container::GpuRequest {
        stack: String::new(),
        driver_version: String::new(),
        hardware_target: Vec::new(),
        device_count: 0,
        vram: 0,
    },
};
static NO_PARAMETERS: SchedulingParameters =
    SchedulingParameters { partitions: Vec::new(), preemptible: false, max_run_time: 0, supervisor: false };

impl<'a> ContainerView<'a> {
    /// A record as we know it.
    pub fn of(record: &'a Record) -> Self {
        Self {
            created_at: time(record.created_at),
            container_image: &record.container_image,
            locked_by_uuid: record.locked_by.as_ref().map_or("", TokenUuid::as_str),
            lock_count: record.lock_count.unwrap_or(0),
            priority: record.priority,
            runtime_constraints: &record.runtime_constraints,
            state: ContainerState::as_str(record.state),
            scheduling_parameters: &record.scheduling,
            ..Self::unreadable(record.uuid)
        }
    }

    /// A record of which nothing but the name is known.
    pub fn unreadable(uuid: ContainerUuid) -> Self {
        Self {
            uuid,
            etag: "",
            created_at: NO_TIME.to_owned(),
            modified_by_user_uuid: "",
            modified_at: NO_TIME,
            command: None,
            container_image: "",
            cwd: "",
            environment: None,
            locked_by_uuid: "",
            lock_count: 0,
            mounts: None,
            output: "",
            output_path: "",
            output_glob: None,
            priority: 0,
            runtime_constraints: &NO_CONSTRAINTS,
            state: "",
            scheduling_parameters: &NO_PARAMETERS,
            exit_code: 0,
            runtime_status: None,
            started_at: None,
            finished_at: None,
            gateway_address: "",
            interactive_session_started: false,
            output_storage_classes: None,
            runtime_user_uuid: "",
            runtime_auth_scopes: None,
            runtime_token: "",
            auth_uuid: "",
            log: "",
            cost: 0,
            subrequests_cost: 0,
            service: false,
            published_ports: None,
        }
    }
}

//! A container's record, with every key that records have elsewhere; those that we do not read are empty.

use dispatch_core::container::{ContainerState, Record};
use dispatch_core::id::{ContainerUuid, TokenUuid};
use serde::Serialize;
use utoipa::ToSchema;

use super::constraints::{ConstraintsView, SchedulingView};
use super::{NO_TIME, time};
use crate::api::description::words;

/// Something that is never shown.
type Nothing = Option<()>;

/// A container's record. Keys that we do not read are there, and empty, because records have them elsewhere.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Container)]
pub struct ContainerView<'a> {
    #[schema(schema_with = words::container_uuid)]
    uuid: ContainerUuid,
    etag: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    modified_by_user_uuid: &'static str,
    #[schema(format = DateTime)]
    modified_at: &'static str,
    #[schema(schema_with = words::nothing, required)]
    command: Nothing,
    container_image: &'a str,
    cwd: &'static str,
    #[schema(schema_with = words::nothing, required)]
    environment: Nothing,
    locked_by_uuid: &'a str,
    lock_count: u32,
    #[schema(schema_with = words::nothing, required)]
    mounts: Nothing,
    output: &'static str,
    output_path: &'static str,
    #[schema(schema_with = words::nothing, required)]
    output_glob: Nothing,
    /// Far above 2^53: exact, never a float.
    priority: i64,
    runtime_constraints: ConstraintsView,
    /// Empty if nothing is known of it.
    #[schema(schema_with = words::container_state)]
    state: &'a str,
    scheduling_parameters: SchedulingView,
    exit_code: i32,
    #[schema(schema_with = words::nothing, required)]
    runtime_status: Nothing,
    #[schema(schema_with = words::nothing, required)]
    started_at: Nothing,
    #[schema(schema_with = words::nothing, required)]
    finished_at: Nothing,
    gateway_address: &'static str,
    interactive_session_started: bool,
    #[schema(schema_with = words::nothing, required)]
    output_storage_classes: Nothing,
    runtime_user_uuid: &'static str,
    #[schema(schema_with = words::nothing, required)]
    runtime_auth_scopes: Nothing,
    runtime_token: &'static str,
    auth_uuid: &'static str,
    log: &'static str,
    cost: u32,
    subrequests_cost: u32,
    service: bool,
    #[schema(schema_with = words::nothing, required)]
    published_ports: Nothing,
}

impl<'a> ContainerView<'a> {
    /// A record as we know it.
    pub fn of(record: &'a Record) -> Self {
        Self {
            created_at: time(record.created_at),
            container_image: &record.container_image,
            locked_by_uuid: record.locked_by.as_ref().map_or("", TokenUuid::as_str),
            lock_count: record.lock_count.unwrap_or(0),
            priority: record.priority,
            runtime_constraints: ConstraintsView::of(&record.runtime_constraints),
            state: ContainerState::as_str(record.state),
            scheduling_parameters: SchedulingView::of(&record.scheduling),
            ..Self::unreadable(record.uuid)
        }
    }

    /// One of which only that is known, and how it stood when it left the queue.
    pub fn left(uuid: ContainerUuid, state: &'a str) -> Self {
        Self { state, ..Self::unreadable(uuid) }
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
            runtime_constraints: ConstraintsView::default(),
            state: "",
            scheduling_parameters: SchedulingView::default(),
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

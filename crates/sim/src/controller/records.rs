//! A container as JSON: which keys it has, in which order, and which of them a `select` keeps.

use std::borrow::Cow;

use dispatch_core::container::{RuntimeConstraints, SchedulingParameters};
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::state::Container;

/// Every key of a container record, in the server's order. Only the full record has `kind` and `etag`; items
/// of a list also have `kind`.
pub const FIELDS: [&str; 38] = [
    "kind",
    "etag",
    "uuid",
    "owner_uuid",
    "created_at",
    "modified_by_user_uuid",
    "modified_at",
    "command",
    "container_image",
    "cwd",
    "environment",
    "exit_code",
    "finished_at",
    "locked_by_uuid",
    "log",
    "mounts",
    "output",
    "output_path",
    "output_glob",
    "priority",
    "progress",
    "runtime_constraints",
    "runtime_status",
    "started_at",
    "state",
    "auth_uuid",
    "scheduling_parameters",
    "runtime_user_uuid",
    "runtime_auth_scopes",
    "lock_count",
    "gateway_address",
    "interactive_session_started",
    "output_storage_classes",
    "output_properties",
    "cost",
    "subrequests_cost",
    "service",
    "published_ports",
];

/// The keys of an answer to lock and unlock.
pub const STANDING_FIELDS: [&str; 5] = ["uuid", "locked_by_uuid", "priority", "state", "auth_uuid"];

/// Whether records have that attribute.
pub fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// A time as the server writes it: nine digits after the point, and `Z`.
pub fn time_text(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Which keys of a record are shown, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct View<'a> {
    /// The selected keys; `None` = all.
    pub select: Option<&'a [String]>,
    /// Whether it is an item of a list. Such items always have their `kind`.
    pub in_list: bool,
    /// Whether every empty value is shown as null.
    pub nulls: bool,
}

impl View<'_> {
    fn shows(&self, name: &str) -> bool {
        match self.select {
            None => true,
            Some(_) if name == "kind" && self.in_list => true,
            Some(selected) => selected.iter().any(|it| it == name),
        }
    }

    /// The record as JSON.
    pub fn render(&self, container: &Container) -> Value {
        let shown = FIELDS.iter().filter(|name| self.shows(name));
        let members = shown.map(|name| ((*name).to_owned(), self.value(container, name)));
        Value::Object(members.collect::<Map<_, _>>())
    }

    fn value(&self, container: &Container, name: &str) -> Value {
        let value = container.overrides.get(name).cloned().unwrap_or_else(|| attribute(container, name));
        if self.nulls { empty_as_null(value) } else { value }
    }
}

/// The value of one attribute; null if there is no such attribute.
pub fn attribute(container: &Container, name: &str) -> Value {
    if let Some(set) = container.attributes.get(name) {
        return set.clone();
    }
    let cluster = container.uuid.cluster();
    let time = |at: Option<Timestamp>| at.map_or(Value::Null, |at| time_text(at).into());
    match name {
        "kind" => "arvados#container".into(),
        "etag" => etag(container).into(),
        "uuid" => container.uuid.as_str().into(),
        "owner_uuid" | "modified_by_user_uuid" => format!("{cluster}-tpzed-000000000000000").into(),
        "created_at" => time(Some(container.created_at)),
        "modified_at" => time(Some(container.modified_at)),
        "command" => container.spec.command.clone().into(),
        "container_image" => container.spec.container_image.clone().into(),
        "cwd" => container.spec.cwd.clone().into(),
        "environment" => json!(container.spec.environment),
        "exit_code" => container.exit_code.into(),
        "finished_at" => time(container.finished_at),
        "locked_by_uuid" => container.locked_by.map_or(Value::Null, |it| it.as_str().into()),
        "mounts" => container.spec.mounts.clone().into(),
        "output_path" => container.spec.cwd.clone().into(),
        "output_glob" => json!([]),
        "priority" => container.priority.into(),
        "runtime_constraints" => constraints(&container.spec.runtime_constraints),
        "runtime_status" => container.runtime_status.clone().into(),
        "started_at" => time(container.started_at),
        "state" => container.state.as_str().into(),
        "auth_uuid" => container.auth_uuid.map_or(Value::Null, |it| it.as_str().into()),
        "scheduling_parameters" => scheduling(&container.spec.scheduling),
        "runtime_user_uuid" => format!("{cluster}-tpzed-simulateduser00").into(),
        "runtime_auth_scopes" => json!(["all"]),
        "lock_count" => container.lock_count.into(),
        "interactive_session_started" | "service" => false.into(),
        "output_storage_classes" => json!(["default"]),
        "output_properties" | "published_ports" => json!({}),
        "cost" => container.cost.into(),
        "subrequests_cost" => 0.0.into(),
        _ => Value::Null,
    }
}

fn constraints(it: &RuntimeConstraints) -> Value {
    json!({
        "API": it.api,
        "gpu": {
            "device_count": it.gpu.device_count,
            "driver_version": it.gpu.driver_version,
            "hardware_target": it.gpu.hardware_target,
            "stack": it.gpu.stack,
            "vram": it.gpu.vram,
        },
        "keep_cache_disk": it.keep_cache_disk,
        "keep_cache_ram": it.keep_cache_ram,
        "ram": it.ram,
        "vcpus": it.vcpus,
    })
}

fn scheduling(it: &SchedulingParameters) -> Value {
    json!({
        "max_run_time": it.max_run_time,
        "partitions": it.partitions,
        "preemptible": it.preemptible,
        "supervisor": it.supervisor,
    })
}

/// A text that changes whenever the record does. Clients read nothing else out of it.
fn etag(container: &Container) -> String {
    format!("{:x}{}", container.modified_at.as_nanosecond(), &container.uuid.as_str()[17..])
}

/// Replaces every empty part of the value by null, as real records may have it.
fn empty_as_null(value: Value) -> Value {
    match value {
        Value::String(text) if text.is_empty() => Value::Null,
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Object(members) => {
            let members: Map<_, _> =
                members.into_iter().map(|(name, value)| (name, empty_as_null(value))).collect();
            let says_nothing =
                |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || *value == 0;
            if members.values().all(says_nothing) { Value::Null } else { Value::Object(members) }
        }
        other => other,
    }
}

/// One attribute as a filter or an order sees it.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar<'a> {
    /// No value.
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Whole(i64),
    /// A point in time.
    Time(Timestamp),
    /// Any other value.
    Json(Value),
}

/// One attribute as a filter or an order sees it. It is cheap for the attributes that polls use.
pub fn scalar<'a>(container: &'a Container, name: &str) -> Scalar<'a> {
    let text = |text: &'a str| Scalar::Text(Cow::Borrowed(text));
    let time = |at: Option<Timestamp>| at.map_or(Scalar::Null, Scalar::Time);
    match name {
        "uuid" => text(container.uuid.as_str()),
        "state" => text(container.state.as_str()),
        "container_image" => text(&container.spec.container_image),
        "priority" => Scalar::Whole(container.priority),
        "lock_count" => Scalar::Whole(container.lock_count.into()),
        "exit_code" => container.exit_code.map_or(Scalar::Null, Scalar::Whole),
        "locked_by_uuid" => container.locked_by.as_ref().map_or(Scalar::Null, |it| text(it.as_str())),
        "auth_uuid" => container.auth_uuid.as_ref().map_or(Scalar::Null, |it| text(it.as_str())),
        "created_at" => Scalar::Time(container.created_at),
        "modified_at" => Scalar::Time(container.modified_at),
        "started_at" => time(container.started_at),
        "finished_at" => time(container.finished_at),
        other => match attribute(container, other) {
            Value::Null => Scalar::Null,
            Value::String(text) => Scalar::Text(Cow::Owned(text)),
            other => Scalar::Json(other),
        },
    }
}

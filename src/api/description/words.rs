//! The words of which a text is one, and the patterns of others: what a type of ours cannot say of a text.

use dispatch_actors::catalogue::level_name;
use dispatch_core::container::ContainerState as Container;
use dispatch_core::instance::IdleBehavior;
use dispatch_core::ledger::Category;
use dispatch_core::plan::WaitReason;
use dispatch_core::pool::{PauseReason, QuotaReason};
use dispatch_core::queue::SetbackCause;
use dispatch_core::worker::{Renewal, State};
use serde::Serialize;
use serde_json::{Value, json};
use slog::Level;
use utoipa::openapi::schema::{
    Array, ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};

use crate::api::view::explain::UNPLANNED;

/// `ccccc-dz642-` and 15 more.
pub(super) const CONTAINER_UUID: &str = "^[0-9a-z]{5}-dz642-[0-9a-z]{15}$";
/// The same, or `""`.
pub(super) const CONTAINER_UUID_OR_NOTHING: &str = "^([0-9a-z]{5}-dz642-[0-9a-z]{15})?$";
/// As we write moments.
const DATE: &str = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z";

/// One of these.
pub(super) fn one_of<W: Into<Value>>(words: impl IntoIterator<Item = W>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// What is written of these, each once.
fn written<W: Serialize>(words: impl IntoIterator<Item = W>) -> Vec<Value> {
    words.into_iter().map(|word| json!(word)).collect()
}

/// A text of that form.
pub(super) fn like(pattern: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

/// The name of a container.
pub(in crate::api) fn container_uuid() -> Object {
    like(CONTAINER_UUID)
}

/// Names of containers.
pub(in crate::api) fn container_uuids() -> Array {
    ArrayBuilder::new().items(container_uuid()).build()
}

/// A moment, or `""`.
pub(in crate::api) fn date_or_nothing() -> Object {
    like(&format!("^({DATE})?$"))
}

/// Something that is never shown.
pub(in crate::api) fn nothing() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// The state of a record, or `""`.
pub(in crate::api) fn container_state() -> Object {
    use Container::{Cancelled, Complete, Locked, Queued, Running};
    let states = [Queued, Locked, Running, Complete, Cancelled];
    one_of(states.map(Container::as_str).into_iter().chain([""]))
}

/// The state of an instance.
pub(in crate::api) fn worker_state() -> Object {
    one_of(State::ALL.map(State::as_str))
}

/// Why an instance is renewed, or `""`.
pub(in crate::api) fn renewal() -> Object {
    one_of(Renewal::ALL.map(Renewal::as_str).into_iter().chain([""]))
}

/// What an instance does for its money.
pub(in crate::api) fn category() -> Object {
    one_of(Category::ALL.map(Category::as_str))
}

/// What is wanted of an instance.
pub(in crate::api) fn idle_behavior() -> Object {
    one_of([IdleBehavior::Run, IdleBehavior::Hold, IdleBehavior::Drain].map(IdleBehavior::as_str))
}

/// Why a container stands where it stands.
pub(in crate::api) fn reason() -> Object {
    let mut words: Vec<_> = WaitReason::samples().iter().map(WaitReason::word).collect();
    words.extend(UNPLANNED.map(str::to_owned));
    words.dedup();
    one_of(words)
}

/// Why nothing is created of a type.
pub(in crate::api) fn gate_cause() -> Object {
    let quotas = written([QuotaReason::Account, QuotaReason::MaxInstances]);
    one_of(written(PauseReason::ALL).into_iter().chain(quotas))
}

/// What has failed for a container.
pub(in crate::api) fn setback_cause() -> Object {
    use SetbackCause::{Cancel, Lock, Mounts, Unlock};
    one_of(written([Lock, Unlock, Cancel, Mounts]))
}

/// Why creates are paused, or what has failed.
pub(in crate::api) fn evidence_cause() -> Object {
    let failed = setback_cause().enum_values.unwrap_or_default();
    one_of(written(PauseReason::ALL).into_iter().chain(failed))
}

/// The level of a line of the log.
pub(in crate::api) fn level() -> Object {
    one_of([Level::Error, Level::Warning, Level::Info, Level::Debug].map(level_name))
}

/// `true`, or why not.
pub(in crate::api) fn kept() -> Schema {
    let yes = ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true]));
    let why_not = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
    Schema::OneOf(OneOfBuilder::new().item(yes).item(why_not).build())
}

/// Any single value of JSON.
pub(super) fn scalar() -> SchemaType {
    SchemaType::Array(vec![Type::String, Type::Number, Type::Boolean, Type::Null])
}

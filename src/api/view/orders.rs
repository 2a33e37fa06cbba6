//! What has come of orders about creates and types.

use dispatch_actors::messages::cordon::Kept;
use dispatch_core::id::TypeName;
use dispatch_core::pool::CordonScope;
use dispatch_core::time::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::shown;
use crate::api::description::words;

/// Creates are paused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Paused)]
pub struct PausedView {
    /// `all`, a market, or the name of a type.
    scope: String,
    #[schema(format = DateTime)]
    until: String,
    /// `true`, or why a restart would forget it.
    #[serde(serialize_with = "true_or_why_not")]
    #[schema(schema_with = words::kept)]
    kept: Kept,
}

/// Creates are not paused any more.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resumed)]
pub struct ResumedView {
    /// `all`, a market, or the name of a type.
    scope: String,
    /// `true`, or why a restart would forget it.
    #[serde(serialize_with = "true_or_why_not")]
    #[schema(schema_with = words::kept)]
    kept: Kept,
}

/// A type is drained, or used again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TypeOrder)]
pub struct TypeOrderView {
    #[schema(value_type = String)]
    instance_type: TypeName,
    /// `true`, or why a restart would forget it.
    #[serde(serialize_with = "true_or_why_not")]
    #[schema(schema_with = words::kept)]
    kept: Kept,
}

impl PausedView {
    /// Nothing of that is created until then.
    pub fn new(scope: &CordonScope, until: Timestamp, kept: Kept) -> Self {
        Self { scope: scope.to_string(), until: shown(until), kept }
    }
}

impl ResumedView {
    /// That is created again.
    pub fn new(scope: &CordonScope, kept: Kept) -> Self {
        Self { scope: scope.to_string(), kept }
    }
}

impl TypeOrderView {
    /// It was ordered for that type.
    pub fn new(instance_type: TypeName, kept: Kept) -> Self {
        Self { instance_type, kept }
    }
}

fn true_or_why_not<S: Serializer>(kept: &Kept, to: S) -> Result<S::Ok, S::Error> {
    match kept {
        Kept::Yes => to.serialize_bool(true),
        Kept::No(why) => to.serialize_str(why),
    }
}

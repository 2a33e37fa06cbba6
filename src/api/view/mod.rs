//! The actors' snapshots as JSON: what a client could rely on elsewhere holds here, and more.
//!
//! ```text
//!   Plan + QueueSnapshot + PoolSnapshot ─► Containers ─► EntryView { container, types, explain }
//!   PoolSnapshot ─► Instances
//!   Statement ─► CostView
//!   Plan + PoolSnapshot ─► creates: pauses, and what may be created of each type
//! ```
//! What is serialised is a type of this folder, from which the API's description is derived (`description`): so no type
//! of the core is part of the interface by accident. Dates are of our own clock until they come here, and are written as
//! the wall clock has them now.
//!
//! Names, types, nesting and values for nothing (`""`, 0, `[]`, null) are part of the interface.

mod constraints;
mod container;
mod containers;
mod cost;
pub(in crate::api) mod creates;
mod detail;
mod entry;
mod event;
pub(in crate::api) mod explain;
mod gate;
mod health;
mod instance;
mod left;
mod orders;
mod reason;
mod trouble;

pub(super) use containers::Containers;
pub(super) use cost::CostView;
pub(super) use creates::CreatesView;
pub(super) use entry::EntryView;
pub(super) use event::{EventLine, EventView};
pub(super) use health::{Actors, Age, Check, Checks, Feed, Lock, Ping, Readiness};
pub(super) use instance::{InstanceView, Instances};
pub(super) use left::Left;
pub(super) use orders::{PausedView, ResumedView, TypeOrderView};

use dispatch_actors::clock;
use dispatch_core::time::Timestamp;

/// How an unknown time is written.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// RFC 3339, or the unknown time.
fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NO_TIME.to_owned(), |at| at.to_string())
}

/// A moment of our own clock, as the wall clock has it now.
fn shown(at: Timestamp) -> String {
    clock::shown(at).to_string()
}

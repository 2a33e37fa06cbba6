//! The actors' snapshots as JSON: what a client could rely on elsewhere holds here, and more.
//!
//! ```text
//!   Plan + QueueSnapshot + PoolSnapshot ─► Containers ─► EntryView { container, types, explain }
//!   PoolSnapshot ─► instances()
//! ```
//! Names, types, nesting and values for nothing (`""`, 0, `[]`, null) are part of the interface.

mod container;
mod containers;
mod entry;
mod explain;
mod instance;

pub(super) use containers::Containers;
pub(super) use entry::EntryView;
pub(super) use instance::instances;

/// How an unknown time is written.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// RFC 3339, or the unknown time.
fn time(at: Option<dispatch_core::time::Timestamp>) -> String {
    at.map_or_else(|| NO_TIME.to_owned(), |at| at.to_string())
}

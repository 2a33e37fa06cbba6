//! The imperative shell: five kinds of actors that own the state and perform what the core decides.
//!
//! ```text
//!                    nudges (no data)                          the world, behind ports
//!      ┌──────────── QueueChanged ──── Queue ───────────────────── ArvadosApi
//!      ▼                                 ▲ ▲
//!   Scheduler ── Lock, Unlock, Cancel ───┘ │ NoteMarketLosses
//!      │ ▲                                 │                      CloudDriver
//!      │ └────────── PoolChanged ────── Pool ◄─ InstanceAppeared ─┐   │
//!      └── Create, Start, Kill, … ───────▲ │ ─── OrderInstance ─► Cloud
//!                                        │ │                      ▲
//!                          WorkerChanged │ │ Start, Kill, Probe   │ DestroyInstance, SetTags
//!                                        │ ▼                      │
//!                                       Worker (one per VM) ──────┘
//!                                        └────────────────────────── Executor
//! ```
//! What is logged of changes is kept by [`history`], an actor on a thread of its own.
//! All others are on one arbiter: a message costs half a microsecond, and no state is shared. What takes long is done elsewhere, from
//! immutable snapshots ([`long_work`]), or in pieces. A handler is three lines:
//! take the message, let the core decide, perform the effects. If it grows an `if`, that belongs in core.
//! What actors say to each other is in [`messages`]; no actor knows another, only [`system`] knows all five. They act
//! through the ports of [`lease`], which hand nothing over that the lock no longer covers.

pub mod catalogue;
pub mod clock;
pub mod cloud;
pub mod history;
pub mod lease;
pub mod long_work;
pub mod messages;
pub mod metrics;
pub mod pool;
pub mod queue;
pub mod scheduler;
pub mod system;
#[cfg(test)]
mod testing;
pub mod worker;

/// How many messages a mailbox holds before senders wait. The default of 16 is for other programs.
pub const MAILBOX: usize = 4096;

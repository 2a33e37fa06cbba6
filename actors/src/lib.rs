//! The imperative shell: five actors that own the state and perform what the core decides.
//!
//! ```text
//!                    nudges (no data)                          the world, behind ports
//!      ┌──────────── QueueChanged ──── Queue ───────────────────── ArvadosApi
//!      ▼                                 ▲
//!   Scheduler ── Lock, Unlock, Cancel ───┘
//!      │ ▲                                                        CloudDriver
//!      │ └────────── PoolChanged ────── Pool ◄─ InstanceAppeared ─┐   │
//!      └── Create, Start, Kill, … ───────▲ │ ── CreateInstance ─► Cloud
//!                                        │ │                      ▲
//!                          WorkerChanged │ │ Start, Kill, Probe   │ DestroyInstance, SetTags
//!                                        │ ▼                      │
//!                                       Worker (one per VM) ──────┘
//!                                        └────────────────────────── Executor
//! ```
//! All on one arbiter: a message costs half a microsecond, and no state is shared. A handler is three
//! lines: message → event, the core decides, perform the effects. If it grows an `if`, that belongs in core.

pub mod catalogue;
pub mod clock;
pub mod cloud;
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

//! The simulated world: a controller, a cloud and VMs that answer wrongly, late, twice or not at all, and
//! disappear.
//!
//! Each of the three is first a plain state machine: single-threaded, without I/O, with time and chance given
//! from outside. Around it is what answers a port or a socket. The same seed and the same calls at the same
//! times give the same history.
//!
//! ```text
//!   dispatcher ── ports::ArvadosApi ──────→ controller::port ─┐
//!   any client ── real HTTP on 127.0.0.1 ─→ controller::http ─┴→ controller::FakeArvados
//!                                                                        ↑ Running, Complete, Cancelled
//!   dispatcher ── ports::Executor ────────→ vm::SimExecutor ─→ vm::FakeVms ── crunch-run processes
//!                                                                        ↑ boots, ends
//!   dispatcher ── ports::CloudDriver ─────→ cloud::SimCloud ─→ cloud::FakeCloud
//! ```
//!
//! [`site`] plays a site's history in such a world, without faults, to compare configurations.
//!
//! [`world`] puts the real actors between the three, runs them through faults, and judges what they do. The
//! simulated parts keep a history of facts with their times, but do not judge them: that is the task of the
//! invariants (docs/design.md, "Invariants").

pub mod chance;
pub mod clock;
pub mod cloud;
pub mod clouds;
pub mod conformance;
pub mod controller;
pub mod group;
pub mod moto;
pub mod samples;
pub mod site;
pub mod stub;
pub mod vm;
pub mod world;

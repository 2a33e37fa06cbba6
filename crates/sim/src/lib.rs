//! The simulated world: a controller, a cloud and VMs that lie, lag, repeat, hang and vanish.
//!
//! Each of the three is first a plain state machine — single-threaded, without I/O, time and chance given
//! from outside — and only then something that answers a port or a socket. The same seed and the same calls
//! at the same times give the same history.
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
//! [`world`] puts the real actors between them, lives through what befalls them, and judges.
//! Every fake keeps a history of facts with their times; nothing here judges them: the invariants do.

pub mod chance;
pub mod clock;
pub mod cloud;
pub mod conformance;
pub mod controller;
pub mod moto;
pub mod samples;
pub mod stub;
pub mod vm;
pub mod world;

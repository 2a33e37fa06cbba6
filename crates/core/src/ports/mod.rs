//! The only ways to the world: a controller and its event feed, a cloud, and a shell on each VM.
//!
//! ```text
//!   controller   ArvadosApi        its questions, its answers, its errors
//!   cloud        CloudDriver       the same; and what a host key is to it
//!   feed         EventFeed         what makes us ask the controller sooner
//!   shell        Executor          commands for a VM; and who is to be reached there
//!   watch        Watch             what a VM tells by itself: what makes us ask it sooner
//!   clock        BootTime, Pulse   the process's own signs of life
//! ```
//! Ports are object-safe, used as `Rc<dyn …>` on one thread, and thin: **one method = one remote call**,
//! without retries, paging or pacing inside; those are decisions and live in the core. Every method
//! returns within the deadline it was given or built with. Errors are kinds that policy reacts to;
//! their text is for people and never branched on.

mod clock;
mod cloud;
mod controller;
mod feed;
mod shell;
mod watch;

pub use clock::{BootTime, Pulse};
pub use cloud::*;
pub use controller::*;
pub use feed::*;
pub use shell::*;
pub use watch::*;

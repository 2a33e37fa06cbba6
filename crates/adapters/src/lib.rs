//! The adapters: the outside world behind the core's ports. No adapter knows an actor, or another adapter.
//!
//! ```text
//!   ArvadosApi    ← arvados    the controller, over awc
//!   EventFeed     ← events     the site's websocket service, over awc
//!   Executor      ← ssh        a shell on each VM, over one of two ssh clients
//!   CloudDriver   ← loopback   a cloud of SSH servers inside this process
//! ```
//! Beside them, `boot_time` reads the clock by which [`dispatch_core::ports::BootTime`] is counted, `tls` says whose
//! certificates are accepted, and `private_directory` looks whether a directory is our own user's alone. `watch` has
//! what all adapters have in common that watch VMs.

pub mod arvados;
pub mod boot_time;
pub mod events;
pub mod loopback;
mod private_directory;
pub mod ssh;
pub mod tls;
mod watch;

//! What the tests share: a site to run against, a dispatcher to run, eyes for processes and logs.

pub mod containers;
pub mod metrics;
pub mod network;
pub mod processes;
pub mod service;
pub mod site;
pub mod tmux;
pub mod vms;

use std::time::Duration;

use tokio::time::Instant;

pub use metrics::Metrics;
pub use service::{Ended, Service};
pub use site::Site;

/// The binary under test.
pub const DISPATCHER: &str = env!("CARGO_BIN_EXE_arvados-dispatch-cloud");

/// The binary that a site runs: the one under test, or for measurements another that `DISPATCH_BINARY` names.
pub fn dispatcher() -> String {
    std::env::var("DISPATCH_BINARY").unwrap_or_else(|_| DISPATCHER.to_owned())
}

/// Something that must come soon: generous, because other tests run beside us on a few cores.
pub const SOON: Duration = Duration::from_secs(120);

/// Soon after a restart: what the killed one had locked and not started is not started, and an instance that it
/// left not shut down, while a start of its may be under way: the 60 s that it may take on an instance, and 2 s.
pub const RESUMED: Duration = Duration::from_secs(62).saturating_add(SOON);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for `look` to find something; fails with `what` when it has not after `within`.
#[track_caller]
pub fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "{caller}: not within {within:?}: {what}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

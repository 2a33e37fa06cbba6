//! A served dispatcher whose world is in the test's hands.

pub mod logs;
pub mod schema;
pub mod shape;
pub mod site;
pub mod world;

pub use logs::Logs;
pub use site::{Site, TOKEN};
pub use world::World;

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take that is bound to happen.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
///
/// # Panics
/// If it does not within the deadline.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

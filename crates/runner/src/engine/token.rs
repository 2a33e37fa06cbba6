//! Notices that our token has been revoked: then nobody wants this container's process, and nobody can end it through
//! us or hear its result.
//!
//! ```text
//!   every minute: whose token is it? ── 401 ──────────────► refused since then ── for 30 min ──► revoked
//!                                    └─ any other answer ─► not refused
//!                                    └─ no answer ────────► not refused: it says nothing
//! ```
//! **What could imitate it:** while its database is out of order a controller answers 401, too. So it takes as long as
//! no outage should, without any other answer in between. It never ends a process itself.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::controller::{Controller, TokenAnswer};
use crate::say;

/// How often the controller is asked, and for how long it must refuse the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The pause between two questions.
    pub pause: Duration,
    /// How long there must have been nothing but refusals.
    pub refused_for: Duration,
}

impl Patience {
    /// A minute, and half an hour.
    pub const USUAL: Self =
        Self { pause: Duration::from_secs(60), refused_for: Duration::from_secs(30 * 60) };
}

/// Returns when the token must have been revoked.
pub(super) async fn until_revoked(controller: &Controller, patience: Patience) {
    let mut refused_since = None;
    loop {
        sleep(patience.pause).await;
        let asked = Instant::now();
        refused_since = match controller.ask_about_token().await {
            TokenAnswer::Refused(text) => {
                let since = refused_since.unwrap_or_else(|| {
                    say(&format!("{text}; after {:?} of that the command is ended", patience.refused_for));
                    asked
                });
                if asked.duration_since(since) >= patience.refused_for {
                    return;
                }
                Some(since)
            }
            TokenAnswer::Accepted | TokenAnswer::Nothing => None,
        };
    }
}

//! An instance's end: destroyed until the cloud agrees, and looked for until it is listed no more.
//!
//! ```text
//!   ┌─► destroy ── any error ──────── told at once, the first time ► again, until GONE_WITHIN is over
//!   │      │ done
//!   │      ▼
//!   │    list ── an error · still there ─────────────────► look again, the same
//!   │      │ not there
//!   └── no listing has shown it yet, and it was made less than APPEARS_WITHIN ago
//!          │ otherwise
//!          ▼
//!        gone
//! ```
//! To a cloud whose listings and whose destroys lag behind its creates a new instance is as unknown as one that
//! has gone. So what nobody has seen yet is destroyed again and again until it must have appeared.

use std::time::Duration;

use dispatch_core::driver::{CloudCall, DriverAdvice};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;
use dispatch_core::ports::CloudDriver;
use tokio::time::Instant;

use super::advice;
use super::report::Trouble;

/// How long what was created may take to show in a listing.
pub(super) const APPEARS_WITHIN: Duration = Duration::from_secs(60);
/// How long a destroy is repeated, and how long what was destroyed may stay listed.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(300);

/// An instance that is to go.
pub(super) struct Ending<'a> {
    driver: &'a dyn CloudDriver,
    advice: &'a dyn DriverAdvice,
    id: &'a InstanceId,
    /// Told why it takes long; once.
    refused: Option<Box<dyn FnOnce(Trouble) + 'a>>,
    /// Until then no listing need show it; `None` = one has.
    appears_until: Option<Instant>,
    is_destroyed: bool,
}

impl<'a> Ending<'a> {
    /// `made_unseen`: when it was made, if no listing has shown it since. `refused` hears of the first destroy that
    /// fails: whoever waits should know for what.
    pub fn new(
        driver: &'a dyn CloudDriver,
        advice: &'a dyn DriverAdvice,
        id: &'a InstanceId,
        made_unseen: Option<Instant>,
        refused: impl FnOnce(Trouble) + 'a,
    ) -> Self {
        let appears_until = made_unseen.map(|made| made + APPEARS_WITHIN);
        Self { driver, advice, id, appears_until, refused: Some(Box::new(refused)), is_destroyed: false }
    }

    /// Returns when it is gone. Also refusals are tried again, at that interval: what refuses now, an expired key
    /// or a way to the cloud that is cut, may be mended in time.
    ///
    /// # Errors
    /// The last trouble, if it is not gone in time.
    pub async fn wait(mut self, interval: Duration) -> Result<(), Trouble> {
        let deadline = Instant::now() + GONE_WITHIN;
        while let Err(trouble) = self.attempt().await {
            if Instant::now() >= deadline {
                return Err(trouble.with_instance(self.id.as_str()));
            }
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    async fn attempt(&mut self) -> Result<(), Trouble> {
        if !self.is_destroyed {
            if let Err(error) = self.driver.destroy(self.id).await {
                let trouble = advice::of_cloud(self.advice, CloudCall::Destroy, &error);
                if let Some(refused) = self.refused.take() {
                    refused(trouble.clone());
                }
                return Err(trouble);
            }
            self.is_destroyed = true;
        }
        let listed = self.driver.list(&Tags::default()).await;
        let listed = listed.map_err(|error| advice::of_cloud(self.advice, CloudCall::List, &error))?;
        if listed.iter().any(|it| it.id == *self.id) {
            // Before anything showed it, the destroy may have found nothing to destroy.
            self.is_destroyed = self.appears_until.take().is_none();
            return Err(advice::still_listed());
        }
        if self.appears_until.is_some_and(|until| Instant::now() < until) {
            self.is_destroyed = false;
            return Err(advice::not_listed(self.advice, &Tags::default()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! The lock while it is ours.

use dispatch_actors::lease::{Confirmations, Lease};
use dispatch_adapters::boot_time;
use dispatch_core::worker::fence::Epoch;
use tokio::time::{Instant, sleep};

use super::session::Session;
use super::{ASK_AGAIN, CHECK_EVERY, LockError, REFUSED_FOR};

/// The lock; released when dropped.
#[derive(Debug)]
pub struct Held {
    session: Session,
    confirmations: Confirmations,
}

impl Held {
    /// `epoch`: when the lock was granted.
    pub(super) fn new(session: Session, epoch: Epoch) -> Self {
        Self { session, confirmations: Confirmations::new(epoch, boot_time::now) }
    }

    /// Which server has granted it.
    pub fn server(&self) -> &str {
        self.session.server()
    }

    /// For how long we may act. It begins with the first confirmation, which [`Held::lost`] asks for.
    pub fn lease(&self) -> Lease {
        self.confirmations.lease()
    }

    /// Waits until it is lost: at once when the server ends the session, within
    /// [`NOTICED_WITHIN`](super::NOTICED_WITHIN) when the server, or the way to it, is silent.
    pub async fn lost(&mut self) -> LockError {
        loop {
            if let Err(error) = self.confirm().await {
                return error;
            }
            if let Err(error) = self.session.endures(CHECK_EVERY).await {
                return error;
            }
        }
    }

    /// A refused question says nothing about the lock, if another one is answered soon.
    async fn confirm(&mut self) -> Result<(), LockError> {
        let refused_until = Instant::now() + REFUSED_FOR;
        loop {
            let asked = self.confirmations.now();
            match self.session.check().await {
                Ok(()) => {
                    self.confirmations.confirmed(asked);
                    return Ok(());
                }
                Err(LockError::Refused { .. }) if Instant::now() < refused_until => sleep(ASK_AGAIN).await,
                verdict => return verdict,
            }
        }
    }
}

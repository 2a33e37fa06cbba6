//! The lease: for how long we may act after the lock was confirmed; and [`ports`], which hand actions over only
//! meanwhile.
//!
//! ```text
//!   who holds the lock ── when the question was sent whose answer has confirmed the lock ──► watch ──► Lease
//!                                                                                        │
//!   an action is to be handed over ── confirmed within the last 10 s ─► it has the rest of them
//!                                  └─ longer ago ─► waits for a new confirmation ─► within 5 s, or it is not sent
//! ```
//! It is counted from when the question was *sent*, because the lock may have been lost right after the server has read
//! it, and by a clock that also counts the time in which the machine was suspended: a process that wakes up late must
//! not act on a lock that another one has by now.
//!
//! Without a database there is no lock, and the lease never ends.
//!
//! Never does: asking the database (whoever holds the lock tells it by [`Confirmations`]).

pub mod ports;

use std::time::Duration;

use dispatch_core::ports::BootTime;
use dispatch_core::worker::fence::Epoch;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock;

/// How long we may act after a question that has confirmed the lock was sent.
pub const LASTS: Duration = Duration::from_secs(10);
/// How long an action waits for a new confirmation.
const WAIT: Duration = Duration::from_secs(5);

/// The lock has not been confirmed for too long: nothing may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not sent: the database has not confirmed for {} s that this dispatcher still has the lock", LASTS.as_secs())]
pub struct Lapsed;

/// Tells every lease of confirmations. When it is dropped, all of them lapse.
#[derive(Debug)]
pub struct Confirmations {
    sent: watch::Sender<Option<BootTime>>,
    epoch: Epoch,
    clock: fn() -> BootTime,
}

impl Confirmations {
    /// None so far. `epoch`: when the lock was granted; `clock` also counts the time in which the machine is suspended.
    pub fn new(epoch: Epoch, clock: fn() -> BootTime) -> Self {
        Self { sent: watch::Sender::new(None), epoch, clock }
    }

    /// The moment to be told by [`Confirmations::confirmed`], if a question is sent now.
    pub fn now(&self) -> BootTime {
        (self.clock)()
    }

    /// A question that was sent then has confirmed the lock.
    pub fn confirmed(&self, asked: BootTime) {
        self.sent.send_replace(Some(asked));
    }

    /// The lease that follows from them.
    pub fn lease(&self) -> Lease {
        let confirmed = Some(Confirmed { asked: self.sent.subscribe(), clock: self.clock });
        Lease { confirmed, epoch: self.epoch }
    }
}

/// For how long we may act. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lease {
    /// `None`: there is no lock.
    confirmed: Option<Confirmed>,
    epoch: Epoch,
}

#[derive(Debug, Clone)]
struct Confirmed {
    /// When the last question was sent that has confirmed the lock.
    asked: watch::Receiver<Option<BootTime>>,
    clock: fn() -> BootTime,
}

impl Lease {
    /// Without a lock.
    pub fn unlimited() -> Self {
        Self { confirmed: None, epoch: Epoch::at(clock::now()) }
    }

    /// When we took charge: by the clock of the database that has granted the lock, without one by our own.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Until when an action may be handed over; `None`: at any time. Waits for a confirmation, if the last is too old.
    ///
    /// # Errors
    /// If there is none within 5 s, or there will be none any more.
    pub async fn end(&self) -> Result<Option<BootTime>, Lapsed> {
        let Some(Confirmed { mut asked, clock }) = self.confirmed.clone() else { return Ok(None) };
        let renewed = async {
            loop {
                let last = *asked.borrow_and_update();
                if let Some(end) = last.map(end_of).filter(|end| clock() < *end) {
                    return Ok(Some(end));
                }
                asked.changed().await.map_err(|_| Lapsed)?;
            }
        };
        timeout(WAIT, renewed).await.unwrap_or(Err(Lapsed))
    }
}

fn end_of(asked: BootTime) -> BootTime {
    BootTime(asked.0 + LASTS)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;

    use futures_util::future::{Either, select};

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(100) };
    }

    fn clock() -> BootTime {
        BootTime(Duration::from_secs(NOW.get()))
    }

    fn at(second: u64) -> BootTime {
        BootTime(Duration::from_secs(second))
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_ten_seconds_from_when_the_confirming_question_was_sent() {
        let confirmations = Confirmations::new(Epoch::from_micros(1), clock);
        let lease = confirmations.lease();
        assert_eq!(lease.end().await, Err(Lapsed), "never confirmed");
        let asked = confirmations.now();
        NOW.set(104);
        confirmations.confirmed(asked);
        for (now, end) in [(104, Ok(Some(at(110)))), (109, Ok(Some(at(110)))), (110, Err(Lapsed))] {
            NOW.set(now);
            assert_eq!(lease.end().await, end, "{now}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_action_waits_five_seconds_for_a_new_confirmation() {
        let confirmations = Confirmations::new(Epoch::from_micros(1), clock);
        let lease = confirmations.lease();
        let confirm_after = |seconds| {
            let confirmations = &confirmations;
            async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                confirmations.confirmed(at(100));
                std::future::pending::<()>().await;
            }
        };
        for (seconds, end) in [(6, Err(Lapsed)), (4, Ok(Some(at(110))))] {
            confirmations.sent.send_replace(None);
            let (acting, confirming) = (pin!(lease.end()), pin!(confirm_after(seconds)));
            let Either::Left((answer, _)) = select(acting, confirming).await else { unreachable!() };
            assert_eq!(answer, end, "confirmed after {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_lock_is_given_up_nobody_waits() {
        let confirmations = Confirmations::new(Epoch::from_micros(1), clock);
        let lease = confirmations.lease();
        drop(confirmations);
        let began = tokio::time::Instant::now();
        assert_eq!(lease.end().await, Err(Lapsed));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(Lease::unlimited().end().await, Ok(None));
    }
}

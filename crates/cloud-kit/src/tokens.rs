//! What a cloud wants to be shown with each call: a token, or keys that expire. Kept, renewed early, and forgotten when the
//! cloud does not take it any more.
//!
//! ```text
//!              ┌────────────── forget ──────────────┐
//!              ▼                                    │
//!   none ─ fetch ─► kept ── less than the spare ──► old ─ fetch ─► kept
//!     ▲                                             │ fetch fails: it serves until it expires
//!     └──────────────── expired ────────────────────┘
//! ```
//! Calls at the same time wait for one fetch, and for its failure too: a metadata service that is slow is not asked by all
//! of them, one after the other.

use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use crate::failure::Failure;

/// A token, or keys.
#[derive(Debug)]
pub struct Tokens<T> {
    /// Until when one is valid; `None` = for ever.
    expires: fn(&T) -> Option<SystemTime>,
    /// Fetched anew when the kept one is valid for less than that.
    spare: Duration,
    kept: RefCell<Option<T>>,
    failed: RefCell<Option<Failure>>,
    /// How many fetches have ended.
    fetches: Cell<u64>,
    /// One fetches at a time.
    turn: Semaphore,
}

impl<T: Clone> Tokens<T> {
    /// Has none yet.
    pub fn new(spare: Duration, expires: fn(&T) -> Option<SystemTime>) -> Self {
        Self {
            expires,
            spare,
            kept: RefCell::new(None),
            failed: RefCell::new(None),
            fetches: Cell::new(0),
            turn: Semaphore::new(1),
        }
    }

    /// One that is valid now, as far as is known.
    ///
    /// # Errors
    /// What `fetch` says, if there is none that is still valid.
    pub async fn get<F>(&self, now: SystemTime, fetch: impl FnOnce() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        if let Some(token) = self.kept_at(now + self.spare) {
            return Ok(token);
        }
        let before = self.fetches.get();
        let _turn = match (self.turn.try_acquire(), self.kept_at(now)) {
            (Ok(turn), _) => turn,
            // Somebody renews it, and until then it serves.
            (Err(_), Some(token)) => return Ok(token),
            (Err(_), None) => self.turn.acquire().await.expect("it is never closed"),
        };
        if self.fetches.get() != before {
            let others = self.kept_at(now).map(Ok).or_else(|| self.failed.borrow().clone().map(Err));
            if let Some(outcome) = others {
                return outcome;
            }
        }
        let fetched = fetch().await;
        self.fetches.set(self.fetches.get() + 1);
        self.failed.replace(fetched.as_ref().err().cloned());
        match fetched {
            Ok(token) => {
                self.kept.replace(Some(token.clone()));
                Ok(token)
            }
            Err(failure) => self.kept_at(now).ok_or(failure),
        }
    }

    /// The cloud does not take it: the next call has another.
    pub fn forget(&self) {
        self.kept.replace(None);
    }

    fn kept_at(&self, time: SystemTime) -> Option<T> {
        let kept = self.kept.borrow();
        let is_valid = |it: &&T| (self.expires)(it).is_none_or(|expiry| expiry > time);
        kept.as_ref().filter(is_valid).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Meaning;

    /// The number of the fetch, and when it expires.
    type Token = (u32, Option<SystemTime>);

    fn at(minute: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(60 * minute)
    }

    /// A source whose `n`th token is valid for `n` hours; after `until` of them there are none.
    struct Issuer {
        tokens: Tokens<Token>,
        asked: Cell<u32>,
        until: u32,
    }

    impl Issuer {
        fn new(until: u32) -> Self {
            let tokens = Tokens::new(Duration::from_secs(300), |(_, expiry): &Token| *expiry);
            Self { tokens, asked: Cell::new(0), until }
        }

        async fn token(&self, now: SystemTime) -> Result<u32, Failure> {
            let fetch = async || {
                let number = self.asked.get() + 1;
                self.asked.set(number);
                // Whoever comes meanwhile finds it under way.
                tokio::time::sleep(Duration::from_secs(1)).await;
                let expiry = Some(at(60 * u64::from(number)));
                let none = || Failure::ours(Meaning::Unauthorized, "no_token", "none");
                (number <= self.until).then_some((number, expiry)).ok_or_else(none)
            };
            self.tokens.get(now, fetch).await.map(|(number, _)| number)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_until_shortly_before_it_expires() {
        let issuer = Issuer::new(u32::MAX);
        for (minute, wanted) in [(0, 1), (54, 1), (56, 2), (60, 2), (114, 2), (116, 3)] {
            assert_eq!(issuer.token(at(minute)).await.unwrap(), wanted, "minute {minute}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_none_can_be_had_the_old_one_serves_until_it_expires() {
        let issuer = Issuer::new(1);
        for minute in [0, 58, 59] {
            assert_eq!(issuer.token(at(minute)).await.unwrap(), 1);
        }
        assert_eq!(issuer.token(at(61)).await.unwrap_err().code, "no_token");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_cloud_does_not_take_is_forgotten() {
        let issuer = Issuer::new(u32::MAX);
        assert_eq!(issuer.token(at(0)).await.unwrap(), 1);
        issuer.tokens.forget();
        assert_eq!(issuer.token(at(0)).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_at_the_same_time_wait_for_one_fetch_or_use_what_is_still_valid() {
        let issuer = Issuer::new(u32::MAX);
        let two = || async { tokio::join!(issuer.token(at(56)), issuer.token(at(56))) };
        assert_eq!(two().await, (Ok(1), Ok(1)));
        let began = tokio::time::Instant::now();
        let (renewed, old) = tokio::join!(issuer.token(at(58)), issuer.token(at(58)));
        assert_eq!((renewed, old), (Ok(2), Ok(1)));
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        assert_eq!(issuer.asked.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_at_the_same_time_share_a_failure_and_the_next_call_tries_again() {
        let issuer = Issuer::new(0);
        let (first, second) = tokio::join!(issuer.token(at(0)), issuer.token(at(0)));
        assert_eq!(
            (first.unwrap_err().code, second.unwrap_err().code),
            ("no_token".into(), "no_token".into())
        );
        assert_eq!(issuer.asked.get(), 1);
        issuer.token(at(0)).await.unwrap_err();
        assert_eq!(issuer.asked.get(), 2);
    }
}

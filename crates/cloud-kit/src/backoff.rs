//! How long to leave a cloud alone after it has asked for patience: for each kind of call on its own.
//!
//! ```text
//!   throttled ─► 1 s, then half as much again and a second, up to a minute   (or as long as the cloud says)
//!   anything else ─► from the beginning
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::ports::{CloudError, CloudErrorKind};
use dispatch_core::time::{Timestamp, after};

use crate::failure::{Failure, Meaning};

/// The port's methods that call a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The order of an instance.
    Create,
    /// A listing.
    List,
    /// The end of an instance.
    Destroy,
    /// A change of its tags.
    SetTags,
}

const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);
/// The longest that a cloud is believed. Meanwhile nothing of the kind is asked, listings and the ends of VMs neither; and
/// whoever answers may be a proxy. A quota that is counted by the hour says so again.
const MOST_OF_CLOUD: Duration = Duration::from_secs(300);

/// The delays in force.
#[derive(Debug, Default)]
pub struct Backoff(RefCell<BTreeMap<Operation, Duration>>);

impl Backoff {
    /// Takes an operation's outcome in, and makes of a failure what the port knows.
    pub fn judge<T>(
        &self,
        operation: Operation,
        outcome: Result<T, Failure>,
        now: Timestamp,
    ) -> Result<T, CloudError> {
        let wait = match &outcome {
            Err(Failure { meaning: Meaning::Throttled, .. }) => self.longer(operation),
            // It counts as a step of ours, too: the cloud may say nothing the next time.
            Err(Failure { meaning: Meaning::ThrottledFor(wait), .. }) => {
                self.longer(operation);
                (*wait).clamp(LEAST, MOST_OF_CLOUD)
            }
            _ => {
                self.0.borrow_mut().remove(&operation);
                return outcome.map_err(Failure::into_cloud_error);
            }
        };
        let until = after(now, wait);
        outcome.map_err(|failure| failure.into_error(CloudErrorKind::RateLimited { until }))
    }

    fn longer(&self, operation: Operation) -> Duration {
        let mut delays = self.0.borrow_mut();
        let before = delays.get(&operation).copied().unwrap_or(Duration::ZERO);
        let delay = (before + before / 2 + Duration::from_secs(1)).clamp(LEAST, MOST);
        delays.insert(operation, delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(backoff: &Backoff, operation: Operation, meaning: Meaning) -> Option<f64> {
        let failure = Failure { meaning, code: "Code".to_owned(), message: "text".to_owned() };
        let now = Timestamp::UNIX_EPOCH;
        let error = backoff.judge::<()>(operation, Err(failure), now).unwrap_err();
        match error.kind {
            CloudErrorKind::RateLimited { until } => Some(until.duration_since(now).as_secs_f64()),
            _ => None,
        }
    }

    #[test]
    fn delays_grow_by_half_and_a_second_up_to_a_minute() {
        let backoff = Backoff::default();
        let delays: Vec<_> =
            (0..12).map(|_| failed(&backoff, Operation::Create, Meaning::Throttled).unwrap()).collect();
        assert_eq!(delays[..4], [1.0, 2.5, 4.75, 8.125]);
        assert_eq!(delays[10..], [60.0, 60.0]);
    }

    #[test]
    fn as_long_as_the_cloud_says_is_waited_within_reason() {
        let backoff = Backoff::default();
        let failed = |meaning| failed(&backoff, Operation::Create, meaning);
        let of = |seconds| Meaning::ThrottledFor(Duration::from_secs(seconds));
        assert_eq!(failed(of(17)), Some(17.0));
        assert_eq!(failed(Meaning::Throttled), Some(2.5), "the second in a row");
        assert_eq!([failed(of(0)), failed(of(1_000_000))], [Some(1.0), Some(300.0)]);
    }

    #[test]
    fn each_kind_of_call_has_its_own_delay() {
        let backoff = Backoff::default();
        failed(&backoff, Operation::Create, Meaning::Throttled);
        assert_eq!(failed(&backoff, Operation::List, Meaning::Throttled), Some(1.0));
        assert_eq!(failed(&backoff, Operation::Create, Meaning::Throttled), Some(2.5));
    }

    #[test]
    fn success_and_unrelated_errors_reset_it() {
        let backoff = Backoff::default();
        failed(&backoff, Operation::Create, Meaning::Throttled);
        backoff.judge(Operation::Create, Ok(()), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(failed(&backoff, Operation::Create, Meaning::Throttled), Some(1.0));
        assert_eq!(failed(&backoff, Operation::Create, Meaning::Other), None);
        assert_eq!(failed(&backoff, Operation::Create, Meaning::Throttled), Some(1.0));
    }
}

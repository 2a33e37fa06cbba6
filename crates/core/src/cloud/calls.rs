//! Calls to the cloud: each has a slot in the rate, and an answer may come late.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ports::{CloudError, CloudErrorKind};
use crate::time::{Timestamp, after};

/// Drivers have deadlines of their own; this one only keeps a driver that forgot from stopping everything.
pub const DEADLINE: Duration = Duration::from_secs(300);
/// A cloud that asks us to wait is left alone for at least this long, whatever its clock says.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// What is asked of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountOperation {
    /// Order an instance.
    Create,
    /// List the instances.
    List,
    /// End an instance.
    Destroy,
    /// Merge tags into those of an instance.
    SetTags,
    /// Is that an instance's host key? After a restart every VM's key is asked for at once, within the handshake's
    /// deadline; a driver that must ask its cloud for that paces itself.
    VerifyHostKey,
}

impl AccountOperation {
    /// For metrics and error texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::List => "List",
            Self::Destroy => "Destroy",
            Self::SetTags => "SetTags",
            Self::VerifyHostKey => "verify host key",
        }
    }

    /// Whether it changes something in the cloud.
    pub fn acts(self) -> bool {
        match self {
            Self::Create | Self::Destroy | Self::SetTags => true,
            Self::List | Self::VerifyHostKey => false,
        }
    }

    /// Whether it is a call of the account's: it has a slot in the rate, and is counted.
    pub fn is_paced(self) -> bool {
        match self {
            Self::Create | Self::List | Self::Destroy | Self::SetTags => true,
            Self::VerifyHostKey => false,
        }
    }
}

/// The place of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallSlot {
    number: u64,
    /// What is asked.
    pub operation: AccountOperation,
    /// Not before then.
    pub send_at: Timestamp,
}

/// The rate of calls, and those in flight.
#[derive(Debug)]
pub(super) struct AccountCalls {
    /// Calls a second; 0 = no limit.
    rate: u32,
    /// Before this moment the rate allows no call.
    pub(super) next_slot: Timestamp,
    /// Before this moment no call is sent, because one has just been: slots that a pause of this process has made late
    /// would come all at once.
    sent_next: Timestamp,
    /// By number.
    in_flight: BTreeMap<u64, CallSlot>,
    last_number: u64,
}

impl AccountCalls {
    pub(super) fn new(rate: u32, now: Timestamp) -> Self {
        Self { rate, next_slot: now, sent_next: now, in_flight: BTreeMap::new(), last_number: 0 }
    }

    /// From now on. Slots that were taken before stay.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
    }

    /// The slot is taken now, so that calls keep their order. Slots that were not used are not saved up.
    pub(super) fn begin(&mut self, operation: AccountOperation, now: Timestamp) -> CallSlot {
        self.last_number += 1;
        let send_at = if operation.is_paced() { self.take_slot(now) } else { now };
        let slot = CallSlot { number: self.last_number, operation, send_at };
        self.in_flight.insert(slot.number, slot);
        slot
    }

    fn take_slot(&mut self, now: Timestamp) -> Timestamp {
        if self.rate == 0 {
            return now;
        }
        let slot = self.next_slot.max(now);
        self.next_slot = after(slot, Duration::from_secs(1) / self.rate);
        slot
    }

    /// The call is to be sent now: `None`, or when to ask again.
    pub(super) fn send(&mut self, slot: CallSlot, now: Timestamp) -> Option<Timestamp> {
        if self.rate == 0 || !slot.operation.is_paced() {
            return None;
        }
        if now < self.sent_next {
            return Some(self.sent_next);
        }
        self.sent_next = after(now, Duration::from_secs(1) / self.rate);
        None
    }

    pub(super) fn end<T>(
        &mut self,
        slot: CallSlot,
        answer: Result<T, CloudError>,
        now: Timestamp,
    ) -> Result<T, CloudError> {
        self.in_flight.remove(&slot.number);
        if slot.operation.is_paced() { answer.map_err(|error| not_at_once(error, now)) } else { answer }
    }

    pub(super) fn in_flight(&self) -> impl Iterator<Item = &CallSlot> {
        self.in_flight.values()
    }
}

/// A rate limit that ends in the past would be asked again at once, and again.
fn not_at_once(error: CloudError, now: Timestamp) -> CloudError {
    let CloudErrorKind::RateLimited { until } = error.kind else { return error };
    let until = until.max(after(now, LEAST_WAIT));
    CloudError { kind: CloudErrorKind::RateLimited { until }, ..error }
}

/// The driver did not answer within [`DEADLINE`]: the call may have taken effect.
pub fn no_answer(operation: AccountOperation) -> CloudError {
    let (operation, seconds) = (operation.as_str(), DEADLINE.as_secs());
    CloudError {
        kind: CloudErrorKind::Unknown,
        code: "timeout".to_owned(),
        message: format!("{operation}: the cloud's driver did not answer within {seconds} s"),
    }
}

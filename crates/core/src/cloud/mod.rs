//! Our account in the cloud: which instances are known, what a listing has changed, and when calls may be made.
//!
//! ```text
//!   create, destroy, set tags, list ─► begin_call: the next slot of MaxCloudOpsPerSecond ─► send ─► end_call   calls
//!
//!   SyncAt ─► sync_is_due ─► List ─┬─ listed ─► Appeared, Changed ─► AskAbsent ─► absence_confirmed      listing
//!      ▲                           └─ list_failed                                        │
//!      └── an interval later, or sooner if that was asked for meanwhile ◄────────────────┘
//! ```
//! On failure: what was known stays known; the next listing comes in its time, or when the cloud's rate limit ends.
//! What a create has answered is known, although a listing that began earlier cannot show it.
//!
//! Owned by the Cloud actor, which makes the calls. Never does: I/O, deciding what an absent instance means (that is
//! Pool: an instance stays known, and is told absent by each listing, until Pool confirms that it is gone).

mod calls;
mod inspect;
mod listing;
mod order;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use calls::{AccountOperation, CallSlot, DEADLINE, no_answer};
pub use inspect::AccountState;
pub use order::CreateDefaults;

use crate::id::InstanceId;
use crate::instance::{Instance, Tags};
use crate::policy::Policy;
use crate::ports::CloudError;
use crate::time::{Timestamp, after};
use calls::AccountCalls;
use listing::Listings;

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountEffect {
    /// List the instances that have these tags.
    List(Tags),
    /// Ask [`Account::sync_is_due`] at this moment, and no longer when that was last asked for.
    SyncAt(Timestamp),
    /// Tell Pool of an instance that was not known.
    Appeared(Instance),
    /// Tell Pool of an instance that has another address, other tags or prices.
    Changed(Instance),
    /// Ask Pool about the instances that a listing lacks, one by one; then tell it that the listing is over; then
    /// hand those that it has confirmed to [`Account::absence_confirmed`].
    AskAbsent {
        /// Known, and not listed.
        absent: Vec<InstanceId>,
        /// When the listing began.
        began: Timestamp,
    },
    /// Tell the operator.
    Tell(AccountFact),
}

/// What happened, for logs.
#[derive(Debug, Clone, PartialEq)]
pub enum AccountFact {
    /// A listing failed.
    ListFailed(CloudError),
    /// The cloud wants no listings before then.
    ListRateLimited {
        /// Until when.
        until: Timestamp,
        /// The cloud's word.
        error: CloudError,
    },
    /// A listing succeeded after some had failed for so long.
    ListRecovered(Duration),
}

/// Our account in the cloud. Owned by the Cloud actor.
#[derive(Debug)]
pub struct Account {
    policy: Arc<Policy>,
    calls: AccountCalls,
    /// As Pool knows them.
    known: BTreeMap<InstanceId, Instance>,
    /// When each instance's create answered: no older listing can show it.
    created: BTreeMap<InstanceId, Timestamp>,
    listings: Listings,
}

impl Account {
    /// Before the first listing.
    pub fn new(policy: Arc<Policy>, now: Timestamp) -> Self {
        Self {
            calls: AccountCalls::new(policy.max_cloud_ops_per_second, now),
            policy,
            known: BTreeMap::new(),
            created: BTreeMap::new(),
            listings: Listings::default(),
        }
    }

    /// The configuration was read anew. The next listing comes no later than it says now.
    pub fn use_policy(&mut self, policy: Arc<Policy>, now: Timestamp) -> Vec<AccountEffect> {
        self.calls.set_rate(policy.max_cloud_ops_per_second);
        self.policy = policy;
        self.sync_by(after(now, self.policy.sync_interval))
    }

    /// A call is to be made: when it may be sent. It must be ended with [`Account::end_call`].
    pub fn begin_call(&mut self, operation: AccountOperation, now: Timestamp) -> CallSlot {
        self.calls.begin(operation, now)
    }

    /// The slot of a call has come, if this process was not paused: `None`, or when to ask again.
    pub fn send(&mut self, slot: CallSlot, now: Timestamp) -> Option<Timestamp> {
        self.calls.send(slot, now)
    }

    /// A call has been answered: the answer as policy is to see it.
    ///
    /// # Errors
    /// The call's own.
    pub fn end_call<T>(
        &mut self,
        slot: CallSlot,
        answer: Result<T, CloudError>,
        now: Timestamp,
    ) -> Result<T, CloudError> {
        self.calls.end(slot, answer, now)
    }

    /// A create has answered. A listing that was faster knows more of the instance.
    pub fn created(&mut self, instance: &Instance, now: Timestamp) {
        self.created.insert(instance.id.clone(), now);
        self.known.entry(instance.id.clone()).or_insert_with(|| instance.clone());
    }

    /// Tags were to be saved. Saved or not: if the next listing shows others than these, Pool is told.
    pub fn tags_sent(&mut self, id: &InstanceId, tags: &Tags) {
        if let Some(known) = self.known.get_mut(id) {
            known.tags.merge(tags);
        }
    }
}

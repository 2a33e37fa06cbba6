//! Holds on creates, each with a scope and an end, and what they mean for each type.
//!
//! ```text
//!   a create's failure ─┬─ rate limited ─► rate_limited_until      every create waits
//!                       ├─ quota ────────► quota                   a market, or all: until instances are gone, or a retry
//!                       ├─ capacity ─────► capacity                an offering, a quota group, or all
//!                       ├─ anything else ► backoff                 an offering, or all
//!                       └─ unknown ──────► (no hold: the create stays pending)
//!   boots that fail ───────────────────────► boots                 one trial at a time of that offering
//! ```
//! A hold that ends wakes the scheduler ([`Holds::next_end`]): without that the queue would stand still
//! after the end of a hold. A plan reads all holds, and decides by its own time which have not ended.

mod backoff;
mod boots;
mod capacity;
mod quota;
mod standing;
mod vain;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::PoolFact;
use super::census::Census;
use super::observed_capacity::GroupCapacities;
use crate::id::TypeName;
use crate::instance::{InstanceType, Offering};
use crate::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};
use crate::time::{Timestamp, after, shift};
use backoff::BackoffHolds;
use boots::BootHolds;
use capacity::CapacityHolds;
use quota::QuotaHolds;
pub(super) use standing::StandingHolds;
pub use standing::{HoldKind, StandingHold};
use vain::VainCreates;

/// The shortest hold for a condition that may end at any moment.
const SHORT: Duration = Duration::from_secs(60);
/// The longest hold of those that double.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The reasons other than quota and capacity why no create is possible now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The cloud limits the rate of calls.
    RateLimit,
    /// `MaxConcurrentInstanceCreateOps` is reached.
    CreatesInFlight,
    /// The runner that is to be deployed cannot be read.
    RunnerUnreadable,
    /// Our own side fails, as our own system calls report it: VMs cannot be reached from here.
    OwnSide,
    /// Instances of this offering do not boot.
    BootsFail,
    /// The last create of this offering failed for another reason, or a create of any offering failed because
    /// rights are missing.
    CreateFailed,
    /// One instance more than fitted the quota last time is being created.
    NearQuota,
    /// An operator has paused creates.
    Operator,
    /// An operator has drained this type.
    TypeDrained,
}

/// The limits on the number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaReason {
    /// The limit of the cloud account.
    Account,
    /// The configured `MaxInstances`.
    MaxInstances,
}

impl QuotaReason {
    /// For people, after "because".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Account => "the account may not have more instances",
            Self::MaxInstances => "MaxInstances is reached",
        }
    }
}

/// Whether an instance of a type may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Gate {
    /// It may be created.
    Open,
    /// It must wait for a moment.
    Paused(PauseReason),
    /// Not before an instance is gone, or the limit is raised.
    AtQuota(QuotaReason),
    /// The cloud has no capacity before this moment.
    AtCapacity(Timestamp),
}

/// All holds on creates. Some may have ended by the time at which they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// The driver's quota groups.
    #[serde(with = "crate::pairs")]
    pub(super) groups: BTreeMap<Offering, String>,
    rate_limited_until: Option<Timestamp>,
    backoff: BackoffHolds,
    pub(super) quota: QuotaHolds,
    capacity: CapacityHolds,
    boots: BootHolds,
    #[serde(default)]
    vain: VainCreates,
    /// How many instances of a quota group there were when it was last hit.
    #[serde(with = "crate::pairs")]
    pub(super) group_capacities: GroupCapacities,
}

impl PauseReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::RateLimit,
        Self::CreatesInFlight,
        Self::RunnerUnreadable,
        Self::OwnSide,
        Self::BootsFail,
        Self::CreateFailed,
        Self::NearQuota,
        Self::Operator,
        Self::TypeDrained,
    ];

    /// For people, after "because".
    pub fn in_words(self) -> &'static str {
        match self {
            Self::RateLimit => "the cloud limits the rate of calls",
            Self::CreatesInFlight => "as many are being created as may be at a time",
            Self::RunnerUnreadable => "the dispatcher cannot read the runner",
            Self::OwnSide => "the dispatcher itself is in trouble",
            Self::BootsFail => "the last ones did not boot",
            Self::CreateFailed => "the last create failed",
            Self::NearQuota => "the account's limit is near",
            Self::Operator => "an operator has paused creates",
            Self::TypeDrained => "an operator has drained this type",
        }
    }

    /// Whether an operator wants it so: it does not end because something else happens.
    pub fn is_wanted(self) -> bool {
        matches!(self, Self::Operator | Self::TypeDrained)
    }
}

impl Holds {
    pub(crate) fn new(groups: BTreeMap<Offering, String>) -> Self {
        Self { groups, ..Self::default() }
    }

    /// Holds of quotas whose retry is due, and which types were refused, for inputs built by hand.
    #[cfg(test)]
    pub(crate) fn with_refused_types<'a>(
        refused_types: BTreeMap<TypeName, Timestamp>,
        held: impl IntoIterator<Item = &'a QuotaScope>,
    ) -> Self {
        Self { quota: QuotaHolds::with_refused_types(refused_types, held), ..Self::default() }
    }

    /// Learns from the failure of a create that was sent at `sent`; `census` does not count the failed create.
    /// Failures of creates that were in flight together are one step of a back-off.
    pub(crate) fn failed(
        &mut self,
        it: &InstanceType,
        error: &CloudError,
        census: &Census,
        sent: Timestamp,
        now: Timestamp,
    ) -> Vec<PoolFact> {
        let type_name = it.name.clone();
        if error.kind == CloudErrorKind::NotSent {
            self.not_sent(it, sent);
            return Vec::new();
        }
        let retried = self.quota.retry_failed(it, sent, now);
        let mut facts = vec![PoolFact::CreateFailed { type_name: type_name.clone(), error: error.clone() }];
        match &error.kind {
            CloudErrorKind::RateLimited { until } => {
                self.rate_limited_until = self.rate_limited_until.max(Some(*until));
                facts.push(PoolFact::RateHold { until: *until, error: error.clone() });
            }
            CloudErrorKind::Quota(scope) => {
                let again = retried.contains(scope);
                let (instances, retry_at, is_new) = self.quota.refused(it, scope, again, census, now);
                if instances == 0 {
                    // Nothing that could be ended would make room.
                    self.vain.note(it.offering(), now);
                }
                // Creates that were in flight together, and retries, would tell the same again.
                if is_new {
                    let instances = census.existing(scope);
                    facts.push(PoolFact::QuotaHold { type_name, instances, retry_at, error: error.clone() });
                }
            }
            CloudErrorKind::Capacity(scope) => {
                let until = after(now, SHORT);
                self.vain.note(it.offering(), now);
                self.capacity.hold(it, *scope, &self.groups, until);
                facts.push(PoolFact::CapacityHold { type_name, scope: *scope, until, error: error.clone() });
            }
            // Its outcome is unknown: the create stays pending, so no hold is needed.
            CloudErrorKind::Unknown => {}
            CloudErrorKind::NotSent => {}
            CloudErrorKind::Unauthorized => self.backoff.failed(None, sent, now),
            // The cause may be a type, image or price of this offering alone, so other offerings are not held.
            CloudErrorKind::NotFound | CloudErrorKind::Other => {
                self.vain.note(it.offering(), now);
                self.backoff.failed(Some(it.offering()), sent, now);
            }
        }
        self.hold_if_open(it, &error.kind, census, sent, now);
        facts
    }

    /// The cloud has not been asked, because we may not act: that says nothing about the offering, and the one try that
    /// a hold allows is not used up.
    fn not_sent(&mut self, it: &InstanceType, sent: Timestamp) {
        self.quota.not_sent(it.market());
        self.boots.not_sent(&it.offering(), sent);
    }

    /// No refusal leaves the gate of its own type open: a limit that is over already, or that is another market's,
    /// would have the same create sent and refused again at full speed.
    fn hold_if_open(
        &mut self,
        it: &InstanceType,
        kind: &CloudErrorKind,
        census: &Census,
        sent: Timestamp,
        now: Timestamp,
    ) {
        let is_pending = *kind == CloudErrorKind::Unknown;
        if !is_pending && self.gate(it, census, now) == Gate::Open {
            self.vain.note(it.offering(), now);
            self.backoff.failed(Some(it.offering()), sent, now);
        }
    }

    /// A create is sent: if it is the retry that a quota hold allows, no second retry is sent.
    pub(crate) fn sent(&mut self, it: &InstanceType, now: Timestamp) {
        self.quota.sent(it.market(), now);
        self.boots.sent(&it.offering(), now);
    }

    /// A create that was sent at `sent` has succeeded: holds on such creates that are older than that end.
    pub(super) fn succeeded(&mut self, it: &InstanceType, sent: Timestamp) {
        self.quota.succeeded(it.market(), sent);
        self.capacity.succeeded(&it.offering());
        self.backoff.succeeded(it.offering());
    }

    /// Learns from the end of the boot of an instance that was ordered at `ordered`.
    pub(crate) fn booted(
        &mut self,
        offering: &Offering,
        success: bool,
        ordered: Timestamp,
        now: Timestamp,
    ) -> Option<PoolFact> {
        match success {
            true => self.vain.forget(offering),
            false => self.vain.note(offering.clone(), now),
        }
        self.boots.booted(offering, success, ordered, now)
    }

    /// Whether any hold depends on the number of instances.
    pub(super) fn depend_on_numbers(&self) -> bool {
        self.quota.depends_on_numbers() || !self.group_capacities.is_empty()
    }

    /// The number of instances has changed: quota holds without a reason end.
    pub(super) fn recount(&mut self, census: &Census) {
        self.quota.recount(census);
    }

    /// Forgets holds whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.rate_limited_until = self.rate_limited_until.filter(|until| now < *until);
        self.capacity.expire(now);
        self.vain.expire(now);
    }

    /// When the next hold ends, after `now`: the scheduler must plan again then.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self
            .rate_limited_until
            .into_iter()
            .chain(self.backoff.ends())
            .chain(self.quota.retries())
            .chain(self.capacity.ends())
            .chain(self.boots.ends());
        ends.filter(|end| *end > now).min()
    }

    /// Whether the holds allow to create an instance of this type. If several forbid it, the answer is the reason
    /// that an operator should read first.
    pub(super) fn gate(&self, it: &InstanceType, census: &Census, now: Timestamp) -> Gate {
        if self.rate_limited_until.is_some_and(|until| now < until) {
            return Gate::Paused(PauseReason::RateLimit);
        }
        if self.backoff.holds(it.offering(), now) {
            return Gate::Paused(PauseReason::CreateFailed);
        }
        if let Some(until) = self.capacity.until(it, &self.groups).filter(|until| now < *until) {
            return Gate::AtCapacity(until);
        }
        if self.boots.are_rationed(&it.offering(), census, now) {
            return Gate::Paused(PauseReason::BootsFail);
        }
        // Last of the holds: for a type that cannot be had now it is no use to make room.
        if self.quota.holds(it.market(), now) {
            return Gate::AtQuota(QuotaReason::Account);
        }
        if self.quota.is_near(it.market(), census) {
            return Gate::Paused(PauseReason::NearQuota);
        }
        Gate::Open
    }

    /// When a pause of that type ends which [`Holds::gate`] gives as the reason, if that is known.
    pub(super) fn pause_ends(&self, it: &InstanceType, reason: PauseReason) -> Option<Timestamp> {
        match reason {
            PauseReason::RateLimit => self.rate_limited_until,
            PauseReason::CreateFailed => self.backoff.until(it.offering()),
            PauseReason::BootsFail => self.boots.until(&it.offering()),
            PauseReason::CreatesInFlight
            | PauseReason::RunnerUnreadable
            | PauseReason::OwnSide
            | PauseReason::NearQuota
            | PauseReason::Operator
            | PauseReason::TypeDrained => None,
        }
    }

    /// When the next create is tried although the quota of that market is reached.
    pub(super) fn quota_retry_at(&self, it: &InstanceType) -> Option<Timestamp> {
        self.quota.retry_at(it.market())
    }

    /// Whether only one create of that offering may be in flight.
    pub(super) fn is_on_trial(&self, it: &InstanceType) -> bool {
        self.boots.is_on_trial(&it.offering())
    }

    /// Whether it is of no use to make room for an instance of this type.
    pub(super) fn is_vain(&self, it: &InstanceType, now: Timestamp) -> bool {
        self.vain.has(&it.offering(), now)
    }

    /// Types refused while a quota is reached, and when.
    pub fn refused_types(&self) -> &BTreeMap<TypeName, Timestamp> {
        &self.quota.refused_types
    }

    /// The scopes whose quota has been reached, and for which no create has succeeded since.
    pub(crate) fn quota_scopes(&self) -> impl Iterator<Item = &QuotaScope> {
        self.quota.scopes()
    }

    /// How many more instances of each scope may be created now, by the number that fitted its quota last
    /// time: one more than that, and one at a time as long as the hold lasts.
    pub(super) fn near_quota_left(&self, census: &Census) -> BTreeMap<QuotaScope, usize> {
        self.quota.near_quota_left(census)
    }

    /// Moves every moment by this duration.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        self.rate_limited_until.iter_mut().for_each(|it| shift(it, by));
        self.backoff.shift(by);
        self.quota.shift(by);
        self.capacity.shift(by);
        self.boots.shift(by);
        self.vain.shift(by);
    }
}

/// The scope of a lack of capacity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum CapacityKey {
    Offering(Offering),
    Group(String, crate::instance::Market),
    All,
}

impl CapacityKey {
    fn of(it: &InstanceType, scope: CapacityScope, groups: &BTreeMap<Offering, String>) -> Self {
        let offering = it.offering();
        match scope {
            CapacityScope::All => Self::All,
            CapacityScope::Offering => Self::Offering(offering),
            CapacityScope::QuotaGroup => match groups.get(&offering) {
                Some(group) => Self::Group(group.clone(), offering.market),
                None => Self::Offering(offering),
            },
        }
    }
}

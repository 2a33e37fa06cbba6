//! The settings that say how the cloud behaves, and what goes wrong with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dispatch_core::id::TypeName;
use dispatch_core::instance::{InstanceType, Market, Offering};
use dispatch_core::ports::{CapacityScope, CloudErrorKind, HostKeyVerdict, QuotaScope};
use dispatch_core::time::{Timestamp, after};

use crate::chance::{Chance, Span};
use crate::group::Group;

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloudCall {
    /// Orders a VM.
    Create,
    /// Lists VMs.
    List,
    /// Ends a VM.
    Destroy,
    /// Merges tags.
    SetTags,
    /// Asks about a host key.
    VerifyHostKey,
}

/// A fault that may strike a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloudFault {
    /// The account has made too many calls. The caller is told to wait for that long.
    RateLimited(Duration),
    /// The account may have no more VMs on any market.
    QuotaAll,
    /// The account may have no more VMs on that market.
    QuotaMarket(Market),
    /// The cloud has no more VMs of this kind.
    Capacity(CapacityScope),
    /// The credentials are not accepted.
    Unauthorized,
    /// Any other error.
    Other,
    /// The call is lost: it is not executed, and no answer comes.
    LostCall,
    /// The answer is lost: the call is executed.
    LostAnswer,
    /// The call is not executed, and the answer claims that it was.
    IgnoredSilently,
}

impl CloudFault {
    /// Whether the call takes effect nevertheless.
    pub(super) fn executes(self) -> bool {
        self == Self::LostAnswer
    }

    /// The error that the caller sees; `None` = success.
    pub(super) fn error(self, now: Timestamp) -> Option<CloudErrorKind> {
        Some(match self {
            Self::RateLimited(wait) => CloudErrorKind::RateLimited { until: after(now, wait) },
            Self::QuotaAll => CloudErrorKind::Quota(QuotaScope::All),
            Self::QuotaMarket(market) => CloudErrorKind::Quota(QuotaScope::Market(market)),
            Self::Capacity(scope) => CloudErrorKind::Capacity(scope),
            Self::Unauthorized => CloudErrorKind::Unauthorized,
            Self::Other => CloudErrorKind::Other,
            Self::LostCall | Self::LostAnswer => CloudErrorKind::Unknown,
            Self::IgnoredSilently => return None,
        })
    }
}

/// A fault that is likely for some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CloudBurst {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// The kind of calls that it strikes; `None` = all.
    pub only: Option<CloudCall>,
    /// The fault.
    pub fault: CloudFault,
    /// Its probability for each call, 0 to 1.
    pub rate: f64,
}

/// Creates of a group are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    /// Of which group.
    pub group: Group,
    /// The refusal.
    pub fault: CloudFault,
    /// Until when; `None` = for ever, even when the faults are stopped.
    pub until: Option<Timestamp>,
}

/// How many calls are allowed within which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many calls are allowed.
    pub calls: usize,
    /// The length of the time.
    pub within: Duration,
    /// How long a caller that exceeds it is told to wait.
    pub wait: Duration,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct CloudKnobs {
    /// How long calls take, by kind. A call takes effect in the middle of it.
    pub takes: BTreeMap<CloudCall, Span>,
    /// How long all other calls take.
    pub takes_else: Span,
    /// The time from a VM's creation until listings show it.
    pub listed_after: Span,
    /// The time from a VM's creation until listings show its address.
    pub address_after: Span,
    /// The time from a destroy until the VM itself ends.
    pub ends_after: Span,
    /// The time from its end until listings no longer show it.
    pub unlisted_after: Span,
    /// For how long listings show the old tags after a change.
    pub tags_lag: Span,
    /// Whether listings omit a VM as soon as its end was asked for, as EC2's listings do, although it lives
    /// on for `ends_after`.
    pub hides_ending: bool,
    /// How likely a listing omits a VM that exists.
    pub omit_rate: f64,
    /// At most this many listings in a row omit a VM that has booted; others, and all while a dispatcher that has just
    /// been started makes its first listings, are omitted twice in a row at most. If a cloud omitted a VM for good, no
    /// dispatcher could know what runs on it.
    pub most_omissions: u32,
    /// How likely the cloud takes a spot VM away.
    pub spot_taken_rate: f64,
    /// Types of which it takes none.
    pub spot_spared: BTreeSet<TypeName>,
    /// When the cloud takes it away, counted from its creation.
    pub spot_taken_after: Span,
    /// The most VMs that the account may have.
    pub quota_all: Option<usize>,
    /// The most VMs that the account may have, by market.
    pub quota_market: BTreeMap<Market, usize>,
    /// The most VMs that the account may have, by quota group and market.
    pub quota_group: BTreeMap<(String, Market), usize>,
    /// The most VMs that the cloud has of an offering.
    pub capacity: BTreeMap<Offering, usize>,
    /// Offerings whose creates are always refused with an error that does not say why, as for a price that is
    /// too low.
    pub refused: BTreeSet<Offering>,
    /// Creates that are refused, by group.
    pub closures: Vec<Closure>,
    /// How likely the cloud ends a VM of any type soon after it was made, and tells nobody.
    pub ends_booting_rate: f64,
    /// Groups whose VMs the cloud always ends soon after they were made. Stopping the faults does not stop
    /// this.
    pub always_ends_booting: Vec<Group>,
    /// When it ends them, counted from their creation.
    pub ends_booting_after: Span,
    /// Whether a new VM gets the lowest number that no VM has at the moment, so that ids come again.
    pub reuses_ids: bool,
    /// The limits on the rate of calls.
    pub rate_limits: BTreeMap<CloudCall, RateLimit>,
    /// Faults that may strike at any time, with their probability.
    pub rates: Vec<(CloudCall, CloudFault, f64)>,
    /// Faults that are likely for some time.
    pub bursts: Vec<CloudBurst>,
    /// What it answers about host keys. With `NotSupported` the secret must prove the VM.
    pub host_keys: HostKeyVerdict,
    /// One-shot faults, each for the next call of its kind.
    pub script: VecDeque<(CloudCall, CloudFault)>,
}

impl Default for CloudKnobs {
    /// Nothing goes wrong. Calls take 100 ms, a create takes 2 s, addresses are shown after 3 s, and a VM is
    /// gone 5 s after a destroy.
    fn default() -> Self {
        Self {
            takes: BTreeMap::from([(CloudCall::Create, Span::seconds(2))]),
            takes_else: Span::millis(100),
            listed_after: Span::seconds(0),
            address_after: Span::seconds(3),
            ends_after: Span::seconds(3),
            unlisted_after: Span::seconds(2),
            tags_lag: Span::seconds(0),
            hides_ending: false,
            omit_rate: 0.0,
            most_omissions: 2,
            spot_taken_rate: 0.0,
            spot_spared: BTreeSet::new(),
            spot_taken_after: Span::seconds(600),
            quota_all: None,
            quota_market: BTreeMap::new(),
            quota_group: BTreeMap::new(),
            capacity: BTreeMap::new(),
            refused: BTreeSet::new(),
            closures: Vec::new(),
            ends_booting_rate: 0.0,
            always_ends_booting: Vec::new(),
            ends_booting_after: Span::between_millis(2_000, 15_000),
            reuses_ids: false,
            rate_limits: BTreeMap::new(),
            rates: Vec::new(),
            bursts: Vec::new(),
            host_keys: HostKeyVerdict::NotSupported,
            script: VecDeque::new(),
        }
    }
}

impl CloudKnobs {
    /// Lets a fault strike the next call of that kind, after those that are already scripted for it.
    pub fn strike_next(&mut self, call: CloudCall, fault: CloudFault) {
        self.script.push_back((call, fault));
    }

    /// Lets a fault strike every call of that kind (`None` = of any kind) for that long.
    pub fn strike_all(
        &mut self,
        only: Option<CloudCall>,
        fault: CloudFault,
        from: Timestamp,
        lasting: Duration,
    ) {
        self.bursts.push(CloudBurst { from, until: after(from, lasting), only, fault, rate: 1.0 });
    }

    /// Stops all faults. Durations, quotas, capacities, and what is wrong for ever stay.
    pub fn stop_faults(&mut self) {
        self.omit_rate = 0.0;
        self.spot_taken_rate = 0.0;
        self.ends_booting_rate = 0.0;
        self.closures.retain(|closure| closure.until.is_none());
        self.rates.clear();
        self.bursts.clear();
        self.script.clear();
        self.rate_limits.clear();
    }

    /// Whether VMs of that type can be had and outlive their boot.
    pub fn spares(&self, it: &InstanceType) -> bool {
        let closed = self.closures.iter().any(|closure| closure.until.is_none() && closure.group.has(it));
        !closed && !self.always_ends_booting.iter().any(|group| group.has(it))
    }

    /// Refuses the creates of a group with that fault; `until` = `None`: for ever.
    pub fn close(&mut self, group: Group, fault: CloudFault, until: Option<Timestamp>) {
        self.closures.push(Closure { group, fault, until });
    }

    pub(super) fn closed_to(&self, it: &InstanceType, now: Timestamp) -> Option<CloudFault> {
        let is_closed =
            |closure: &&Closure| closure.until.is_none_or(|until| now < until) && closure.group.has(it);
        self.closures.iter().find(is_closed).map(|closure| closure.fault)
    }

    pub(super) fn duration(&self, call: CloudCall, chance: &mut Chance) -> Duration {
        chance.draw(self.takes.get(&call).copied().unwrap_or(self.takes_else))
    }

    pub(super) fn fault(
        &mut self,
        call: CloudCall,
        now: Timestamp,
        chance: &mut Chance,
    ) -> Option<CloudFault> {
        if let Some(position) = self.script.iter().position(|(wanted, _)| *wanted == call) {
            return self.script.remove(position).map(|(_, fault)| fault);
        }
        let concerns = |burst: &&CloudBurst| {
            burst.from <= now && now < burst.until && burst.only.is_none_or(|only| only == call)
        };
        if let Some(burst) = self.bursts.iter().filter(concerns).find(|burst| chance.hits(burst.rate)) {
            return Some(burst.fault);
        }
        let mut rates = self.rates.iter().filter(|(of, ..)| *of == call);
        rates.find(|(_, _, rate)| chance.hits(*rate)).map(|(_, fault, _)| *fault)
    }
}

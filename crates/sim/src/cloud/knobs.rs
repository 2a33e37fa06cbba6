//! How the cloud behaves, and what goes wrong with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dispatch_core::instance::{Market, Offering};
use dispatch_core::ports::{CapacityScope, CloudErrorKind, HostKeyVerdict, QuotaScope};
use dispatch_core::time::{Timestamp, after};

use crate::chance::{Chance, Span};

/// What kind of call it is.
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

/// What may strike a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloudFault {
    /// Too many calls; come back so much later.
    RateLimited(Duration),
    /// No more VMs for this account on any market.
    QuotaAll,
    /// No more VMs for this account on that market.
    QuotaMarket(Market),
    /// No more VMs of this kind.
    Capacity(CapacityScope),
    /// Credentials are not accepted.
    Unauthorized,
    /// Something else.
    Other,
    /// No answer; not executed.
    LostCall,
    /// No answer; executed.
    LostAnswer,
    /// An answer as if it had been executed; not executed.
    IgnoredSilently,
}

impl CloudFault {
    /// Whether the call takes effect nevertheless.
    pub(super) fn executes(self) -> bool {
        self == Self::LostAnswer
    }

    /// What the caller gets to see; `None` = a success.
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
    /// When it is over.
    pub until: Timestamp,
    /// Which calls it strikes; `None` = all.
    pub only: Option<CloudCall>,
    /// What strikes.
    pub fault: CloudFault,
    /// Its probability for each call, 0 to 1.
    pub rate: f64,
}

/// So many calls in so long, and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// So many calls.
    pub calls: usize,
    /// In so long.
    pub within: Duration,
    /// How long a caller that exceeds it is told to wait.
    pub wait: Duration,
}

/// The knobs.
#[derive(Debug, Clone)]
pub struct CloudKnobs {
    /// How long calls take; the effect comes in the middle.
    pub takes: BTreeMap<CloudCall, Span>,
    /// How long calls take that are not in `takes`.
    pub takes_else: Span,
    /// From a VM's making until it is listed.
    pub listed_after: Span,
    /// From a VM's making until its address is listed.
    pub address_after: Span,
    /// From a destroy until the VM itself ends.
    pub ends_after: Span,
    /// From then on until it is listed no more.
    pub unlisted_after: Span,
    /// How long listings show the tags of before a change.
    pub tags_lag: Span,
    /// Whether listings leave out a VM from the moment that its end was asked for, as EC2's do, although it lives on
    /// for `ends_after`.
    pub hides_ending: bool,
    /// How likely a listing leaves out a VM that exists.
    pub omit_rate: f64,
    /// So many listings leave a VM out one after another, at most: of a cloud that leaves it out for good, nobody can
    /// say what runs there.
    pub most_omissions: u32,
    /// How likely a spot VM is taken away, and when after its making.
    pub spot_taken_rate: f64,
    /// When after its making, if it is.
    pub spot_taken_after: Span,
    /// The most VMs of the account.
    pub quota_all: Option<usize>,
    /// The most VMs of the account, by market.
    pub quota_market: BTreeMap<Market, usize>,
    /// The most VMs by quota group and market.
    pub quota_group: BTreeMap<(String, Market), usize>,
    /// The most VMs that the cloud has of an offering.
    pub capacity: BTreeMap<Offering, usize>,
    /// Offerings that are always refused, for a reason that says nothing: a price that is too low.
    pub refused: BTreeSet<Offering>,
    /// What calls are limited to.
    pub rate_limits: BTreeMap<CloudCall, RateLimit>,
    /// What strikes at any time.
    pub rates: Vec<(CloudCall, CloudFault, f64)>,
    /// What strikes for a time.
    pub bursts: Vec<CloudBurst>,
    /// What it says about host keys; `NotSupported` = the secret must do.
    pub host_keys: HostKeyVerdict,
    /// One-shot faults, each for the next call of its kind.
    pub script: VecDeque<(CloudCall, CloudFault)>,
}

impl Default for CloudKnobs {
    /// Everything works: 100 ms a call, 2 s for a create, addresses after 3 s, gone 5 s after a destroy.
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
            spot_taken_after: Span::seconds(600),
            quota_all: None,
            quota_market: BTreeMap::new(),
            quota_group: BTreeMap::new(),
            capacity: BTreeMap::new(),
            refused: BTreeSet::new(),
            rate_limits: BTreeMap::new(),
            rates: Vec::new(),
            bursts: Vec::new(),
            host_keys: HostKeyVerdict::NotSupported,
            script: VecDeque::new(),
        }
    }
}

impl CloudKnobs {
    /// Lets a fault strike the next call of that kind, after those that are scripted for it already.
    pub fn strike_next(&mut self, call: CloudCall, fault: CloudFault) {
        self.script.push_back((call, fault));
    }

    /// Lets a fault strike every call of that kind (`None` = of any) for so long.
    pub fn strike_all(
        &mut self,
        only: Option<CloudCall>,
        fault: CloudFault,
        from: Timestamp,
        lasting: Duration,
    ) {
        self.bursts.push(CloudBurst { from, until: after(from, lasting), only, fault, rate: 1.0 });
    }

    /// Nothing goes wrong any more; durations, quotas and capacities stay.
    pub fn stop_faults(&mut self) {
        self.omit_rate = 0.0;
        self.spot_taken_rate = 0.0;
        self.rates.clear();
        self.bursts.clear();
        self.script.clear();
        self.rate_limits.clear();
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

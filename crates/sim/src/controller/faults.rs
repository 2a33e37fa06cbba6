//! Faults between a client and the controller, and how often they strike.
//!
//! For a call these are tried in order: a scripted fault for its kind, a present burst, the load of the
//! running containers, the base rates. At most one fault strikes a call; a slow answer may come in addition.

use std::collections::VecDeque;
use std::time::Duration;

use dispatch_core::time::{Timestamp, after};

use crate::chance::{Chance, Span};

/// The kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallKind {
    /// Asks whose token it is.
    Current,
    /// A list of containers.
    List,
    /// A list of container requests.
    Requests,
    /// One container.
    Show,
    /// Queued → Locked.
    Lock,
    /// Locked → Queued.
    Unlock,
    /// An update, by PUT.
    Update,
    /// Any other call.
    Other,
}

/// A fault that may strike a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// Status 401, as to every call while the server's database is down. The call is not executed.
    Unauthorized,
    /// Status 503 with an empty body, because the server sheds load. The call is not executed.
    Overloaded,
    /// Status 502: the controller cannot reach the API server. The call is not executed.
    BadGateway,
    /// Status 500 after the change was made, because the database connection was lost afterwards. The call is
    /// executed.
    ServerError,
    /// The connection is cut before the call is read. The call is not executed.
    LostCall,
    /// The connection is cut after the change was made. The call is executed.
    LostAnswer,
    /// The answer is about another container than the one asked for. The call is executed.
    WrongUuid,
}

impl Fault {
    /// Whether the call takes effect although its answer is bad.
    pub fn executes(self) -> bool {
        match self {
            Self::Unauthorized | Self::Overloaded | Self::BadGateway | Self::LostCall => false,
            Self::ServerError | Self::LostAnswer | Self::WrongUuid => true,
        }
    }
}

/// A fault that is likely for some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// The kind of calls that it strikes; `None` = all.
    pub only: Option<CallKind>,
    /// The fault.
    pub fault: Fault,
    /// Its probability for each call, 0 to 1.
    pub rate: f64,
}

impl Burst {
    fn concerns(&self, kind: CallKind, now: Timestamp) -> bool {
        self.from <= now && now < self.until && self.only.is_none_or(|only| only == kind)
    }
}

/// The settings. By default nothing strikes.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Faults that may strike any call at any time, with their probability.
    pub rates: Vec<(Fault, f64)>,
    /// Faults that are likely for some time.
    pub bursts: Vec<Burst>,
    /// How many Running containers the server can serve. With more of them, it sheds the excess share of all
    /// calls.
    pub served_running: Option<usize>,
    /// How likely a slow answer is.
    pub slow_rate: f64,
    /// How much longer a slow answer takes.
    pub slow_by: Option<Span>,
    /// One-shot faults, each for the next call of its kind.
    pub script: VecDeque<(CallKind, Fault)>,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallOutcome {
    /// The fault that strikes it, if any.
    pub fault: Option<Fault>,
    /// How much longer than usual its answer takes.
    pub delay: Duration,
}

impl Faults {
    /// Lets a fault strike the next call of that kind, after those that are already scripted for it.
    pub fn strike_next(&mut self, kind: CallKind, fault: Fault) {
        self.script.push_back((kind, fault));
    }

    /// Lets a fault strike every call for that long.
    pub fn strike_all(&mut self, fault: Fault, from: Timestamp, lasting: Duration) {
        self.bursts.push(Burst { from, until: after(from, lasting), only: None, fault, rate: 1.0 });
    }

    /// Resets all settings, and forgets what is scripted.
    pub fn stop(&mut self) {
        *self = Self::default();
    }

    /// What happens to a call that arrives now, while that many containers are Running.
    pub(super) fn outcome(
        &mut self,
        kind: CallKind,
        running: usize,
        now: Timestamp,
        chance: &mut Chance,
    ) -> CallOutcome {
        let fault = self
            .scripted(kind)
            .or_else(|| self.in_burst(kind, now, chance))
            .or_else(|| self.by_load(running, chance))
            .or_else(|| self.by_rate(chance));
        CallOutcome { fault, delay: self.slowness(chance) }
    }

    fn scripted(&mut self, kind: CallKind) -> Option<Fault> {
        let position = self.script.iter().position(|(wanted, _)| *wanted == kind)?;
        self.script.remove(position).map(|(_, fault)| fault)
    }

    fn in_burst(&self, kind: CallKind, now: Timestamp, chance: &mut Chance) -> Option<Fault> {
        let mut going_on = self.bursts.iter().filter(|burst| burst.concerns(kind, now));
        going_on.find(|burst| chance.hits(burst.rate)).map(|burst| burst.fault)
    }

    /// Running containers call the API themselves. The server sheds what exceeds its limit, the dispatcher's
    /// calls among them.
    fn by_load(&self, running: usize, chance: &mut Chance) -> Option<Fault> {
        let served = self.served_running?;
        let excess = running.checked_sub(served).filter(|excess| *excess > 0)?;
        chance.hits(excess as f64 / running as f64).then_some(Fault::Overloaded)
    }

    fn by_rate(&self, chance: &mut Chance) -> Option<Fault> {
        self.rates.iter().find(|(_, rate)| chance.hits(*rate)).map(|(fault, _)| *fault)
    }

    fn slowness(&self, chance: &mut Chance) -> Duration {
        match self.slow_by {
            Some(span) if chance.hits(self.slow_rate) => chance.draw(span),
            Some(_) | None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::epoch;

    fn fault_at(faults: &mut Faults, seconds: u64, running: usize) -> Option<Fault> {
        let now = after(epoch(), Duration::from_secs(seconds));
        faults.outcome(CallKind::List, running, now, &mut Chance::new(1, 1)).fault
    }

    #[test]
    fn nothing_strikes_until_a_knob_is_turned() {
        assert_eq!(fault_at(&mut Faults::default(), 0, 1000), None);
    }

    #[test]
    fn a_scripted_fault_strikes_the_next_call_of_its_kind_once() {
        let mut faults = Faults::default();
        faults.strike_next(CallKind::Lock, Fault::LostAnswer);
        faults.strike_next(CallKind::List, Fault::BadGateway);
        assert_eq!(fault_at(&mut faults, 0, 0), Some(Fault::BadGateway));
        assert_eq!(fault_at(&mut faults, 0, 0), None);
        assert_eq!(faults.scripted(CallKind::Lock), Some(Fault::LostAnswer));
    }

    #[test]
    fn a_burst_strikes_from_its_beginning_until_before_its_end() {
        let mut faults = Faults::default();
        let from = after(epoch(), Duration::from_secs(10));
        faults.strike_all(Fault::Unauthorized, from, Duration::from_secs(5));
        let struck: Vec<u64> = (0..20).filter(|second| fault_at(&mut faults, *second, 0).is_some()).collect();
        assert_eq!(struck, [10, 11, 12, 13, 14]);
    }

    #[test]
    fn running_containers_beyond_what_is_served_cause_their_share_of_503s() {
        let mut faults = Faults { served_running: Some(10), ..Faults::default() };
        let mut chance = Chance::new(3, 3);
        let mut shed = |running| {
            let mut outcome = || faults.outcome(CallKind::List, running, epoch(), &mut chance).fault;
            (0..1000).filter(|_| outcome() == Some(Fault::Overloaded)).count()
        };
        assert_eq!(shed(10), 0);
        let half = shed(20);
        assert!((400..600).contains(&half), "{half}");
    }

    #[test]
    fn stopping_turns_every_knob_back() {
        let mut faults = Faults { rates: vec![(Fault::Overloaded, 1.0)], ..Faults::default() };
        assert_eq!(fault_at(&mut faults, 0, 0), Some(Fault::Overloaded));
        faults.stop();
        assert_eq!(fault_at(&mut faults, 0, 0), None);
    }
}

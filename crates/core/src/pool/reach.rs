//! Decides when the operator is told that VMs cannot be reached, and what the cause is: after a minute, whatever their
//! state, and once a minute until they can be reached, or are gone.
//!
//! ```text
//!   a worker's view: out of reach ──► since when, and the last cause ── a minute ──► Unreached, of all of them together
//!                    in reach, shutting down, gone ──► forgotten
//! ```
//! A VM that is told to end may be silent. What a probe says that our own side has kept from getting out is no word about
//! a VM, and told by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::id::InstanceId;
use crate::ports::ExecErrorKind;
use crate::time::{Timestamp, since};
use crate::worker::{State, View};

/// How long a VM may be out of reach before it is told, and how far apart it is told.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Why the last probe did not get through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// How the connection failed; `None` if that is not known.
    pub kind: Option<ExecErrorKind>,
    /// The executor's words.
    pub error: String,
}

/// What is told: VMs that have been out of reach for a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// How many.
    pub instances: usize,
    /// How long the longest of them.
    pub longest: Duration,
    /// The cause that most of them have.
    pub kind: Option<ExecErrorKind>,
    /// How many have it.
    pub with_cause: usize,
    /// One of these, and the words of its last failure.
    pub example: (InstanceId, String),
}

#[derive(Debug)]
struct Absent {
    since: Timestamp,
    last: Unanswered,
}

/// Which VMs are out of reach.
#[derive(Debug, Default)]
pub struct Reach {
    absent: BTreeMap<InstanceId, Absent>,
    told: Option<Timestamp>,
}

impl Reach {
    /// A worker has changed, or its probe has failed as before. O(log workers).
    pub fn note(&mut self, view: &View, unanswered: Option<&Unanswered>, now: Timestamp) {
        match unanswered {
            Some(last) if view.out_of_reach && view.state != State::Shutdown => {
                let absent = self.absent.entry(view.id.clone());
                absent
                    .and_modify(|it| it.last.clone_from(last))
                    .or_insert_with(|| Absent { since: now, last: last.clone() });
            }
            _ => self.forget(&view.id),
        }
    }

    /// An instance is gone.
    pub fn forget(&mut self, id: &InstanceId) {
        self.absent.remove(id);
    }

    /// This process has not lived for a while: what was out of reach before is looked at anew.
    pub fn begin_anew(&mut self) {
        self.absent.clear();
    }

    /// What is to be told now, if anything. O(workers that are out of reach).
    pub fn report(&mut self, now: Timestamp) -> Option<Unreached> {
        if self.told.is_some_and(|told| since(now, told) < TOLD_EVERY) {
            return None;
        }
        let long: Vec<_> = self.absent.iter().filter(|(_, it)| since(now, it.since) >= TOLD_EVERY).collect();
        let longest = long.iter().map(|(_, it)| since(now, it.since)).max()?;
        let mut causes: BTreeMap<&str, (usize, &InstanceId, &Unanswered)> = BTreeMap::new();
        for (id, it) in &long {
            causes.entry(words(it.last.kind)).or_insert((0, id, &it.last)).0 += 1;
        }
        let (with_cause, id, last) = causes.into_values().max_by_key(|(count, ..)| *count)?;
        self.told = Some(now);
        Some(Unreached {
            instances: long.len(),
            longest,
            kind: last.kind,
            with_cause,
            example: (id.clone(), last.error.clone()),
        })
    }
}

impl Unreached {
    /// The cause in words.
    pub fn cause(&self) -> &'static str {
        words(self.kind)
    }
}

/// A cause for people who have not read the executor's code.
fn words(kind: Option<ExecErrorKind>) -> &'static str {
    match kind {
        Some(ExecErrorKind::NotReady) => "the cloud shows no address of them",
        Some(ExecErrorKind::Refused) => {
            "nobody listens at their address: sshd does not run, or a firewall refuses"
        }
        Some(ExecErrorKind::ConnectTimeout) => {
            "their address does not answer: network, security group, route, or they hang"
        }
        Some(ExecErrorKind::Authentication) => {
            "they do not accept our key or user: DispatchPrivateKey, or the image's user"
        }
        Some(ExecErrorKind::SecretUnreadable) => "they do not show the secret that proves who they are",
        Some(ExecErrorKind::Verification) => {
            "they cannot prove that they are the instances that we have ordered"
        }
        Some(ExecErrorKind::CommandTimeout) => "commands do not end there: they are overloaded, or they hang",
        Some(ExecErrorKind::ConnectionLost) => "connections break",
        Some(ExecErrorKind::OutputTooLarge) => "commands write far too much there",
        Some(ExecErrorKind::NotSent | ExecErrorKind::Local | ExecErrorKind::VerifierFailed) => {
            "our own side fails"
        }
        None => "commands fail there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, id, instance, policy, typed};
    use crate::worker::Machine;

    /// A worker that is out of reach.
    fn view(name: &str, state: State) -> View {
        let policy = policy();
        let instance = instance(name, &typed(&policy, "small"), "secret");
        let (machine, _) = Machine::new(instance, true, policy.into(), at(0));
        View { out_of_reach: true, state, ..machine.view() }
    }

    fn unanswered(kind: ExecErrorKind) -> Unanswered {
        Unanswered { kind: Some(kind), error: format!("error {}", kind.as_str()) }
    }

    #[test]
    fn a_minute_out_of_reach_is_told_in_every_state_but_shutdown_and_then_once_a_minute() {
        for state in [State::Unknown, State::Booting, State::Idle, State::Running] {
            let mut reach = Reach::default();
            let mut told = Vec::new();
            for second in 10..200 {
                if second % 10 == 0 {
                    let cause = unanswered(ExecErrorKind::Authentication);
                    reach.note(&view("i-1", state), Some(&cause), at(second));
                }
                if let Some(unreached) = reach.report(at(second)) {
                    told.push((second, unreached.instances, unreached.longest.as_secs()));
                }
            }
            assert_eq!(told, [(70, 1, 60), (130, 1, 120), (190, 1, 180)], "{state}");
        }
        let mut reach = Reach::default();
        reach.note(&view("i-1", State::Shutdown), Some(&unanswered(ExecErrorKind::Refused)), at(0));
        assert_eq!(reach.report(at(1000)), None);
    }

    #[test]
    fn the_cause_that_most_have_is_told_with_one_of_them() {
        let mut reach = Reach::default();
        for (name, kind) in [
            ("i-1", ExecErrorKind::Refused),
            ("i-2", ExecErrorKind::Authentication),
            ("i-3", ExecErrorKind::Authentication),
        ] {
            reach.note(&view(name, State::Unknown), Some(&unanswered(kind)), at(0));
        }
        // Not for a minute yet.
        for name in ["i-4", "i-5", "i-6"] {
            reach.note(&view(name, State::Booting), Some(&unanswered(ExecErrorKind::Refused)), at(1));
        }
        let unreached = reach.report(at(60)).unwrap();
        assert_eq!((unreached.instances, unreached.with_cause), (3, 2));
        assert_eq!(unreached.example, (id("i-2"), "error authentication".to_owned()));
        assert!(unreached.cause().contains("do not accept our key or user"), "{}", unreached.cause());
    }

    #[test]
    fn who_is_reached_gone_or_shut_down_is_not_told() {
        let refused = unanswered(ExecErrorKind::Refused);
        let mut reach = Reach::default();
        for name in ["i-1", "i-2", "i-3", "i-4"] {
            reach.note(&view(name, State::Idle), Some(&refused), at(0));
        }
        reach.note(&View { out_of_reach: false, ..view("i-1", State::Idle) }, None, at(50));
        reach.note(&view("i-2", State::Shutdown), Some(&refused), at(50));
        reach.forget(&id("i-3"));
        assert_eq!(reach.report(at(60)).unwrap().instances, 1);
        reach.begin_anew();
        reach.note(&view("i-4", State::Idle), Some(&refused), at(130));
        assert_eq!(reach.report(at(189)), None, "since before the pause nobody has looked");
        assert_eq!(reach.report(at(190)).unwrap().longest, TOLD_EVERY);
    }
}

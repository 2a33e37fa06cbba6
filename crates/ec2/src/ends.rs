//! Why VMs have ended. A listing leaves out what has ended, so of a VM that a listing has shown and the next does not, or
//! that an order has made and none shows, EC2 is asked what became of it.
//!
//! ```text
//!   made ────────► watched ── in a listing ──► watched
//!                     │ not in a listing that would show it
//!                     ▼
//!                  missing ── EC2 says why ──────────────► told (the last thousand)
//!                     │ no answer, or EC2 knows nothing yet
//!                     └─ asked three times at most, then forgotten
//!   destroyed by us ─► its reason is known: once a listing lacks it, it is forgotten
//! ```
//! EC2 remembers a VM for about an hour after its end, with a `stateReason`
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>). A VM that EC2 accepts and ends at once
//! (the key of an encrypted volume may not be used, a quota of volumes is full) says why nowhere else.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, Tags};

use crate::answer::instances::{Listed, Shown};
use crate::request::MOST_VALUES;

/// Reasons that are kept.
const MOST_REASONS: usize = 1000;
/// A VM that was just made may be unknown to one of EC2's servers, and one whose tag was taken away is never listed.
const MOST_QUESTIONS: u8 = 3;

/// The VMs that are expected in listings, and why others have ended.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    watched: RefCell<BTreeMap<InstanceId, Watched>>,
    told: RefCell<VecDeque<(InstanceId, String)>>,
}

#[derive(Debug)]
struct Watched {
    /// Which listings would show it.
    tags: Tags,
    questions: u8,
    /// Listings may show it for a while after that.
    destroyed: bool,
}

impl Ends {
    /// An order has made it, or a listing shows it.
    pub fn made(&self, instance: &Instance) {
        let mut watched = self.watched.borrow_mut();
        match watched.get_mut(&instance.id) {
            Some(it) => it.questions = 0,
            None => {
                let it = Watched { tags: instance.tags.clone(), questions: 0, destroyed: false };
                watched.insert(instance.id.clone(), it);
            }
        }
    }

    /// We have ended it.
    pub fn destroyed(&self, id: &InstanceId) {
        if let Some(it) = self.watched.borrow_mut().get_mut(id) {
            it.destroyed = true;
        }
    }

    /// Takes a complete listing by that filter in: those that have not ended. What is missing there can be asked for
    /// ([`Ends::missing`]).
    pub fn sort_out(&self, shown: Vec<Shown>) -> Vec<Listed> {
        let mut living = Vec::new();
        for it in shown {
            match it {
                Shown::Living(listed) => living.push(listed),
                Shown::Over { id, reason } => self.ended(id, reason),
            }
        }
        living
    }

    /// Those of which a listing by that filter should have shown something and has not: as many as one call can ask for.
    /// Each counts as asked for.
    pub fn missing(&self, filter: &Tags, listed: &[Listed]) -> Vec<InstanceId> {
        listed.iter().for_each(|it| self.made(&it.instance));
        let ids: BTreeSet<_> = listed.iter().map(|it| &it.instance.id).collect();
        let is_missing = |id: &InstanceId, it: &Watched| it.tags.matches(filter) && !ids.contains(id);
        let mut watched = self.watched.borrow_mut();
        watched.retain(|id, it| !(it.destroyed && is_missing(id, it)));
        let mut missing = Vec::new();
        for (id, it) in watched.iter_mut().filter(|(id, it)| is_missing(id, it)).take(MOST_VALUES) {
            it.questions += 1;
            missing.push(id.clone());
        }
        // Who has been asked for often enough is forgotten: whatever the answer, there is nothing to wait for.
        watched.retain(|_, it| it.questions < MOST_QUESTIONS);
        missing
    }

    /// EC2 says that it has ended, or is about to.
    pub fn ended(&self, id: InstanceId, reason: String) {
        self.watched.borrow_mut().remove(&id);
        if reason.is_empty() {
            return;
        }
        let mut told = self.told.borrow_mut();
        told.retain(|(other, _)| *other != id);
        told.push_back((id, reason));
        if told.len() > MOST_REASONS {
            told.pop_front();
        }
    }

    /// Why that one has ended, if EC2 has said so.
    pub fn reason(&self, id: &InstanceId) -> Option<String> {
        self.told.borrow().iter().find(|(it, _)| it == id).map(|(_, reason)| reason.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spot::tests::listed;

    fn vm(id: &str, set: &str) -> Listed {
        let mut it = listed(id, "m5.large", "a", false);
        it.instance.tags = of(set);
        it
    }

    fn of(set: &str) -> Tags {
        Tags([("ArvadosInstanceSetID".to_owned(), set.to_owned())].into())
    }

    fn id(text: &str) -> InstanceId {
        InstanceId::new(text).unwrap()
    }

    #[test]
    fn what_is_no_longer_listed_is_asked_for_until_ec2_says_why() {
        let ends = Ends::default();
        assert_eq!(ends.missing(&of("ours"), &[vm("i-1", "ours"), vm("i-2", "ours")]), []);
        assert_eq!(ends.missing(&of("ours"), &[vm("i-2", "ours")]), [id("i-1")]);
        ends.ended(id("i-1"), "Server.SpotInstanceTermination".to_owned());
        assert_eq!(ends.reason(&id("i-1")).as_deref(), Some("Server.SpotInstanceTermination"));
        assert_eq!(ends.missing(&of("ours"), &[vm("i-2", "ours")]), [], "it is asked for once");
    }

    #[test]
    fn what_was_made_and_is_never_listed_is_asked_for_three_times() {
        let ends = Ends::default();
        ends.made(&vm("i-1", "ours").instance);
        for _ in 0..3 {
            assert_eq!(ends.missing(&of("ours"), &[]), [id("i-1")]);
        }
        assert_eq!(ends.missing(&of("ours"), &[]), []);
    }

    #[test]
    fn what_comes_late_is_watched_as_before() {
        let ends = Ends::default();
        ends.made(&vm("i-1", "ours").instance);
        for _ in 0..5 {
            assert_eq!(ends.missing(&of("ours"), &[]), [id("i-1")]);
            assert_eq!(ends.missing(&of("ours"), &[vm("i-1", "ours")]), []);
        }
    }

    #[test]
    fn a_listing_of_others_and_what_we_ended_ourselves_raise_no_question() {
        let ends = Ends::default();
        ends.made(&vm("i-1", "ours").instance);
        assert_eq!(ends.missing(&of("theirs"), &[]), []);
        ends.destroyed(&id("i-1"));
        assert_eq!(ends.missing(&of("ours"), &[vm("i-1", "ours")]), [], "it is still listed");
        assert_eq!(ends.missing(&of("ours"), &[]), []);
    }

    #[test]
    fn no_more_than_a_thousand_reasons_are_kept() {
        let ends = Ends::default();
        for number in 0..=MOST_REASONS {
            ends.ended(id(&format!("i-{number}")), "why".to_owned());
        }
        assert_eq!(ends.reason(&id("i-0")), None);
        assert!(
            ends.reason(&id("i-1")).is_some() && ends.reason(&id(&format!("i-{MOST_REASONS}"))).is_some()
        );
    }
}

//! The local-change rule, against every order of polls and operations.

use proptest::prelude::*;

use super::*;
use crate::container::ContainerState::{Cancelled, Locked, Queued, Running};
use crate::container::Standing;
use crate::fixtures::{api_error, record};
use crate::ports::ApiErrorKind;

#[derive(Debug, Clone)]
enum Happens {
    PollBegins,
    /// The server answers all questions of the poll as it stands now.
    PollAsks,
    /// The complete poll begins to be taken in.
    PollEnds,
    /// A piece of it is taken in.
    PollGoesOn,
    Lock,
    Unlock,
    /// The call of the operation takes effect, and its answer arrives or is lost.
    Answered(bool),
    /// A process makes it Running.
    Runs,
    Forgotten,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        Just(Happens::PollBegins),
        Just(Happens::PollAsks),
        Just(Happens::PollEnds),
        Just(Happens::PollGoesOn),
        Just(Happens::Lock),
        Just(Happens::Unlock),
        any::<bool>().prop_map(Happens::Answered),
        Just(Happens::Runs),
        Just(Happens::Forgotten),
    ]
}

/// The server's single record, and our queue of it.
struct Story {
    server: Record,
    queue: ContainerQueue,
    poll: Option<Poll>,
    /// What is being taken in, and the stamp of its poll.
    merging: Option<(Merging, u64)>,
    clock: i64,
}

impl Story {
    fn new() -> Self {
        let server = record(1, Queued, 1);
        let mut queue = queue();
        poll(&mut queue, std::slice::from_ref(&server), 0);
        Self { server, queue, poll: None, merging: None, clock: 0 }
    }

    fn standing(&self) -> Option<Standing> {
        self.queue.snapshot().get(uuid(1)).map(|entry| entry.record.standing())
    }

    fn in_flight(&self) -> Option<Operation> {
        self.queue.snapshot().get(uuid(1)).and_then(|entry| entry.operation.clone())
    }

    fn set(&mut self, state: ContainerState) {
        self.server = record(1, state, 1);
    }

    fn answer(&mut self, arrives: bool) {
        let Some(operation) = self.in_flight() else { return };
        match (operation.call, self.server.state) {
            (Call::Lock, Queued) => self.set(Locked),
            (Call::Unlock, Locked) => self.set(Queued),
            _ => {}
        }
        let answer = match operation.call {
            Call::Read => Answer::Record(Ok(self.server.clone())),
            _ if arrives => Answer::Standing(Ok(self.server.standing())),
            _ => Answer::Standing(Err(api_error(ApiErrorKind::Timeout))),
        };
        self.queue.answered(uuid(1), answer, at(self.clock));
    }

    fn step(&mut self, happens: &Happens) {
        self.clock += 1;
        let now = at(self.clock);
        match happens {
            Happens::PollBegins if self.poll.is_none() && self.merging.is_none() => {
                self.poll = self.queue.begin_poll(now)
            }
            Happens::PollBegins => {}
            Happens::PollAsks => {
                if let Some(poll) = self.poll.as_mut() {
                    ask(poll, &self.queue, std::slice::from_ref(&self.server));
                }
            }
            Happens::PollEnds => self.end_poll(),
            Happens::PollGoesOn => self.go_on(),
            Happens::Lock => {
                let _ = self.queue.begin(uuid(1), OperationKind::Lock);
            }
            Happens::Unlock => {
                let _ = self.queue.begin(uuid(1), OperationKind::Unlock(UnlockReason::ProcessEnded));
            }
            Happens::Answered(arrives) => self.answer(*arrives),
            Happens::Runs if self.server.state == Locked => self.set(Running),
            Happens::Runs => {}
            Happens::Forgotten => drop(self.queue.forget(uuid(1))),
        }
    }

    /// A complete poll begins to be merged.
    fn end_poll(&mut self) {
        let Some(poll) = self.poll.take_if(|poll| poll.question().is_none()) else { return };
        let stamp = poll.stamp;
        let now = at(self.clock);
        self.undoing_nothing(stamp, |queue| queue.begin_merge(poll, now));
    }

    /// One step further, as small as steps can be.
    fn go_on(&mut self) {
        let Some((merging, stamp)) = self.merging.take() else { return };
        self.undoing_nothing(stamp, |queue| queue.go_on_merging(merging, 1, &mut Vec::new()));
    }

    fn finish_merging(&mut self) {
        while self.merging.is_some() {
            self.go_on();
        }
    }

    /// What is in flight, or changed since the poll began, is as before.
    fn undoing_nothing(&mut self, stamp: u64, step: impl FnOnce(&mut ContainerQueue) -> Option<Merging>) {
        let touched = |queue: &ContainerQueue| {
            let entry = queue.entries.get(&uuid(1));
            entry.is_some_and(|entry| entry.operation.is_some() || entry.changed > stamp)
                || queue.dropped.get(&uuid(1)).is_some_and(|dropped| *dropped > stamp)
        };
        let (protected, before) = (touched(&self.queue), (self.standing(), self.in_flight()));
        self.merging = step(&mut self.queue).map(|merging| (merging, stamp));
        if protected {
            assert_eq!((self.standing(), self.in_flight()), before, "a poll undid a newer change");
        }
    }
}

/// How far a container has come, as long as nobody unlocks it.
fn rank(state: ContainerState) -> usize {
    [Queued, Locked, Running, Cancelled].iter().position(|it| *it == state).unwrap_or(9)
}

proptest! {
    #[test]
    fn an_older_poll_never_undoes_a_newer_change_and_touches_nothing_in_flight(
        story in proptest::collection::vec(happens(), 1..60)
    ) {
        let mut world = Story::new();
        for happens in &story {
            world.step(happens);
        }
    }

    #[test]
    fn without_unlocks_our_picture_never_goes_back(
        story in proptest::collection::vec(happens(), 1..60)
    ) {
        let mut world = Story::new();
        let mut furthest = 0;
        for happens in story.iter().filter(|it| !matches!(it, Happens::Unlock | Happens::Forgotten)) {
            world.step(happens);
            let standing = world.standing().expect("it is never dropped while it is alive");
            let now = rank(standing.state);
            prop_assert!(now >= furthest, "{:?} after {furthest}", standing.state);
            furthest = now;
        }
    }

    #[test]
    fn when_all_is_quiet_one_poll_shows_the_truth(
        story in proptest::collection::vec(happens(), 1..60)
    ) {
        let mut world = Story::new();
        for happens in &story {
            world.step(happens);
        }
        while world.in_flight().is_some() {
            world.answer(true);
        }
        world.finish_merging();
        world.poll = None;
        for happens in [Happens::PollBegins, Happens::PollAsks, Happens::PollEnds] {
            world.step(&happens);
        }
        world.finish_merging();
        prop_assert_eq!(world.standing(), Some(world.server.standing()));
    }

    /// Many containers, of which a later poll shows some changed, some not, some not any more, and others.
    #[test]
    fn in_pieces_a_poll_means_the_same_as_at_once(
        before in proptest::collection::btree_map(1_u64..40, 0_usize..4, 0..30),
        now in proptest::collection::btree_map(1_u64..40, 0_usize..4, 0..30),
        most in 1_usize..20,
    ) {
        let records = |drawn: &BTreeMap<u64, usize>| -> Vec<_> {
            drawn.iter().map(|(n, state)| record(*n, [Queued, Locked, Running, Cancelled][*state], 1)).collect()
        };
        let polled = || {
            let mut queue = queue();
            poll(&mut queue, &records(&before), 0);
            let mut second = queue.begin_poll(at(10)).unwrap();
            ask(&mut second, &queue, &records(&now));
            (queue, second)
        };
        let (mut whole, second) = polled();
        let facts = whole.merge(second, at(11));
        let (mut pieces, second) = polled();
        let mut told = Vec::new();
        let mut merging = pieces.begin_merge(second, at(11));
        while let Some(under_way) = merging {
            merging = pieces.go_on_merging(under_way, most, &mut told);
        }
        prop_assert_eq!(pieces.snapshot(), whole.snapshot());
        prop_assert_eq!(told, facts);
    }
}

//! Whatever happens, in whatever order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::id::ContainerUuid;

fn container() -> impl Strategy<Value = ContainerUuid> {
    (1..4u64).prop_map(uuid)
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    let of = |left| if left { AttemptOutcome::LeftLocked } else { AttemptOutcome::StillLocked };
    any::<bool>().prop_map(of)
}

fn input(input: impl Into<Input>) -> Just<Input> {
    Just(input.into())
}

/// What a watch says and comes to, true or not, of this one or another.
fn watch() -> impl Strategy<Value = Input> {
    use crate::ports::WatchEnd;
    let ends = vec![
        WatchEnd::NoConnection,
        WatchEnd::ConnectionLost,
        WatchEnd::FewSessions,
        WatchEnd::Exited(Some(124)),
        WatchEnd::TooMuch,
        WatchEnd::Local,
    ];
    prop_oneof![
        (1..6u64).prop_map(|number| Completion::WatchBegan(number).into()),
        (1..6u64, container()).prop_map(|(number, uuid)| Completion::WatchTold(number, uuid).into()),
        (1..6u64, proptest::sample::select(ends))
            .prop_map(|(number, end)| Completion::WatchEnded(number, end).into()),
    ]
}

/// Inputs that bring no good news; a probe's result is that of the probe under way.
fn bad_news() -> impl Strategy<Value = Input> {
    let unlucky = prop_oneof![
        Just(StartOutcome::Failed(failure(None))),
        Just(StartOutcome::Unanswered(failure(None))),
        Just(StartOutcome::Started),
    ];
    prop_oneof![
        input(Command::Probe),
        prop_oneof![Just(silent()), Just(boot_fails()), Just(boot_fails_but_lists(&[]))]
            .prop_map(|report| Completion::ProbeFinished { began: at(0), report }.into()),
        container().prop_map(|uuid| Command::Start(order(uuid)).into()),
        (container(), unlucky).prop_map(|(uuid, outcome)| Completion::StartFinished(uuid, outcome).into()),
        container().prop_map(|uuid| Command::Kill(uuid, KillReason::PriorityZero).into()),
        container()
            .prop_map(|uuid| Completion::KillFinished(uuid, KillOutcome::Failed(failure(None))).into()),
        (container(), outcome(), any::<bool>()).prop_map(|(uuid, outcome, failed_elsewhere)| {
            Command::StartJudged { uuid, outcome, failed_elsewhere }.into()
        }),
        input(Command::SetIdleBehavior(IdleBehavior::Run, None)),
        input(Command::SetIdleBehavior(IdleBehavior::Drain, None)),
        input(Command::Renew(Renewal::Age)),
        any::<bool>().prop_map(|saved| Completion::TagsSaved(saved).into()),
        input(Completion::DestroyFinished { sent: at(0), outcome: DestroyOutcome::Unknown }),
        input(Completion::ConnectionBroke),
        watch(),
        input(Command::Missing),
        input(Completion::Tick),
    ]
}

fn anything() -> impl Strategy<Value = Input> {
    let good = prop_oneof![
        Just(boots()),
        Just(broken()),
        Just(stale(1)),
        proptest::sample::subsequence(vec![1, 2, 3], 0..=3).prop_map(|running| lists(&running))
    ];
    prop_oneof![
        3 => bad_news(),
        2 => good.prop_map(|report| Completion::ProbeFinished { began: at(0), report }.into()),
        1 => container().prop_map(|uuid| Completion::KillFinished(uuid, KillOutcome::Gone).into()),
        1 => container().prop_map(|uuid| Completion::JournalRead(uuid, None).into()),
        1 => input(Command::SetIdleBehavior(IdleBehavior::Hold, None)),
        1 => input(Command::ShutDown(ShutdownReason::OverQuota)),
        1 => input(Command::ShutDown(ShutdownReason::Unresponsive)),
    ]
}

/// Inputs with the seconds between them; a finished probe is the one that was begun, or none.
struct World {
    story: Story,
    probing: Option<i64>,
}

impl World {
    fn new(kind: u8) -> Self {
        let story = match kind {
            0 => Story::unknown(),
            1 => Story::booting(),
            2 => Story::idle(),
            _ => Story::running(&[1, 2]),
        };
        Self { story, probing: None }
    }

    /// Says what it did, or nothing if the input cannot come now.
    fn step(&mut self, pause: i64, input: impl Into<Input>) -> Vec<WorkerEffect> {
        let second = self.story.now + pause;
        let input = match input.into() {
            Input::Completion(Completion::ProbeFinished { report, .. }) => match self.probing.take() {
                Some(began) => Completion::ProbeFinished { began: at(began), report }.into(),
                None => return Vec::new(),
            },
            Input::Completion(Completion::StartFinished(uuid, _)) if !self.is_starting(uuid) => {
                return Vec::new();
            }
            other => other,
        };
        let effects = self.story.on(second, input);
        if effects.iter().any(|it| matches!(it, WorkerEffect::Probe(_))) {
            self.probing = Some(second);
        }
        effects
    }

    fn is_starting(&self, uuid: ContainerUuid) -> bool {
        let process = self.story.machine.processes.by_container.get(&uuid);
        process.is_some_and(|process| matches!(process.phase, ProcessPhase::Starting(_)))
    }

    /// A minute without good news, as Pool goes about it.
    fn bad_minute(&mut self) {
        for _ in 0..6 {
            for uuid in (1..4).map(uuid).filter(|uuid| self.is_starting(*uuid)).collect::<Vec<_>>() {
                self.step(0, Completion::StartFinished(uuid, StartOutcome::Unanswered(failure(None))));
            }
            self.step(0, Completion::Tick);
            self.step(0, Command::Probe);
            self.step(10, Completion::ProbeFinished { began: at(0), report: silent() });
            if let Some((silence, _)) = self.story.view().silence {
                let reason = match silence {
                    Silence::NeverReady => ShutdownReason::BootTimeout,
                    Silence::Unresponsive => ShutdownReason::Unresponsive,
                };
                self.step(0, Command::ShutDown(reason));
            }
        }
    }
}

proptest! {
    #[test]
    fn without_good_news_every_worker_is_destroyed_in_the_end_and_again_until_it_is_gone(
        kind in 0..4u8,
        inputs in proptest::collection::vec((0..60i64, bad_news()), 0..60),
    ) {
        let mut world = World::new(kind);
        for (pause, input) in inputs {
            world.step(pause, input);
        }
        for _ in 0..14 {
            world.bad_minute();
        }
        prop_assert_eq!(world.story.state(), State::Shutdown);
        let before = world.story.did(&WorkerEffect::Destroy);
        prop_assert!(before >= 1);
        for calls in before..before + 5 {
            // The longest pause is half an hour.
            for _ in 0..31 {
                let listed = at(world.story.now + 60);
                // The slot of a call comes, whatever becomes of the call.
                world.story.call_begins();
                world.step(60, Command::StillListed(listed));
            }
            prop_assert!(world.story.did(&WorkerEffect::Destroy) > calls);
        }
    }

    #[test]
    fn nothing_is_started_on_hold_or_drain_twice_or_in_shutdown_and_holds_are_kept(
        kind in 0..4u8,
        inputs in proptest::collection::vec((0..30i64, anything()), 0..120),
    ) {
        let mut world = World::new(kind);
        let mut counted: BTreeSet<_> = world.story.machine.processes.by_container.keys().copied().collect();
        // Who is watched: it is given one after another, and none twice.
        let mut watch = (kind == 3).then(|| (1, BTreeSet::from([uuid(1)])));
        for (pause, input) in inputs {
            if let Input::Completion(Completion::WatchEnded(number, _)) = &input {
                watch = watch.filter(|(current, _)| current != number);
            }
            let before = world.story.view();
            let effects = world.step(pause, input.clone());
            let is_hint = matches!(input, Input::Completion(Completion::WatchTold(..)));
            for effect in &effects {
                match effect {
                    WorkerEffect::Watch { number, uuids } => {
                        prop_assert!(watch.replace((*number, uuids.iter().copied().collect())).is_none());
                    }
                    WorkerEffect::AddToWatch(uuid) => {
                        prop_assert!(watch.as_mut().is_some_and(|(_, given)| given.insert(*uuid)));
                    }
                    WorkerEffect::EndWatch => prop_assert!(watch.take().is_some()),
                    WorkerEffect::Tell(WorkerFact::EndHinted(_)) => prop_assert!(is_hint),
                    _ if is_hint => prop_assert!(false, "a line has done more than a hint may: {effect:?}"),
                    WorkerEffect::Start(uuid) => {
                        prop_assert_eq!(before.behavior, IdleBehavior::Run);
                        prop_assert!(before.state.is_ready());
                        prop_assert!(counted.insert(*uuid), "started twice");
                    }
                    WorkerEffect::Tell(WorkerFact::Detected(uuid)) => prop_assert!(counted.insert(*uuid)),
                    WorkerEffect::Ended(uuid) => {
                        prop_assert!(counted.remove(uuid), "ended twice");
                        if let Some((_, given)) = &mut watch {
                            given.remove(uuid);
                        }
                    }
                    WorkerEffect::Kill(uuid) => prop_assert!(counted.contains(uuid)),
                    WorkerEffect::Destroy if before.state != State::Shutdown => {
                        prop_assert_ne!(world.story.view().behavior, IdleBehavior::Hold);
                        let silent = before.silence.is_some();
                        let living = world.story.view().processes.iter().any(|it| !it.given_up);
                        prop_assert!(silent || !living, "destroyed while it runs something and answers");
                    }
                    _ => {}
                }
                // A hold may return it to life: then it is as any other.
                if before.state == State::Shutdown && world.story.view().state == State::Shutdown {
                    use WorkerEffect::{Destroy, Ended, Probe, Retarget, Tell};
                    prop_assert!(matches!(effect, Destroy | Ended(_) | Probe(_) | Retarget(_) | Tell(_)), "{effect:?}");
                }
            }
            let view = world.story.view();
            let now: BTreeSet<_> = view.processes.iter().map(|it| it.uuid).collect();
            prop_assert_eq!(&now, &counted);
            if view.state.is_ready() {
                prop_assert_eq!(view.state == State::Running, !now.is_empty());
            }
        }
    }

    #[test]
    fn whoever_ticks_when_told_to_is_not_told_the_same_moment_for_ever(
        kind in 0..4u8,
        inputs in proptest::collection::vec((0..30i64, anything()), 0..60),
    ) {
        let mut world = World::new(kind);
        for (pause, input) in inputs {
            world.step(pause, input);
        }
        let mut moments = Vec::new();
        while let Some(when) = world.story.machine.wakes_at().filter(|_| moments.len() < 1000) {
            let now = when.max(at(world.story.now));
            prop_assert!(!moments.ends_with(&[now, now, now]), "woken again and again at {now}");
            moments.push(now);
            let effects = world.story.machine.on_completion(Completion::Tick, now);
            world.story.now = world.story.now.max(crate::time::since(now, at(0)).as_secs() as i64);
            if effects.iter().any(|it| matches!(it, WorkerEffect::SaveTags(_))) {
                let _ = world.story.machine.on_completion(Completion::TagsSaved(true), now);
            }
        }
    }
}

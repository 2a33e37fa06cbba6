//! What hints of the event feed make us ask.
//!
//! ```text
//!   Container that we have ─► wish: its record ──┐              ┌ Known (at most 20 at a time)
//!   another one, Requests ──► wish: available ───┼─ 50 ms ─► one of ─ Available (first page)     two a second,
//!   Everything, Connected ──► wish: a poll ──────┘              └ a poll, if the last is an interval old    never two at once
//!                    ▲                                             │
//!                    └──── nothing new: once more after a second ◄─┘
//! ```
//! Hints may be lost, late, repeated or false. They make us ask sooner, and nothing else: what an answer shows is taken
//! as evidence (`ContainerQueue::take_hinted`), what it does not show proves nothing. A whole poll fulfils all wishes
//! that are older.
//!
//! A hint costs O(log wishes), a look at what is due O(wishes), and there are at most [`MOST_WISHES`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::container::ContainerState;
use crate::id::ContainerUuid;
use crate::ports::ListQuestion;
use crate::time::{Timestamp, after, since};

/// Hints are collected for so long, because one change of the controller often causes several.
const COLLECT: Duration = Duration::from_millis(50);
/// What is expected, and changes nothing that we do, is asked for with the next question, at the latest after this.
const EXPECTED: Duration = Duration::from_secs(2);
/// From one question to the next.
const APART: Duration = Duration::from_millis(500);
/// A replica may lag behind the event.
const ONCE_MORE: Duration = Duration::from_secs(1);
/// Beyond that many a whole poll is made.
const MOST_WISHES: usize = 200;
/// As many as one question may ask for.
const AT_ONCE: usize = 20;
/// How long the controller is left in peace after it has shed load.
const AFTER_OVERLOAD: Duration = Duration::from_secs(10);
/// A feed that has told nothing of use for that long is not relied on: its token may be wrong, or the site does not log
/// changes of containers.
const RELIED_ON: Duration = Duration::from_secs(300);
/// Whole polls are made as rarely as that while the feed is relied on, but not more rarely than once a minute.
const RARER: u32 = 3;
const RAREST: Duration = Duration::from_secs(60);

/// Something that is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    /// When it was last hinted at: a poll that begins later fulfils it.
    heard: Timestamp,
    /// Not before then.
    due: Timestamp,
    /// It was asked for already, and the answer showed nothing new.
    again: bool,
}

impl Wish {
    fn new(now: Timestamp, wait: Duration) -> Self {
        Self { heard: now, due: after(now, wait), again: false }
    }

    /// Both, whichever is due first.
    fn and(self, other: Self) -> Self {
        Self {
            heard: self.heard.max(other.heard),
            due: self.due.min(other.due),
            again: self.again && other.again,
        }
    }

    fn add_to(self, place: &mut Option<Self>) {
        *place = Some(place.map_or(self, |it| it.and(self)));
    }
}

/// What we have of a container that is hinted at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Believed {
    /// Its state, as we believe.
    pub(super) state: ContainerState,
    /// Whether a call about it is under way, whose answer will tell.
    pub(super) is_changing: bool,
}

/// One question that hints have caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hinted {
    /// These containers.
    Known(Vec<ContainerUuid>),
    /// What is available; `again`: for the second time.
    Available {
        /// Whether the answer before has shown nothing new.
        again: bool,
    },
}

impl Hinted {
    pub(super) fn question(&self) -> ListQuestion {
        match self {
            Self::Known(uuids) => ListQuestion::Known { uuids: uuids.clone() },
            Self::Available { .. } => ListQuestion::Available { offset: 0 },
        }
    }
}

/// What is to be done about the wishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HintStep {
    /// Ask this, and hand the answer to [`Hints::answered`].
    Ask(Hinted),
    /// Make a whole poll.
    Poll,
    /// Look again then.
    Wait(Timestamp),
    /// Nothing, before the next hint, answer or poll.
    Nothing,
}

/// What the wishes depend on beside the hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HintContext {
    /// When the controller last answered 503.
    pub(super) last_overload: Option<Timestamp>,
    /// When the next whole poll may be made; `None`: one is under way.
    pub(super) poll_from: Option<Timestamp>,
}

/// The hints that wait, and how much the feed is to be relied on.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// Since when it is connected.
    connected: Option<Timestamp>,
    /// Whether it was told that it is silent, although it is connected.
    silence_told: bool,
    /// When a container or a request was last hinted at.
    last_heard: Option<Timestamp>,
    containers: BTreeMap<ContainerUuid, Wish>,
    available: Option<Wish>,
    everything: Option<Wish>,
    is_asking: bool,
    /// When the last question was asked.
    last_asked: Option<Timestamp>,
}

impl Hints {
    /// A container has changed, of which we have that.
    pub(super) fn container(
        &mut self,
        uuid: ContainerUuid,
        told: Option<ContainerState>,
        have: Option<Believed>,
        now: Timestamp,
    ) {
        self.last_heard = Some(now);
        let Some(have) = have else {
            // What is locked, runs or has ended without us is another's.
            if told.is_none_or(|state| state == ContainerState::Queued) {
                Wish::new(now, COLLECT).add_to(&mut self.available);
            }
            return;
        };
        if is_no_news(have, told) {
            return;
        }
        let wait = if is_expected(have.state, told) { EXPECTED } else { COLLECT };
        let wish = Wish::new(now, wait);
        self.containers.entry(uuid).and_modify(|it| *it = it.and(wish)).or_insert(wish);
        if self.containers.len() > MOST_WISHES {
            self.containers.clear();
            self.everything(now);
        }
    }

    /// A container request has changed.
    pub(super) fn requests(&mut self, now: Timestamp) {
        self.last_heard = Some(now);
        Wish::new(now, COLLECT).add_to(&mut self.available);
    }

    /// More has changed than can be told.
    pub(super) fn everything(&mut self, now: Timestamp) {
        Wish::new(now, COLLECT).add_to(&mut self.everything);
    }

    /// The feed has connected, or has lost its connection. True: it had not before.
    pub(super) fn connected(&mut self, is_connected: bool, now: Timestamp) -> bool {
        let is_news = self.is_connected() != is_connected;
        self.connected = is_connected.then(|| self.connected.unwrap_or(now));
        if is_connected || is_news {
            (self.silence_told, self.last_heard) = (false, self.last_heard.filter(|_| !is_connected));
            self.everything(now);
        }
        is_news
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected.is_some()
    }

    /// A poll has shown that containers change: whether the feed should have told so by now, and that was not told yet.
    pub(super) fn is_found_silent(&mut self, now: Timestamp) -> bool {
        let is_old = self.connected.is_some_and(|connected| since(now, connected) >= RELIED_ON);
        let is_silent = is_old && self.last_heard.is_none();
        is_silent && !std::mem::replace(&mut self.silence_told, true)
    }

    pub(super) fn last_heard(&self) -> Option<Timestamp> {
        self.last_heard
    }

    /// How many questions wait.
    pub(super) fn waiting(&self) -> usize {
        self.containers.len() + usize::from(self.available.is_some()) + usize::from(self.everything.is_some())
    }

    /// What is to be done now.
    pub(super) fn next(&mut self, context: HintContext, now: Timestamp) -> HintStep {
        let first = self.containers.values().map(|it| it.due).min();
        let questions = first.into_iter().chain(self.available.map(|it| it.due)).min();
        let question = questions.filter(|_| !self.is_asking).map(|due| {
            let peace = context.last_overload.map(|at| after(at, AFTER_OVERLOAD));
            let pace = self.last_asked.map(|at| after(at, APART));
            [peace, pace].into_iter().flatten().fold(due, Timestamp::max)
        });
        let poll = self.everything.zip(context.poll_from).map(|(wish, from)| wish.due.max(from));
        match (question, poll) {
            (_, Some(poll)) if poll <= now => HintStep::Poll,
            (Some(question), _) if question <= now => HintStep::Ask(self.ask(first, now)),
            (question, poll) => match question.into_iter().chain(poll).min() {
                Some(at) => HintStep::Wait(at),
                None => HintStep::Nothing,
            },
        }
    }

    /// The question whose turn it is: what was due first; `first`: of the containers.
    fn ask(&mut self, first: Option<Timestamp>, now: Timestamp) -> Hinted {
        (self.is_asking, self.last_asked) = (true, Some(now));
        let available = self.available.filter(|wish| first.is_none_or(|first| wish.due < first));
        if let Some(wish) = available {
            self.available = None;
            return Hinted::Available { again: wish.again };
        }
        // What was asked for in vain is not asked sooner than it was meant to be: a replica needs its time.
        let may_be_asked = |wish: &Wish| !wish.again || wish.due <= now;
        let wishes = self.containers.iter().filter(|(_, wish)| may_be_asked(wish));
        let mut by_due: Vec<_> = wishes.map(|(uuid, wish)| (wish.due, *uuid)).collect();
        by_due.sort_unstable();
        by_due.truncate(AT_ONCE);
        Hinted::Known(by_due.into_iter().map(|(_, uuid)| uuid).collect())
    }

    /// A question has been answered, or has failed; `is_news`: whether the answer shows something new of that container,
    /// or, if that is asked of none, something new that is available.
    pub(super) fn answered(
        &mut self,
        question: &Hinted,
        is_news: impl Fn(Option<ContainerUuid>) -> bool,
        now: Timestamp,
    ) {
        self.is_asking = false;
        let asked = self.last_asked.unwrap_or(now);
        let once_more = Wish { heard: asked, due: after(now, ONCE_MORE), again: true };
        match question {
            Hinted::Available { again } => {
                if !again && !is_news(None) {
                    once_more.add_to(&mut self.available);
                }
            }
            Hinted::Known(uuids) => {
                for uuid in uuids {
                    // What was heard meanwhile is asked anew.
                    let Some(wish) = self.containers.get(uuid).filter(|it| it.heard <= asked).copied() else {
                        continue;
                    };
                    self.containers.remove(uuid);
                    if !wish.again && !is_news(Some(*uuid)) {
                        self.containers.insert(*uuid, once_more);
                    }
                }
            }
        }
    }

    /// A whole poll that began then has succeeded: it has shown all that was hinted at before. What was hinted at only a
    /// moment before may have been hidden by a replica, and is asked for all the same.
    pub(super) fn polled(&mut self, began: Timestamp) {
        let is_late = |wish: &Wish| after(wish.heard, ONCE_MORE) > began;
        self.containers.retain(|_, wish| is_late(wish));
        self.available = self.available.filter(is_late);
        self.everything = self.everything.filter(|it| it.heard > began);
    }

    /// How long to wait from one whole poll to the next, instead of `interval`. O(1).
    pub(super) fn poll_interval(&self, interval: Duration, now: Timestamp) -> Duration {
        let is_relied_on =
            self.is_connected() && self.last_heard.is_some_and(|heard| since(now, heard) < RELIED_ON);
        if is_relied_on { rarest_poll_interval(interval) } else { interval }
    }
}

/// How rare whole polls may be while an event feed is relied on.
pub fn rarest_poll_interval(interval: Duration) -> Duration {
    interval.saturating_mul(RARER).min(RAREST).max(interval)
}

/// Whether it tells what we have, or what a call of ours leads to. While a container runs its record may also say that the
/// cloud will take its VM.
fn is_no_news(have: Believed, told: Option<ContainerState>) -> bool {
    let is_ours = have.is_changing && matches!(told, Some(ContainerState::Queued | ContainerState::Locked));
    let is_same = told == Some(have.state) && have.state != ContainerState::Running;
    is_ours || is_same
}

/// Whether that is how containers go on, so that nothing depends on when we know it.
fn is_expected(have: ContainerState, told: Option<ContainerState>) -> bool {
    matches!(have, ContainerState::Locked | ContainerState::Running)
        && matches!(told, Some(ContainerState::Running | ContainerState::Complete))
}

#[cfg(test)]
mod tests;

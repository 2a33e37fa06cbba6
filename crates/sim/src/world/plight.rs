//! What befalls the dispatcher's own process and machine, and the lock that it acts under.
//!
//! ```text
//!   stopped      its tasks are not run: what it has sent arrives, what it would do now it does late
//!   own side     no connection or process can be made here: every command fails at once
//!   lock         a question every 2 s ─► answered, or only when the database speaks again ─► Confirmations ─► Lease
//! ```
//! One per incarnation. Never does: judging. It only says whether an action that is handed over now is covered by the
//! lock, counted anew from the questions, so that the judge does not believe the lease that it judges.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use dispatch_actors::lease::{self, Confirmations};
use dispatch_core::time::{Timestamp, after};

use crate::clock;

/// How often the database is asked.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(5);

/// What has befallen one incarnation.
#[derive(Debug)]
pub(super) struct Plight {
    /// The incarnation has ended. Calls of it that still hang keep this alive.
    is_over: Cell<bool>,
    stopped_until: Cell<Timestamp>,
    own_side_fails_from: Cell<Timestamp>,
    own_side_fails_until: Cell<Timestamp>,
    database_silent_until: Cell<Timestamp>,
    /// When the last question was sent that has confirmed the lock.
    confirmed: Cell<Option<Timestamp>>,
    /// Runs the process on, once it is no longer stopped.
    waker: RefCell<Option<Waker>>,
}

impl Plight {
    /// Nothing so far.
    pub(super) fn none() -> Rc<Self> {
        let long_ago = Timestamp::MIN;
        Rc::new(Self {
            is_over: Cell::new(false),
            stopped_until: Cell::new(long_ago),
            own_side_fails_from: Cell::new(long_ago),
            own_side_fails_until: Cell::new(long_ago),
            database_silent_until: Cell::new(long_ago),
            confirmed: Cell::new(None),
            waker: RefCell::default(),
        })
    }

    /// The incarnation has ended: what befalls its machine from now on is nobody's.
    pub(super) fn leave(&self) {
        self.is_over.set(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// The process is stopped for that long, and is to be woken by [`Plight::wake`].
    pub(super) fn stop_for(&self, length: Duration) {
        self.stopped_until.set(after(clock::now(), length));
    }

    /// Whether it is stopped; if so, it is run on by [`Plight::wake`].
    pub(super) fn is_stopped(&self, context: &Context<'_>) -> bool {
        self.waker.replace(Some(context.waker().clone()));
        clock::now() < self.stopped_until.get()
    }

    /// It is no longer stopped.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn fail_own_side_for(&self, length: Duration) {
        if !self.own_side_fails() {
            self.own_side_fails_from.set(clock::now());
        }
        let until = after(clock::now(), length);
        self.own_side_fails_until.set(self.own_side_fails_until.get().max(until));
    }

    /// Since when it fails, if it does.
    pub(super) fn own_side_fails_since(&self) -> Option<Timestamp> {
        self.own_side_fails().then(|| self.own_side_fails_from.get())
    }

    pub(super) fn own_side_fails(&self) -> bool {
        clock::now() < self.own_side_fails_until.get()
    }

    pub(super) fn silence_database_for(&self, length: Duration) {
        self.database_silent_until.set(after(clock::now(), length));
    }

    /// Everything works again.
    pub(super) fn end(&self) {
        let now = clock::now();
        for until in [&self.own_side_fails_until, &self.database_silent_until] {
            until.set(until.get().min(now));
        }
    }

    /// Whether the lock was confirmed by a question that was sent lately enough.
    pub(super) fn may_act(&self) -> bool {
        self.confirmed.get().is_some_and(|asked| clock::now() < after(asked, lease::LASTS))
    }

    /// Asks the database for as long as the process lives.
    pub(super) async fn keep_confirming(self: Rc<Self>, confirmations: Confirmations) {
        loop {
            let (asked, told) = (clock::now(), confirmations.now());
            tokio::time::sleep(ANSWER).await;
            while clock::now() < self.database_silent_until.get() {
                clock::sleep_until(self.database_silent_until.get()).await;
            }
            self.confirmed.set(Some(asked));
            confirmations.confirmed(told);
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }
}

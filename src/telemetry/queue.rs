//! Which lines wait for a slow stderr, and which are left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use slog::{Drain, Level, OwnedKVList, Record, o};

/// Lines that may wait for a slow stderr.
pub(super) const WAITING_LINES: usize = 8192;
/// Warnings and errors that may wait besides.
const WAITING_ALARMS: usize = 8192;
/// What the channel has room for.
pub(super) const CAPACITY: usize = WAITING_LINES + WAITING_ALARMS;

/// How many lines wait in the channel, and how many were left out.
#[derive(Default)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    left_out: AtomicUsize,
}

impl Queue {
    /// Whether there is room in the channel for a line of that level; if so, it counts as waiting.
    pub(super) fn has_room(&self, level: Level) -> bool {
        let bound = if level.is_at_least(Level::Warning) { CAPACITY } else { WAITING_LINES };
        let one_more = |waiting: usize| (waiting < bound).then_some(waiting + 1);
        let has_room = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if !has_room {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// A line has left the channel; returns how many were left out before it.
    fn left(&self) -> usize {
        // The channel's own report has not been counted, so the number is not taken below zero.
        let one_less = |waiting: usize| waiting.checked_sub(1);
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        self.left_out.swap(0, Ordering::Relaxed)
    }
}

/// The channel's other end: takes note of each line that leaves it, and tells how many were left out.
pub(super) struct Leaving<D> {
    pub drain: D,
    pub queue: Arc<Queue>,
}

impl<D: Drain<Ok = ()>> Drain for Leaving<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), D::Err> {
        let left_out = self.queue.left();
        if left_out > 0 {
            let message = "log lines were dropped: more were logged than could be written";
            let place = slog::record_static!(Level::Warning, "");
            let facts = slog::b!("Repeated" => left_out);
            self.drain.log(&Record::new(&place, &format_args!("{message}"), facts), &o!().into())?;
        }
        self.drain.log(record, values)
    }
}

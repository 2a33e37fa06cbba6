//! What the exchange holds, to be shown to developers.

use serde::Serialize;

use super::Exchange;
use super::requests::RequestsState;
use crate::queue::QueueSnapshot;
use crate::time::Timestamp;

/// What the exchange holds, and what is in flight since when.
#[derive(Debug, Serialize)]
pub struct ExchangeState {
    /// The containers, with the operation that is in flight on each.
    queue: QueueSnapshot,
    calls: CallsState,
    polls: PollsState,
    hints: HintsState,
    /// A call for mounts is waiting or in flight.
    fetching_mounts: bool,
    /// How many containers' mounts the next call asks for.
    mounts_at_once: usize,
    /// Who is tried for which request.
    requests: RequestsState,
    /// Told to stop.
    quiescent: bool,
}

#[derive(Debug, Serialize)]
struct CallsState {
    in_flight: Vec<ExchangeCallState>,
    waiting: usize,
    /// How many may be in flight.
    limit: u32,
    /// Nothing is sent before then.
    quiet_until: Option<Timestamp>,
    last_overload: Option<Timestamp>,
    /// No operation is begun before then, because the controller is in trouble.
    operations_paused_until: Option<Timestamp>,
    /// No operation is begun before a poll has ended, because the picture is old.
    operations_wait_for_poll: bool,
}

#[derive(Debug, Serialize)]
struct ExchangeCallState {
    number: u64,
    call: &'static str,
    since: Timestamp,
}

#[derive(Debug, Serialize)]
struct PollsState {
    under_way_since: Option<Timestamp>,
    next: Option<Timestamp>,
    last_success: Option<Timestamp>,
    failing_since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct HintsState {
    /// Whether the event feed is connected.
    connected: bool,
    /// When it has last told of a container or a container request.
    last_heard: Option<Timestamp>,
    /// How many questions wait.
    waiting: usize,
}

impl Exchange {
    /// What it holds; O(containers).
    pub fn inspect(&self, now: Timestamp) -> ExchangeState {
        ExchangeState {
            queue: self.queue.snapshot(),
            calls: self.inspect_calls(now),
            polls: PollsState {
                under_way_since: self.polls.under_way,
                next: self.polls.next,
                last_success: self.polls.last_success,
                failing_since: self.polls.failing_since,
            },
            hints: HintsState {
                connected: self.hints.is_connected(),
                last_heard: self.hints.last_heard(),
                waiting: self.hints.waiting(),
            },
            fetching_mounts: self.fetching_mounts,
            mounts_at_once: self.mounts_at_once,
            requests: self.requests.state(),
            quiescent: self.quiescent,
        }
    }

    fn inspect_calls(&self, now: Timestamp) -> CallsState {
        let in_flight = self.calls.in_flight().map(|(number, call)| ExchangeCallState {
            number: number.0,
            call: call.call,
            since: call.since,
        });
        let limiter = self.calls.limiter();
        CallsState {
            in_flight: in_flight.collect(),
            waiting: self.calls.waiting(),
            limit: limiter.width(),
            quiet_until: limiter.quiet_until(now),
            last_overload: self.calls.last_overload(),
            operations_paused_until: self.queue.operations_pause_until(now),
            operations_wait_for_poll: self.calls.waits_for_poll(),
        }
    }
}

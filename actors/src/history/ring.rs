//! The last events, bounded in number and in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use dispatch_core::id::ContainerUuid;

/// How many events are kept.
pub(super) const EVENTS: usize = 50_000;
/// How many bytes they may have together.
pub(super) const BYTES: usize = 32 << 20;

/// An event that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Its number: each is greater than the one before, by one unless events were left out between them.
    pub seq: u64,
    /// The container that it is about.
    pub container: Option<ContainerUuid>,
    /// The instance that it is about; empty if it is about none.
    pub instance: Arc<str>,
    /// A JSON object of one line: `time`, `level`, `msg` and the facts, as in the log.
    pub json: Arc<str>,
}

/// The last events, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Happened>,
    bytes: usize,
    most: (usize, usize),
}

impl Default for Ring {
    fn default() -> Self {
        Self::with_room(EVENTS, BYTES)
    }
}

impl Ring {
    pub(super) fn with_room(events: usize, bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, most: (events, bytes) }
    }

    /// Adds one, whose number is greater than all before, and forgets the oldest beyond the bounds.
    pub(super) fn push(&mut self, event: Happened) {
        self.bytes += event.json.len();
        self.events.push_back(event);
        while self.events.len() > self.most.0 || self.bytes > self.most.1 {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.json.len();
        }
    }

    /// The number of the oldest that is kept.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.events.front().map(|event| event.seq)
    }

    /// Those after that number, oldest first. O(log events) to find the first.
    pub(super) fn after(&self, seq: u64) -> impl DoubleEndedIterator<Item = &Happened> {
        let first = self.events.partition_point(|event| event.seq <= seq);
        self.events.range(first..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, json: &str) -> Happened {
        Happened { seq, container: None, instance: "".into(), json: json.into() }
    }

    fn seqs(ring: &Ring, after: u64) -> Vec<u64> {
        ring.after(after).map(|event| event.seq).collect()
    }

    #[test]
    fn the_oldest_are_forgotten_by_number_and_by_bytes() {
        let mut ring = Ring::with_room(3, 10);
        for seq in 1..=5 {
            ring.push(event(seq, "{}"));
        }
        assert_eq!((seqs(&ring, 0), ring.oldest()), (vec![3, 4, 5], Some(3)));
        ring.push(event(6, "12345678"));
        assert_eq!((seqs(&ring, 0), ring.bytes), (vec![5, 6], 10));
        ring.push(event(7, "longer than all there is room for"));
        assert_eq!((seqs(&ring, 0), ring.bytes), (vec![], 0));
    }

    #[test]
    fn those_after_a_number_are_found_whether_it_is_kept_or_not() {
        let mut ring = Ring::default();
        for seq in [1, 2, 7, 8] {
            ring.push(event(seq, "{}"));
        }
        assert_eq!((seqs(&ring, 0), seqs(&ring, 2), seqs(&ring, 9)), (vec![1, 2, 7, 8], vec![7, 8], vec![]));
    }
}

//! How far a poll looks: what cannot be placed must not hide what can.

use super::*;
use crate::container::ContainerState::Queued;
use crate::fixtures::record;
use crate::id::TypeName;
use crate::policy::{Policy, PollWindow};
use crate::ports::ApiErrorKind;

/// How many records the server puts on a page.
const PAGE: usize = 100;

/// A server with these waiting containers, in this order, and a queue.
struct Site {
    queue: ContainerQueue,
    waiting: Vec<Record>,
    began: i64,
    /// The types that are open; `None` = not known.
    open: Option<Vec<&'static str>>,
    /// The offsets that the last poll asked for.
    offsets: Vec<usize>,
}

impl Site {
    fn new(waiting: impl IntoIterator<Item = Record>) -> Self {
        Self {
            queue: queue(),
            waiting: waiting.into_iter().collect(),
            began: 0,
            open: None,
            offsets: Vec::new(),
        }
    }

    fn open(&mut self, types: &[&'static str]) {
        self.open = Some(types.to_vec());
        self.plan();
    }

    /// What a plan tells of the queue as it is: who wants none of the open types has no place.
    fn plan(&mut self) {
        let Some(open) = &self.open else { return };
        let snapshot = self.queue.snapshot();
        let is_placed = |entry: &Entry| entry.types().iter().any(|it| open.contains(&it.name.as_str()));
        let unplaced = snapshot.entries.iter().filter(|entry| !is_placed(entry));
        let openings = Openings {
            creatable: open.iter().map(|name| TypeName::new(name).unwrap()).collect(),
            supervisors: true,
            unplaced: unplaced.map(|entry| entry.record.uuid).collect(),
            ..Openings::default()
        };
        self.queue.set_openings(Some(Arc::new(openings)));
    }

    fn poll(&mut self) {
        self.began += 10;
        self.offsets.clear();
        let mut poll = self.queue.begin_poll(at(self.began)).unwrap();
        while let Some(question) = poll.question() {
            let answer = self.answer(&question);
            poll.answer(answer, &self.queue, &policy()).unwrap();
        }
        self.queue.merge(poll, at(self.began));
        let mounts = self.queue.unsized_containers(usize::MAX).into_iter();
        let mounts = mounts.map(|uuid| (uuid, Ok(MountNeeds::default()))).collect();
        self.queue.take_mounts(&mounts, &policy(), at(self.began));
        self.plan();
    }

    fn answer(&mut self, question: &ListQuestion) -> Page<Record> {
        let items = match question {
            ListQuestion::Mine { .. } => Vec::new(),
            ListQuestion::Available { offset } => {
                self.offsets.push(*offset);
                self.waiting.iter().skip(*offset).take(PAGE).cloned().collect()
            }
            ListQuestion::Known { uuids } => {
                self.waiting.iter().filter(|it| uuids.contains(&it.uuid)).cloned().collect()
            }
        };
        Page { items, undecodable: Vec::new() }
    }

    fn sees(&self, n: u64) -> bool {
        self.queue.snapshot().get(uuid(n)).is_some()
    }
}

/// Wants a spot instance of four VCPUs, which only `big.spot` is.
fn large_on_spot(n: u64) -> Record {
    let mut record = record(n, Queued, 5);
    record.runtime_constraints.vcpus = 4;
    record.scheduling.preemptible = true;
    record
}

#[test]
fn what_cannot_be_placed_does_not_hide_what_can() {
    let hidden = record(9_999, Queued, 1);
    let mut site = Site::new((1..=1_200).map(large_on_spot).chain([hidden]));
    site.open(&["small"]);
    site.poll();
    assert!(site.sees(9_999));
    assert_eq!(site.queue.snapshot().entries.len(), 101, "what is far and has no place is not kept");
}

#[test]
fn if_nothing_can_be_placed_one_page_is_enough() {
    let mut site = Site::new((1..=1_200).map(large_on_spot));
    site.open(&[]);
    site.poll();
    assert_eq!(site.offsets, [0]);
}

/// Nobody waits for a place to learn that there is none for it anywhere.
#[test]
fn what_fits_no_type_is_seen_within_a_minute_though_nothing_can_be_placed() {
    let misfit = |n, is_supervisor| {
        let mut record = record(n, Queued, 1);
        record.runtime_constraints.vcpus = 10_000;
        record.scheduling.supervisor = is_supervisor;
        record
    };
    let waiting = (1..=1_200).map(large_on_spot).chain([misfit(9_998, true), misfit(9_999, false)]);
    let mut site = Site::new(waiting);
    site.open(&[]);
    for _ in 0..6 {
        site.poll();
        assert_eq!(site.offsets, [0]);
    }
    site.poll();
    assert_eq!(site.offsets.len(), 14, "thirteen pages, and the end");
    assert!(site.sees(9_998) && site.sees(9_999));
    assert_eq!(site.queue.snapshot().entries.len(), 102, "what is far and has no place is not kept");
    for _ in 0..6 {
        site.poll();
        assert_eq!(site.offsets, [0], "and then a minute's rest");
    }
}

#[test]
fn if_everything_can_be_placed_no_more_is_asked_for_than_fills_the_horizon() {
    let mut site = Site::new((1..=1_200).map(|n| record(n, Queued, 5)));
    site.open(&["small"]);
    for _ in 0..3 {
        site.poll();
        assert_eq!(site.offsets, [0]);
    }
}

#[test]
fn a_poll_reads_at_most_twenty_pages_and_the_next_goes_on_from_there() {
    let hidden = record(9_999, Queued, 1);
    let mut site = Site::new((1..=5_000).map(large_on_spot).chain([hidden]));
    site.open(&["small"]);
    site.poll();
    assert_eq!((site.offsets.len(), site.offsets[19]), (20, 1_900));
    site.poll();
    assert_eq!((site.offsets.len(), site.offsets[1], site.offsets[19]), (20, 2_000, 3_800));
    assert!(!site.sees(9_999));
    site.poll();
    assert!(site.sees(9_999));
    site.poll();
    assert_eq!(site.offsets[1], 100, "it begins anew");
}

/// Otherwise those that it shows would be dropped and read again with every change of the gates.
#[test]
fn while_nothing_is_open_the_window_stays() {
    let mut site = Site::new((1..=5_000).map(large_on_spot));
    site.open(&["small"]);
    site.poll();
    site.open(&[]);
    site.poll();
    site.open(&["small"]);
    site.poll();
    assert_eq!(site.offsets[1], 2_000);
}

/// A cluster that is full but for crumbs, in which nothing that waits fits.
#[test]
fn a_pass_that_found_nothing_is_not_repeated_for_a_minute_or_until_more_is_open() {
    let mut site = Site::new((1..=500).map(large_on_spot));
    site.open(&["small"]);
    site.poll();
    assert_eq!(site.offsets.len(), 6, "five pages, and the end");
    for _ in 0..5 {
        site.poll();
        assert_eq!(site.offsets, [0]);
    }
    site.poll();
    assert_eq!(site.offsets.len(), 6, "a minute has passed");
    site.open(&["small", "big"]);
    site.poll();
    assert_eq!(site.offsets.len(), 6, "more is open");
}

/// The record and what is free look as if it fitted: only the plan knows better.
#[test]
fn what_the_plan_could_not_place_does_not_fill_the_horizon() {
    let mut site = Site::new((1..=300).map(|n| record(n, Queued, 5)).chain([record(9_999, Queued, 1)]));
    site.open(&["small"]);
    for seen in [100, 200, 300] {
        site.poll();
        let snapshot = site.queue.snapshot();
        assert_eq!(snapshot.entries.len(), seen);
        let unplaced = snapshot.entries.iter().map(|entry| entry.record.uuid).collect();
        let creatable = [TypeName::new("small").unwrap()].into();
        let openings = Openings { creatable, supervisors: true, unplaced, ..Openings::default() };
        site.queue.set_openings(Some(Arc::new(openings)));
    }
    site.poll();
    assert!(site.sees(9_999));
}

#[test]
fn supervisors_without_room_do_not_hide_other_containers() {
    let supervisor = |n| {
        let mut record = record(n, Queued, 5);
        record.scheduling.supervisor = true;
        record
    };
    let mut misfit = supervisor(9_998);
    misfit.runtime_constraints.vcpus = 10_000;
    let mut site = Site::new((1..=300).map(supervisor).chain([misfit, record(9_999, Queued, 1)]));
    let policy: Policy = policy();
    let creatable = policy.catalog.types().iter().map(|it| it.name.clone()).collect();
    let openings = Openings { creatable, supervisors: false, ..Openings::default() };
    site.queue.set_openings(Some(Arc::new(openings)));
    site.poll();
    assert!(site.sees(9_999));
    assert!(site.sees(9_998), "one that fits no type is to be cancelled, and needs no room");
}

#[test]
fn a_container_that_is_set_back_does_not_fill_the_horizon() {
    let mut site = Site::new((1..=100).map(|n| record(n, Queued, 5)).chain([record(9_999, Queued, 1)]));
    site.open(&["small"]);
    site.poll();
    assert_eq!(site.offsets, [0]);
    for n in 1..=100 {
        site.queue.begin(uuid(n), OperationKind::Lock).unwrap();
        let refused = crate::fixtures::api_error(ApiErrorKind::Refused);
        site.queue.answered(uuid(n), Answer::Standing(Err(refused)), at(site.began));
        site.queue.answered(uuid(n), Answer::Record(Ok(record(n, Queued, 5))), at(site.began + 5));
    }
    site.poll();
    assert!(site.sees(9_999));
}

/// Otherwise it would be tried, dropped and taken in again without end, each time as if nothing had failed.
#[test]
fn what_failed_for_a_container_is_remembered_while_it_is_beyond_the_horizon() {
    let mut site = Site::new((1..=500).map(large_on_spot).chain([record(9_999, Queued, 1)]));
    site.open(&["small"]);
    site.poll();
    // The first try fails again before a pass is left out.
    for (failures, retried_at, was_dropped) in [(1, 20, false), (2, 80, true), (3, 150, true)] {
        let failed_at = at(site.began + 1);
        let entry = site.queue.entry_mut(uuid(9_999)).unwrap();
        let before = entry.setback.take();
        entry.setback =
            Some(Setback::after(before.as_ref(), SetbackCause::Lock, "no".to_owned(), false, failed_at));
        let is_tried =
            |site: &Site| site.queue.entry(uuid(9_999)).is_some_and(|it| !it.is_set_back(SetbackCause::Lock));
        let mut dropped = false;
        while !is_tried(&site) {
            site.poll();
            dropped |= !site.sees(9_999);
        }
        let setback = site.queue.entry(uuid(9_999)).unwrap().setback.as_ref().unwrap();
        assert_eq!((setback.failures, site.began, dropped), (failures, retried_at, was_dropped));
    }
}

/// For measurements of a large queue.
#[test]
fn with_the_window_open_all_is_read_and_kept_whatever_can_be_placed() {
    let mut site = Site::new((1..=3_000).map(large_on_spot));
    site.queue.set_poll_window(PollWindow::Whole);
    for open in [None, Some(vec![]), Some(vec!["small"])] {
        site.open = open;
        site.poll();
        site.poll();
        assert_eq!(site.queue.snapshot().entries.len(), 3_000, "{:?}", site.open);
        assert_eq!(site.offsets.len(), 31, "all pages, and an empty one");
    }
}

//! The queue without a server: polls, merges, operations, looks.

mod absence;
mod dates;
mod exchange;
mod feed;
mod horizon;
mod market;
mod merging;
mod operations;
mod polling;
mod presence;
mod properties;
mod reload;
mod requests;

use super::*;
use crate::container::{ContainerState, MountNeeds, Record};
use crate::fixtures::{at, me, policy, uuid};
use crate::ports::{ListQuestion, Page, Undecodable};

fn queue() -> ContainerQueue {
    let mut queue = ContainerQueue::new(10);
    queue.set_me(me());
    queue
}

fn page(items: Vec<Record>) -> Page<Record> {
    Page { items, undecodable: Vec::new() }
}

fn poison(uuid: Option<ContainerUuid>) -> Page<Record> {
    let undecodable = vec![Undecodable { uuid, reason: "priority: not a number".to_owned() }];
    Page { items: Vec::new(), undecodable }
}

/// What a well-behaved server that has these records, in whole pages, answers.
fn server_answer(records: &[Record], question: &ListQuestion) -> Page<Record> {
    let chosen =
        |wanted: &dyn Fn(&Record) -> bool| page(records.iter().filter(|it| wanted(it)).cloned().collect());
    match question {
        ListQuestion::Mine { me, after } => {
            chosen(&|it| it.locked_by == Some(*me) && after.is_none_or(|after| it.uuid > after))
        }
        ListQuestion::Available { offset } => {
            let mut all = chosen(&|it| it.state == ContainerState::Queued && it.priority > 0);
            all.items = all.items.split_off((*offset).min(all.items.len()));
            all
        }
        ListQuestion::Known { uuids } => chosen(&|it| uuids.contains(&it.uuid)),
    }
}

/// Asks all questions of a poll that has begun.
fn ask(poll: &mut Poll, queue: &ContainerQueue, records: &[Record]) {
    while let Some(question) = poll.question() {
        poll.answer(server_answer(records, &question), queue, &policy()).unwrap();
    }
}

/// One whole poll, and the sizing of what is new.
fn poll(queue: &mut ContainerQueue, records: &[Record], began: i64) -> Vec<QueueFact> {
    let mut poll = queue.begin_poll(at(began)).unwrap();
    ask(&mut poll, queue, records);
    let mut facts = queue.merge(poll, at(began));
    let mounts = queue
        .unsized_containers(usize::MAX)
        .into_iter()
        .map(|uuid| (uuid, Ok(MountNeeds::default())))
        .collect();
    facts.extend(queue.take_mounts(&mounts, &policy(), at(began)));
    facts
}

fn state_of(queue: &ContainerQueue, n: u64) -> Option<ContainerState> {
    queue.snapshot().get(uuid(n)).map(|entry| entry.record.state)
}

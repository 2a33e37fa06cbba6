//! The mounts of containers that are not sized yet, 50 in one call; while that goes on, everything else does too.
//!
//! ```text
//!   50 at once ─ answered ─► sized ─► the next 50
//!        └ fails, maybe because of one of them ─► one by one ─ fails ─► that one is set back
//!        └ fails for another reason ─► half as many are asked for after the next poll; one alone is set back
//! ```
//! Even a container whose mounts make the controller hang is found in this way, and no other waits for it.

use std::collections::BTreeMap;

use super::calls::{Purpose, Request};
use super::{Exchange, ExchangeEffect, ExchangeFact};
use crate::container::MountNeeds;
use crate::id::ContainerUuid;
use crate::ports::{ApiError, Page};
use crate::queue::suspects::may_be_one_record;
use crate::time::Timestamp;

/// How many containers' mounts one call asks for at most.
pub(super) const MOUNTS_AT_ONCE: usize = 50;

type MountsPage = Page<(ContainerUuid, MountNeeds)>;

impl Exchange {
    pub(super) fn fetch_mounts(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        if self.fetching_mounts {
            return;
        }
        let uuids = self.queue.unsized_containers(self.mounts_at_once);
        if uuids.is_empty() {
            return;
        }
        self.fetching_mounts = true;
        self.ask_requests(&uuids, now, effects);
        self.call(Request::Mounts(uuids.clone()), Purpose::Mounts(uuids), now, effects);
    }

    pub(super) fn mounts_answered(
        &mut self,
        asked: Vec<ContainerUuid>,
        answer: Result<MountsPage, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        match answer {
            Ok(page) => {
                self.take_mounts(&asked, page, now, effects);
                self.mounts_fetched(now, effects);
            }
            // One record spoils the answer: asked one by one, it hurts only itself.
            Err(error) if may_be_one_record(error.kind) => self.fetch_mounts_singly(asked, now, effects),
            Err(error) => self.mounts_failed(&asked, &error, now, effects),
        }
    }

    /// One after the other: a controller in trouble is not asked fifty things at once.
    fn fetch_mounts_singly(
        &mut self,
        mut rest: Vec<ContainerUuid>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        match rest.pop() {
            None => self.mounts_fetched(now, effects),
            Some(uuid) => {
                let purpose = Purpose::SingleMounts(uuid, rest);
                self.call(Request::Mounts(vec![uuid]), purpose, now, effects);
            }
        }
    }

    pub(super) fn single_mounts_answered(
        &mut self,
        uuid: ContainerUuid,
        rest: Vec<ContainerUuid>,
        answer: Result<MountsPage, ApiError>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        match answer {
            Ok(page) => self.take_mounts(&[uuid], page, now, effects),
            Err(error) if may_be_one_record(error.kind) => {
                self.take_answers(&BTreeMap::from([(uuid, Err(error.to_string()))]), now, effects);
            }
            Err(error) => return self.mounts_failed(&[uuid], &error, now, effects),
        }
        self.fetch_mounts_singly(rest, now, effects);
    }

    /// A container that was asked for and is neither shown nor explained is set back: a later poll tells what became of
    /// it. So each answer settles all that it was asked for, and nothing waits behind it.
    fn take_mounts(
        &mut self,
        asked: &[ContainerUuid],
        page: MountsPage,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let silent = asked.iter().map(|uuid| (*uuid, Err("the answer about its mounts lacks it".to_owned())));
        let mut answers: BTreeMap<_, _> = silent.collect();
        let good = page.items.into_iter().map(|(uuid, needs)| (uuid, Ok(needs)));
        let poison = page.undecodable.into_iter().filter_map(|it| Some((it.uuid?, Err(it.reason))));
        answers.extend(good.chain(poison).filter(|(uuid, _)| asked.contains(uuid)));
        self.take_answers(&answers, now, effects);
    }

    fn take_answers(
        &mut self,
        answers: &BTreeMap<ContainerUuid, Result<MountNeeds, String>>,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        let facts = self.queue.take_mounts(answers, &self.policy, now);
        effects.extend(facts.into_iter().map(ExchangeFact::Queue).map(ExchangeEffect::Tell));
        self.changed(effects);
    }

    /// All that was asked for is settled: there may be more.
    fn mounts_fetched(&mut self, now: Timestamp, effects: &mut Vec<ExchangeEffect>) {
        self.fetching_mounts = false;
        self.mounts_at_once = MOUNTS_AT_ONCE.min(2 * self.mounts_at_once);
        self.fetch_mounts(now, effects);
    }

    /// Maybe the controller is in trouble, maybe one container makes it hang: fewer are asked for after the next
    /// poll, until one alone has failed.
    fn mounts_failed(
        &mut self,
        asked: &[ContainerUuid],
        error: &ApiError,
        now: Timestamp,
        effects: &mut Vec<ExchangeEffect>,
    ) {
        self.fetching_mounts = false;
        self.mounts_at_once = (self.mounts_at_once / 2).max(1);
        self.queue.look_for_unsized_again();
        if let [alone] = asked {
            self.queue.mounts_failed(*alone, error, now);
            self.changed(effects);
        }
        self.polls.failed(now, error.to_string(), error.kind.as_str(), effects);
        self.want_poll(now, effects);
    }
}

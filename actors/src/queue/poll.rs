//! Polls: questions in turn, then the mounts of what is new.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{AsyncContext, Context};
use dispatch_core::container::MountNeeds;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ApiError, ApiErrorKind, ListQuestion, Page};
use dispatch_core::queue::Poll;
use dispatch_core::time::{Timestamp, since};

use super::Queue;
use crate::clock;

/// A call's name in metrics.
fn name_of(question: &ListQuestion) -> &'static str {
    match question {
        ListQuestion::Mine { .. } => "list_mine",
        ListQuestion::Available { .. } => "list_available",
        ListQuestion::Known { .. } => "list_known",
    }
}

impl Queue {
    /// Begins a poll; asks who we are first, if we do not know.
    pub(super) fn poll(&mut self, ctx: &mut Context<Self>) {
        if self.polling || self.quiescent {
            return;
        }
        self.polling = true;
        let began = clock::now();
        match self.queue.begin_poll(began) {
            Some(poll) => self.ask(poll, ctx),
            None => self.call(
                "current",
                |api| async move { api.current_token().await },
                move |act, answer, ctx| match answer {
                    Ok(me) => {
                        act.queue.set_me(me);
                        act.snapshot = None;
                        act.polling = false;
                        act.poll(ctx);
                    }
                    Err(error) => act.poll_failed(began, &error.to_string(), error.kind.as_str(), ctx),
                },
                ctx,
            ),
        }
    }

    fn ask(&mut self, poll: Poll, ctx: &mut Context<Self>) {
        let Some(question) = poll.question() else { return self.finish_poll(poll, ctx) };
        self.call(
            name_of(&question),
            move |api| async move { api.list(&question).await },
            move |act, answer, ctx| act.take_page(poll, answer, ctx),
            ctx,
        );
    }

    fn take_page(
        &mut self,
        mut poll: Poll,
        answer: Result<Page<dispatch_core::container::Record>, ApiError>,
        ctx: &mut Context<Self>,
    ) {
        let began = poll.began();
        match answer {
            Err(error) => self.poll_failed(began, &error.to_string(), error.kind.as_str(), ctx),
            Ok(page) => match poll.answer(page, &self.queue) {
                Ok(()) => self.ask(poll, ctx),
                Err(error) => self.poll_failed(began, &error.to_string(), "malformed", ctx),
            },
        }
    }

    fn finish_poll(&mut self, poll: Poll, ctx: &mut Context<Self>) {
        let began = poll.began();
        let facts = self.queue.merge(poll, clock::now());
        self.last_success = Some(clock::now());
        self.report(facts);
        self.report_poll_recovered();
        self.changed();
        self.fetch_mounts(ctx);
        self.poll_later(began, ctx);
    }

    /// A failed poll changes nothing: the last good picture stays.
    fn poll_failed(&mut self, began: Timestamp, error: &str, kind: &'static str, ctx: &mut Context<Self>) {
        self.report_poll_failed(began, error, kind);
        self.poll_later(began, ctx);
    }

    /// Every `PollInterval`, but never sooner than this poll took.
    fn poll_later(&mut self, began: Timestamp, ctx: &mut Context<Self>) {
        self.polling = false;
        let took = since(clock::now(), began);
        let rest = self.policy.poll_interval.saturating_sub(took).max(took).max(Duration::from_millis(1));
        self.unanswered_looks.clear();
        ctx.run_later(rest, Self::poll);
    }

    /// Asks for the mounts of containers that are not sized yet, 50 in one call; while that goes on,
    /// everything else does too.
    pub(super) fn fetch_mounts(&mut self, ctx: &mut Context<Self>) {
        let uuids = self.queue.unsized_containers();
        if self.fetching_mounts || uuids.is_empty() {
            return;
        }
        self.fetching_mounts = true;
        let asked = uuids.clone();
        self.call(
            "mounts",
            move |api| async move { api.mounts(&uuids).await },
            move |act, answer, ctx| match answer {
                Ok(page) => {
                    act.take_mounts(&asked, page);
                    act.mounts_fetched(ctx);
                }
                // One record spoils the answer: asked one by one, it hurts only itself.
                Err(error) if may_be_poison(error.kind) => act.fetch_mounts_singly(asked, ctx),
                Err(error) => act.mounts_failed(&error),
            },
            ctx,
        );
    }

    /// One after the other: a controller in trouble is not asked fifty things at once.
    fn fetch_mounts_singly(&mut self, mut rest: Vec<ContainerUuid>, ctx: &mut Context<Self>) {
        let Some(uuid) = rest.pop() else { return self.mounts_fetched(ctx) };
        self.call(
            "mounts",
            move |api| async move { api.mounts(&[uuid]).await },
            move |act, answer, ctx| {
                match answer {
                    Ok(page) => act.take_mounts(&[uuid], page),
                    Err(error) if may_be_poison(error.kind) => {
                        act.take_answers(&BTreeMap::from([(uuid, Err(error.to_string()))]));
                    }
                    Err(error) => return act.mounts_failed(&error),
                }
                act.fetch_mounts_singly(rest, ctx);
            },
            ctx,
        );
    }

    /// Whoever was asked for and is neither shown nor explained is left alone until the next poll, which
    /// tells what became of it: so each answer settles all that it was asked for, and nobody waits behind.
    fn take_mounts(&mut self, asked: &[ContainerUuid], page: Page<(ContainerUuid, MountNeeds)>) {
        let silent = asked.iter().map(|uuid| (*uuid, Err("the answer about its mounts lacks it".to_owned())));
        let mut answers: BTreeMap<_, _> = silent.collect();
        let good = page.items.into_iter().map(|(uuid, needs)| (uuid, Ok(needs)));
        let poison = page.undecodable.into_iter().filter_map(|it| Some((it.uuid?, Err(it.reason))));
        answers.extend(good.chain(poison).filter(|(uuid, _)| asked.contains(uuid)));
        self.take_answers(&answers);
    }

    fn take_answers(&mut self, answers: &BTreeMap<ContainerUuid, Result<MountNeeds, String>>) {
        let facts = self.queue.take_mounts(answers, &self.policy);
        self.report(facts);
        self.changed();
    }

    /// All that was asked for is settled: there may be more.
    fn mounts_fetched(&mut self, ctx: &mut Context<Self>) {
        self.fetching_mounts = false;
        self.fetch_mounts(ctx);
    }

    /// It was nobody's mounts that made the call fail: asked again after the next poll.
    fn mounts_failed(&mut self, error: &ApiError) {
        self.fetching_mounts = false;
        self.report_poll_failed(clock::now(), &error.to_string(), error.kind.as_str());
    }
}

/// Whether a call may have failed because of one of the records that it asked for.
fn may_be_poison(kind: ApiErrorKind) -> bool {
    matches!(
        kind,
        ApiErrorKind::Malformed | ApiErrorKind::Refused | ApiErrorKind::NotFound | ApiErrorKind::Server
    )
}

//! Listings, and what they tell Pool.

use std::collections::BTreeMap;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::pool::GoneReply;
use dispatch_core::ports::{CloudError, CloudErrorKind};
use dispatch_core::time::{Timestamp, after, since};

use super::Cloud;
use crate::catalogue;
use crate::clock;
use crate::event;
use crate::messages::pool::{InstanceAppeared, InstanceChanged, InstanceGone, ListingFinished};

impl Cloud {
    /// Lists now, unless a listing is under way or the cloud has asked for patience.
    pub(super) fn sync(&mut self, ctx: &mut Context<Self>) {
        if self.listing {
            return;
        }
        if let Some((_, timer)) = self.next_sync.take() {
            ctx.cancel_future(timer);
        }
        let now = clock::now();
        if let Some(until) = self.list_held.filter(|until| *until > now) {
            return self.sync_by(until, ctx);
        }
        self.listing = true;
        let mut filter = Tags::default();
        filter.insert(&*self.policy.tag_keys.instance_set_id, self.policy.instance_set_id.as_str());
        let wanted = filter.clone();
        // The slot may lie ahead: the listing begins when the call is sent.
        let began = std::rc::Rc::new(std::cell::Cell::new(now));
        let sent = std::rc::Rc::clone(&began);
        let list = self.call(
            "List",
            move |driver| {
                sent.set(clock::now());
                async move { driver.list(&filter).await }
            },
            |_, _| {},
        );
        ctx.spawn(list.map(move |answer, act, ctx| match answer {
            Ok(instances) => act.listed(instances, &wanted, began.get(), ctx),
            Err(error) => act.list_failed(&error, ctx),
        }));
    }

    fn listed(&mut self, instances: Vec<Instance>, filter: &Tags, began: Timestamp, ctx: &mut Context<Self>) {
        if let Some(failed) = self.failing_since.take() {
            self.repeats.clear(&catalogue::SYNC_FAILED, "");
            event!(self.log, catalogue::SYNC_RECOVERED, "Duration" => since(clock::now(), failed).as_secs_f64());
        }
        // Drivers may return other sets' instances, or one twice.
        let ours = instances.into_iter().filter(|instance| instance.tags.matches(filter));
        let listed: BTreeMap<_, _> = ours.map(|it| (it.id.clone(), self.with_prices(it))).collect();
        let absent = self.known.keys().filter(|id| !listed.contains_key(*id) && !self.is_younger(id, began));
        let absent: Vec<_> = absent.cloned().collect();
        self.created.retain(|_, at| *at >= began);
        for (id, instance) in listed {
            self.tell(id, instance);
        }
        self.tell_absent(absent, began, ctx);
    }

    /// Whether its create answered after that listing began: its absence there is no news.
    fn is_younger(&self, id: &InstanceId, began: Timestamp) -> bool {
        self.created.get(id).is_some_and(|at| *at >= began)
    }

    fn with_prices(&self, mut instance: Instance) -> Instance {
        let type_name = instance.tags.get(&self.policy.tag_keys.instance_type);
        if let Some(it) = type_name.and_then(|name| self.policy.catalog.get(name)) {
            instance.price_history = self.driver.price_history(&instance, it);
        }
        instance
    }

    /// Lost only if Pool is gone, and then nobody acts any more.
    fn tell(&mut self, id: InstanceId, instance: Instance) {
        match self.known.insert(id, instance.clone()) {
            None => self.pool.appeared.do_send(InstanceAppeared { instance }),
            Some(before) if before != instance => self.pool.changed.do_send(InstanceChanged { instance }),
            Some(_) => {}
        }
    }

    /// Tells Pool who is absent, forgets those it confirms, then ends the listing.
    fn tell_absent(&mut self, absent: Vec<InstanceId>, began: Timestamp, ctx: &mut Context<Self>) {
        let questions: Vec<_> = absent
            .into_iter()
            .map(|id| (id.clone(), self.pool.gone.send(InstanceGone { id, began })))
            .collect();
        let finished = self.pool.finished.clone();
        let replies = async move {
            let mut confirmed = Vec::new();
            for (id, reply) in questions {
                if let Ok(GoneReply::Confirmed) = reply.await {
                    confirmed.push(id);
                }
            }
            finished.do_send(ListingFinished { began });
            confirmed
        };
        ctx.spawn(replies.into_actor(self).map(|confirmed, act, ctx| {
            for id in confirmed {
                act.known.remove(&id);
            }
            act.listing_ended(after(clock::now(), act.policy.sync_interval), ctx);
        }));
    }

    /// The next listing is due then, or sooner if somebody asked for one meanwhile.
    fn listing_ended(&mut self, next: Timestamp, ctx: &mut Context<Self>) {
        self.listing = false;
        let wanted = self.wanted_by.take();
        self.sync_by(wanted.map_or(next, |wanted| wanted.min(next)), ctx);
    }

    fn list_failed(&mut self, error: &CloudError, ctx: &mut Context<Self>) {
        let now = clock::now();
        self.failing_since.get_or_insert(now);
        if let Some(n) = self.repeats.note(&catalogue::SYNC_FAILED, "", now) {
            event!(self.log, catalogue::SYNC_FAILED, "error" => %error, "Code" => &error.code, "Repeated" => n);
        }
        let mut next = after(now, self.policy.sync_interval);
        if let CloudErrorKind::RateLimited { until } = error.kind {
            self.list_held = Some(until);
            next = next.min(until);
            event!(self.log, catalogue::RATE_LIMITED,
                "CallType" => "List", "ResumeAt" => %until, "error" => %error);
        }
        self.listing_ended(next, ctx);
    }
}

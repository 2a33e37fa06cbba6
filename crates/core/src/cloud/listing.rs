//! Listings: when they are made, and what they tell.

use std::collections::BTreeMap;

use super::{Account, AccountEffect, AccountFact};
use crate::id::InstanceId;
use crate::instance::{Instance, InstanceType, PricePoint, Tags};
use crate::ports::{CloudError, CloudErrorKind};
use crate::time::{Timestamp, after, since};

/// The clock of listings. One at a time.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// The one under way was begun, or put in line, then.
    pub(super) under_way: Option<Timestamp>,
    /// Asked for while one was under way, which may have begun too early to tell: the next is no later than then.
    wanted_by: Option<Timestamp>,
    /// The next is due then.
    pub(super) next: Option<Timestamp>,
    /// The cloud wants none before then.
    pub(super) held_until: Option<Timestamp>,
    /// The first of those that have failed since ended then.
    pub(super) failing_since: Option<Timestamp>,
}

impl Listings {
    fn ask(&mut self, at: Timestamp, effects: &mut Vec<AccountEffect>) {
        if self.under_way.is_some() {
            self.wanted_by = Some(self.wanted_by.map_or(at, |wanted| wanted.min(at)));
        } else if self.next.is_none_or(|next| at < next) {
            self.next = Some(at);
            effects.push(AccountEffect::SyncAt(at));
        }
    }

    /// The next is due then, or sooner if it was asked for meanwhile.
    fn end(&mut self, next: Timestamp, effects: &mut Vec<AccountEffect>) {
        self.under_way = None;
        let wanted = self.wanted_by.take();
        self.ask(wanted.map_or(next, |wanted| wanted.min(next)), effects);
    }
}

impl Account {
    /// The next listing is no later than then.
    pub fn sync_by(&mut self, at: Timestamp) -> Vec<AccountEffect> {
        let mut effects = Vec::new();
        self.listings.ask(at, &mut effects);
        effects
    }

    /// A listing is due: begins it, unless one is under way or the cloud wants none yet.
    pub fn sync_is_due(&mut self, now: Timestamp) -> Vec<AccountEffect> {
        if self.listings.under_way.is_some() {
            return Vec::new();
        }
        self.listings.next = None;
        if let Some(until) = self.listings.held_until.filter(|until| *until > now) {
            return self.sync_by(until);
        }
        self.listings.under_way = Some(now);
        vec![AccountEffect::List(self.filter())]
    }

    /// The tag of our own instances.
    fn filter(&self) -> Tags {
        let mut filter = Tags::default();
        filter.insert(&*self.policy.tag_keys.instance_set_id, self.policy.instance_set_id.as_str());
        filter
    }

    /// A listing that began then has succeeded. `prices`: what the driver knows of an instance's price.
    pub fn listed(
        &mut self,
        instances: Vec<Instance>,
        prices: impl Fn(&Instance, &InstanceType) -> Vec<PricePoint>,
        began: Timestamp,
        now: Timestamp,
    ) -> Vec<AccountEffect> {
        let mut effects = Vec::new();
        if let Some(failed) = self.listings.failing_since.take() {
            effects.push(AccountEffect::Tell(AccountFact::ListRecovered(since(now, failed))));
        }
        // Drivers may return other sets' instances, or one twice.
        let filter = self.filter();
        let ours = instances.into_iter().filter(|instance| instance.tags.matches(&filter));
        let listed: BTreeMap<_, _> = ours.map(|it| (it.id.clone(), self.with_prices(it, &prices))).collect();
        let absent = self.known.keys().filter(|id| !listed.contains_key(*id) && !self.is_younger(id, began));
        let absent = absent.cloned().collect();
        self.created.retain(|_, at| *at >= began);
        effects.extend(listed.into_values().filter_map(|instance| self.take_listed(instance)));
        effects.push(AccountEffect::AskAbsent { absent, began });
        effects
    }

    /// Whether its create answered after that listing began: its absence there is no news.
    fn is_younger(&self, id: &InstanceId, began: Timestamp) -> bool {
        self.created.get(id).is_some_and(|at| *at >= began)
    }

    fn with_prices(
        &self,
        mut instance: Instance,
        prices: impl Fn(&Instance, &InstanceType) -> Vec<PricePoint>,
    ) -> Instance {
        let (catalog, provider_type) = (&self.policy.catalog, &instance.provider_type);
        let type_name = instance.tags.get(&self.policy.tag_keys.instance_type);
        let configured = type_name.and_then(|name| catalog.of_instance(name, provider_type));
        if let Some(it) = configured.or_else(|| catalog.like(provider_type)) {
            instance.price_history = prices(&instance, it);
        }
        instance
    }

    fn take_listed(&mut self, instance: Instance) -> Option<AccountEffect> {
        match self.known.insert(instance.id.clone(), instance.clone()) {
            None => Some(AccountEffect::Appeared(instance)),
            Some(before) if before != instance => Some(AccountEffect::Changed(instance)),
            Some(_) => None,
        }
    }

    /// Pool has been asked about all that the listing lacked: these are gone. The listing is over.
    pub fn absence_confirmed(&mut self, gone: &[InstanceId], now: Timestamp) -> Vec<AccountEffect> {
        for id in gone {
            self.known.remove(id);
        }
        let mut effects = Vec::new();
        self.listings.end(after(now, self.policy.sync_interval), &mut effects);
        effects
    }

    /// A listing has failed: the next comes after the usual interval, or when the cloud's rate limit ends.
    pub fn list_failed(&mut self, error: CloudError, now: Timestamp) -> Vec<AccountEffect> {
        self.listings.failing_since.get_or_insert(now);
        let mut next = after(now, self.policy.sync_interval);
        let mut effects = vec![AccountEffect::Tell(AccountFact::ListFailed(error.clone()))];
        if let CloudErrorKind::RateLimited { until } = error.kind {
            self.listings.held_until = Some(until);
            next = next.min(until);
            effects.push(AccountEffect::Tell(AccountFact::ListRateLimited { until, error }));
        }
        self.listings.end(next, &mut effects);
        effects
    }
}

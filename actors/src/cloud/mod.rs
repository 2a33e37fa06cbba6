//! Cloud: owns the driver, its rate limit and the clocks of its calls.
//!
//! ```text
//!   OrderInstance, DestroyInstance, SetTags, listings ─► slots (MaxCloudOpsPerSecond) ─► driver
//!   a listing ─► what appeared, changed, is absent ─► Pool, then ListingFinished
//! ```
//! Every call to the driver is made here, so that pacing, default tags, the filter by instance set and the
//! counting of calls are in one place. Never does: deciding what an absent instance means (that is Pool).

mod call;
mod sync;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler, Recipient, ResponseActFuture, SpawnHandle};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Instance, InstanceType, Tags};
use dispatch_core::policy::Policy;
use dispatch_core::ports::{CloudDriver, CloudError, CreateOrder, HostKeyVerdict};
use dispatch_core::secret::Secret;
use dispatch_core::time::{Timestamp, since};
use dispatch_core::worker::runner::quote;
use slog::Logger;

pub use call::DriverVerifier;

use crate::catalogue::Repeats;
use crate::clock;
use crate::messages::Ping;
use crate::messages::cloud::{DestroyInstance, OrderInstance, SetTags, Sync, SyncBy, VerifyHostKey};
use crate::messages::pool::{InstanceAppeared, InstanceChanged, InstanceGone, ListingFinished};
use crate::metrics::Metrics;

/// What every create has in common.
#[derive(Debug, Clone, Default)]
pub struct CreateDefaults {
    /// The site's image id.
    pub image: String,
    /// Tags beside our own.
    pub resource_tags: BTreeMap<String, String>,
    /// Shell text run on first boot, after the secret is written.
    pub init_command: String,
    /// OpenSSH public key to let in, if it is to be deployed.
    pub public_key: Option<String>,
}

impl CreateDefaults {
    /// The whole order of a create: all tags, and the init command that writes the secret first.
    pub fn order(
        &self,
        own_tags: Tags,
        instance_type: Arc<InstanceType>,
        secret: Secret,
        secret_path: &str,
    ) -> CreateOrder {
        let mut tags = Tags(self.resource_tags.clone());
        tags.merge(&own_tags);
        let path = path_text(secret_path);
        let write_secret = format!("umask 0177 && echo -n \"{}\" >{path}", secret.expose());
        CreateOrder {
            instance_type,
            image: self.image.clone(),
            tags,
            init_command: format!("{write_secret}\n{}", self.init_command),
            secret,
            public_key: self.public_key.clone(),
        }
    }
}

/// Whom Cloud tells.
#[derive(Clone)]
pub struct CloudListeners {
    /// An instance is there.
    pub appeared: Recipient<InstanceAppeared>,
    /// An instance has another address, other tags or prices.
    pub changed: Recipient<InstanceChanged>,
    /// An instance is absent from a listing.
    pub gone: Recipient<InstanceGone>,
    /// A listing has been told completely.
    pub finished: Recipient<ListingFinished>,
}

/// The actor.
pub struct Cloud {
    policy: Arc<Policy>,
    driver: Rc<dyn CloudDriver>,
    defaults: CreateDefaults,
    pool: CloudListeners,
    metrics: Rc<Metrics>,
    log: Logger,
    /// Before this moment the rate allows no call.
    next_slot: Timestamp,
    /// Listings are suspended until then.
    list_held: Option<Timestamp>,
    /// As Pool knows them.
    known: BTreeMap<InstanceId, Instance>,
    listing: bool,
    /// Asked for while a listing was under way: the next is no later than then.
    wanted_by: Option<Timestamp>,
    /// When each instance's create answered: no older listing can show it.
    created: BTreeMap<InstanceId, Timestamp>,
    /// When the next listing is due, and its timer.
    next_sync: Option<(Timestamp, SpawnHandle)>,
    failing_since: Option<Timestamp>,
    repeats: Repeats,
}

impl Cloud {
    /// Lists as soon as it is started.
    pub fn new(
        policy: Arc<Policy>,
        driver: Rc<dyn CloudDriver>,
        defaults: CreateDefaults,
        pool: CloudListeners,
        telemetry: (Rc<Metrics>, Logger),
    ) -> Self {
        let (metrics, log) = telemetry;
        Self {
            policy,
            driver,
            defaults,
            pool,
            metrics,
            log,
            next_slot: clock::now(),
            list_held: None,
            known: BTreeMap::new(),
            listing: false,
            wanted_by: None,
            created: BTreeMap::new(),
            next_sync: None,
            failing_since: None,
            repeats: Repeats::default(),
        }
    }

    fn order(&self, message: OrderInstance) -> CreateOrder {
        let OrderInstance { instance_type, secret } = message;
        let Policy { tag_keys, instance_set_id, .. } = &*self.policy;
        let tags = tag_keys.for_new(instance_set_id, &instance_type.name, &secret);
        self.defaults.order(tags, instance_type, secret, &self.driver.secret_path())
    }
}

/// The path as shell text: bare if it needs no quotes, as other dispatchers write it.
fn path_text(path: &str) -> String {
    let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain { path.to_owned() } else { quote(path) }
}

impl Actor for Cloud {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        self.sync(ctx);
    }
}

impl Handler<OrderInstance> for Cloud {
    type Result = ResponseActFuture<Self, Result<Instance, CloudError>>;

    fn handle(&mut self, message: OrderInstance, _: &mut Context<Self>) -> Self::Result {
        let order = self.order(message);
        self.call(
            "Create",
            move |driver| async move { driver.create(&order).await },
            |act, answer| {
                if let Ok(instance) = answer {
                    act.created.insert(instance.id.clone(), clock::now());
                    // A listing that was faster knows more of it.
                    act.known.entry(instance.id.clone()).or_insert_with(|| instance.clone());
                }
            },
        )
    }
}

impl Handler<DestroyInstance> for Cloud {
    type Result = ResponseActFuture<Self, Result<(), CloudError>>;

    fn handle(&mut self, message: DestroyInstance, _: &mut Context<Self>) -> Self::Result {
        self.call("Destroy", move |driver| async move { driver.destroy(&message.id).await }, |_, _| {})
    }
}

impl Handler<SetTags> for Cloud {
    type Result = ResponseActFuture<Self, Result<(), CloudError>>;

    fn handle(&mut self, message: SetTags, _: &mut Context<Self>) -> Self::Result {
        let SetTags { id, tags } = message;
        let (saved_id, saved) = (id.clone(), tags.clone());
        self.call(
            "SetTags",
            move |driver| async move { driver.set_tags(&id, &tags).await },
            // Saved or not: if the next listing shows others than were asked for, Pool is told.
            move |act, _| {
                if let Some(known) = act.known.get_mut(&saved_id) {
                    known.tags.merge(&saved);
                }
            },
        )
    }
}

impl Handler<VerifyHostKey> for Cloud {
    type Result = ResponseActFuture<Self, Result<HostKeyVerdict, CloudError>>;

    fn handle(&mut self, message: VerifyHostKey, _: &mut Context<Self>) -> Self::Result {
        let VerifyHostKey { id, key } = message;
        self.uncounted(
            "verify host key",
            move |driver| async move { driver.verify_host_key(&id, &key).await },
        )
    }
}

impl Handler<Sync> for Cloud {
    type Result = ();

    fn handle(&mut self, _: Sync, ctx: &mut Context<Self>) {
        self.sync_by(clock::now(), ctx);
    }
}

impl Handler<SyncBy> for Cloud {
    type Result = ();

    fn handle(&mut self, message: SyncBy, ctx: &mut Context<Self>) {
        self.sync_by(message.at, ctx);
    }
}

impl Handler<Ping> for Cloud {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

impl Cloud {
    /// The next listing is no later than then.
    fn sync_by(&mut self, at: Timestamp, ctx: &mut Context<Self>) {
        if self.listing {
            // The one under way may have begun too early to tell.
            self.wanted_by = Some(self.wanted_by.map_or(at, |wanted| wanted.min(at)));
            return;
        }
        if self.next_sync.as_ref().is_some_and(|(next, _)| *next <= at) {
            return;
        }
        let timer = ctx.run_later(since(at, clock::now()), Self::sync);
        if let Some((_, old)) = self.next_sync.replace((at, timer)) {
            ctx.cancel_future(old);
        }
    }
}

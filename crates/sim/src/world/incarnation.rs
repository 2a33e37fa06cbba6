//! One life of the dispatcher: the five actors in a `LocalSet` of their own. Dropping the set kills them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use dispatch_actors::cloud::CreateDefaults;
use dispatch_actors::lease::ports::{LeasedApi, LeasedDriver, LeasedExecutors};
use dispatch_actors::lease::{Confirmations, Lease};
use dispatch_actors::long_work::LongWork;
use dispatch_actors::metrics::{KnownLabels, Metrics};
use dispatch_actors::system::{self, Handles, Parts};
use dispatch_actors::worker::StartConfig;
use dispatch_core::id::{ContainerUuid, TypeName};
use dispatch_core::instance::InstanceType;
use dispatch_core::policy::Policy;
use dispatch_core::ports::{BootTime, EventFeed};
use dispatch_core::queue::UnlockReason;
use dispatch_core::worker::fence::Epoch;
use dispatch_core::worker::runner::{Binary, Commands};
use md5::{Digest, Md5};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::task::{AbortHandle, LocalSet};

use super::World;
use super::cable::{ApiCable, Cable, CloudCable, ExecutorCables};
use super::feed::SimFeed;
use super::journal::{self, Journal};
use super::plight::Plight;
use crate::chance::Chance;
use crate::cloud::SimCloud;
use crate::controller::OTHER_DISPATCHER_TOKEN;
use crate::controller::facts::Origin;
use crate::controller::port::SimApi;
use crate::vm::SimExecutorFactory;

/// The number of an incarnation that runs beside the judged one.
const BESIDE: u64 = 1 << 20;

/// The stream of random numbers of event feeds.
const FEED_STREAM: u64 = 77;

/// The five actors; they live as long as this value.
pub(super) struct Incarnation {
    pub handles: Handles,
    pub plight: Rc<Plight>,
    set: Rc<RefCell<Option<LocalSet>>>,
    driver: AbortHandle,
    cable: Rc<Cable>,
}

impl Incarnation {
    /// Starts a dispatcher. `number` counts from 1, so that each incarnation draws random numbers of its own.
    pub(super) fn start(world: &World, number: u64) -> Self {
        let who = Who {
            policy: &world.knobs.policy,
            token: &world.knobs.settings.root_token,
            number,
            journal: Rc::clone(&world.journal),
        };
        Self::of(world, who)
    }

    /// Starts another dispatcher beside it, with a token and a policy of its own. The judge does not see what
    /// it sends.
    pub(super) fn beside(world: &World, policy: &Policy) -> Self {
        let who = Who { policy, token: OTHER_DISPATCHER_TOKEN, number: BESIDE, journal: Rc::default() };
        Self::of(world, who)
    }

    fn of(world: &World, who: Who<'_>) -> Self {
        let plight = Plight::none();
        let cable = Cable::new(&world.set, Rc::clone(&who.journal), Rc::clone(&plight));
        let confirmations = Confirmations::new(Epoch::at(crate::clock::now()), boot_time);
        let parts = parts(world, &who, &cable, confirmations.lease());
        let set = LocalSet::new();
        set.spawn_local(Rc::clone(&plight).keep_confirming(confirmations));
        let handles = {
            let _inside = set.enter();
            system::start(parts)
        };
        let set = Rc::new(RefCell::new(Some(set)));
        let driver = world.set.spawn_local(drive(Rc::clone(&set), Rc::clone(&plight))).abort_handle();
        Self { handles, plight, set, driver, cable }
    }
}

impl Drop for Incarnation {
    fn drop(&mut self) {
        // The cable is cut first, so that nothing more gets out: actors are polled once more while they are
        // dropped.
        self.cable.cut();
        self.plight.leave();
        drop(self.set.borrow_mut().take());
        self.driver.abort();
    }
}

async fn drive(set: Rc<RefCell<Option<LocalSet>>>, plight: Rc<Plight>) {
    std::future::poll_fn(|context| match set.borrow_mut().as_mut() {
        None => Poll::Ready(()),
        Some(_) if plight.is_stopped(context) => Poll::Pending,
        Some(set) => {
            let _ = Pin::new(set).poll(context);
            Poll::Pending
        }
    })
    .await;
}

/// One dispatcher, among those that a world may have.
struct Who<'a> {
    policy: &'a Policy,
    token: &'a str,
    number: u64,
    journal: Rc<RefCell<Journal>>,
}

fn boot_time() -> BootTime {
    dispatch_actors::clock::pulse().at
}

fn parts(world: &World, who: &Who<'_>, cable: &Rc<Cable>, lease: Lease) -> Parts {
    let (knobs, policy) = (&world.knobs, Arc::new(who.policy.clone()));
    let seed = knobs.seed.wrapping_add(who.number << 32);
    let api = SimApi::new(Rc::clone(&world.arvados), who.token, Origin::Dispatcher, seed);
    api.set_latency(knobs.api_latency);
    let feed = knobs.feed.as_ref().map(|feed| {
        let chance = Chance::new(seed, FEED_STREAM);
        let arvados = Rc::clone(&world.arvados);
        Rc::new(SimFeed::new(feed.clone(), arvados, Rc::clone(cable), chance)) as Rc<dyn EventFeed>
    });
    let vms = Rc::clone(&world.vms);
    let executor_cable = Rc::clone(cable);
    let driver = CloudCable { cable: Rc::clone(cable), cloud: SimCloud::new(Rc::clone(&world.cloud)) };
    let types: Vec<TypeName> = policy.catalog.types().iter().map(|it| it.name.clone()).collect();
    let reasons = UnlockReason::ALL.map(UnlockReason::as_str);
    let (metrics, _) = Metrics::new(KnownLabels { types: &types, unlock_reasons: &reasons });
    let mut random = ChaCha8Rng::seed_from_u64(knobs.seed);
    random.set_stream(1000 + who.number);
    Parts {
        pulse: dispatch_actors::clock::pulse,
        long_work: if knobs.planning.is_zero() { LongWork::Here } else { LongWork::Late(knobs.planning) },
        api: Rc::new(LeasedApi {
            inner: ApiCable { cable: Rc::clone(cable), api: Rc::new(api) },
            lease: lease.clone(),
        }),
        feed,
        driver: Rc::new(LeasedDriver { inner: Rc::new(driver), lease: lease.clone() }),
        epoch: lease.epoch(),
        executors: Box::new(move |verifier| {
            let executors = SimExecutorFactory::with_verifier(vms, verifier);
            let inner = Rc::new(ExecutorCables { cable: executor_cable, executors });
            Rc::new(LeasedExecutors { inner, lease })
        }),
        create_defaults: CreateDefaults { image: "img".to_owned(), ..CreateDefaults::default() },
        commands: Arc::new(match knobs.runner_readable {
            true => Commands::new(policy.runner.clone(), binary(&knobs.runner)),
            false => Commands::without_binary(policy.runner.clone()),
        }),
        start_config: Rc::new(EmptyConfig),
        rounds: world.rounds.teller(),
        cordons: Rc::clone(&world.cordons) as _,
        random: Box::new(random),
        metrics: Rc::new(metrics),
        log: journal::logger(&world.journal, knobs.log),
        policy,
    }
}

fn binary(runner: &str) -> Option<Binary> {
    let digest = Md5::digest(runner.as_bytes());
    let md5 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    (!runner.is_empty()).then(|| Binary { md5, content: Bytes::from(runner.to_owned()) })
}

/// Gives processes an empty configuration: simulated processes need none.
struct EmptyConfig;

impl StartConfig for EmptyConfig {
    fn stdin(&self, _: ContainerUuid, _: &InstanceType, _: &str) -> Bytes {
        Bytes::from_static(b"{}")
    }
}

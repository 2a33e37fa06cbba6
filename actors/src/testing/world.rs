//! The whole dispatcher over the three fakes.

use std::rc::Rc;
use std::sync::Arc;

use dispatch_core::container::ContainerState;
use dispatch_core::container::Record;
use dispatch_core::id::ContainerUuid;
use dispatch_core::policy::Policy;
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::worker::runner::Commands;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::{Executors, FakeApi, FakeCloud, FakeVms, Lines, Meter, NoSecrets, pass, pause, shared};
use crate::clock;
use crate::cloud::CreateDefaults;
use crate::long_work::LongWork;
use crate::messages::pool::GetPool;
use crate::messages::queue::GetQueue;
use crate::messages::scheduler::{GetPlan, PlanView};
use crate::system::{self, Handles, Parts};

/// How long a container runs here.
const JOB_SECONDS: u64 = 30;

/// A running dispatcher.
pub struct World {
    pub api: Rc<FakeApi>,
    pub cloud: Rc<FakeCloud>,
    pub vms: Rc<FakeVms>,
    pub handles: Handles,
    pub meter: Meter,
    pub lines: Lines,
}

impl World {
    pub fn new(policy: Policy, records: impl IntoIterator<Item = Record>) -> Self {
        pause();
        let (log, lines) = Lines::new();
        let (api, cloud) = (FakeApi::with(records), FakeCloud::with([]));
        let (vms, meter) = (Rc::new(FakeVms::default()), Meter::new());
        let policy = shared(policy);
        let executors = Executors(Rc::clone(&vms));
        let handles = system::start(Parts {
            pulse: clock::pulse,
            long_work: LongWork::Here,
            commands: Arc::new(Commands::new(policy.runner.clone(), None)),
            epoch: dispatch_core::worker::fence::Epoch::from_micros(1),
            policy,
            api: Rc::clone(&api) as _,
            feed: None,
            driver: Rc::clone(&cloud) as _,
            executors: Box::new(|_| Rc::new(executors)),
            create_defaults: CreateDefaults::default(),
            start_config: Rc::new(NoSecrets),
            rounds: None,
            cordons: Rc::new(crate::pool::KeepsNothing),
            random: Box::new(ChaCha8Rng::seed_from_u64(1)),
            metrics: Rc::clone(&meter.metrics),
            log,
        });
        let world = Self { api, cloud, vms, handles, meter, lines };
        world.jobs_run();
        world
    }

    /// A started process sets its record Running, and Complete when it ends.
    fn jobs_run(&self) {
        let (api, vms) = (Rc::clone(&self.api), Rc::downgrade(&self.vms));
        let on_start = move |uuid: ContainerUuid, _: &_| {
            api.set_state(uuid, ContainerState::Running);
            let (api, vms) = (Rc::clone(&api), vms.clone());
            actix_rt::spawn(async move {
                pass(JOB_SECONDS).await;
                api.set_state(uuid, ContainerState::Complete);
                if let Some(vms) = vms.upgrade() {
                    vms.end(uuid);
                }
            });
        };
        self.vms.on_start.replace(Some(Box::new(on_start)));
    }

    pub async fn pool(&self) -> Arc<PoolSnapshot> {
        self.handles.pool.send(GetPool).await.unwrap().snapshot
    }

    pub async fn plan(&self) -> PlanView {
        self.handles.scheduler.send(GetPlan).await.unwrap()
    }

    /// How many containers the dispatcher knows.
    pub async fn queue_len(&self) -> usize {
        self.handles.queue.send(GetQueue).await.unwrap().snapshot.entries.len()
    }

    pub fn rounds(&self) -> f64 {
        self.meter.value("scheduling_round_seconds_count").unwrap()
    }
}

//! The simulated controller, cloud and VMs, in real time on a thread of their own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_actors::clock;
use dispatch_core::container::{ContainerState, Record, RuntimeConstraints};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Catalog, InstanceType};
use dispatch_core::ports::{Executor, ExecutorFactory, ListQuestion, Page, Target};
use dispatch_sim::chance::Span;
use dispatch_sim::cloud::knobs::CloudKnobs;
use dispatch_sim::cloud::{FakeCloud, SimCloud};
use dispatch_sim::controller::facts::Origin;
use dispatch_sim::controller::port::SimApi;
use dispatch_sim::controller::state::ContainerSpec;
use dispatch_sim::controller::{FakeArvados, Settings, Submission};
use dispatch_sim::samples;
use dispatch_sim::vm::knobs::VmKnobs;
use dispatch_sim::vm::{FakeVms, SimExecutorFactory, pump};
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

pub const SET: &str = "zzzzz-set";
const SEED: u64 = 1;
/// Of each page of a list.
const PAGE: usize = 1_000;
/// How long a call to the controller takes.
const CALL: Duration = Duration::from_millis(2);
/// Jobs take from 20 s to 5 min.
const SHORTEST: usize = 20;
const LONGEST: usize = 300;
/// Every tenth VM is of the large type.
const LARGE_EVERY: usize = 10;

type Call = Box<dyn FnOnce(Rc<Sim>) -> LocalBoxFuture<'static, ()> + Send>;

/// How the actors' thread reaches the world.
#[derive(Clone)]
pub struct World(mpsc::UnboundedSender<Call>);

/// What lives on the world's thread.
pub struct Sim {
    pub api: SimApi,
    pub cloud: SimCloud,
    arvados: Rc<RefCell<FakeArvados>>,
    vms: Rc<RefCell<FakeVms>>,
    factory: SimExecutorFactory,
    executors: RefCell<BTreeMap<InstanceId, Rc<dyn Executor>>>,
    /// The list of the poll that is under way: the simulated controller sorts all records for each page.
    available: RefCell<Vec<Record>>,
}

/// The types of the VMs.
pub fn catalog() -> Catalog {
    Catalog::new(types().iter().map(|it| InstanceType::clone(it)))
}

fn types() -> [Arc<InstanceType>; 2] {
    [samples::instance_type("small", 2), samples::instance_type("large", 8)]
}

impl World {
    /// That many containers wait, and an earlier dispatcher has left that many VMs, on which nothing runs.
    pub fn start(containers: usize, vms: usize) -> Self {
        let (calls, called) = mpsc::unbounded_channel();
        let live = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            LocalSet::new().block_on(&runtime, live(containers, vms, called));
        };
        drop(std::thread::Builder::new().name("world".to_owned()).spawn(live).unwrap());
        Self(calls)
    }

    /// Lets the world carry a call out, and waits for the answer.
    pub async fn carry<T, F>(&self, call: impl FnOnce(Rc<Sim>) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |sim| {
            let call = call(sim);
            Box::pin(async move {
                // The caller may have stopped waiting.
                let _ = answer.send(call.await);
            })
        });
        assert!(self.0.send(call).is_ok(), "the world lives as long as this process");
        answered.await.unwrap()
    }
}

async fn live(containers: usize, vms: usize, mut called: mpsc::UnboundedReceiver<Call>) {
    let sim = Rc::new(Sim::new(containers, vms));
    tokio::task::spawn_local(pump(Rc::clone(&sim.vms)));
    while let Some(call) = called.recv().await {
        tokio::task::spawn_local(call(Rc::clone(&sim)));
    }
}

impl Sim {
    fn new(containers: usize, count: usize) -> Self {
        let now = clock::now();
        let mut arvados = FakeArvados::new(SEED, Settings::default());
        for number in 0..containers {
            arvados.submit(job(number), now);
        }
        let token = arvados.settings.root_token.clone();
        let arvados = Rc::new(RefCell::new(arvados));
        let at_once = Span::millis(1);
        let knobs =
            VmKnobs { ssh_after: at_once, secret_after: at_once, boots_after: at_once, ..VmKnobs::default() };
        let vms = Rc::new(RefCell::new(FakeVms::new(SEED, knobs, Rc::clone(&arvados))));
        let mut cloud = FakeCloud::new(SEED, CloudKnobs::default(), Some(Rc::clone(&vms)));
        for number in 0..count {
            let it = &types()[usize::from(number % LARGE_EVERY == 0)];
            cloud.adopt(&samples::order(it, SET, &format!("secret-{number}")), now);
        }
        let api = SimApi::new(Rc::clone(&arvados), &token, Origin::Dispatcher, SEED);
        api.set_latency(Span::millis(CALL.as_millis() as u64));
        Self {
            api,
            cloud: SimCloud::new(Rc::new(RefCell::new(cloud))),
            arvados,
            factory: SimExecutorFactory::new(Rc::clone(&vms)),
            vms,
            executors: RefCell::default(),
            available: RefCell::default(),
        }
    }

    /// The executor of that VM, as if the connection were the dispatcher's own.
    pub fn executor(&self, target: Target) -> Rc<dyn Executor> {
        let mut executors = self.executors.borrow_mut();
        let executor =
            executors.entry(target.id.clone()).or_insert_with(|| self.factory.open(target.clone()));
        executor.retarget(target);
        Rc::clone(executor)
    }

    /// One page of what waits: the same as the simulated controller's, which has no order but that of its uuids where
    /// all priorities are the same.
    pub async fn available(&self, offset: usize) -> Page<Record> {
        tokio::time::sleep(CALL).await;
        if offset == 0 {
            let arvados = self.arvados.borrow();
            let queued = arvados.containers().filter(|it| it.state == ContainerState::Queued);
            self.available.replace(queued.map(record).collect());
        }
        let items = self.available.borrow().iter().skip(offset).take(PAGE).cloned().collect();
        Page { items, undecodable: Vec::new() }
    }

    pub async fn list(
        &self,
        question: &ListQuestion,
    ) -> Result<Page<Record>, dispatch_core::ports::ApiError> {
        match question {
            ListQuestion::Available { offset } => Ok(self.available(*offset).await),
            ListQuestion::Mine { .. } | ListQuestion::Known { .. } => {
                dispatch_core::ports::ArvadosApi::list(&self.api, question).await
            }
        }
    }
}

fn record(container: &dispatch_sim::controller::state::Container) -> Record {
    Record {
        uuid: container.uuid,
        state: container.state,
        priority: container.priority,
        locked_by: container.locked_by,
        runtime_constraints: container.spec.runtime_constraints.clone(),
        container_image: container.spec.container_image.clone(),
        scheduling: container.spec.scheduling.clone(),
        created_at: Some(container.created_at),
        preemption_notice: None,
        lock_count: Some(container.lock_count),
    }
}

fn job(number: usize) -> Submission {
    let vcpus = 1 + (number % 2) as u64;
    let seconds = SHORTEST + number * 7919 % (LONGEST - SHORTEST);
    Submission::of(ContainerSpec {
        command: vec!["sleep".to_owned(), seconds.to_string()],
        runtime_constraints: RuntimeConstraints { vcpus, ram: vcpus << 30, ..RuntimeConstraints::default() },
        ..ContainerSpec::default()
    })
}

//! What each scenario is made of: how large the site is, how much work it has, and what goes wrong there.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context, Result};
use dispatch_adapters::loopback;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::pool::PoolSnapshot;
use dispatch_core::worker::State;
use dispatch_sim::controller::FakeArvados;
use dispatch_sim::controller::faults::Fault;
use dispatch_sim::controller::state::Changes;
use serde_json::{Map, json};
use tokio::time::Instant;

use super::world::World;
use crate::cli::{Demo, Scenario};

/// How long the controller is down, and how long it is up afterwards.
const DOWN: Duration = Duration::from_secs(30);
const UP: Duration = Duration::from_secs(20);
/// A spot instance is taken away that often, that long after its notice.
const RECLAIM: Duration = Duration::from_secs(10);
const NOTICE: Duration = Duration::from_secs(3);
/// Calm work comes in waves of that length, so that instances come and go.
const WAVE: Duration = Duration::from_secs(20);
/// The share of calls that an overloaded controller sheds, besides those for too many containers.
const SHED: f64 = 0.2;

/// What differs between the configurations of demos.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site {
    /// How many instances the cloud has room for.
    pub(super) room: u32,
    pub(super) max_instances: u32,
    pub(super) timeout_booting: &'static str,
    pub(super) timeout_probe: &'static str,
    /// Whether the instances, and what is to run there, are of the spot market.
    pub(super) preemptible: bool,
}

impl Site {
    /// The site of that demo.
    pub(super) fn of(demo: &Demo) -> Self {
        let instances = demo.instances;
        let usual = Self {
            room: instances,
            max_instances: instances,
            timeout_booting: "10m",
            timeout_probe: if demo.faults { "10s" } else { "10m" },
            preemptible: false,
        };
        // Where it is not to be what stops creates, MaxInstances is out of reach.
        let beyond = instances.saturating_mul(4);
        match demo.scenario {
            None | Some(Scenario::Calm) => usual,
            Some(Scenario::Quota) => Self { max_instances: beyond, ..usual },
            Some(Scenario::Spot) => Self { room: beyond, max_instances: beyond, preemptible: true, ..usual },
            Some(Scenario::Badboot) => {
                Self { room: beyond, max_instances: beyond, timeout_booting: "15s", ..usual }
            }
            Some(Scenario::Capacity | Scenario::Outage | Scenario::Overload) => {
                Self { room: beyond, max_instances: beyond, ..usual }
            }
        }
    }
}

/// What is to be seen in a scenario.
pub(super) fn meaning(scenario: Scenario, instances: u32) -> String {
    match scenario {
        Scenario::Calm => "all is well; work comes in waves, and instances come and go with it".to_owned(),
        Scenario::Quota => format!("the account may have {instances} instances, and more are wanted"),
        Scenario::Capacity => "the cloud has room for one instance, and more are wanted".to_owned(),
        Scenario::Spot => format!(
            "every {} s a spot instance is taken away, {} s after its notice",
            RECLAIM.as_secs(),
            NOTICE.as_secs()
        ),
        Scenario::Badboot => "one instance boots, and all others never do".to_owned(),
        Scenario::Outage => {
            format!("the controller is down for {} s, up for {} s, and so on", DOWN.as_secs(), UP.as_secs())
        }
        Scenario::Overload => "the controller sheds calls while more than one container runs".to_owned(),
    }
}

/// Makes things go wrong as time goes on.
pub(super) struct Trouble {
    scenario: Scenario,
    instances: u32,
    cloud: loopback::Faults,
    began: Instant,
    /// When the next turn comes; it is made of the first container that runs.
    next: Option<Instant>,
    is_down: bool,
    /// The instance that has had its notice.
    noticed: Option<InstanceId>,
}

impl Trouble {
    /// What is wrong from the beginning is wrong when this returns.
    pub(super) async fn begin(
        scenario: Scenario,
        instances: u32,
        cloud: loopback::Faults,
        world: &World,
    ) -> Result<Self> {
        let failed = "the loopback cloud has stopped";
        match scenario {
            Scenario::Capacity => cloud.limit_room(Some(1)).await.context(failed)?,
            Scenario::Badboot => cloud.limit_boots(Some(1)).await.context(failed)?,
            Scenario::Overload => {
                let overload = |arvados: &mut FakeArvados, _| {
                    arvados.faults.served_running = Some(1);
                    arvados.faults.rates = vec![(Fault::Overloaded, SHED)];
                };
                world.controller(overload).await;
            }
            Scenario::Calm | Scenario::Quota | Scenario::Spot | Scenario::Outage => {}
        }
        let began = Instant::now();
        Ok(Self { scenario, instances, cloud, began, next: None, is_down: false, noticed: None })
    }

    /// How many containers there are to be now that are not final.
    pub(super) fn wanted(&self) -> usize {
        let (instances, elapsed) = (self.instances as usize, self.began.elapsed());
        match self.scenario {
            Scenario::Calm if elapsed.as_secs() / WAVE.as_secs() % 2 == 1 => 1,
            Scenario::Calm => instances.div_ceil(2),
            Scenario::Quota => 3 * instances,
            Scenario::Capacity | Scenario::Badboot | Scenario::Overload => 2 * instances,
            Scenario::Spot | Scenario::Outage => instances,
        }
    }

    /// How many seconds a job lasts: long enough that spot instances are taken from under it.
    pub(super) fn job_seconds(&self) -> RangeInclusive<u32> {
        if self.scenario == Scenario::Spot { 8..=20 } else { 2..=6 }
    }

    /// What is due now.
    pub(super) async fn step(&mut self, pool: &PoolSnapshot, world: &World) {
        match self.scenario {
            Scenario::Outage => self.turn_outage(pool, world).await,
            Scenario::Spot => self.reclaim(pool, world).await,
            Scenario::Calm
            | Scenario::Quota
            | Scenario::Capacity
            | Scenario::Badboot
            | Scenario::Overload => {}
        }
    }

    /// Whether the next turn has come; it comes for the first time when a container runs.
    fn is_due(&self, pool: &PoolSnapshot) -> bool {
        match self.next {
            Some(next) => Instant::now() >= next,
            None => pool.workers.iter().any(|worker| worker.view.state == State::Running),
        }
    }

    async fn turn_outage(&mut self, pool: &PoolSnapshot, world: &World) {
        if !self.is_due(pool) {
            return;
        }
        self.is_down = !self.is_down;
        self.next = Some(Instant::now() + if self.is_down { DOWN } else { UP });
        let is_down = self.is_down;
        let turn = move |arvados: &mut FakeArvados, _| {
            arvados.faults.rates = if is_down { vec![(Fault::BadGateway, 1.0)] } else { Vec::new() };
            arvados.events.knobs.is_down = is_down;
        };
        world.controller(turn).await;
    }

    async fn reclaim(&mut self, pool: &PoolSnapshot, world: &World) {
        if !self.is_due(pool) {
            return;
        }
        if let Some(id) = self.noticed.take() {
            // It may have gone by itself.
            let _ = self.cloud.kill(&id).await;
            self.next = Some(Instant::now() + RECLAIM.saturating_sub(NOTICE));
            return;
        }
        let busy = pool.workers.iter().find(|worker| worker.view.state == State::Running);
        let Some(busy) = busy else { return };
        notify(world, busy.containers().collect()).await;
        self.noticed = Some(busy.view.id.clone());
        self.next = Some(Instant::now() + NOTICE);
    }
}

/// crunch-run has read the notice on its instance and passes it on.
async fn notify(world: &World, containers: BTreeSet<ContainerUuid>) {
    let text = "The cloud will take this spot instance away.";
    let tell = move |arvados: &mut FakeArvados, now| {
        for uuid in containers {
            let token = arvados.container(uuid).and_then(|container| container.locked_by);
            let caller = arvados.process_with(token);
            let mut status = Map::new();
            status.insert("preemptionNotice".to_owned(), json!(text));
            let changes = Changes { runtime_status: Some(status), ..Changes::default() };
            // It may have ended meanwhile.
            let _ = arvados.update(uuid, &changes, caller, now);
        }
    };
    world.controller(tell).await;
}

//! What the actors' tests are made of: the three ports as tiny fakes, recipients that note what they are
//! told, and the log as it would be written.
//!
//! ```text
//!   FakeApi ── records, answers on purpose wrong ── Queue        Stub<M>: a recipient of one message
//!   FakeCloud ── instances, a script of failures ── Cloud        Lines: every log line, as data
//!   FakeVms ── boots, processes, hangs ──────────── Worker
//! ```

mod api;
mod cloud;
mod feed;
mod log;
mod stub;
mod vm;
mod world;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::{ContainerState, Record, RuntimeConstraints, SchedulingParameters};
use dispatch_core::id::{ContainerUuid, InstanceId, TokenUuid};
use dispatch_core::instance::{Catalog, Gpu, IdleBehavior, Instance, InstanceType, Price};
use dispatch_core::policy::Policy;
use dispatch_core::queue::UnlockReason;
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use dispatch_core::worker::fence::{Epoch, Fence};
use prometheus::{Registry, TextEncoder};

pub use api::{FakeApi, Spoil};
pub use cloud::{FakeCloud, cloud_error};
pub use feed::FakeFeed;
pub use log::{Line, Lines};
pub use stub::Stub;
pub use vm::{Executors, FakeVms, FakeWatch, NoSecrets, Odd};
pub use world::World;

use crate::clock;
use crate::metrics::{KnownLabels, Metrics};

/// Time stands still from now on unless everybody waits; it is 2030.
pub fn pause() {
    tokio::time::pause();
    clock::anchor(epoch());
}

pub fn epoch() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

/// Seconds since the start of the test.
pub fn elapsed() -> f64 {
    seconds(clock::now())
}

/// That moment, in seconds since the start of the test, to a twentieth: timers may be a few milliseconds late.
pub fn seconds(at: Timestamp) -> f64 {
    (at.duration_since(epoch()).as_secs_f64() * 20.0).round() / 20.0
}

/// Takes that long, and nothing at all if it is zero (a timer of zero is one of a millisecond).
async fn take(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

pub async fn pass(seconds: u64) {
    pass_millis(1000 * seconds).await;
}

pub async fn pass_millis(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

pub fn uuid(n: usize) -> ContainerUuid {
    format!("zzzzz-dz642-{n:015}").parse().unwrap()
}

pub fn me() -> TokenUuid {
    "zzzzz-gj3su-000000000000001".parse().unwrap()
}

pub fn id(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

/// A container that needs a little.
pub fn record(n: usize, state: ContainerState) -> Record {
    let held = matches!(state, ContainerState::Locked | ContainerState::Running);
    Record {
        uuid: uuid(n),
        state,
        priority: 1000 - n as i64,
        locked_by: held.then(me),
        runtime_constraints: RuntimeConstraints { vcpus: 1, ram: 100 << 20, ..Default::default() },
        container_image: "d41d8cd98f00b204e9800998ecf8427e+122".to_owned(),
        scheduling: SchedulingParameters::default(),
        created_at: Some(epoch()),
        preemption_notice: None,
        lock_count: Some(0),
    }
}

pub fn queued(n: usize) -> Record {
    record(n, ContainerState::Queued)
}

pub fn instance_type(name: &str, vcpus: u64, price: f64) -> InstanceType {
    InstanceType {
        name: name.parse().unwrap(),
        provider_type: name.parse().unwrap(),
        vcpus,
        ram: vcpus << 32,
        included_scratch: 100 << 30,
        added_scratch: 0,
        price: Price::new(price).unwrap(),
        preemptible: false,
        gpu: Gpu::default(),
    }
}

/// The configuration's defaults, one type of three CPUs, nothing deployed.
pub fn policy() -> Policy {
    let mut policy = Policy::with_defaults();
    policy.catalog = Catalog::new([instance_type("small", 3, 0.1)]);
    policy.runner.deploy_directory = None;
    policy.runner.boot_probe_command = "is-booted".to_owned();
    policy.sizing.keep_buffers_per_vcpu = 0;
    policy
}

/// An instance of ours as the cloud lists it.
pub fn instance(name: &str) -> Instance {
    let policy = policy();
    let tags = policy.tag_keys.for_new(
        &policy.instance_set_id,
        &policy.catalog.types()[0].name,
        &Secret::new(format!("secret of {name}")),
    );
    Instance {
        id: id(name),
        provider_type: "small".parse().unwrap(),
        address: format!("{name}.example"),
        tags,
        price_history: Vec::new(),
        launched: None,
    }
}

/// The same instance with that idle behaviour in its tags.
pub fn tagged(mut instance: Instance, behavior: IdleBehavior) -> Instance {
    instance.tags.insert(&*policy().tag_keys.idle_behavior, behavior.as_str());
    instance
}

/// Metrics, and how to read them.
pub struct Meter {
    pub metrics: Rc<Metrics>,
    registry: Registry,
}

impl Meter {
    pub fn new() -> Self {
        let reasons: Vec<_> = UnlockReason::ALL.iter().map(|reason| reason.as_str()).collect();
        let types: Vec<_> = policy().catalog.types().iter().map(|it| it.name.clone()).collect();
        let (metrics, registry) = Metrics::new(KnownLabels { types: &types, unlock_reasons: &reasons });
        Self { metrics: Rc::new(metrics), registry }
    }

    /// The value of a sample, by its name (without the prefix) and labels; `None` if there is none.
    pub fn value(&self, sample: &str) -> Option<f64> {
        self.metrics.publish();
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        let wanted = format!("{}{sample} ", crate::metrics::PREFIX);
        let line = text.lines().find_map(|line| line.strip_prefix(&wanted).map(str::to_owned));
        line.map(|value| value.parse().unwrap())
    }
}

/// The policy, shared.
pub fn shared(policy: Policy) -> Arc<Policy> {
    Arc::new(policy)
}

/// The fence of these tests' VMs.
pub fn fence() -> Arc<Fence> {
    Arc::new(Fence::new("/fence", &policy().instance_set_id, Epoch::from_micros(1)))
}

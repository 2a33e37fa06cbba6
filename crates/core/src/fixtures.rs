//! Records, types and instances that the tests of several modules share.

use std::sync::Arc;

use crate::container::{ContainerState, Record, RuntimeConstraints, SchedulingParameters};
use crate::id::{ContainerRequestUuid, ContainerUuid, InstanceId, ProviderType, TokenUuid, TypeName};
use crate::instance::{Catalog, Gpu, Instance, InstanceType, Price, Tags};
use crate::policy::Policy;
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::Timestamp;
use crate::worker::StartOrder;

pub(crate) const GIB: u64 = 1 << 30;

/// That many seconds after the tests' beginning of time.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

pub(crate) fn uuid(n: u64) -> ContainerUuid {
    format!("zzzzz-dz642-{n:015}").parse().unwrap()
}

pub(crate) fn request(n: u64) -> ContainerRequestUuid {
    format!("zzzzz-xvhdp-{n:015}").parse().unwrap()
}

pub(crate) fn me() -> TokenUuid {
    "zzzzz-gj3su-000000000000000".parse().unwrap()
}

pub(crate) fn somebody_else() -> TokenUuid {
    "zzzzz-gj3su-999999999999999".parse().unwrap()
}

/// One VCPU, 1 GiB; under our lock if its state has one.
pub(crate) fn record(n: u64, state: ContainerState, priority: i64) -> Record {
    let locked = matches!(state, ContainerState::Locked | ContainerState::Running);
    Record {
        uuid: uuid(n),
        state,
        priority,
        locked_by: locked.then(me),
        runtime_constraints: RuntimeConstraints { vcpus: 1, ram: GIB, ..Default::default() },
        container_image: String::new(),
        scheduling: SchedulingParameters::default(),
        created_at: None,
        preemption_notice: None,
        lock_count: None,
    }
}

/// An order to start that container, of which nothing more is known.
pub(crate) fn order(uuid: ContainerUuid) -> StartOrder {
    StartOrder { uuid, priority: 0, created_at: None, locked_at: None, failed_elsewhere: false }
}

pub(crate) fn instance_type(name: &str, vcpus: u64, price: f64, preemptible: bool) -> InstanceType {
    InstanceType {
        name: TypeName::new(name).unwrap(),
        provider_type: ProviderType::new(&format!("p.{name}")).unwrap(),
        vcpus,
        ram: 4 * GIB * vcpus,
        included_scratch: 100 * GIB,
        added_scratch: 0,
        price: Price::new(price).unwrap(),
        preemptible,
        gpu: Gpu::default(),
    }
}

/// `small` (1 VCPU), `big` (4 VCPUs) and their like on the spot market; sizing adds nothing to RAM; several
/// creates at a time.
pub(crate) fn policy() -> Policy {
    let mut policy = Policy::with_defaults();
    policy.catalog = Catalog::new([
        instance_type("small", 1, 1.0, false),
        instance_type("big", 4, 4.0, false),
        instance_type("small.spot", 1, 0.5, true),
        instance_type("big.spot", 4, 2.0, true),
    ]);
    policy.sizing.reserve_extra_ram = 0;
    policy.sizing.keep_buffers_per_vcpu = 0;
    policy.sizing.maximum_price_factor = 10.0;
    policy.max_concurrent_creates = 0;
    policy.max_instances = 0;
    policy
}

pub(crate) fn typed(policy: &Policy, name: &str) -> Arc<InstanceType> {
    Arc::clone(policy.catalog.get(name).unwrap())
}

pub(crate) fn id(name: &str) -> InstanceId {
    InstanceId::new(name).unwrap()
}

/// As a listing shows it: with all tags, `secret` among them.
pub(crate) fn instance(name: &str, it: &InstanceType, secret: &str) -> Instance {
    let mut tags = Tags::default();
    tags.insert("ArvadosInstanceType", it.name.as_str());
    tags.insert("ArvadosIdleBehavior", "run");
    tags.insert("ArvadosInstanceSecret", secret);
    Instance {
        id: id(name),
        provider_type: it.provider_type.clone(),
        address: "127.0.0.1:22".to_owned(),
        tags,
        price_history: Vec::new(),
        launched: None,
    }
}

pub(crate) fn api_error(kind: ApiErrorKind) -> ApiError {
    ApiError { kind, status: None, message: kind.as_str().to_owned(), request_id: "req-1".to_owned() }
}

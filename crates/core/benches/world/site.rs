//! The site: instance types of several families and markets, and containers that ask for them.

use std::sync::Arc;

use dispatch_core::container::{ContainerState, Record, RuntimeConstraints, SchedulingParameters};
use dispatch_core::id::{ContainerUuid, InstanceId, ProviderType, TokenUuid, TypeName};
use dispatch_core::instance::{Catalog, Gpu, Instance, InstanceType, Price, Tags};
use dispatch_core::policy::Policy;
use dispatch_core::time::Timestamp;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// How much the sizes of containers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// Some sixty sizes, as workflows ask for.
    Mixed,
    /// Almost every container has its own RAM and scratch.
    Own,
}

/// Draws everything from one seed.
pub struct Site {
    /// Twelve types on each of two markets.
    pub policy: Arc<Policy>,
    random: ChaCha8Rng,
}

impl Site {
    /// The site, before anything is drawn.
    pub fn new() -> Self {
        let mut policy = Policy::with_defaults();
        policy.catalog = Catalog::new([false, true].into_iter().flat_map(types_of));
        policy.max_instances = 0;
        policy.max_concurrent_creates = 0;
        Self { policy: Arc::new(policy), random: ChaCha8Rng::seed_from_u64(4) }
    }

    /// A container of 1 to 8 VCPUs; a quarter is preemptible. Priorities are those of two hundred workflows.
    pub fn record(&mut self, n: usize, state: ContainerState, sizes: Sizes) -> Record {
        let vcpus = [1, 1, 1, 2, 2, 4, 8][self.random.random_range(0..7)];
        let ram = match sizes {
            Sizes::Mixed => vcpus * [1, 2, 3, 4, 6, 7][self.random.random_range(0..6)] * GIB,
            Sizes::Own => self.random.random_range(vcpus * GIB..7 * vcpus * GIB),
        };
        Record {
            uuid: uuid(n),
            state,
            priority: self.random.random_range(1..=200) << 52,
            locked_by: (state != ContainerState::Queued).then(me),
            runtime_constraints: RuntimeConstraints {
                vcpus,
                ram,
                keep_cache_ram: 256 * MIB,
                ..RuntimeConstraints::default()
            },
            container_image: "0123456789abcdef0123456789abcdef+374".to_owned(),
            scheduling: SchedulingParameters {
                preemptible: self.random.random_range(0..4) == 0,
                ..SchedulingParameters::default()
            },
            created_at: Some(at(0)),
            preemption_notice: None,
            lock_count: None,
        }
    }

    /// Bytes of scratch that a container asks for beside its image.
    pub fn scratch(&mut self, sizes: Sizes) -> u64 {
        match sizes {
            Sizes::Mixed => [1, 1, 10, 20][self.random.random_range(0..4)] * GIB,
            Sizes::Own => self.random.random_range(GIB..20 * GIB),
        }
    }

    /// A type for one more instance.
    pub fn draw_type(&mut self) -> Arc<InstanceType> {
        let types = self.policy.catalog.types();
        Arc::clone(&types[self.random.random_range(0..types.len())])
    }
}

/// Three families (2, 4 and 8 GiB a VCPU) of four sizes each.
fn types_of(preemptible: bool) -> impl Iterator<Item = InstanceType> {
    let sizes = [2, 4, 8, 16];
    let families = [("c", 2, 0.045), ("m", 4, 0.05), ("r", 8, 0.065)];
    families.into_iter().flat_map(move |(family, gib, price)| {
        sizes.into_iter().map(move |vcpus| {
            let name = format!("{family}{vcpus}{}", if preemptible { ".spot" } else { "" });
            let discount = if preemptible { 0.3 } else { 1.0 };
            InstanceType {
                name: TypeName::new(&name).expect("short and printable"),
                provider_type: ProviderType::new(&format!("{family}6i.{vcpus}"))
                    .expect("short and printable"),
                vcpus,
                ram: gib * vcpus * GIB,
                included_scratch: 0,
                added_scratch: 50 * vcpus * GIB,
                price: Price::new(price * discount * vcpus as f64).expect("positive"),
                preemptible,
                gpu: Gpu::default(),
            }
        })
    })
}

/// The instance of that number, as a listing shows it.
pub fn instance(n: usize, it: &InstanceType) -> Instance {
    let mut tags = Tags::default();
    tags.insert("ArvadosInstanceSetID", "0123456789abcdef0123456789abcdef");
    tags.insert("ArvadosInstanceType", it.name.as_str());
    tags.insert("ArvadosIdleBehavior", "run");
    tags.insert("ArvadosInstanceSecret", format!("{n:040x}"));
    Instance {
        id: InstanceId::new(&format!("i-{n:017x}")).expect("short and printable"),
        provider_type: it.provider_type.clone(),
        address: "10.0.0.1".to_owned(),
        tags,
        price_history: Vec::new(),
        launched: None,
    }
}

/// That many seconds after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).expect("within the calendar")
}

/// Ours.
pub fn me() -> TokenUuid {
    "zzzzz-gj3su-000000000000000".parse().expect("well formed")
}

fn uuid(n: usize) -> ContainerUuid {
    format!("zzzzz-dz642-{n:015}").parse().expect("well formed")
}

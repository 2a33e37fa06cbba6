//! Cloud VMs as data: types with their prices, instances, tags.

mod tags;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use tags::{TagKeys, Tags};

use crate::id::{InstanceId, ProviderType, TypeName};
use crate::preference::CatalogOrder;
use crate::time::Timestamp;

/// Money an hour, in the site's currency: finite and not negative.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Price(f64);

impl Price {
    /// No money.
    pub const ZERO: Self = Self(0.0);

    /// Checks the amount; `None` if it is negative, infinite or not a number.
    pub fn new(per_hour: f64) -> Option<Self> {
        (per_hour.is_finite() && per_hour >= 0.0).then_some(Self(per_hour + 0.0))
    }

    /// The amount an hour.
    pub fn per_hour(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Price {
    type Error = String;

    fn try_from(per_hour: f64) -> Result<Self, String> {
        Self::new(per_hour)
            .ok_or_else(|| format!("the price {per_hour} is not a finite number of at least 0"))
    }
}

impl PartialEq for Price {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Price {}
impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Price {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The GPUs of an instance type. Field names on the wire are the site configuration's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Gpu {
    /// `""`, `cuda` or `rocm`.
    pub stack: String,
    /// Driver version, a decimal number as text.
    pub driver_version: String,
    /// What hardware it is.
    pub hardware_target: String,
    /// How many devices.
    pub device_count: u64,
    /// Bytes of memory a device.
    #[serde(rename = "VRAM")]
    pub vram: u64,
}

/// An entry of `InstanceTypes`. Sizes are bytes. Serialises as the site configuration has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstanceType {
    /// Its key in the configuration.
    #[serde(skip, default = "TypeName::unnamed")]
    pub name: TypeName,
    /// The cloud's name for it.
    pub provider_type: ProviderType,
    /// CPUs.
    #[serde(rename = "VCPUs")]
    pub vcpus: u64,
    /// Bytes of memory.
    #[serde(rename = "RAM")]
    pub ram: u64,
    /// Bytes of disk that come with it.
    pub included_scratch: u64,
    /// Bytes of disk that are attached to it.
    pub added_scratch: u64,
    /// Price an hour; for preemptible types the most that is offered.
    pub price: Price,
    /// Whether the cloud may take it away at any time (spot).
    pub preemptible: bool,
    /// Its GPUs.
    #[serde(rename = "GPU")]
    pub gpu: Gpu,
}

impl InstanceType {
    /// All its disk, in bytes.
    pub fn scratch(&self) -> u64 {
        self.included_scratch.saturating_add(self.added_scratch)
    }

    /// On which market it is bought.
    pub fn market(&self) -> Market {
        Market::of(self.preemptible)
    }

    /// What the cloud sells: entries that share it share its capacity.
    pub fn offering(&self) -> Offering {
        Offering { provider_type: self.provider_type.clone(), market: self.market() }
    }
}

/// Where VMs are bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Stays until we end it.
    OnDemand,
    /// May be taken away at any time.
    Spot,
}

impl Market {
    /// Where whoever wants that buys.
    pub fn of(preemptible: bool) -> Self {
        if preemptible { Self::Spot } else { Self::OnDemand }
    }
}

impl fmt::Display for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnDemand => "on-demand",
            Self::Spot => "spot",
        })
    }
}

/// What a cloud sells and can run out of: a VM type on a market.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offering {
    /// The cloud's name of the type.
    pub provider_type: ProviderType,
    /// Where it is bought.
    pub market: Market,
}

impl fmt::Display for Offering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.provider_type, self.market)
    }
}

/// What the operator wants of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdleBehavior {
    /// Use it, and shut it down when it has been idle for long enough.
    #[default]
    Run,
    /// Nothing new is placed on it, and we never shut it down.
    Hold,
    /// Nothing new is placed on it; shut down when empty.
    Drain,
}

impl IdleBehavior {
    /// As in tags, the API and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Hold => "hold",
            Self::Drain => "drain",
        }
    }

    /// The behaviour of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Run, Self::Hold, Self::Drain].into_iter().find(|behavior| behavior.as_str() == name)
    }
}

impl fmt::Display for IdleBehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The price of an instance from a point in time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PricePoint {
    /// From when on.
    pub start_time: Timestamp,
    /// Price an hour.
    pub price: Price,
}

/// A VM, as a cloud's listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Stable for its life.
    pub id: InstanceId,
    /// The cloud's name of its type.
    pub provider_type: ProviderType,
    /// Host, or host:port; empty while it boots.
    pub address: String,
    /// All its tags.
    pub tags: Tags,
    /// What it costs, newest first; empty = unknown, use the type's price.
    pub price_history: Vec<PricePoint>,
    /// Since when it costs that, by the cloud's clock; `None` = the cloud does not tell.
    pub launched: Option<Timestamp>,
}

impl Instance {
    /// Since when it exists: by the cloud's clock if that tells a time before we first saw it, and otherwise since then. Both
    /// are compared with a clock that is not corrected while we work, so no step of the wall clock makes an instance old; one
    /// that was wrong when we began does, until a restart.
    pub fn born(&self, appeared: Timestamp) -> Timestamp {
        self.launched.filter(|at| *at <= appeared).unwrap_or(appeared)
    }
}

/// The configured types, in the order of their preference, shared by all who need one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalog {
    by_preference: Vec<Arc<InstanceType>>,
}

impl Catalog {
    /// Sorts the types by preference.
    pub fn new(types: impl IntoIterator<Item = InstanceType>) -> Self {
        let mut by_preference: Vec<_> = types.into_iter().map(Arc::new).collect();
        by_preference.sort_by(|a, b| CatalogOrder::of(a).cmp(&CatalogOrder::of(b)));
        Self { by_preference }
    }

    /// All of them, the most preferred first.
    pub fn types(&self) -> &[Arc<InstanceType>] {
        &self.by_preference
    }

    /// The type of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<InstanceType>> {
        self.by_preference.iter().find(|it| it.name.as_str() == name)
    }

    /// The type of that name, if the instance really is one: a name may mean another type of the cloud since it was made.
    pub fn of_instance(&self, name: &str, provider_type: &ProviderType) -> Option<&Arc<InstanceType>> {
        self.get(name).filter(|it| it.provider_type == *provider_type)
    }

    /// A type that the cloud calls so, to tell what an instance has and costs that is of no configured type.
    pub fn like(&self, provider_type: &ProviderType) -> Option<&Arc<InstanceType>> {
        self.by_preference.iter().find(|it| it.provider_type == *provider_type)
    }

    /// Whether no type is configured.
    pub fn is_empty(&self) -> bool {
        self.by_preference.is_empty()
    }
}

impl Serialize for Catalog {
    /// By name, as the site's configuration has them.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.by_preference.iter().map(|it| (&it.name, it)))
    }
}

impl<'de> Deserialize<'de> for Catalog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let by_name = BTreeMap::<TypeName, InstanceType>::deserialize(deserializer)?;
        Ok(Self::new(by_name.into_iter().map(|(name, it)| InstanceType { name, ..it })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_hide_the_secret_when_printed() {
        let mut tags = Tags::default();
        tags.insert("ArvadosInstanceSecret", "hunter2");
        tags.insert("Owner", "lab");
        let shown = format!("{tags:?}");
        assert!(shown.contains("lab") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_empty_secret_tag_is_no_secret() {
        let keys = TagKeys::new("Arvados");
        let mut tags = Tags::default();
        tags.insert("ArvadosInstanceSecret", "");
        assert_eq!(keys.secret_of(&tags), None);
    }

    #[test]
    fn prices_are_finite_and_ordered() {
        assert!(Price::new(f64::NAN).is_none() && Price::new(-1.0).is_none());
        assert!(Price::new(0.1).unwrap() < Price::new(0.2).unwrap());
        assert_eq!(Price::new(-0.0).unwrap(), Price::ZERO);
    }
}

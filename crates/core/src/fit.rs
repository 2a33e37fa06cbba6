//! What a container needs, which instance types fit it, and what is left free on an instance
//! (docs/behaviour.md, "Which instance types fit").
//! Integer arithmetic throughout, in one order, so that two dispatchers agree to the byte.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::container::{GpuRequest, MountNeeds, Record};
use crate::instance::{Catalog, Gpu, InstanceType, Market};
use crate::policy::Sizing;

const MIB: u64 = 1 << 20;

/// Resources, wanted or there. Sizes are bytes. Serialises as the management API shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Resources {
    /// CPUs. A wish for 0 is a share of one CPU that all such containers have in common.
    #[serde(rename = "VCPUs")]
    pub vcpus: u64,
    /// Memory.
    #[serde(rename = "RAM")]
    pub ram: u64,
    /// Disk.
    #[serde(rename = "Scratch")]
    pub scratch: u64,
    /// GPU devices.
    #[serde(rename = "GPUs")]
    pub gpus: u64,
    /// Memory a GPU device.
    #[serde(rename = "GPUVRAM")]
    pub gpu_vram: u64,
}

impl Resources {
    /// Whether each of ours is at least as much as theirs.
    pub fn covers(&self, wanted: &Self) -> bool {
        self.vcpus >= wanted.vcpus
            && self.ram >= wanted.ram
            && self.scratch >= wanted.scratch
            && self.gpus >= wanted.gpus
            && (wanted.gpus == 0 || self.gpu_vram >= wanted.gpu_vram)
    }
}

/// What is left free on an instance. Containers are taken off one by one; the order does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Free {
    left: Resources,
    /// Whether one VCPU is set aside for zero-VCPU containers already.
    shared_vcpu: bool,
}

impl Free {
    /// An empty instance of that type.
    pub fn all_of(it: &InstanceType) -> Self {
        let left = Resources {
            vcpus: it.vcpus,
            ram: it.ram,
            scratch: it.scratch(),
            gpus: it.gpu.device_count,
            gpu_vram: it.gpu.vram,
        };
        Self { left, shared_vcpu: false }
    }

    /// Whether that much more fits.
    pub fn fits(&self, need: &Resources) -> bool {
        self.left.covers(&Resources { vcpus: self.vcpus_taken_by(need), ..*need })
    }

    /// Takes that much off; what is not there counts as nothing left.
    pub fn take(&mut self, need: &Resources) {
        self.left.vcpus = self.left.vcpus.saturating_sub(self.vcpus_taken_by(need));
        self.shared_vcpu |= need.vcpus == 0;
        self.left.ram = self.left.ram.saturating_sub(need.ram);
        self.left.scratch = self.left.scratch.saturating_sub(need.scratch);
        self.left.gpus = self.left.gpus.saturating_sub(need.gpus);
    }

    /// What is left. One VCPU less if one is set aside.
    pub fn left(&self) -> &Resources {
        &self.left
    }

    /// The same with RAM and scratch without end: for whoever compares these two on their own.
    pub fn regardless_of_room(mut self) -> Self {
        (self.left.ram, self.left.scratch) = (u64::MAX, u64::MAX);
        self
    }

    fn vcpus_taken_by(&self, need: &Resources) -> u64 {
        match need.vcpus {
            0 if self.shared_vcpu => 0,
            0 => 1,
            vcpus => vcpus,
        }
    }
}

/// Why no configured type can run a container: the text that its user gets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsuitable {
    /// The site has no types at all.
    #[error(
        "no instance types are configured: an operator must add InstanceTypes to the site's configuration"
    )]
    NoTypes,
    /// A GPU stack that nobody knows.
    #[error("runtime_constraints.gpu.stack `{0}` is not supported: it must be empty, `cuda` or `rocm`")]
    UnknownGpuStack(String),
    /// Each type lacks something.
    #[error(
        "constraints not satisfiable by any configured instance type: needs {vcpus} VCPUs, {ram} bytes of RAM, \
         {scratch} bytes of scratch{gpu}, preemptible={preemptible}; available types: {types}",
        vcpus = .need.vcpus, ram = .need.ram, scratch = .need.scratch
    )]
    NothingFits {
        /// What it needs.
        need: Resources,
        /// GPU part of the text, or empty.
        gpu: String,
        /// Which market it wants.
        preemptible: bool,
        /// What there is, as `name (VCPUs, RAM, scratch, …)` joined by commas.
        types: String,
    },
}

/// What a container needs of an instance.
pub fn needs(record: &Record, mounts: MountNeeds, sizing: &Sizing) -> Resources {
    let wanted = &record.runtime_constraints;
    let image = image_bytes(&record.container_image);
    Resources {
        vcpus: wanted.vcpus,
        ram: ram_needed(wanted.ram, wanted.keep_cache_ram, wanted.vcpus, sizing),
        scratch: mounts.tmp_bytes.max(image).saturating_add(image).saturating_add(wanted.keep_cache_disk),
        gpus: wanted.gpu.device_count,
        gpu_vram: wanted.gpu.vram,
    }
}

/// `(ram + cache + reserve [+ 220 MiB + n × vcpus × 64 MiB × 11/10]) × 100 / 95`, saturating.
fn ram_needed(ram: u64, cache: u64, vcpus: u64, sizing: &Sizing) -> u64 {
    let mut total = u128::from(ram) + u128::from(cache) + u128::from(sizing.reserve_extra_ram);
    let buffers = u128::from(sizing.keep_buffers_per_vcpu);
    if buffers > 0 {
        total += u128::from(220 * MIB);
        total += (buffers * u128::from(vcpus)).saturating_mul(u128::from(64 * MIB)).saturating_mul(11) / 10;
    }
    u64::try_from(total.saturating_mul(100) / 95).unwrap_or(u64::MAX)
}

/// Estimated bytes of an unpacked image, from the size of its manifest in `32hex+SIZE`: each 64 MiB
/// block has a locator of 42 bytes. 0 if malformed or smaller than one block's manifest.
fn image_bytes(portable_data_hash: &str) -> u64 {
    let Some((hash, size)) = portable_data_hash.split_once('+') else { return 0 };
    let well_formed =
        hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
    let digits_only = size.bytes().all(|b| b.is_ascii_digit());
    match size.parse::<u64>() {
        Ok(size) if well_formed && digits_only && size >= 122 => ((size - 80) / 42).saturating_mul(64 * MIB),
        _ => 0,
    }
}

/// The types that fit on the market that the container wants, in the order of preference, none dearer than the cheapest by
/// more than the factor.
///
/// # Errors
/// If there is none: why.
pub fn eligible_types(
    catalog: &Catalog,
    need: &Resources,
    record: &Record,
    sizing: &Sizing,
) -> Result<Vec<Arc<InstanceType>>, Unsuitable> {
    eligible_types_on(record.scheduling.market(), catalog, need, record, sizing)
}

/// The same on that market, whichever the container wants.
///
/// # Errors
/// If there is none: why.
pub fn eligible_types_on(
    market: Market,
    catalog: &Catalog,
    need: &Resources,
    record: &Record,
    sizing: &Sizing,
) -> Result<Vec<Arc<InstanceType>>, Unsuitable> {
    if catalog.is_empty() {
        return Err(Unsuitable::NoTypes);
    }
    let gpu = &record.runtime_constraints.gpu;
    if !matches!(gpu.stack.as_str(), "" | "cuda" | "rocm") {
        return Err(Unsuitable::UnknownGpuStack(gpu.stack.clone()));
    }
    let fitting = catalog.types().iter().filter(|it| type_fits(it, need, gpu, market));
    let mut eligible: Vec<_> = fitting.cloned().collect();
    let Some(cheapest) = eligible.first().map(|it| it.price.per_hour()) else {
        return Err(nothing_fits(catalog, need, gpu, market));
    };
    let highest = cheapest * sizing.maximum_price_factor.max(1.0);
    eligible.retain(|it| it.price.per_hour() <= highest);
    Ok(eligible)
}

fn nothing_fits(catalog: &Catalog, need: &Resources, gpu: &GpuRequest, market: Market) -> Unsuitable {
    let describe = |it: &Arc<InstanceType>| {
        format!(
            "{} ({} VCPUs, {} RAM, {} scratch, {} GPUs, {})",
            it.name,
            it.vcpus,
            it.ram,
            it.scratch(),
            it.gpu.device_count,
            it.market()
        )
    };
    let types = catalog.types().iter().map(describe).collect::<Vec<_>>().join(", ");
    let gpu = match gpu.device_count {
        0 => String::new(),
        n => format!(
            ", {n} GPUs ({}, driver {}, hardware {:?}, {} bytes VRAM)",
            gpu.stack, gpu.driver_version, gpu.hardware_target, gpu.vram
        ),
    };
    Unsuitable::NothingFits { need: *need, gpu, preemptible: market == Market::Spot, types }
}

fn type_fits(it: &InstanceType, need: &Resources, gpu: &GpuRequest, market: Market) -> bool {
    it.market() == market && Free::all_of(it).fits(need) && gpu_fits(&it.gpu, gpu)
}

fn gpu_fits(have: &Gpu, want: &GpuRequest) -> bool {
    if have.stack != want.stack {
        return false;
    }
    want.device_count == 0
        || (at_least(&have.driver_version, &want.driver_version) && hardware_fits(have, want))
}

fn hardware_fits(have: &Gpu, want: &GpuRequest) -> bool {
    let one_of = || want.hardware_target.contains(&have.hardware_target);
    match (want.stack.as_str(), want.hardware_target.as_slice()) {
        (_, []) => false,
        ("cuda", [target]) => at_least(&have.hardware_target, target),
        ("cuda" | "rocm", _) => one_of(),
        _ => false,
    }
}

/// Whether `have` ≥ `want` as decimal numbers; what cannot be read does not fit.
fn at_least(have: &str, want: &str) -> bool {
    match (decimal(have), decimal(want)) {
        (Some(have), Some(want)) => have >= want,
        _ => false,
    }
}

/// A version such as `11.0` as a decimal number (`12.10` is 12.1, as the site's other programs read it); `None` if it is not one.
pub fn decimal(text: &str) -> Option<f64> {
    let digits_and_point = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if digits_and_point { text.parse().ok() } else { None }
}

mod exclusion;

pub use exclusion::exclusion;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

//! What a container wants, and the types that have it.

use dispatch_core::container::{GpuRequest, RuntimeConstraints, SchedulingParameters};
use dispatch_core::fit::Resources;
use dispatch_core::instance::{Gpu, InstanceType};
use serde::Serialize;
use utoipa::ToSchema;

/// What a container asks for. Sizes are bytes.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = RuntimeConstraints)]
pub struct ConstraintsView {
    /// Whether it may call the API (supervisors do).
    #[serde(rename = "API")]
    api: bool,
    ram: u64,
    vcpus: u64,
    keep_cache_ram: u64,
    keep_cache_disk: u64,
    gpu: GpuRequestView,
}

/// What a container asks of a GPU. `device_count` 0 = none is asked for.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = GpuRequest)]
pub struct GpuRequestView {
    stack: String,
    driver_version: String,
    hardware_target: Vec<String>,
    device_count: u64,
    vram: u64,
}

/// How a container wants to be scheduled.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = SchedulingParameters)]
pub struct SchedulingView {
    partitions: Vec<String>,
    preemptible: bool,
    max_run_time: i64,
    supervisor: bool,
}

/// What a container needs of an instance. Sizes are bytes.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Resources)]
pub struct ResourcesView {
    #[serde(rename = "VCPUs")]
    vcpus: u64,
    #[serde(rename = "RAM")]
    ram: u64,
    #[serde(rename = "Scratch")]
    scratch: u64,
    #[serde(rename = "GPUs")]
    gpus: u64,
    /// Memory of each GPU.
    #[serde(rename = "GPUVRAM")]
    gpu_vram: u64,
}

/// A type as the site's configuration has it, with what other readers look for. Sizes are bytes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = InstanceType)]
pub struct TypeView<'a> {
    name: &'a str,
    /// The cloud's name for it.
    provider_type: &'a str,
    #[serde(rename = "VCPUs")]
    vcpus: u64,
    #[serde(rename = "RAM")]
    ram: u64,
    /// The disk that comes with it.
    included_scratch: u64,
    /// The disk that is attached to it.
    added_scratch: u64,
    /// An hour; of a preemptible type the most that is offered.
    price: f64,
    preemptible: bool,
    #[serde(rename = "GPU")]
    gpu: GpuView<'a>,
    /// All its disk.
    scratch: u64,
}

/// The GPUs of a type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = Gpu)]
pub struct GpuView<'a> {
    stack: &'a str,
    driver_version: &'a str,
    hardware_target: &'a str,
    device_count: u64,
    #[serde(rename = "VRAM")]
    vram: u64,
}

impl ConstraintsView {
    /// Those of a record.
    pub fn of(it: &RuntimeConstraints) -> Self {
        let RuntimeConstraints { api, ram, vcpus, keep_cache_ram, keep_cache_disk, gpu } = it;
        Self {
            api: *api,
            ram: *ram,
            vcpus: *vcpus,
            keep_cache_ram: *keep_cache_ram,
            keep_cache_disk: *keep_cache_disk,
            gpu: GpuRequestView::of(gpu),
        }
    }
}

impl GpuRequestView {
    fn of(it: &GpuRequest) -> Self {
        let GpuRequest { stack, driver_version, hardware_target, device_count, vram } = it.clone();
        Self { stack, driver_version, hardware_target, device_count, vram }
    }
}

impl SchedulingView {
    /// Those of a record.
    pub fn of(it: &SchedulingParameters) -> Self {
        let SchedulingParameters { partitions, preemptible, max_run_time, supervisor } = it.clone();
        Self { partitions, preemptible, max_run_time, supervisor }
    }
}

impl ResourcesView {
    /// Those of an entry.
    pub fn of(it: Resources) -> Self {
        let Resources { vcpus, ram, scratch, gpus, gpu_vram } = it;
        Self { vcpus, ram, scratch, gpus, gpu_vram }
    }
}

impl<'a> TypeView<'a> {
    /// One of the site's.
    pub fn of(it: &'a InstanceType) -> Self {
        Self {
            name: it.name.as_str(),
            provider_type: it.provider_type.as_str(),
            vcpus: it.vcpus,
            ram: it.ram,
            included_scratch: it.included_scratch,
            added_scratch: it.added_scratch,
            price: it.price.per_hour(),
            preemptible: it.preemptible,
            gpu: GpuView::of(&it.gpu),
            scratch: it.scratch(),
        }
    }
}

impl<'a> GpuView<'a> {
    fn of(it: &'a Gpu) -> Self {
        let Gpu { stack, driver_version, hardware_target, device_count, vram } = it;
        Self { stack, driver_version, hardware_target, device_count: *device_count, vram: *vram }
    }
}

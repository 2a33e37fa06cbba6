//! An entry of `InstanceTypes`.

use std::sync::LazyLock;

use dispatch_core::instance::InstanceType;

use super::unit::{FLAG, LONG_COUNT, PRICE, SIZE, TEXT, place};
use super::{Table, key, read_elsewhere};
use crate::settings::template::SAMPLE;

/// An entry of `InstanceTypes`, `GPU` aside.
pub static INSTANCE_TYPE: LazyLock<Table<InstanceType>> = LazyLock::new(|| Table {
    path: &["InstanceTypes", SAMPLE],
    keys: vec![
        read_elsewhere(
            "ProviderType",
            "",
            |it: &InstanceType| it.provider_type.as_str().into(),
            "The cloud's name for it; empty: the entry's own.",
        )
        .ours(),
        key("VCPUs", 0, &LONG_COUNT, place!(InstanceType: vcpus), "CPUs.").ours(),
        key("RAM", 0, &SIZE, place!(InstanceType: ram), "Memory.").ours(),
        key("IncludedScratch", 0, &SIZE, place!(InstanceType: included_scratch), "Disk that comes with it.")
            .ours(),
        key("AddedScratch", 0, &SIZE, place!(InstanceType: added_scratch), "Disk that is attached to it.")
            .ours(),
        key(
            "Price",
            0,
            &PRICE,
            place!(InstanceType: price),
            "Price an hour; for preemptible types the most that is offered.",
        )
        .ours(),
        key(
            "Preemptible",
            false,
            &FLAG,
            place!(InstanceType: preemptible),
            "Whether the cloud may take it away at any time (spot).",
        )
        .ours(),
    ],
});

/// `GPU` of such an entry.
pub static GPU: LazyLock<Table<InstanceType>> = LazyLock::new(|| Table {
    path: &["InstanceTypes", SAMPLE, "GPU"],
    keys: vec![
        key("Stack", "", &TEXT, place!(InstanceType: gpu.stack), "cuda or rocm.").ours(),
        key(
            "DriverVersion",
            "",
            &TEXT,
            place!(InstanceType: gpu.driver_version),
            "Version of the driver, as text.",
        )
        .ours(),
        key(
            "HardwareTarget",
            "",
            &TEXT,
            place!(InstanceType: gpu.hardware_target),
            "What hardware it is, as text: for cuda its compute capability.",
        )
        .ours(),
        key("DeviceCount", 0, &LONG_COUNT, place!(InstanceType: gpu.device_count), "How many there are.")
            .ours(),
        key("VRAM", 0, &SIZE, place!(InstanceType: gpu.vram), "Memory of each.").ours(),
    ],
});

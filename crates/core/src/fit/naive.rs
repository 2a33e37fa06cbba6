//! Sizing a second time: slow, obviously right, and sharing no code with what it checks.

use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::container::{ContainerState, RuntimeConstraints, SchedulingParameters};
use crate::id::{ProviderType, TypeName};
use crate::instance::Price;

/// Page 2.2, read aloud. Sizes stay below 2^64 throughout: overflow has a test of its own.
fn naive_needs(record: &Record, tmp_bytes: u64, sizing: &Sizing) -> Resources {
    let wanted = &record.runtime_constraints;
    let mut ram = wanted.ram;
    ram += wanted.keep_cache_ram;
    ram += sizing.reserve_extra_ram;
    if sizing.keep_buffers_per_vcpu > 0 {
        let buffers = sizing.keep_buffers_per_vcpu * wanted.vcpus;
        ram += 230_686_720;
        ram += buffers * 67_108_864 * 11 / 10;
    }
    let image = naive_image(&record.container_image);
    let mut scratch = if tmp_bytes > image { tmp_bytes } else { image };
    scratch += image;
    scratch += wanted.keep_cache_disk;
    Resources {
        vcpus: wanted.vcpus,
        ram: ram * 100 / 95,
        scratch,
        gpus: wanted.gpu.device_count,
        gpu_vram: wanted.gpu.vram,
    }
}

/// Counts blocks one by one: the manifest of the first ends at 122 bytes, and each more takes 42.
fn naive_image(hash: &str) -> u64 {
    let Some(size) = hash.strip_prefix("0123456789abcdef0123456789abcdef+") else { return 0 };
    let Ok(size) = size.parse::<u64>() else { return 0 };
    let mut blocks = 0;
    while 122 + 42 * blocks <= size {
        blocks += 1;
    }
    blocks * 67_108_864
}

/// Every type against every rule, then a slow sort, then the cut.
fn naive_types(types: &[InstanceType], need: &Resources, record: &Record, factor: f64) -> Vec<String> {
    let mut fitting: Vec<&InstanceType> = Vec::new();
    for it in types {
        let gpu = &record.runtime_constraints.gpu;
        // A container that wants no VCPU shares one, so there must be one.
        let enough_vcpus = if need.vcpus == 0 { it.vcpus >= 1 } else { it.vcpus >= need.vcpus };
        let enough = it.ram >= need.ram && it.included_scratch + it.added_scratch >= need.scratch;
        let right_market = it.preemptible == record.scheduling.preemptible;
        if enough_vcpus && enough && right_market && naive_gpu_fits(&it.gpu, gpu) {
            fitting.push(it);
        }
    }
    fitting.sort_by(|a, b| naive_order(a, b));
    let cheapest = fitting.first().map_or(0.0, |it| it.price.per_hour());
    let factor = if factor > 1.0 { factor } else { 1.0 };
    fitting.retain(|it| it.price.per_hour() <= cheapest * factor);
    fitting.iter().map(|it| it.name.to_string()).collect()
}

fn naive_order(a: &InstanceType, b: &InstanceType) -> Ordering {
    let scratch = |it: &InstanceType| it.included_scratch + it.added_scratch;
    let by_price = a.price.per_hour().partial_cmp(&b.price.per_hour()).unwrap();
    by_price
        .then(b.ram.cmp(&a.ram))
        .then(b.vcpus.cmp(&a.vcpus))
        .then(scratch(b).cmp(&scratch(a)))
        .then(a.name.as_str().cmp(b.name.as_str()))
}

fn naive_gpu_fits(have: &Gpu, want: &GpuRequest) -> bool {
    if have.stack != want.stack || have.device_count < want.device_count {
        return false;
    }
    if want.device_count == 0 {
        return true;
    }
    let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
    let new_enough = number(&have.driver_version) >= number(&want.driver_version);
    let hardware = match (want.stack.as_str(), want.hardware_target.len()) {
        // Devices of no stack are nowhere.
        ("", _) | (_, 0) => false,
        ("cuda", 1) => number(&have.hardware_target) >= number(&want.hardware_target[0]),
        _ => want.hardware_target.contains(&have.hardware_target),
    };
    have.vram >= want.vram && new_enough && hardware
}

const GIB: u64 = 1 << 30;

/// Bytes: round numbers, their neighbours, and anything.
fn bytes() -> impl Strategy<Value = u64> {
    let round = (0..40u64, 0..3u64).prop_map(|(gib, off)| (gib * GIB + off).saturating_sub(1));
    prop_oneof![round, 0..40 * GIB]
}

fn gpu() -> impl Strategy<Value = Gpu> {
    let stack = select(vec!["", "", "cuda", "rocm"]);
    let version = select(vec!["11.0", "12.2", "x", ""]);
    let target = select(vec!["8.0", "8.6", "9.0", "gfx942", ""]);
    (stack, version, target, 0..3u64, 0..3u64).prop_map(|(stack, driver, hardware, count, gib)| Gpu {
        stack: stack.into(),
        driver_version: driver.into(),
        hardware_target: hardware.into(),
        device_count: count,
        vram: gib * GIB,
    })
}

fn gpu_request() -> impl Strategy<Value = GpuRequest> {
    let stack = select(vec!["", "", "cuda", "rocm"]);
    let version = select(vec!["11.0", "12.2", "x"]);
    let targets = vec(select(vec!["8.0", "8.6", "gfx942"]), 0..3);
    (stack, version, targets, 0..3u64, 0..3u64).prop_map(|(stack, driver, targets, count, gib)| GpuRequest {
        stack: stack.into(),
        driver_version: driver.into(),
        hardware_target: targets.into_iter().map(Into::into).collect(),
        // VRAM is a matter of those only who want a device.
        vram: if count > 0 { gib * GIB } else { 0 },
        device_count: count,
    })
}

prop_compose! {
    fn any_type()(
        name in select(vec!["a", "b", "c", "d", "e"]),
        vcpus in 0..9u64,
        (ram, included, added) in (bytes(), bytes(), bytes()),
        price in select(vec![0.0, 0.1, 0.15, 0.2, 1.0]),
        preemptible in any::<bool>(),
        gpu in gpu(),
    ) -> InstanceType {
        InstanceType {
            name: TypeName::new(name).unwrap(),
            provider_type: ProviderType::new(name).unwrap(),
            vcpus,
            ram,
            included_scratch: included,
            added_scratch: added,
            price: Price::new(price).unwrap(),
            preemptible,
            gpu,
        }
    }
}

prop_compose! {
    fn any_record()(
        vcpus in 0..9u64,
        (ram, cache, cache_disk) in (bytes(), bytes(), prop_oneof![Just(0), bytes()]),
        image in prop_oneof![Just("".to_owned()), (0..400u64).prop_map(|n| format!("0123456789abcdef0123456789abcdef+{n}"))],
        preemptible in any::<bool>(),
        gpu in gpu_request(),
    ) -> Record {
        Record {
            uuid: "zzzzz-dz642-000000000000001".parse().unwrap(),
            state: ContainerState::Queued,
            priority: 1,
            locked_by: None,
            runtime_constraints: RuntimeConstraints {
                vcpus, ram, keep_cache_ram: cache / 8, keep_cache_disk: cache_disk, gpu, api: false,
            },
            container_image: image,
            scheduling: SchedulingParameters { preemptible, ..Default::default() },
            created_at: None,
            preemption_notice: None,
            lock_count: None,
        }
    }
}

prop_compose! {
    fn any_sizing()(reserve in bytes(), buffers in 0..4u64, factor in select(vec![0.0, 1.0, 1.5, 10.0])) -> Sizing {
        Sizing {
            reserve_extra_ram: reserve / 8,
            keep_buffers_per_vcpu: buffers,
            maximum_price_factor: factor,
            spot_retries: None,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn needs_agree_with_a_naive_reading_of_the_page(record in any_record(), tmp in bytes(), sizing in any_sizing()) {
        let mounts = MountNeeds { tmp_bytes: tmp };
        prop_assert_eq!(needs(&record, mounts, &sizing), naive_needs(&record, tmp, &sizing));
    }

    #[test]
    fn eligible_types_agree_with_a_naive_reading_of_the_page(
        types in vec(any_type(), 0..8),
        record in any_record(),
        tmp in bytes(),
        sizing in any_sizing(),
    ) {
        let need = needs(&record, MountNeeds { tmp_bytes: tmp / 4 }, &sizing);
        let mut types = types;
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types.dedup_by(|a, b| a.name == b.name);
        let catalog = Catalog::new(types.clone());
        let chosen = eligible_types(&catalog, &need, &record, &sizing);
        let chosen: Vec<_> = chosen.iter().flatten().map(|it| it.name.to_string()).collect();
        prop_assert_eq!(chosen, naive_types(&types, &need, &record, sizing.maximum_price_factor));
    }

    #[test]
    fn a_type_is_eligible_exactly_if_no_rule_excludes_it(
        types in vec(any_type(), 1..8),
        record in any_record(),
        tmp in bytes(),
        sizing in any_sizing(),
    ) {
        let need = needs(&record, MountNeeds { tmp_bytes: tmp / 4 }, &sizing);
        let mut types = types;
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types.dedup_by(|a, b| a.name == b.name);
        let catalog = Catalog::new(types);
        let chosen = eligible_types(&catalog, &need, &record, &sizing).unwrap_or_default();
        for it in catalog.types() {
            let excluded = exclusion(record.scheduling.market(), &catalog, it, &need, &record, &sizing);
            prop_assert_eq!(excluded.is_none(), chosen.contains(it), "{}: {:?}", it.name, excluded);
            prop_assert!(excluded.is_none_or(|why| !why.is_empty()));
        }
    }
}

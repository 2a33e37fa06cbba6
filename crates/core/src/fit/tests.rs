use super::*;
use crate::container::{ContainerState, RuntimeConstraints, SchedulingParameters};
use crate::id::{ProviderType, TypeName};
use crate::instance::Price;

fn sizing() -> Sizing {
    Sizing {
        reserve_extra_ram: 256 * MIB,
        keep_buffers_per_vcpu: 1,
        maximum_price_factor: 1.5,
        spot_retries: None,
    }
}

fn record(vcpus: u64, ram: u64) -> Record {
    Record {
        uuid: "zzzzz-dz642-000000000000001".parse().unwrap(),
        state: ContainerState::Queued,
        priority: 1,
        locked_by: None,
        runtime_constraints: RuntimeConstraints { vcpus, ram, ..Default::default() },
        container_image: "0123456789abcdef0123456789abcdef+174".into(),
        scheduling: SchedulingParameters::default(),
        created_at: None,
        preemption_notice: None,
        lock_count: None,
    }
}

fn instance_type(name: &str, vcpus: u64, ram_gib: u64, price: f64) -> InstanceType {
    InstanceType {
        name: TypeName::new(name).unwrap(),
        provider_type: ProviderType::new(name).unwrap(),
        vcpus,
        ram: ram_gib << 30,
        included_scratch: 100 << 30,
        added_scratch: 0,
        price: Price::new(price).unwrap(),
        preemptible: false,
        gpu: Gpu::default(),
    }
}

fn names(catalog: &Catalog, record: &Record) -> Vec<String> {
    let need = needs(record, MountNeeds::default(), &sizing());
    eligible_types(catalog, &need, record, &sizing())
        .map(|types| types.iter().map(|it| it.name.to_string()).collect())
        .unwrap_or_default()
}

#[test]
fn needs_agree_with_the_recording_of_the_reference() {
    // http.json: 2 VCPUs and 2 GiB with 256 MiB reserve gave RAM 2941310867 and Scratch 268435456.
    let need = needs(&record(2, 2 << 30), MountNeeds { tmp_bytes: 1_000_000 }, &sizing());
    assert_eq!((need.vcpus, need.ram, need.scratch), (2, 2_941_310_867, 268_435_456));
}

#[test]
fn an_image_hash_says_how_big_the_image_is() {
    let hash = "0123456789abcdef0123456789abcdef";
    for (text, blocks) in
        [("+121", 0), ("+122", 1), ("+163", 1), ("+164", 2), ("+x", 0), ("", 0), ("+", 0), ("+-1", 0)]
    {
        assert_eq!(image_bytes(&format!("{hash}{text}")), blocks * 64 * MIB, "{text}");
    }
    for malformed in ["nothex", &hash.to_uppercase(), &format!("{hash}0"), &"x".repeat(32)] {
        assert_eq!(image_bytes(&format!("{malformed}+500")), 0, "{malformed}");
    }
}

#[test]
fn absurd_sizes_saturate_instead_of_wrapping() {
    let mut big = record(u64::MAX, u64::MAX);
    big.runtime_constraints.keep_cache_disk = u64::MAX;
    let need = needs(&big, MountNeeds { tmp_bytes: u64::MAX }, &sizing());
    assert_eq!((need.ram, need.scratch), (u64::MAX, u64::MAX));
}

#[test]
fn types_are_ordered_by_price_and_cut_at_the_factor() {
    let catalog = Catalog::new([
        instance_type("dear", 8, 32, 0.4),
        instance_type("cheap", 2, 8, 0.1),
        instance_type("middling", 4, 16, 0.15),
        instance_type("just-beyond", 4, 16, 0.1501),
    ]);
    assert_eq!(names(&catalog, &record(2, 1 << 30)), ["cheap", "middling"]);
    assert_eq!(names(&catalog, &record(3, 1 << 30)), ["middling", "just-beyond"]);
}

#[test]
fn equal_prices_are_decided_by_more_ram_then_name() {
    let catalog = Catalog::new([
        instance_type("b", 2, 8, 0.1),
        instance_type("a", 2, 8, 0.1),
        instance_type("c", 2, 16, 0.1),
    ]);
    assert_eq!(names(&catalog, &record(1, 1)), ["c", "a", "b"]);
}

#[test]
fn a_preemptible_container_takes_preemptible_types_only() {
    let mut spot = instance_type("spot", 2, 8, 0.05);
    spot.preemptible = true;
    let catalog = Catalog::new([spot, instance_type("steady", 2, 8, 0.1)]);
    let mut wants_spot = record(1, 1);
    assert_eq!(names(&catalog, &wants_spot), ["steady"]);
    wants_spot.scheduling.preemptible = true;
    assert_eq!(names(&catalog, &wants_spot), ["spot"]);
}

fn gpu_type(stack: &str, driver: &str, hardware: &str) -> InstanceType {
    let mut it = instance_type("gpu", 4, 16, 1.0);
    it.gpu = Gpu {
        stack: stack.into(),
        driver_version: driver.into(),
        hardware_target: hardware.into(),
        device_count: 1,
        vram: 24 << 30,
    };
    it
}

#[test]
fn gpus_fit_by_stack_driver_and_hardware() {
    let cases = [
        ("cuda", "11.0", &["8.0"][..], true),
        ("cuda", "12.0", &["8.6"][..], true),
        ("cuda", "12.1", &["8.0"][..], false),
        ("cuda", "x", &["8.0"][..], false),
        ("cuda", "11.0", &["9.0"][..], false),
        ("cuda", "11.0", &["8.0", "8.6"][..], true),
        ("cuda", "11.0", &["8.0", "9.0"][..], false),
        ("cuda", "11.0", &[][..], false),
        ("rocm", "11.0", &["8.6"][..], false),
    ];
    let catalog = Catalog::new([gpu_type("cuda", "12.0", "8.6")]);
    for (stack, driver, hardware, fits) in cases {
        let mut wants = record(1, 1);
        wants.runtime_constraints.gpu = GpuRequest {
            stack: stack.into(),
            driver_version: driver.into(),
            hardware_target: hardware.iter().map(|it| it.to_string()).collect(),
            device_count: 1,
            vram: 8 << 30,
        };
        assert_eq!(!names(&catalog, &wants).is_empty(), fits, "{stack} {driver} {hardware:?}");
    }
}

#[test]
fn rocm_hardware_must_be_equal_to_one_of_the_targets() {
    let catalog = Catalog::new([gpu_type("rocm", "6.2", "gfx942")]);
    let mut wants = record(1, 1);
    wants.runtime_constraints.gpu = GpuRequest {
        stack: "rocm".into(),
        driver_version: "6.0".into(),
        hardware_target: vec!["gfx90a".into(), "gfx942".into()],
        device_count: 1,
        vram: 0,
    };
    assert_eq!(names(&catalog, &wants), ["gpu"]);
}

#[test]
fn a_container_without_gpu_does_not_take_a_gpu_type() {
    assert!(names(&Catalog::new([gpu_type("cuda", "12.0", "8.6")]), &record(1, 1)).is_empty());
}

#[test]
fn refusals_name_their_reason() {
    let need = Resources::default();
    let none = eligible_types(&Catalog::default(), &need, &record(1, 1), &sizing()).unwrap_err();
    assert_eq!(none, Unsuitable::NoTypes);
    let mut odd = record(1, 1);
    odd.runtime_constraints.gpu.stack = "metal".into();
    let catalog = Catalog::new([instance_type("a", 2, 8, 0.1)]);
    assert!(eligible_types(&catalog, &need, &odd, &sizing()).unwrap_err().to_string().contains("`metal`"));
    let big = record(99, 1);
    let need = needs(&big, MountNeeds::default(), &sizing());
    let text = eligible_types(&catalog, &need, &big, &sizing()).unwrap_err().to_string();
    assert!(text.starts_with("constraints not satisfiable by any configured instance type"), "{text}");
    assert!(text.contains("99 VCPUs") && text.contains("a (2 VCPUs"), "{text}");
}

#[test]
fn zero_vcpu_containers_share_one_vcpu() {
    let it = instance_type("a", 2, 8, 0.1);
    let zero = Resources { ram: 1, ..Default::default() };
    let one = Resources { vcpus: 1, ram: 1, ..Default::default() };
    let mut free = Free::all_of(&it);
    free.take(&zero);
    free.take(&zero);
    assert!(free.fits(&one), "two zero-VCPU containers take one VCPU of two");
    free.take(&one);
    assert!(!free.fits(&one));
    assert!(free.fits(&zero), "their common VCPU has room for more of them");
    let mut full = Free::all_of(&it);
    full.take(&one);
    full.take(&one);
    assert!(!full.fits(&zero), "a zero-VCPU container needs at least one VCPU to share");
}

#[test]
fn what_excludes_a_type_is_said_in_words_with_both_numbers() {
    let types = vec![
        instance_type("small", 2, 4, 0.1),
        instance_type("big", 8, 64, 0.4),
        InstanceType { preemptible: true, ..instance_type("spot", 8, 64, 0.05) },
    ];
    let catalog = Catalog::new(types);
    let why = |name: &str, record: &Record| {
        let need = needs(record, MountNeeds::default(), &sizing());
        exclusion(record.scheduling.market(), &catalog, catalog.get(name).unwrap(), &need, record, &sizing())
            .unwrap_or_default()
    };
    let modest = record(2, 1 << 30);
    assert_eq!(why("small", &modest), "");
    assert!(why("big", &modest).starts_with("costs 0.4 an hour: more than 0.15"), "{}", why("big", &modest));
    assert_eq!(why("spot", &modest), "is spot, and on-demand is wanted");
    let large = record(4, 8 << 30);
    let small = why("small", &large);
    assert!(small.contains("has 2 VCPUs, and 4 are needed; has 4294967296 bytes of RAM, and "), "{small}");
    let mut gpu = record(1, 1 << 20);
    gpu.runtime_constraints.gpu = GpuRequest {
        stack: "cuda".into(),
        driver_version: "11.0".into(),
        device_count: 1,
        ..Default::default()
    };
    let text = why("big", &gpu);
    assert!(
        text.contains("has 0 GPUs, and 1 are needed") && text.contains("and `cuda` is wanted (driver 11.0"),
        "{text}"
    );
}

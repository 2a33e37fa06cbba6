//! `InstanceTypes`: each entry complete, preemptible ones derived, and the machine itself for a driver whose instances it is.

use dispatch_core::id::{ProviderType, TypeName};
use dispatch_core::instance::{Catalog, Gpu, InstanceType, Price};

use super::drivers::Driver;
use super::host::Host;
use super::section::Section;

/// Reads all entries; `None` stands for those that have a problem.
pub fn read(
    cluster: &Section<'_>,
    driver: Option<&Driver>,
    preemptible_price_factor: f64,
    host: &Host,
) -> Catalog {
    let section = cluster.section("InstanceTypes");
    let mut types: Vec<_> =
        section.keys().into_iter().filter_map(|(name, _)| entry(&section, name)).collect();
    derive_preemptible(&mut types, preemptible_price_factor);
    match driver {
        Some(driver) if types.is_empty() && driver.description.is_this_machine() => {
            types.push(localhost(host));
        }
        Some(driver) => {
            if let Some(refusal) = driver.description.refuses_types(&driver.parameters, types.len()) {
                cluster.fail("InstanceTypes", &refusal);
            }
        }
        None => {}
    }
    if types.is_empty() {
        cluster.warn("InstanceTypes", "no instance types: containers without a type are cancelled");
    }
    Catalog::new(types)
}

fn entry(types: &Section<'_>, name: &str) -> Option<InstanceType> {
    let section = types.section(name);
    let Ok(type_name) = TypeName::new(name) else {
        types.fail(name, "not an instance type name: 1 to 512 bytes without control characters are wanted");
        return None;
    };
    let provider =
        Some(section.text("ProviderType")).filter(|it| !it.is_empty()).unwrap_or_else(|| name.to_owned());
    let Ok(provider_type) = ProviderType::new(&provider) else {
        section.refuse("ProviderType", "1 to 512 bytes without control characters");
        return None;
    };
    let it = InstanceType {
        name: type_name,
        provider_type,
        vcpus: u64::from(section.count("VCPUs")),
        ram: section.size("RAM"),
        included_scratch: section.size("IncludedScratch"),
        added_scratch: section.size("AddedScratch"),
        price: Price::new(section.number("Price")).unwrap_or(Price::ZERO),
        preemptible: section.flag("Preemptible"),
        gpu: gpu(&section.section("GPU")),
    };
    if it.vcpus == 0 || it.ram == 0 {
        section.warn(if it.vcpus == 0 { "VCPUs" } else { "RAM" }, "0: no container fits on this type");
    }
    Some(it)
}

fn gpu(section: &Section<'_>) -> Gpu {
    let gpu = Gpu {
        stack: section.text("Stack"),
        driver_version: section.text("DriverVersion"),
        hardware_target: section.text("HardwareTarget"),
        device_count: u64::from(section.count("DeviceCount")),
        vram: section.size("VRAM"),
    };
    if !matches!(gpu.stack.as_str(), "" | "cuda" | "rocm") {
        section.refuse("Stack", "cuda or rocm");
    }
    if gpu.device_count > 0 {
        if !is_decimal(&gpu.driver_version) {
            section.refuse("DriverVersion", "a version such as \"12.0\", since DeviceCount is not 0");
        }
        if gpu.stack == "cuda" && !is_decimal(&gpu.hardware_target) {
            section.refuse("HardwareTarget", "a version such as \"8.6\", since Stack is cuda");
        }
    }
    gpu
}

fn is_decimal(text: &str) -> bool {
    let number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    number && text.parse::<f64>().is_ok()
}

/// For every on-demand type one that the cloud may take away, at a part of the price.
fn derive_preemptible(types: &mut Vec<InstanceType>, factor: f64) {
    if factor <= 0.0 {
        return;
    }
    let derive = |base: &InstanceType| {
        let name = format!("{}.preemptible", base.name);
        let is_free = !base.preemptible && types.iter().all(|it| it.name.as_str() != name);
        let price = Price::new(base.price.per_hour() * factor)?;
        let name = TypeName::new(&name).ok().filter(|_| is_free)?;
        Some(InstanceType { name, price, preemptible: true, ..base.clone() })
    };
    let derived: Vec<_> = types.iter().filter_map(derive).collect();
    types.extend(derived);
}

fn localhost(host: &Host) -> InstanceType {
    InstanceType {
        name: TypeName::new("localhost").expect("a constant"),
        provider_type: ProviderType::new("localhost").expect("a constant"),
        vcpus: host.vcpus,
        ram: host.ram,
        included_scratch: host.scratch,
        added_scratch: 0,
        price: Price::new(1.0).expect("a constant"),
        preemptible: false,
        gpu: Gpu::default(),
    }
}

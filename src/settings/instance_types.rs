//! `InstanceTypes`: each entry complete, preemptible ones derived, and the machine itself for a driver whose instances it is.

use dispatch_core::id::{ProviderType, TypeName};
use dispatch_core::instance::{Catalog, Gpu, InstanceType, Price};

use super::drivers::Driver;
use super::host::Host;
use super::section::Section;
use super::table::{GPU, INSTANCE_TYPE};

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
    let mut it = unread(type_name, provider_type);
    INSTANCE_TYPE.read(&section, &mut it);
    read_gpu(&section.section("GPU"), &mut it);
    if it.vcpus == 0 || it.ram == 0 {
        section.warn(if it.vcpus == 0 { "VCPUs" } else { "RAM" }, "0: no container fits on this type");
    }
    Some(it)
}

/// A type with nothing in it yet.
fn unread(name: TypeName, provider_type: ProviderType) -> InstanceType {
    InstanceType {
        name,
        provider_type,
        vcpus: 0,
        ram: 0,
        included_scratch: 0,
        added_scratch: 0,
        price: Price::ZERO,
        preemptible: false,
        gpu: Gpu::default(),
    }
}

fn read_gpu(section: &Section<'_>, it: &mut InstanceType) {
    GPU.read(section, it);
    let gpu = &it.gpu;
    if !matches!(gpu.stack.as_str(), "" | "cuda" | "rocm") {
        let message = format!(
            "`{}` is no stack that containers ask for (cuda or rocm): none with GPUs fits",
            gpu.stack
        );
        section.warn("Stack", &message);
    }
    if gpu.device_count > 0 {
        if !is_decimal(&gpu.driver_version) {
            section.refuse("DriverVersion", "a version such as \"12.0\", since DeviceCount is not 0");
        }
        if gpu.stack == "cuda" && !is_decimal(&gpu.hardware_target) {
            let message =
                "no version such as \"8.6\", although Stack is cuda: no container that asks for cuda fits";
            section.warn("HardwareTarget", message);
        }
    }
}

fn is_decimal(text: &str) -> bool {
    let number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    number && text.parse::<f64>().is_ok()
}

/// Adds for every on-demand type one that the cloud may take away, at a part of the price.
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
    let name = TypeName::new("localhost").expect("a constant");
    let provider_type = ProviderType::new("localhost").expect("a constant");
    InstanceType {
        vcpus: host.vcpus,
        ram: host.ram,
        included_scratch: host.scratch,
        price: Price::new(1.0).expect("a constant"),
        ..unread(name, provider_type)
    }
}

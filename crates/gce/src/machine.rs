//! What a `ProviderType` says: a machine type of the cloud, and accelerators where it has none of its own.
//!
//! ```text
//!   n2-standard-4                       the type alone (A2, A3, G2 and others contain their GPUs)
//!   n1-standard-8+nvidia-tesla-t4:1     an N1 with accelerators: a form of ours
//! ```

use dispatch_core::instance::InstanceType;

use crate::names::is_resource_name;

/// Families whose types contain GPUs.
const WITH_GPUS: [&str; 5] = ["a2", "a3", "a4", "g2", "g4"];

/// A machine type, and what is attached to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// The cloud's name of its type.
    pub machine_type: String,
    /// Which accelerators, and how many.
    pub accelerators: Option<(String, u32)>,
}

impl Machine {
    /// Reads a `ProviderType`; `None` if it is of neither form.
    pub fn parse(provider_type: &str) -> Option<Self> {
        let (machine_type, accelerators) = match provider_type.split_once('+') {
            Some((machine_type, rest)) => (machine_type, Some(accelerators(rest)?)),
            None => (provider_type, None),
        };
        is_resource_name(machine_type).then(|| Self { machine_type: machine_type.to_owned(), accelerators })
    }

    /// What it was read from. What another family contains is part of its type.
    pub fn provider_type(&self) -> String {
        match &self.accelerators {
            Some((name, count)) if is_n1(&self.machine_type) => {
                format!("{}+{name}:{count}", self.machine_type)
            }
            _ => self.machine_type.clone(),
        }
    }

    /// The part of the name before its first `-`. A custom type without one is an N1.
    pub fn family(&self) -> &str {
        match self.machine_type.split('-').next() {
            Some("custom") | None => "n1",
            Some(family) => family,
        }
    }

    /// Whether VMs of it have GPUs, as far as is known: they cannot be moved to another host.
    pub fn has_gpus(&self, instance_type: &InstanceType) -> bool {
        let letters = self.family();
        let is_known = WITH_GPUS.iter().any(|it| letters.starts_with(it));
        self.accelerators.is_some() || is_known || instance_type.gpu.device_count > 0
    }
}

fn is_n1(machine_type: &str) -> bool {
    machine_type.starts_with("n1-") || machine_type.starts_with("custom-")
}

fn accelerators(text: &str) -> Option<(String, u32)> {
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    let count = count.parse().ok().filter(|it| (1..=64).contains(it))?;
    is_resource_name(name).then(|| (name.to_owned(), count))
}

#[cfg(test)]
mod tests {
    use dispatch_sim::samples;

    use super::*;

    #[test]
    fn both_forms_are_read_and_written() {
        for text in ["n2-standard-4", "n1-standard-8+nvidia-tesla-t4:1", "custom-4-8192+nvidia-tesla-p4:2"] {
            assert_eq!(Machine::parse(text).unwrap().provider_type(), text);
        }
        let short = Machine::parse("n1-standard-8+nvidia-tesla-t4").unwrap();
        assert_eq!(short.accelerators, Some(("nvidia-tesla-t4".to_owned(), 1)));
    }

    #[test]
    fn what_is_of_neither_form_is_refused() {
        for text in ["", "std.small", "n1/x", "n1-x+", "n1-x+t4:0", "n1-x+t4:many", "n1-x+T4:1", "+t4:1"] {
            assert_eq!(Machine::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_type_contains_is_no_part_of_its_name() {
        let contained = Some(("nvidia-l4".to_owned(), 1));
        let machine = Machine { machine_type: "g2-standard-4".to_owned(), accelerators: contained };
        assert_eq!(machine.provider_type(), "g2-standard-4");
    }

    #[test]
    fn types_with_gpus_are_known_by_family_accelerator_or_configuration() {
        let plain = samples::instance_type("small", 1);
        let of = |text: &str| Machine::parse(text).unwrap().has_gpus(&plain);
        let with = ["a2-highgpu-1g", "g2-standard-4", "a3-megagpu-8g", "n1-standard-8+nvidia-tesla-t4:1"];
        assert!(with.iter().all(|it| of(it)));
        assert!(!of("n2-standard-4") && !of("g1-small"));
        let mut gpus = InstanceType::clone(&plain);
        gpus.gpu.device_count = 1;
        assert!(Machine::parse("x9-new").unwrap().has_gpus(&gpus));
    }
}

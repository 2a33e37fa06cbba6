//! Which types share a quota.

use std::collections::BTreeMap;

use dispatch_cloud_kit::quota_group::by_prefix;

use crate::machine::Machine;

/// GPUs are counted by accelerator, CPUs by family: the part of the name before its first `-`. Which families are counted
/// together the site may say, by the beginnings of names; empty groups are not configured.
pub(crate) fn of(provider_type: &str, configured: &BTreeMap<String, String>) -> String {
    let Some(machine) = Machine::parse(provider_type) else { return provider_type.to_owned() };
    let name = match &machine.accelerators {
        Some((accelerator, _)) => accelerator.as_str(),
        None => machine.family(),
    };
    by_prefix(name, name.len(), configured).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    #[test]
    fn families_have_quotas_of_their_own_and_the_oldest_share_one() {
        let groups = Params::default().instance_type_quota_groups;
        for (provider_type, group) in [
            ("e2-standard-4", "cpus"),
            ("n1-highmem-8", "cpus"),
            ("f1-micro", "cpus"),
            ("g1-small", "cpus"),
            ("custom-4-8192", "cpus"),
            ("n2-standard-4", "n2"),
            ("n2d-standard-4", "n2d"),
            ("n2-custom-4-8192", "n2"),
            ("a2-highgpu-1g", "a2"),
            ("n1-standard-8+nvidia-tesla-t4:1", "nvidia-tesla-t4"),
            ("no type", "no type"),
        ] {
            assert_eq!(of(provider_type, &groups), group, "{provider_type}");
        }
    }

    #[test]
    fn the_site_says_what_is_counted_together() {
        let groups = [("n2", "mine"), ("n2d", ""), ("nvidia-tesla-t4", "gpus")];
        let groups = groups.map(|(prefix, group)| (prefix.to_owned(), group.to_owned())).into();
        assert_eq!(of("n2-standard-4", &groups), "mine");
        assert_eq!(of("n2d-standard-4", &groups), "n2d");
        assert_eq!(of("e2-standard-4", &groups), "e2");
        assert_eq!(of("n1-standard-8+nvidia-tesla-t4:2", &groups), "gpus");
    }
}

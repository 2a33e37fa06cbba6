//! Which types share a quota: Azure counts the cores of each family.

use std::collections::BTreeMap;

use dispatch_cloud_kit::quota_group::by_prefix;

/// The group of the longest configured prefix, with or without what stands before the first `_`; else the type's family:
/// its name without the numbers of its size, such as `Ds_v5` for `Standard_D4s_v5`.
pub(crate) fn of(provider_type: &str, configured: &BTreeMap<String, String>) -> String {
    let (tier, size) = provider_type.split_once('_').unwrap_or(("", provider_type));
    let group =
        by_prefix(provider_type, tier.len() + 2, configured).or_else(|| by_prefix(size, 1, configured));
    group.map_or_else(|| family(size), str::to_owned)
}

fn family(size: &str) -> String {
    let (first, rest) = size.split_at(size.find('_').unwrap_or(size.len()));
    // `E8-2s`: of eight cores two are used.
    let letters = first.chars().filter(|c| !c.is_ascii_digit() && *c != '-');
    letters.chain(rest.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_one_family_share_a_quota() {
        let none = BTreeMap::new();
        for (provider_type, group) in [
            ("Standard_D4s_v5", "Ds_v5"),
            ("Standard_D64s_v5", "Ds_v5"),
            ("Standard_D4_v5", "D_v5"),
            ("Standard_NC24ads_A100_v4", "NCads_A100_v4"),
            ("Standard_E8-2s_v5", "Es_v5"),
            ("Standard_DS2_v2", "DS_v2"),
            ("Standard_D2", "D"),
            ("Basic_A1", "A"),
            ("m", "m"),
            ("", ""),
        ] {
            assert_eq!(of(provider_type, &none), group, "{provider_type}");
        }
    }

    #[test]
    fn the_sites_groups_come_first_and_the_longest_beginning_wins() {
        let groups =
            [("Standard_D", "all D"), ("D4s", "D4"), ("nc", "GPUs"), ("Standard", "no group"), ("E", "")];
        let groups = groups.map(|(prefix, group)| (prefix.to_owned(), group.to_owned())).into();
        for (provider_type, group) in [
            ("Standard_D2s_v5", "all D"),
            ("standard_d4s_v5", "all D"),
            ("Standard_NC6s_v3", "GPUs"),
            ("Standard_E2s_v5", "Es_v5"),
            ("Standard_F2", "F"),
        ] {
            assert_eq!(of(provider_type, &groups), group, "{provider_type}");
        }
    }
}

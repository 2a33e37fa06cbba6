//! Which types share a quota.

use std::collections::BTreeMap;

use dispatch_cloud_kit::quota_group::by_prefix;

/// Families whose letters are not those of the quota that counts them: AWS counts im4gn and is4gen with the standard
/// ones, as it does i, and gr6 with g.
const COUNTED_WITH: [(&str, &str); 3] = [("im", "i"), ("is", "i"), ("gr", "g")];

/// The group of the longest configured prefix that is not shorter than the type's leading letters (`trn1` is
/// not `t`); else these letters. Groups that are configured as "" are not configured.
pub(crate) fn of(provider_type: &str, configured: &BTreeMap<String, String>) -> String {
    let provider_type = provider_type.to_ascii_lowercase();
    let letters = provider_type.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(provider_type.len());
    if let Some(group) = by_prefix(&provider_type, letters, configured) {
        return group.to_owned();
    }
    let (family, generation) = provider_type.split_at(letters);
    let is_family = generation.starts_with(|c: char| c.is_ascii_digit());
    let other = COUNTED_WITH.iter().find(|(it, _)| is_family && *it == family);
    other.map_or_else(|| family.to_owned(), |(_, other)| of(other, configured))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn defaults() -> BTreeMap<String, String> {
        Params::default().instance_type_quota_groups
    }

    #[test]
    fn types_belong_to_the_group_of_their_longest_prefix() {
        let groups = defaults();
        for (provider_type, group) in [
            ("m5.large", "standard"),
            ("c6a.xlarge", "standard"),
            ("t3.micro", "standard"),
            ("p5.48xlarge", "p5"),
            ("p5en.48xlarge", "p5"),
            ("p4d.24xlarge", "p"),
            ("vt1.3xlarge", "g"),
            ("g5.xlarge", "g"),
            ("trn1.2xlarge", "trn"),
            ("inf2.xlarge", "inf"),
            ("dl1.24xlarge", "dl"),
            ("hpc7a.96xlarge", "hpc"),
            ("x2iedn.xlarge", "x"),
            ("im4gn.large", "standard"),
            ("is4gen.large", "standard"),
            ("i4i.large", "standard"),
            ("gr6.4xlarge", "g"),
            ("g6.4xlarge", "g"),
            ("u-6tb1.metal", "u"),
            ("M5.Large", "standard"),
        ] {
            assert_eq!(of(provider_type, &groups), group, "{provider_type}");
        }
    }

    #[test]
    fn an_empty_group_is_none() {
        let mut groups = defaults();
        groups.insert("p5".to_owned(), String::new());
        groups.insert("m".to_owned(), String::new());
        assert_eq!(of("p5.48xlarge", &groups), "p");
        assert_eq!(of("m5.large", &groups), "m");
    }

    #[test]
    fn longer_prefixes_win() {
        let groups = [("g", "g"), ("g5", "g5"), ("g5g", "arm")];
        let groups = groups.map(|(prefix, group)| (prefix.to_owned(), group.to_owned())).into();
        assert_eq!(of("g5g.xlarge", &groups), "arm");
        assert_eq!(of("g5.xlarge", &groups), "g5");
        assert_eq!(of("g4dn.xlarge", &groups), "g");
    }

    #[test]
    fn a_family_that_the_site_names_is_the_sites_and_no_other_familys() {
        let groups = [("i", "disks"), ("im", "many"), ("gr", "")];
        let groups = groups.map(|(prefix, group)| (prefix.to_owned(), group.to_owned())).into();
        for (provider_type, group) in
            [("im4gn.large", "many"), ("is4gen.large", "disks"), ("gr6.4xlarge", "g")]
        {
            assert_eq!(of(provider_type, &groups), group, "{provider_type}");
        }
    }

    #[test]
    fn odd_names_have_a_group_too() {
        assert_eq!(of("", &defaults()), "");
        assert_eq!(of("5x", &defaults()), "");
        assert_eq!(of("größe", &defaults()), "gr");
    }
}

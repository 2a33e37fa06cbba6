//! Which types share a quota, where the site says so by the beginnings of their names.

use std::collections::BTreeMap;

/// The group of the longest configured beginning of a type's name that has at least so many letters, whatever their case:
/// `trn1` is not `t`, although it begins so. A group that is configured as "" is not configured.
pub fn by_prefix<'a>(
    provider_type: &str,
    least: usize,
    configured: &'a BTreeMap<String, String>,
) -> Option<&'a str> {
    let provider_type = provider_type.to_ascii_lowercase();
    let matching = configured.iter().filter(|(prefix, group)| {
        let prefix = prefix.to_ascii_lowercase();
        !group.is_empty() && prefix.len() >= least && provider_type.starts_with(&prefix)
    });
    let longest = matching.max_by_key(|(prefix, _)| prefix.len());
    longest.map(|(_, group)| group.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_that_is_long_enough_wins() {
        let groups = [("t", "standard"), ("G5", "g"), ("g5g", "arm"), ("x", "")];
        let groups = groups.map(|(prefix, group)| (prefix.to_owned(), group.to_owned())).into();
        for (provider_type, least, group) in [
            ("t3.micro", 1, Some("standard")),
            ("trn1.2xlarge", 3, None),
            ("g5.xlarge", 1, Some("g")),
            ("g5g.xlarge", 1, Some("arm")),
            ("g4dn.xlarge", 1, None),
            ("x2.large", 1, None),
            ("T3.Micro", 1, Some("standard")),
        ] {
            assert_eq!(by_prefix(provider_type, least, &groups), group, "{provider_type}");
        }
    }
}

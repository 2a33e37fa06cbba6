//! Tags of VMs. Labels cannot hold ours (no capitals, no dots, 63 characters); metadata can, but no listing is filtered by
//! it.
//!
//! ```text
//!   all tags ──────────────► metadata item arvados-tags: JSON, exactly as ordered; what is believed
//!   the set's id ──────────► label arvados-instance-set: itself, or its hash if it does not fit; the server's filter
//!   the site's own tags ───► labels, as far as they fit: bills are by label
//!   the secret, and what else is the dispatcher's own ─► no label
//! ```

use std::collections::BTreeMap;

use dispatch_core::instance::{IdleBehavior, TagKeys, Tags};
use sha2::{Digest as _, Sha256};

/// The metadata item that has all tags.
pub(crate) const TAGS_ITEM: &str = "arvados-tags";
/// The most labels of a resource.
const MOST_LABELS: usize = 64;
/// The longest name or value of a label.
const LONGEST: usize = 63;

const SET_SUFFIX: &str = "InstanceSetID";
const SECRET_SUFFIX: &str = "InstanceSecret";

/// All tags as text for metadata.
pub(crate) fn to_item(tags: &Tags) -> String {
    serde_json::to_string(&tags.0).expect("a map of texts is JSON")
}

/// The tags in that text; `None` if it is none of ours.
pub(crate) fn of_item(text: &str) -> Option<Tags> {
    serde_json::from_str(text).ok().map(Tags)
}

/// The id of the set that these tags name; empty if none.
pub(crate) fn set_of(tags: &Tags) -> &str {
    set_tag(tags).map_or("", |(_, set)| set)
}

/// The value of the tag that has the secret; empty if there is none.
pub(crate) fn secret_of(tags: &Tags) -> &str {
    prefix(tags).and_then(|prefix| tags.get(&format!("{prefix}{SECRET_SUFFIX}"))).unwrap_or_default()
}

/// Whether an operator has put the VM on hold.
pub(crate) fn is_held(tags: &Tags) -> bool {
    let tag = set_tag(tags).and_then(|(prefix, _)| tags.get(&TagKeys::new(prefix).idle_behavior));
    tag.and_then(IdleBehavior::from_name) == Some(IdleBehavior::Hold)
}

fn set_tag(tags: &Tags) -> Option<(&str, &str)> {
    tags.0.iter().find_map(|(key, value)| Some((key.strip_suffix(SET_SUFFIX)?, value.as_str())))
}

/// What the names of the dispatcher's own tags begin with: a VM of a dispatcher has a set and a secret.
fn prefix(tags: &Tags) -> Option<&str> {
    tags.0.keys().find_map(|key| {
        let prefix = key.strip_suffix(SET_SUFFIX)?;
        tags.0.contains_key(&format!("{prefix}{SECRET_SUFFIX}")).then_some(prefix)
    })
}

/// The label, name and value, that all VMs have which these tags select; `None` = they name no set.
pub(crate) fn filter(tags: &Tags) -> Option<(String, String)> {
    let (prefix, set) = set_tag(tags)?;
    Some((label_of_set(prefix), value_of_set(set)))
}

/// The labels of a VM with these tags. A VM that is none of a dispatcher's has none: nobody knows which of its tags may be
/// shown around.
pub(crate) fn labels(tags: &Tags) -> BTreeMap<String, String> {
    let Some(prefix) = prefix(tags) else { return BTreeMap::new() };
    let (own, secret) = (TagKeys::new(prefix), secret_of(tags));
    let set = (label_of_set(prefix), value_of_set(set_of(tags)));
    let of_site = tags.0.iter().filter(|(key, value)| {
        let tells_secret = !secret.is_empty() && value.contains(secret);
        !own.all().contains(key) && !tells_secret
    });
    let of_site = of_site.filter_map(|(key, value)| Some((name(key)?, fitting(value))));
    let mut labels: BTreeMap<_, _> = of_site.filter(|(name, _)| *name != set.0).collect();
    while labels.len() >= MOST_LABELS {
        labels.pop_last();
    }
    labels.insert(set.0, set.1);
    labels
}

/// The labels that are there, and those of the tags; others' labels stay. No more than a resource may have: the call would
/// be refused, and the tags would not be written.
pub(crate) fn merged_labels(there: &BTreeMap<String, String>, tags: &Tags) -> BTreeMap<String, String> {
    let mut merged = there.clone();
    for (name, value) in labels(tags) {
        if merged.len() < MOST_LABELS || merged.contains_key(&name) {
            merged.insert(name, value);
        }
    }
    merged
}

/// What a label cannot show of a tag; `None` = it shows it as it is.
pub(crate) fn unlike_label(key: &str, value: &str) -> Option<String> {
    match name(key) {
        None => Some(format!("`{key}` cannot be the name of a label, which begins with a letter")),
        // That names are in lower case tells nobody anything; of values two may become one.
        Some(name) if name != key.to_ascii_lowercase() || fitting(value) != value => {
            Some(format!("`{key}: {value}` becomes the label `{name}: {}`", fitting(value)))
        }
        Some(_) => None,
    }
}

/// The name of the label that has the set: `arvados-instance-set` where tags begin with `Arvados`.
fn label_of_set(prefix: &str) -> String {
    let begins = fitting(prefix);
    let name = match begins.is_empty() {
        true => "instance-set".to_owned(),
        false => format!("{begins}-instance-set"),
    };
    match name.starts_with(|c: char| c.is_ascii_lowercase()) && name.len() <= LONGEST {
        true => name,
        false => format!("s{}-instance-set", hash(prefix)),
    }
}

/// Exactly the set's id if that fits, else its hash. What has the same label is told apart by its tags.
fn value_of_set(set: &str) -> String {
    if fitting(set) == set { set.to_owned() } else { hash(set) }
}

fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..16])
}

/// A label's name for a tag's key; `None` = there is none like it.
fn name(key: &str) -> Option<String> {
    Some(fitting(key)).filter(|it| it.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// A text in the letters of labels, cut.
fn fitting(text: &str) -> String {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_' => c,
        _ => '_',
    };
    text.chars().map(letter).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn tags(more: &[(&str, &str)]) -> Tags {
        let own = [
            ("ArvadosInstanceSetID", "zzzzz-gj3su-000000000000000"),
            ("ArvadosInstanceSecret", SECRET),
            ("ArvadosInstanceType", "m5.large"),
            ("ArvadosIdleBehavior", "run"),
        ];
        Tags(own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn tags_come_back_from_their_item_exactly() {
        let all = tags(&[("Owner Ü", "a value with = , : / \" and \u{fc}\n")]);
        assert_eq!(of_item(&to_item(&all)), Some(all));
        for text in ["", "[]", "null", "{\"a\":1}", "{\"a\":\"b\"", "<html>"] {
            assert_eq!(of_item(text), None, "{text}");
        }
    }

    #[test]
    fn the_sets_label_is_its_id_or_its_hash() {
        let filter = |prefix: &str, set: &str| {
            let mut tags = Tags::default();
            tags.insert(format!("{prefix}InstanceSetID"), set);
            filter(&tags).unwrap()
        };
        let plain = ("arvados-instance-set".to_owned(), "zzzzz-gj3su-000000000000000".to_owned());
        assert_eq!(filter("Arvados", "zzzzz-gj3su-000000000000000"), plain);
        let (_, hashed) = filter("Arvados", "Set of user@host");
        assert!(hashed.len() == 32 && hashed != filter("Arvados", "set of user@host").1);
        assert_eq!(filter("", "a").0, "instance-set");
        assert_eq!(filter("My.Lab", "a").0, "my_lab-instance-set");
        for prefix in ["1st", "-", &"p".repeat(60)] {
            let (name, _) = filter(prefix, "a");
            assert!(name.starts_with('s') && name.len() <= 63 && name.ends_with("-instance-set"), "{name}");
        }
        assert_eq!(super::filter(&Tags::default()), None);
    }

    #[test]
    fn what_is_filtered_by_is_what_a_vm_is_labelled_with() {
        let tags = tags(&[]);
        let mut wanted = Tags::default();
        wanted.insert("ArvadosInstanceSetID", "zzzzz-gj3su-000000000000000");
        let (name, value) = filter(&wanted).unwrap();
        assert_eq!(labels(&tags), [(name, value)].into(), "and nothing of the dispatcher's own");
    }

    #[test]
    fn the_sites_tags_are_labels_as_far_as_they_fit_and_the_secret_is_none() {
        let labels = labels(&tags(&[
            ("Owner", "Lab of J. Müller"),
            ("1st", "no name"),
            ("Copy", "of 0123456789abcdef"),
            ("Arvados-Instance-Set", "somebody's"),
            ("long", &"x".repeat(100)),
        ]));
        let shown: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let long = "x".repeat(63);
        assert_eq!(
            shown,
            [
                ("arvados-instance-set", "zzzzz-gj3su-000000000000000"),
                ("long", long.as_str()),
                ("owner", "lab_of_j__m_ller"),
            ]
        );
    }

    #[test]
    fn of_a_hundred_tags_64_are_labels_and_the_sets_is_one() {
        let many: Vec<_> = (0..100).map(|number| (format!("tag{number:03}"), "x".to_owned())).collect();
        let mut tags = tags(&[]);
        tags.0.extend(many);
        tags.insert("z", "z");
        let labels = labels(&tags);
        assert!(labels.len() == 64 && labels.contains_key("arvados-instance-set"), "{labels:?}");
    }

    #[test]
    fn of_more_labels_than_a_vm_may_have_those_stay_that_are_there() {
        let mut there: BTreeMap<_, _> =
            (0..63).map(|number| (format!("tag{number}"), "x".to_owned())).collect();
        let change = tags(&[("Tag7", "changed"), ("new", "n"), ("zzz", "z")]);
        let merged = merged_labels(&there, &change);
        assert!(merged.len() == 64 && merged["tag7"] == "changed", "{merged:?}");
        there.insert("theirs".to_owned(), "y".to_owned());
        let merged = merged_labels(&there, &change);
        assert!(merged.keys().eq(there.keys()) && merged["tag7"] == "changed", "{merged:?}");
    }

    #[test]
    fn what_is_on_hold_says_so_under_its_own_prefix() {
        assert!(!is_held(&tags(&[])) && is_held(&tags(&[("ArvadosIdleBehavior", "hold")])));
        assert!(!is_held(&tags(&[("ArvadosIdleBehavior", "drain")])));
        assert!(!is_held(&tags(&[("OtherIdleBehavior", "hold")])) && !is_held(&Tags::default()));
    }

    #[test]
    fn what_is_no_dispatchers_vm_is_not_labelled() {
        let mut tags = Tags::default();
        tags.insert("Owner", "lab");
        tags.insert("ArvadosInstanceSetID", "a");
        assert!(labels(&tags).is_empty());
    }

    #[test]
    fn what_a_label_cannot_show_is_told() {
        assert_eq!(unlike_label("owner", "lab-1"), None);
        assert_eq!(unlike_label("Owner", "lab-1"), None);
        assert!(unlike_label("Cost Centre", "lab").unwrap().contains("`cost_centre: lab`"));
        assert!(unlike_label("owner", "Lab").unwrap().contains("`owner: lab`"));
        assert!(unlike_label("owner", "J. M.").unwrap().contains("`owner: j__m_`"));
        assert!(unlike_label("1st", "a").unwrap().contains("begins with a letter"));
    }
}

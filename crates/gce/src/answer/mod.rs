//! What Compute Engine answers: read whole or not at all. Each answer says what it is (`kind`), so that `{}` from somebody
//! else is no empty list.

pub(crate) mod attributes;
pub(crate) mod error;
pub(crate) mod instances;
pub(crate) mod operation;

use dispatch_cloud_kit::{Malformed, json};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

/// Reads an answer of that kind.
fn read<T: DeserializeOwned>(kind: &str, body: &str) -> Result<T, Malformed> {
    let found: Kind = json::read(body)?;
    if found.kind != kind {
        let found: String = found.kind.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(Malformed(format!("it is of kind `{found}` and not `{kind}`")));
    }
    json::read(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metadata_server::Given;
    use crate::names::Vm;
    use crate::{machine, tags};

    const PAGE: &str = include_str!("../tests/answers/instances.json");

    fn read_by_all(text: &str) {
        let _ = (instances::page(text), instances::one(text), operation::read(text), attributes::read(text));
        let _ = (error::read(text), Given::read(text), tags::of_item(text), machine::Machine::parse(text));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,200}", at in 0..4000_usize) {
            read_by_all(&text);
            let at = (0..=at.min(PAGE.len())).rev().find(|at| PAGE.is_char_boundary(*at)).unwrap_or(0);
            read_by_all(&format!("{}{text}{}", &PAGE[..at], &PAGE[at..]));
        }

        #[test]
        fn no_name_leads_out_of_its_place_in_a_path(text in "[a-z./?#%\\-]{0,20}") {
            if let Some(vm) = Vm::new(&text, &text) {
                prop_assert!(!vm.name.contains(['/', '.', '?', '#', '%']), "{vm:?}");
            }
            let tags = dispatch_core::instance::Tags([("Owner".to_owned(), text)].into());
            prop_assert!(tags::labels(&tags).is_empty());
        }

        #[test]
        fn labels_fit_whatever_the_tags_are(key in "\\PC{0,80}", value in "\\PC{0,80}", set in "\\PC{1,80}") {
            let mut all = dispatch_core::instance::Tags::default();
            all.insert(format!("{key}InstanceSetID"), set);
            all.insert(format!("{key}InstanceSecret"), "0123456789abcdef");
            all.insert(key, value);
            let labels = tags::labels(&all);
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
            let fits = |text: &str| text.len() <= 63 && text.chars().all(inner);
            let begins = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
            prop_assert!(labels.iter().all(|(name, value)| begins(name) && fits(name) && fits(value)), "{labels:?}");
            let (name, value) = tags::filter(&all).unwrap();
            prop_assert_eq!(labels.get(&name), Some(&value), "by which it is listed");
        }
    }
}

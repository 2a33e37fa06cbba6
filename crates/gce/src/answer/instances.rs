//! VMs, as a listing or the look at one shows them.
//!
//! ```text
//!   a page: {zones/Z: {instances: […]} | {warning: NO_RESULTS_ON_PAGE}, …}, nextPageToken
//!                                          {warning: UNREACHABLE}, unreachables ─► the page fails:
//!                                          what is missing in it would be taken for what has ended
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use dispatch_cloud_kit::{Failure, Malformed, Meaning};
use dispatch_core::id::ProviderType;
use dispatch_core::instance::{Instance, Tags};
use serde::Deserialize;

use crate::machine::Machine;
use crate::names::{Vm, last_part};
use crate::tags;

/// The warning of a scope in which there is nothing.
const NOTHING: &str = "NO_RESULTS_ON_PAGE";
/// Warnings that say that something is missing.
const INCOMPLETE: [&str; 3] = ["UNREACHABLE", "PARTIAL_SUCCESS", "LIST_OVERHEAD_QUOTA_EXCEED"];
/// What has ended by itself, and is there all the same: with its disks and its name, and it costs.
const STOPPED: [&str; 2] = ["TERMINATED", "STOPPED"];

/// A VM, with what only this driver needs to know of it. Its metadata have its secret.
#[derive(Clone)]
pub(crate) struct Listed {
    pub instance: Instance,
    pub vm: Vm,
    /// Whether it has ended by itself.
    pub is_stopped: bool,
    /// Whether it has tags of ours that cannot be read.
    pub is_defaced: bool,
    /// All its metadata, and the fingerprint that they had.
    pub metadata: Vec<(String, String)>,
    pub metadata_fingerprint: String,
    /// All its labels, and theirs.
    pub labels: BTreeMap<String, String>,
    pub label_fingerprint: String,
}

impl Listed {
    /// For a listing, which may have thousands: half a megabyte of metadata each is too much.
    pub fn without_metadata(self) -> Self {
        Self { metadata: Vec::new(), labels: BTreeMap::new(), ..self }
    }
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listed").field(&self.instance).finish()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: BTreeMap<String, Scope>,
    next_page_token: Option<String>,
    #[serde(default)]
    unreachables: Vec<String>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
struct Scope {
    #[serde(default)]
    instances: Vec<Described>,
    warning: Option<Warning>,
}

#[derive(Deserialize)]
struct Warning {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    name: String,
    zone: String,
    machine_type: String,
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    label_fingerprint: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    network_interfaces: Vec<Interface>,
    #[serde(default)]
    guest_accelerators: Vec<Accelerator>,
    creation_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(rename = "networkIP")]
    network_ip: Option<String>,
    #[serde(rename = "ipv6Address")]
    ipv6_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accelerator {
    #[serde(default)]
    accelerator_type: String,
    #[serde(default)]
    accelerator_count: u32,
}

/// A page of a listing and the token of the next.
///
/// # Errors
/// If it is none, or a zone could not be asked.
pub(crate) fn page(body: &str) -> Result<(Vec<Listed>, Option<String>), Failure> {
    let page: Page = super::read("compute#instanceAggregatedList", body).map_err(Failure::malformed)?;
    page.complete()?;
    let described = page.items.into_values().flat_map(|it| it.instances);
    let listed = described.map(Described::checked).collect::<Result<_, _>>();
    Ok((listed.map_err(Failure::malformed)?, page.next_page_token))
}

/// The look at one.
pub(crate) fn one(body: &str) -> Result<Listed, Malformed> {
    let described: Described = super::read("compute#instance", body)?;
    described.checked()
}

impl Page {
    fn complete(&self) -> Result<(), Failure> {
        let of_scopes = self.items.iter().filter_map(|(scope, it)| {
            let warning = it.warning.as_ref()?;
            // It stands in place of the list: only one word says that there is nothing.
            let hides = it.instances.is_empty() && warning.code != NOTHING;
            (hides || warning.is_of_missing()).then_some((scope.as_str(), warning))
        });
        let of_page = self.warning.iter().filter(|it| it.is_of_missing()).map(|it| ("the project", it));
        let missing = of_scopes.chain(of_page).next();
        let (scope, code, why) = match (missing, self.unreachables.first()) {
            (Some((scope, warning)), _) => (scope, warning.known_code(), warning.text()),
            (None, Some(scope)) => (scope.as_str(), INCOMPLETE[0], "it cannot be reached".to_owned()),
            (None, None) => return Ok(()),
        };
        let short = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
        let text = format!("VMs of {} are missing: {}", short(last_part(scope)), short(&why));
        Err(Failure::ours(Meaning::Unknown, code, text))
    }
}

impl Warning {
    fn is_of_missing(&self) -> bool {
        INCOMPLETE.contains(&self.code.as_str())
    }

    /// What is missed is told by a code that advice is given for; a word that nobody knows stands in the text alone.
    fn known_code(&self) -> &'static str {
        INCOMPLETE.into_iter().find(|code| *code == self.code).unwrap_or(INCOMPLETE[0])
    }

    fn text(&self) -> String {
        match self.is_of_missing() {
            true => self.message.clone(),
            false => format!("{} ({})", self.message, self.code),
        }
    }
}

impl Described {
    /// The private address. It goes to an ssh client's command line, by way of a configuration file: what is no address is
    /// none.
    fn address(&self) -> String {
        let mut all =
            self.network_interfaces.iter().flat_map(|it| it.network_ip.iter().chain(&it.ipv6_address));
        all.find(|text| text.parse::<IpAddr>().is_ok()).cloned().unwrap_or_default()
    }

    fn provider_type(&self) -> String {
        let of = |it: &Accelerator| (last_part(&it.accelerator_type).to_owned(), it.accelerator_count);
        let machine_type = last_part(&self.machine_type).to_owned();
        Machine { machine_type, accelerators: self.guest_accelerators.first().map(of) }.provider_type()
    }

    fn checked(self) -> Result<Listed, Malformed> {
        let vm = Vm::new(last_part(&self.zone), &self.name);
        let vm = vm.ok_or_else(|| Malformed("a VM whose zone or name is none".to_owned()))?;
        let provider_type = ProviderType::new(&self.provider_type());
        let provider_type = provider_type.map_err(|error| Malformed(error.to_string()))?;
        let item = self.metadata.items.iter().find(|it| it.key == tags::TAGS_ITEM);
        let tags = item.map(|it| tags::of_item(&it.value));
        let instance = Instance {
            id: vm.id(),
            provider_type,
            address: self.address(),
            tags: tags.clone().flatten().unwrap_or_else(Tags::default),
            price_history: Vec::new(),
            // Only an account of costs reads it: a date that cannot be read is none.
            launched: self.creation_timestamp.and_then(|text| text.parse().ok()),
        };
        Ok(Listed {
            instance,
            vm,
            is_stopped: STOPPED.contains(&self.status.as_str()),
            is_defaced: matches!(tags, Some(None)),
            metadata: self.metadata.items.into_iter().map(|it| (it.key, it.value)).collect(),
            metadata_fingerprint: self.metadata.fingerprint,
            labels: self.labels,
            label_fingerprint: self.label_fingerprint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../tests/answers/instances.json");

    #[test]
    fn a_listing_shows_what_it_has_in_all_zones() {
        let (listed, next) = page(PAGE).unwrap();
        assert_eq!(next.as_deref(), Some("CjkSN/next=="));
        let ids: Vec<_> = listed.iter().map(|it| it.instance.id.as_str()).collect();
        assert_eq!(ids, ["us-central1-a/arvados-0", "us-central1-a/arvados-1", "us-central1-b/other"]);
        let first = &listed[0];
        assert_eq!(first.instance.provider_type.as_str(), "n1-standard-8+nvidia-tesla-t4:1");
        assert_eq!(first.instance.address, "10.128.0.2");
        assert_eq!(first.instance.tags.get("ArvadosInstanceType"), Some("m5.large"));
        assert_eq!(first.instance.launched, Some("2026-11-22T21:09:52.512Z".parse().unwrap()));
        assert_eq!(first.metadata.len(), 2);
        assert_eq!((first.metadata_fingerprint.as_str(), first.label_fingerprint.as_str()), ("abc=", "def="));
        assert!(!first.is_stopped && listed[1].is_stopped);
        assert!(!first.is_defaced && listed[1].is_defaced && !listed[2].is_defaced);
        assert!(listed[2].instance.tags.0.is_empty() && listed[2].instance.address.is_empty());
    }

    #[test]
    fn what_is_printed_of_a_vm_has_no_secret() {
        let body = r#"{"kind":"compute#instance","name":"a","zone":"us-central1-a","machineType":"m","status":"RUNNING",
            "metadata":{"items":[{"key":"arvados-tags","value":"{\"ArvadosInstanceSecret\":\"hunter2\"}"},
            {"key":"startup-script","value":"echo hunter2"}]}}"#;
        let shown = format!("{:?}", one(body).unwrap());
        assert!(shown.contains("us-central1-a/a") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn none_of_its_beginnings_is_a_listing() {
        for length in 0..PAGE.trim_end().len() {
            assert!(page(&PAGE[..length]).is_err(), "the first {length} bytes pass");
        }
    }

    #[test]
    fn what_is_no_list_is_no_empty_list() {
        let kind = r#""kind":"compute#instanceAggregatedList""#;
        assert!(page(&format!("{{{kind}}}")).unwrap().0.is_empty());
        for text in [
            "{}".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            "<html></html>".to_owned(),
            format!(r#"{{{kind},"items":[]}}"#),
            format!(r#"{{{kind},"items":{{"zones/a":[]}}}}"#),
            format!(r#"{{{kind},"items":{{"zones/a":{{"instances":[{{}}]}}}}}}"#),
            r#"{"kind":"compute#instanceList","items":[]}"#.to_owned(),
            r#"{"kind":"compute#operation"}"#.to_owned(),
        ] {
            assert_eq!(page(&text).unwrap_err().code, "malformed", "{text}");
        }
    }

    #[test]
    fn a_zone_that_cannot_be_asked_fails_the_page_and_one_without_results_does_not() {
        let with = |more: &str| page(&format!(r#"{{"kind":"compute#instanceAggregatedList",{more}}}"#));
        let of_scope = |code: &str| {
            with(&format!(r#""items":{{"zones/a-b-c":{{"warning":{{"code":"{code}","message":"why"}}}}}}"#))
        };
        assert!(of_scope("NO_RESULTS_ON_PAGE").unwrap().0.is_empty());
        for code in INCOMPLETE {
            let failure = of_scope(code).unwrap_err();
            assert_eq!((&failure.meaning, failure.code.as_str()), (&Meaning::Unknown, code));
            assert!(failure.message.contains("VMs of a-b-c are missing: why"), "{}", failure.message);
        }
        // Whatever stands in place of a list, but that word, says that it may be one.
        for code in ["SOMETHING_OF_TOMORROW", ""] {
            let failure = of_scope(code).unwrap_err();
            assert_eq!((&failure.meaning, failure.code.as_str()), (&Meaning::Unknown, "UNREACHABLE"));
            assert!(failure.message.contains("VMs of a-b-c are missing: why"), "{}", failure.message);
        }
        let vm = r#"{"name":"a","zone":"a-b-c","machineType":"m","status":"RUNNING"}"#;
        let beside = |code: &str| {
            let warning = format!(r#"{{"code":"{code}","message":"why"}}"#);
            with(&format!(r#""items":{{"zones/a-b-c":{{"instances":[{vm}],"warning":{warning}}}}}"#))
        };
        assert_eq!(beside("DEPRECATED_RESOURCE_USED").unwrap().0.len(), 1, "a list that is there is one");
        assert_eq!(beside("PARTIAL_SUCCESS").unwrap_err().code, "PARTIAL_SUCCESS");
        for more in [r#""unreachables":["zones/a-b-c"]"#, r#""warning":{"code":"UNREACHABLE"}"#] {
            assert_eq!(with(more).unwrap_err().code, "UNREACHABLE", "{more}");
        }
    }

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        let of = |name: &str, zone: &str| {
            one(&format!(
                r#"{{"kind":"compute#instance","name":"{name}","zone":"https://x/{zone}","machineType":"m",
                   "status":"RUNNING"}}"#
            ))
        };
        assert!(of("a", "us-central1-a").is_ok());
        for (name, zone) in [("..", "us-central1-a"), ("a?b", "us-central1-a"), ("a", ".."), ("a", "")] {
            assert!(of(name, zone).is_err(), "{name} {zone}");
        }
    }
}

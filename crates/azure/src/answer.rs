//! Azure's answers, as far as we read them. A list without its items is no empty list, and what has another form than was
//! asked for is an error.

use std::collections::BTreeMap;

use dispatch_cloud_kit::{Refusal, json};
use dispatch_core::time::Timestamp;
use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    pub value: Vec<T>,
    /// The whole URL of the next one.
    pub next_link: Option<String>,
}

/// Anything that refers to something else.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reference {
    pub id: String,
}

/// A VM.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Machine {
    pub name: String,
    tags: Option<BTreeMap<String, String>>,
    properties: MachineProperties,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MachineProperties {
    hardware_profile: Option<HardwareProfile>,
    network_profile: Option<NetworkProfile>,
    provisioning_state: Option<String>,
    time_created: Option<Timestamp>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HardwareProfile {
    vm_size: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkProfile {
    #[serde(default)]
    network_interfaces: Vec<Reference>,
}

impl Machine {
    /// Its tags, names as they were first written.
    pub fn tags(&self) -> BTreeMap<String, String> {
        self.tags.clone().unwrap_or_default()
    }

    /// Its size, such as `Standard_D2s_v5`.
    pub fn size(&self) -> &str {
        let size = self.properties.hardware_profile.as_ref().and_then(|it| it.vm_size.as_deref());
        size.filter(|it| !it.is_empty()).unwrap_or("unknown")
    }

    /// The ids of its NICs.
    pub fn interfaces(&self) -> impl Iterator<Item = &str> {
        let all = self.properties.network_profile.iter().flat_map(|it| &it.network_interfaces);
        all.map(|it| it.id.as_str())
    }

    /// Whether Azure still works on it.
    pub fn is_settled(&self) -> bool {
        self.properties.provisioning_state.as_deref() == Some("Succeeded")
    }

    /// Since when it is there, by Azure's clock.
    pub fn created(&self) -> Option<Timestamp> {
        self.properties.time_created
    }
}

/// A NIC.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Interface {
    pub id: String,
    pub name: String,
    tags: Option<BTreeMap<String, String>>,
    properties: InterfaceProperties,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceProperties {
    #[serde(default)]
    ip_configurations: Vec<IpConfiguration>,
    virtual_machine: Option<Reference>,
}

#[derive(Debug, Clone, Deserialize)]
struct IpConfiguration {
    properties: Option<IpConfigurationProperties>,
}

#[derive(Debug, Clone, Deserialize)]
struct IpConfigurationProperties {
    #[serde(rename = "privateIPAddress")]
    private_ip_address: Option<String>,
}

impl Interface {
    /// The same under an id as we spell it.
    pub fn of_id(self, id: String) -> Self {
        Self { id, ..self }
    }

    /// Its private address; empty = it has none.
    pub fn address(&self) -> &str {
        let mut all = self.properties.ip_configurations.iter();
        all.find_map(|it| it.properties.as_ref()?.private_ip_address.as_deref()).unwrap_or_default()
    }

    /// One of its tags.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.tags.as_ref()?.get(name).map(String::as_str)
    }

    /// The VM that has it.
    pub fn user(&self) -> Option<&str> {
        self.properties.virtual_machine.as_ref().map(|it| it.id.as_str())
    }
}

/// A disk.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Disk {
    pub name: String,
    managed_by: Option<String>,
    properties: DiskProperties,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DiskProperties {
    disk_state: Option<String>,
    time_created: Option<Timestamp>,
}

impl Disk {
    /// Since when it is there, if no VM has it; by Azure's clock.
    pub fn unused_since(&self) -> Option<Timestamp> {
        let is_unused =
            self.managed_by.is_none() && self.properties.disk_state.as_deref() == Some("Unattached");
        self.properties.time_created.filter(|_| is_unused)
    }
}

/// How far an operation is.
#[derive(Debug, Deserialize)]
pub(crate) struct OperationStatus {
    pub status: String,
    pub error: Option<ErrorBody>,
}

/// Azure's words for what is wrong.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorBody {
    pub code: Option<String>,
    pub message: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    error: ErrorBody,
}

/// Azure's words in a body, with or without what they are wrapped in.
pub(crate) fn refusal(text: &str, request_id: &str) -> Option<Refusal> {
    let wrapped = json::maybe::<Envelope>(text).map(|it| it.error);
    let ErrorBody { code, message } = wrapped.or_else(|| json::maybe(text))?;
    Refusal::new(&code?, &message.unwrap_or_default(), request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_with_and_without_its_envelope() {
        for text in [
            r#"{"error": {"code": "SkuNotAvailable", "message": "none", "details": []}}"#,
            r#"{"code": "SkuNotAvailable", "message": "none"}"#,
        ] {
            let refusal = refusal(text, "1-2").unwrap();
            assert_eq!(
                (refusal.code.as_str(), refusal.message.as_str(), refusal.request_id.as_str()),
                ("SkuNotAvailable", "none", "1-2")
            );
        }
        for text in ["", "<html>", "{}", "[]", r#"{"error": "x"}"#, r#"{"error": {"code": "a word or two"}}"#]
        {
            assert_eq!(refusal(text, ""), None, "{text}");
        }
    }

    #[test]
    fn a_list_without_items_is_none() {
        assert!(json::read::<Page<Machine>>("{}").is_err());
        assert!(json::read::<Page<Machine>>(r#"{"value": null}"#).is_err());
        assert!(json::read::<Page<Machine>>(r#"{"value": [{"name": 1}]}"#).is_err());
        assert_eq!(json::read::<Page<Machine>>(r#"{"value": []}"#).unwrap().value.len(), 0);
    }

    #[test]
    fn a_disk_is_unused_only_if_all_that_is_said_of_it_says_so() {
        let since = |text: &str| json::read::<Disk>(text).unwrap().unused_since().is_some();
        let created = r#""timeCreated": "2026-01-01T00:00:00+00:00""#;
        let disk = |more: &str, state: &str| {
            format!(r#"{{"name": "d", {more} "properties": {{{state} {created}}}}}"#)
        };
        let unattached = r#""diskState": "Unattached","#;
        assert!(since(&disk("", unattached)));
        assert!(!since(&disk(r#""managedBy": "/vm","#, unattached)));
        assert!(!since(&disk("", r#""diskState": "Reserved","#)) && !since(&disk("", "")));
        assert!(!since(r#"{"name": "d", "properties": {"diskState": "Unattached"}}"#));
    }

    #[test]
    fn a_vm_and_a_nic_that_lack_almost_everything_are_read() {
        let machine: Machine = json::read(r#"{"name": "m", "properties": {}}"#).unwrap();
        assert_eq!((machine.size(), machine.interfaces().count(), machine.created()), ("unknown", 0, None));
        let nic: Interface = json::read(
            r#"{"id": "i", "name": "n", "properties": {"ipConfigurations": [{"name": "ip1"}, {"properties": {}}]}}"#,
        )
        .unwrap();
        assert_eq!((nic.address(), nic.user(), nic.tag("a")), ("", None, None));
    }
}

//! The VMs of the fake cloud: what an order must look like, and how a VM is shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A VM.
#[derive(Debug, Clone)]
pub struct Vm {
    /// Its zone.
    pub zone: String,
    /// Its name.
    pub name: String,
    /// Such as `RUNNING`.
    pub status: String,
    /// Its private address; empty until it runs.
    pub address: String,
    /// What it was ordered as, with the labels and metadata that it has now.
    pub instance: Value,
    /// The host keys that it has published, by algorithm.
    pub host_keys: BTreeMap<String, String>,
    number: u64,
    metadata_version: u64,
    labels_version: u64,
}

impl Vm {
    pub(super) fn new(zone: &str, instance: &Value, number: u64) -> Self {
        Self {
            zone: zone.to_owned(),
            name: instance["name"].as_str().unwrap_or_default().to_owned(),
            status: "PROVISIONING".to_owned(),
            address: String::new(),
            instance: instance.clone(),
            host_keys: BTreeMap::new(),
            number,
            metadata_version: 0,
            labels_version: 0,
        }
    }

    /// It runs now.
    pub(super) fn boot(&mut self) {
        self.status = "RUNNING".to_owned();
        self.address = format!("10.128.{}.{}", self.number / 250, self.number % 250 + 2);
    }

    /// The value of a metadata item; empty if there is none.
    pub fn metadata(&self, key: &str) -> &str {
        let items = self.instance["metadata"]["items"].as_array();
        let item = items.and_then(|items| items.iter().find(|it| it["key"] == key));
        item.and_then(|it| it["value"].as_str()).unwrap_or_default()
    }

    /// A label; empty if there is none.
    pub fn label(&self, name: &str) -> &str {
        self.instance["labels"][name].as_str().unwrap_or_default()
    }

    fn fingerprint(&self, kind: &str, version: u64) -> String {
        format!("{kind}{}v{version}=", self.number)
    }

    pub(super) fn metadata_fingerprint(&self) -> String {
        self.fingerprint("m", self.metadata_version)
    }

    pub(super) fn label_fingerprint(&self) -> String {
        self.fingerprint("l", self.labels_version)
    }

    pub(super) fn set_metadata(&mut self, items: &Value) {
        self.instance["metadata"] = json!({"items": items});
        self.metadata_version += 1;
    }

    pub(super) fn set_labels(&mut self, labels: &Value) {
        self.instance["labels"] = labels.clone();
        self.labels_version += 1;
    }

    /// Somebody else writes the VM's metadata: whoever has seen the former ones is too late.
    pub fn touch(&mut self) {
        self.metadata_version += 1;
        self.labels_version += 1;
    }

    /// As an answer shows it; `link` makes a URL of a path in the project.
    pub(super) fn shown(&self, link: impl Fn(&str) -> String) -> Value {
        let of = &self.instance;
        let mut interface = of["networkInterfaces"][0].clone();
        interface["kind"] = json!("compute#networkInterface");
        interface["name"] = json!("nic0");
        if !self.address.is_empty() {
            interface["networkIP"] = json!(self.address);
        }
        let mut shown = json!({
            "kind": "compute#instance",
            "id": (6_000_000_000_000_000_000_u64 + self.number).to_string(),
            "creationTimestamp": "2026-11-22T13:09:52.512-08:00",
            "name": self.name,
            "status": self.status,
            "zone": link(&format!("zones/{}", self.zone)),
            "selfLink": link(&format!("zones/{}/instances/{}", self.zone, self.name)),
            "machineType": link(of["machineType"].as_str().unwrap_or_default()),
            "networkInterfaces": [interface],
            "metadata": {"kind": "compute#metadata", "fingerprint": self.metadata_fingerprint()},
            "labelFingerprint": self.label_fingerprint(),
            "scheduling": of["scheduling"],
            "disks": [],
        });
        if let Some(items) = of["metadata"]["items"].as_array().filter(|it| !it.is_empty()) {
            shown["metadata"]["items"] = json!(items);
        }
        if let Some(labels) = of["labels"].as_object().filter(|it| !it.is_empty()) {
            shown["labels"] = json!(labels);
        }
        if let Some(accelerators) = of["guestAccelerators"].as_array() {
            let of_type = |it: &Value| {
                let kind = it["acceleratorType"].as_str().unwrap_or_default();
                json!({"acceleratorType": link(kind), "acceleratorCount": it["acceleratorCount"]})
            };
            shown["guestAccelerators"] = accelerators.iter().map(of_type).collect();
        }
        shown
    }
}

fn is_name(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(is_inner)
        && !text.ends_with('-')
}

/// What is wrong with an order for that zone, in Google's words; `None` = nothing.
pub(super) fn objection(instance: &Value, zone: &str) -> Option<String> {
    let invalid =
        |field: &str, value: &Value| format!("Invalid value for field 'resource.{field}': '{value}'.");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if !is_name(&text(&instance["name"])) {
        return Some(invalid("name", &instance["name"]));
    }
    let machine_type = text(&instance["machineType"]);
    if !machine_type.strip_prefix(&format!("zones/{zone}/machineTypes/")).is_some_and(is_name) {
        return Some(invalid("machineType", &instance["machineType"]));
    }
    let disks = instance["disks"].as_array().cloned().unwrap_or_default();
    let boots = disks.iter().filter(|it| it["boot"] == true).count();
    let has_image = disks.first().is_some_and(|it| it["initializeParams"]["sourceImage"].is_string());
    if boots != 1 || !has_image {
        return Some(invalid("disks", &instance["disks"]));
    }
    for disk in &disks {
        let kind = text(&disk["initializeParams"]["diskType"]);
        if !kind.starts_with(&format!("zones/{zone}/diskTypes/")) {
            return Some(invalid("disks[].initializeParams.diskType", &disk["initializeParams"]["diskType"]));
        }
    }
    if instance["networkInterfaces"].as_array().is_none_or(Vec::is_empty) {
        return Some("At least one network interface is required.".to_owned());
    }
    let scheduling = &instance["scheduling"];
    if scheduling["provisioningModel"] == "SPOT" && scheduling["automaticRestart"] != false {
        return Some(invalid("scheduling.automaticRestart", &scheduling["automaticRestart"]));
    }
    let attached = instance["guestAccelerators"].is_array();
    if attached && scheduling["onHostMaintenance"] != "TERMINATE" {
        return Some("Instances with guest accelerators do not support live migration.".to_owned());
    }
    bad_labels(&instance["labels"]).or_else(|| bad_items(&instance["metadata"]["items"]))
}

/// What is wrong with labels.
pub(super) fn bad_labels(labels: &Value) -> Option<String> {
    let is_inner = |c: char| c.is_lowercase() || c.is_numeric() || c == '-' || c == '_';
    let fits = |text: &str| text.chars().count() <= 63 && text.chars().all(is_inner);
    let labels = labels.as_object().cloned().unwrap_or_default();
    if labels.len() > 64 {
        return Some("Labels are limited to 64.".to_owned());
    }
    let bad = labels.iter().find(|(name, value)| {
        let begins = name.starts_with(|c: char| c.is_lowercase());
        !begins || !fits(name) || !value.as_str().is_some_and(fits)
    });
    bad.map(|(name, value)| format!("Invalid value for field 'labels': '{name}: {value}'."))
}

/// What is wrong with items of metadata.
pub(super) fn bad_items(items: &Value) -> Option<String> {
    let items = items.as_array().cloned().unwrap_or_default();
    let (mut seen, mut bytes) = (BTreeSet::new(), 0);
    for item in &items {
        let (Some(key), Some(value)) = (item["key"].as_str(), item["value"].as_str()) else {
            return Some("Metadata items need a key and a value.".to_owned());
        };
        let is_key =
            key.len() < 128 && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        bytes += value.len();
        if !is_key || value.len() > 256 << 10 || bytes > 512 << 10 || !seen.insert(key.to_owned()) {
            return Some(format!("Invalid value for field 'metadata.items': key '{key}'."));
        }
    }
    None
}

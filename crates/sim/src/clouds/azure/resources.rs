//! VMs, NICs and disks: what they are made from, and how they are shown.

use std::collections::{BTreeMap, BTreeSet};

use dispatch_core::time::Timestamp;
use serde_json::{Value, json};

use super::rules::{invalid, lower, refers_to, tags, text};
use super::{Given, SUBSCRIPTION};

fn id(group: &str, kind: &str, name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{kind}/{name}")
}

/// How far a VM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Accepted.
    Creating,
    /// There.
    Succeeded,
    /// Azure has given up; it exists and counts.
    Failed,
    /// On its way out.
    Deleting,
}

/// A VM.
#[derive(Debug, Clone)]
pub struct Machine {
    /// As it was first spelled.
    pub name: String,
    /// All tags.
    pub tags: BTreeMap<String, String>,
    /// Such as `Standard_D2s_v5`.
    pub size: String,
    /// Whether it may be taken away.
    pub is_spot: bool,
    /// The names of its NICs, in lower case.
    pub interfaces: Vec<String>,
    /// Whether NICs and disks go with it.
    pub takes_along: bool,
    /// How far it is.
    pub state: State,
    /// What it is told at first boot, base64.
    pub custom_data: String,
    created: Timestamp,
    body: Value,
}

impl Machine {
    pub(super) fn check(
        body: &Value,
        interfaces: &BTreeMap<String, Interface>,
        groups: &BTreeSet<String>,
    ) -> Result<(), Given> {
        let at = |pointer: &str| text(body, pointer);
        tags(&body["tags"])?;
        for (pointer, target) in [
            ("/location", "location"),
            ("/properties/hardwareProfile/vmSize", "vmSize"),
            ("/properties/osProfile/adminUsername", "adminUsername"),
            ("/properties/storageProfile/osDisk/createOption", "osDisk.createOption"),
        ] {
            if at(pointer).is_empty() {
                return Err(invalid(target));
            }
        }
        let host = at("/properties/osProfile/computerName");
        if host.is_empty() || host.len() > 64 {
            return Err(invalid("computerName"));
        }
        let image = at("/properties/storageProfile/imageReference/id");
        if !["images", "galleries"]
            .iter()
            .any(|it| refers_to(image, &format!("Microsoft.Compute/{it}/"), groups))
        {
            return Err(invalid("imageReference"));
        }
        let nics = nics(body);
        for nic in &nics {
            match interfaces.get(nic) {
                None => {
                    let text = format!("Resource {nic} referenced by the VM was not found.");
                    return Err(Given::refusal(400, "InvalidResourceReference", &text));
                }
                Some(it) if it.user.is_some() => {
                    return Err(Given::refusal(400, "NicInUse", "The NIC is used by another VM."));
                }
                Some(_) => {}
            }
        }
        if nics.is_empty() { Err(invalid("networkProfile")) } else { Ok(()) }
    }

    pub(super) fn new(name: &str, body: &Value, now: Timestamp) -> Self {
        let option = text(body, "/properties/storageProfile/osDisk/deleteOption");
        Self {
            name: name.to_owned(),
            tags: tags(&body["tags"]).unwrap_or_default(),
            size: text(body, "/properties/hardwareProfile/vmSize").to_owned(),
            is_spot: text(body, "/properties/priority") == "Spot",
            interfaces: nics(body),
            takes_along: option == "Delete",
            state: State::Creating,
            custom_data: text(body, "/properties/osProfile/customData").to_owned(),
            created: now,
            body: body.clone(),
        }
    }

    /// A second PUT: tags are replaced, and what cannot be changed is refused.
    pub(super) fn put_again(&mut self, body: &Value) -> Option<Given> {
        let custom_data = text(body, "/properties/osProfile/customData");
        if !custom_data.is_empty() && custom_data != self.custom_data {
            let text = "Changing property 'osProfile.customData' is not allowed.";
            return Some(Given::refusal(409, "PropertyChangeNotAllowed", text));
        }
        match tags(&body["tags"]) {
            Ok(tags) => {
                self.tags = tags;
                None
            }
            Err(given) => Some(given),
        }
    }

    /// Names are compared without case, and stay as they were first written.
    pub(super) fn merge_tags(&mut self, change: &Value) -> Result<(), Given> {
        let mut merged = self.tags.clone();
        for (name, value) in tags(change)? {
            let there = merged.keys().find(|it| it.eq_ignore_ascii_case(&name)).cloned();
            merged.insert(there.unwrap_or(name), value);
        }
        self.tags = tags(&json!(merged))?;
        Ok(())
    }

    pub(super) fn disks(&self, now: Timestamp) -> Vec<Disk> {
        let storage = &self.body["properties"]["storageProfile"];
        let data = storage["dataDisks"].as_array().cloned().unwrap_or_default();
        let all = [storage["osDisk"].clone()].into_iter().chain(data);
        let names = all.filter_map(|it| it["name"].as_str().map(str::to_owned));
        names.map(|name| Disk { name, user: Some(lower(&self.name)), created: now }).collect()
    }

    pub(super) fn show(&self, group: &str) -> Value {
        let mut properties = self.body["properties"].clone();
        // It is not shown again.
        if let Some(profile) = properties["osProfile"].as_object_mut() {
            profile.remove("customData");
        }
        if let Some(nics) = properties["networkProfile"]["networkInterfaces"].as_array_mut() {
            let name = |it: &Value| it["id"].as_str().and_then(|id| id.rsplit('/').next()).map(lower);
            nics.retain(|it| name(it).is_some_and(|name| self.interfaces.contains(&name)));
        }
        properties["provisioningState"] = format!("{:?}", self.state).into();
        properties["timeCreated"] = self.created.to_string().into();
        properties["vmId"] = "5c0d55a7-c407-4ed6-bf7d-ea810267c853".into();
        json!({
            "id": id(group, "Microsoft.Compute/virtualMachines", &self.name),
            "name": self.name,
            "type": "Microsoft.Compute/virtualMachines",
            "location": self.body["location"],
            "tags": self.tags,
            "properties": properties,
        })
    }
}

fn nics(body: &Value) -> Vec<String> {
    let all = body["properties"]["networkProfile"]["networkInterfaces"].as_array();
    let ids = all.into_iter().flatten().filter_map(|it| it["id"].as_str());
    ids.filter_map(|it| it.rsplit('/').next()).map(lower).collect()
}

/// A NIC.
#[derive(Debug, Clone)]
pub struct Interface {
    /// As it was first spelled.
    pub name: String,
    /// All tags.
    pub tags: BTreeMap<String, String>,
    /// Its private address.
    pub address: String,
    /// The name of the VM that has it, in lower case.
    pub user: Option<String>,
    /// Until when it is kept for a VM that has failed.
    pub reserved_until: Option<Timestamp>,
    body: Value,
}

impl Interface {
    pub(super) fn check(body: &Value, groups: &BTreeSet<String>) -> Result<(), Given> {
        tags(&body["tags"])?;
        if text(body, "/location").is_empty() {
            return Err(invalid("location"));
        }
        let subnet = text(body, "/properties/ipConfigurations/0/properties/subnet/id");
        if !refers_to(subnet, "Microsoft.Network/virtualNetworks/", groups) || !subnet.contains("/subnets/") {
            let text = format!("Resource {subnet} referenced by the network interface was not found.");
            return Err(Given::refusal(400, "InvalidResourceReference", &text));
        }
        Ok(())
    }

    /// One that was made by that body.
    pub fn new(name: &str, body: &Value, address: String, user: Option<String>) -> Self {
        let tags = tags(&body["tags"]).unwrap_or_default();
        Self { name: name.to_owned(), tags, address, user, reserved_until: None, body: body.clone() }
    }

    pub(super) fn show(&self, group: &str) -> Value {
        let own = id(group, "Microsoft.Network/networkInterfaces", &self.name);
        let mut properties = self.body["properties"].clone();
        properties["provisioningState"] = "Succeeded".into();
        if let Some(ip) = properties.pointer_mut("/ipConfigurations/0") {
            ip["id"] = format!("{own}/ipConfigurations/ip1").into();
            ip["properties"]["privateIPAddress"] = self.address.as_str().into();
        }
        if let Some(user) = &self.user {
            properties["virtualMachine"] =
                json!({"id": id(group, "Microsoft.Compute/virtualMachines", user)});
        }
        json!({
            "id": own, "name": self.name, "type": "Microsoft.Network/networkInterfaces",
            "location": self.body["location"], "tags": self.tags, "properties": properties,
        })
    }
}

/// A disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// As it was first spelled.
    pub name: String,
    /// The name of the VM that has it, in lower case.
    pub user: Option<String>,
    /// Since when it is there.
    pub created: Timestamp,
}

impl Disk {
    pub(super) fn show(&self, group: &str) -> Value {
        let mut shown = json!({
            "id": id(group, "Microsoft.Compute/disks", &self.name),
            "name": self.name, "type": "Microsoft.Compute/disks", "location": "centralus",
            "properties": {
                "diskState": if self.user.is_some() { "Attached" } else { "Unattached" },
                "timeCreated": self.created.to_string(),
                "creationData": {"createOption": "FromImage"},
                "provisioningState": "Succeeded",
            },
        });
        if let Some(user) = &self.user {
            shown["managedBy"] = id(group, "Microsoft.Compute/virtualMachines", user).into();
        }
        shown
    }
}

//! What an order becomes: a NIC, and a VM that has it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_cloud_kit::{Failure, Meaning};
use dispatch_core::instance::{Market, Tags};
use dispatch_core::ports::CreateOrder;
use dispatch_core::time::Timestamp;
use serde_json::{Value, json};

use crate::name::{NIC, OS_DISK, SCRATCH_DISK, SetNames};
use crate::params::Params;
use crate::{image, resource};

/// The tag that says since when a NIC is there: Azure does not tell that of NICs. It is the Go program's, too.
pub(crate) const CREATED_AT: &str = "created-at";
/// The most that a VM is told, in bytes before base64.
pub(crate) const LONGEST_CUSTOM_DATA: usize = 64 << 10;
/// What stands before the site's text in it: the first line, the command that writes the VM's secret, and the ends of lines.
pub(crate) const BYTES_BEFORE_INIT_COMMAND: usize = 1 << 10;

/// An order and the names of what it makes.
pub(crate) struct Making<'a> {
    order: &'a CreateOrder,
    params: &'a Params,
    /// The VM's name.
    pub name: String,
    /// All tags of the VM.
    pub tags: Tags,
}

impl<'a> Making<'a> {
    /// `set_tag`: the name of the tag that says whose VM it is.
    ///
    /// # Errors
    /// If Azure would refuse it for certain.
    pub fn new(
        order: &'a CreateOrder,
        params: &'a Params,
        set_tag: &str,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let refused = |code, text: String| Failure::ours(Meaning::Other, code, text);
        if let Some(wanted) = image::objection(&order.image) {
            return Err(refused("unusable_image", format!("image `{:.80}`: {wanted}", order.image)));
        }
        if order.public_key.as_ref().is_some_and(|key| key.starts_with("ecdsa-")) {
            return Err(refused(
                "unusable_key",
                "Azure takes RSA and ED25519 keys, and no ECDSA ones".to_owned(),
            ));
        }
        let set = order.tags.get(set_tag).unwrap_or_default();
        if set.is_empty() {
            return Err(refused("no_set", format!("an order without the tag {set_tag}")));
        }
        let mut tags = order.tags.clone();
        tags.insert(CREATED_AT, now.to_string());
        Ok(Self { name: SetNames::new(set).machine(set, &order.secret), order, params, tags })
    }

    /// The id of its NIC.
    pub fn interface(&self) -> String {
        format!("{}/{}{NIC}", resource::interfaces(self.params), self.name)
    }

    /// The id of the VM.
    pub fn machine(&self) -> String {
        format!("{}/{}", resource::machines(self.params), self.name)
    }

    /// The NIC. It is told all tags but the secret: that is the VM's alone.
    pub fn interface_body(&self) -> Value {
        let is_told = |(name, _): &(&String, &String)| !name.ends_with("InstanceSecret");
        let tags: BTreeMap<_, _> = self.tags.0.iter().filter(is_told).collect();
        json!({
            "location": self.params.location,
            "tags": tags,
            "properties": {
                "ipConfigurations": [{
                    "name": "ip1",
                    "properties": {
                        "subnet": {"id": resource::subnet(self.params)},
                        "privateIPAllocationMethod": "Dynamic",
                        "primary": true,
                    },
                }],
            },
        })
    }

    /// The VM, with the NIC of that id. When it goes, NIC and disks go with it.
    pub fn machine_body(&self, interface: &str) -> Value {
        let Self { order, params, name, tags } = self;
        let mut properties = json!({
            "hardwareProfile": {"vmSize": order.instance_type.provider_type.as_str()},
            "storageProfile": self.storage(),
            "networkProfile": {
                "networkInterfaces": [
                    {"id": interface, "properties": {"primary": true, "deleteOption": "Delete"}},
                ],
            },
            "osProfile": {
                "computerName": name,
                "adminUsername": params.admin_username,
                "customData": STANDARD.encode(format!("#!/bin/sh\n{}\n", order.init_command)),
                "linuxConfiguration": self.login(),
            },
        });
        if order.instance_type.market() == Market::Spot {
            properties["priority"] = "Spot".into();
            properties["evictionPolicy"] = "Delete".into();
            // Up to the price of an on-demand VM.
            properties["billingProfile"] = json!({"maxPrice": -1});
        }
        json!({"location": params.location, "tags": tags.0, "properties": properties})
    }

    fn storage(&self) -> Value {
        let Self { order, params, name, .. } = self;
        let mut storage = json!({
            "imageReference": {"id": resource::image(params, &order.image)},
            "osDisk": {
                "osType": "Linux",
                "name": format!("{name}{OS_DISK}"),
                "createOption": "FromImage",
                "deleteOption": "Delete",
            },
        });
        let added = order.instance_type.added_scratch;
        if added > 0 {
            storage["dataDisks"] = json!([{
                "lun": 0,
                "name": format!("{name}{SCRATCH_DISK}"),
                "createOption": "Empty",
                "deleteOption": "Delete",
                "diskSizeGB": added.div_ceil(1 << 30),
                "managedDisk": {"storageAccountType": params.added_scratch_storage},
            }]);
        }
        storage
    }

    fn login(&self) -> Value {
        let mut login = json!({"disablePasswordAuthentication": true});
        if let Some(key) = &self.order.public_key {
            let path = format!("/home/{}/.ssh/authorized_keys", self.params.admin_username);
            login["ssh"] = json!({"publicKeys": [{"path": path, "keyData": key.trim()}]});
        }
        login
    }
}

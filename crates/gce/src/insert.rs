//! The body of the call that orders a VM.
//!
//! ```text
//!   order + parameters + zone ─┬─ what cannot be named ─► refused before anything is sent
//!                              └─► Instance: disks, network, labels, metadata {tags, init, keys, guest attributes}
//! ```

use dispatch_cloud_kit::{Failure, Meaning};
use dispatch_core::instance::{InstanceType, Market};
use dispatch_core::ports::CreateOrder;
use serde_json::{Map, Value, json};

use crate::machine::Machine;
use crate::names::{is_project, is_resource_name, region_of};
use crate::params::{InitBy, Params};
use crate::tags;

/// Rounds up: one byte more than 1 GiB is 2 GiB.
const GIB: u64 = 1 << 30;
/// On the VM `/dev/disk/by-id/google-arvados-scratch`.
const SCRATCH_DEVICE: &str = "arvados-scratch";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What stands on a VM's disk when its init command has run.
const DONE_MARK: &str = "/var/lib/arvados-init";

/// What one attempt to order a VM asks for.
#[derive(Clone, Copy)]
pub(crate) struct Insert<'a> {
    pub order: &'a CreateOrder,
    pub params: &'a Params,
    /// The project of the VM.
    pub project: &'a str,
    pub zone: &'a str,
    /// The VM's name.
    pub name: &'a str,
}

impl Insert<'_> {
    /// The resource `Instance`.
    ///
    /// # Errors
    /// If type, image or subnetwork cannot be named; nothing is sent then.
    pub fn body(&self) -> Result<Value, Failure> {
        let instance_type = &self.order.instance_type;
        let provider_type = instance_type.provider_type.as_str();
        let machine = Machine::parse(provider_type).ok_or_else(|| bad_type(provider_type))?;
        let mut body = Map::new();
        let mut with = |name: &str, value: Value| body.insert(name.to_owned(), value);
        with("name", json!(self.name));
        with("machineType", json!(self.in_zone("machineTypes", &machine.machine_type)));
        with("disks", self.disks()?);
        with("networkInterfaces", json!([self.network()?]));
        with("labels", json!(tags::labels(&self.order.tags)));
        with("metadata", json!({"items": self.metadata()}));
        with("scheduling", scheduling(instance_type, machine.has_gpus(instance_type)));
        if let Some((name, count)) = &machine.accelerators {
            let kind = self.in_zone("acceleratorTypes", name);
            with("guestAccelerators", json!([{"acceleratorType": kind, "acceleratorCount": count}]));
        }
        if !self.params.network_tags.is_empty() {
            with("tags", json!({"items": self.params.network_tags}));
        }
        if !self.params.service_account.is_empty() {
            let account = json!({"email": self.params.service_account, "scopes": [SCOPE]});
            with("serviceAccounts", json!([account]));
        }
        Ok(Value::Object(body))
    }

    fn in_zone(&self, kind: &str, name: &str) -> String {
        format!("zones/{}/{kind}/{name}", self.zone)
    }

    /// The boot disk, and the one of `AddedScratch`. Both go with the VM, and bear the site's labels and not the set's: a
    /// label on a disk leads nobody to the VM.
    fn disks(&self) -> Result<Value, Failure> {
        let labels = self.labels_of_disks();
        let mut boot = json!({
            "sourceImage": image_path(&self.order.image, self.project)?,
            "diskType": self.in_zone("diskTypes", &self.params.boot_disk_type),
            "labels": labels,
        });
        if self.params.boot_disk_size > 0 {
            boot["diskSizeGb"] = json!(self.params.boot_disk_size.to_string());
        }
        let mut disks = vec![json!({"boot": true, "autoDelete": true, "initializeParams": boot})];
        let gib = scratch_gib(&self.order.instance_type);
        if gib > 0 {
            let scratch = json!({
                "diskSizeGb": gib.to_string(),
                "diskType": self.in_zone("diskTypes", &self.params.scratch_disk_type),
                "labels": labels,
            });
            let device =
                json!({"autoDelete": true, "deviceName": SCRATCH_DEVICE, "initializeParams": scratch});
            disks.push(device);
        }
        Ok(Value::Array(disks))
    }

    fn labels_of_disks(&self) -> Value {
        let mut labels = tags::labels(&self.order.tags);
        if let Some((set, _)) = tags::filter(&self.order.tags) {
            labels.remove(&set);
        }
        json!(labels)
    }

    /// Without `accessConfigs` a VM has no public address.
    fn network(&self) -> Result<Value, Failure> {
        let subnetwork = &self.params.subnetwork;
        if subnetwork.is_empty() {
            return Ok(json!({"network": "global/networks/default"}));
        }
        let region = region_of(self.zone).ok_or_else(|| refused("bad_zone", self.zone, "a zone"))?;
        Ok(json!({"subnetwork": subnetwork_path(subnetwork, self.project, region)?}))
    }

    /// What the VM is told, and what a listing tells us of it.
    fn metadata(&self) -> Vec<Value> {
        let Self { order, params, .. } = self;
        let mut items = vec![
            (tags::TAGS_ITEM, tags::to_item(&order.tags)),
            (params.init_by.as_str(), init_script(params.init_by, &order.init_command)),
        ];
        if let Some(key) = &order.public_key {
            items.push(("ssh-keys", ssh_keys(&params.admin_username, key)));
            items.push(("enable-oslogin", "FALSE".to_owned()));
            items.push(("block-project-ssh-keys", "TRUE".to_owned()));
        }
        if params.verify_host_keys {
            items.push(("enable-guest-attributes", "TRUE".to_owned()));
        }
        items.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    }
}

/// GiB of the disk that a type's VMs get, rounded up; 0 = none.
pub(crate) fn scratch_gib(instance_type: &InstanceType) -> u64 {
    instance_type.added_scratch.div_ceil(GIB)
}

/// VMs are made anew, not restarted: what ran on them is gone. Those with GPUs cannot be moved to another host.
fn scheduling(instance_type: &InstanceType, has_gpus: bool) -> Value {
    let mut scheduling = json!({"automaticRestart": false});
    if instance_type.market() == Market::Spot {
        scheduling["provisioningModel"] = json!("SPOT");
        scheduling["instanceTerminationAction"] = json!("DELETE");
    }
    if has_gpus || instance_type.market() == Market::Spot {
        scheduling["onHostMaintenance"] = json!("TERMINATE");
    }
    scheduling
}

/// A key as the guest agent reads it. The comment would be taken for a user or an expiry.
fn ssh_keys(user: &str, public_key: &str) -> String {
    let words: Vec<_> = public_key.split_whitespace().take(2).collect();
    format!("{user}:{} {user}", words.join(" "))
}

/// The guest agent runs its script at every boot: it does something at the first only, whatever the command's end. In
/// shells of their own, so that an `exit` in it ends nothing else.
fn init_script(by: InitBy, command: &str) -> String {
    match by {
        InitBy::UserData => format!("#!/bin/sh\n{command}\n"),
        InitBy::StartupScript => {
            format!("#!/bin/sh\n[ -e {DONE_MARK} ] || {{\n(\n{command}\n)\ntouch {DONE_MARK}\n}}\n")
        }
    }
}

/// The longest item that is taken.
const LONGEST_ITEM: usize = 256 << 10;
/// What stands around the site's `InstanceInitCommand`: our lines, and the one that writes the secret.
const BYTES_AROUND_INIT_COMMAND: usize = 512;
/// The longest `InstanceInitCommand`.
pub(crate) const LONGEST_INIT_COMMAND: usize = LONGEST_ITEM - BYTES_AROUND_INIT_COMMAND;

/// What an image may be called in the configuration.
pub(crate) const IMAGE_FORMS: &str =
    "NAME, family/NAME, projects/PROJECT/global/images/NAME or projects/PROJECT/global/images/family/NAME";

/// The path of an image.
///
/// # Errors
/// If it is none of [`IMAGE_FORMS`].
pub(crate) fn image_path(image: &str, project: &str) -> Result<String, Failure> {
    let parts: Vec<_> = image.split('/').collect();
    match parts[..] {
        [name] if is_resource_name(name) => Ok(format!("projects/{project}/global/images/{name}")),
        ["family", name] if is_resource_name(name) => {
            Ok(format!("projects/{project}/global/images/family/{name}"))
        }
        ["projects", of, "global", "images", name] | ["projects", of, "global", "images", "family", name]
            if is_project(of) && is_resource_name(name) =>
        {
            Ok(image.to_owned())
        }
        _ => Err(refused("bad_image", image, IMAGE_FORMS)),
    }
}

/// What a subnetwork may be called in the configuration.
pub(crate) const SUBNETWORK_FORMS: &str =
    "a name, projects/PROJECT/regions/REGION/subnetworks/NAME, or nothing: the default network";

/// The path of a subnetwork.
///
/// # Errors
/// If it is none of [`SUBNETWORK_FORMS`].
pub(crate) fn subnetwork_path(subnetwork: &str, project: &str, region: &str) -> Result<String, Failure> {
    let parts: Vec<_> = subnetwork.split('/').collect();
    match parts[..] {
        [name] if is_resource_name(name) => {
            Ok(format!("projects/{project}/regions/{region}/subnetworks/{name}"))
        }
        ["projects", of, "regions", region, "subnetworks", name]
            if is_project(of) && is_resource_name(region) && is_resource_name(name) =>
        {
            Ok(subnetwork.to_owned())
        }
        _ => Err(refused("bad_subnetwork", subnetwork, SUBNETWORK_FORMS)),
    }
}

fn bad_type(provider_type: &str) -> Failure {
    let wanted = "a machine type, or one of N1 with accelerators, such as n1-standard-8+nvidia-tesla-t4:1";
    refused("bad_type", provider_type, wanted)
}

/// Nothing is sent.
fn refused(code: &str, what: &str, wanted: &str) -> Failure {
    Failure::ours(Meaning::Other, code, format!("`{what}` is not accepted: {wanted}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use dispatch_core::id::ProviderType;
    use dispatch_sim::samples;

    use super::*;

    fn typed(provider_type: &str, base: Arc<InstanceType>) -> Arc<InstanceType> {
        let provider_type = ProviderType::new(provider_type).unwrap();
        Arc::new(InstanceType { provider_type, ..InstanceType::clone(&base) })
    }

    fn body(order: &CreateOrder, params: &Params) -> Value {
        let insert = Insert { order, params, project: "lab", zone: "us-central1-a", name: "arvados-1" };
        insert.body().unwrap()
    }

    fn order(instance_type: Arc<InstanceType>) -> CreateOrder {
        samples::order(&instance_type, "set", "0123456789abcdef")
    }

    fn plain() -> Arc<InstanceType> {
        typed("n2-standard-4", samples::instance_type("small", 1))
    }

    #[test]
    fn on_demand_spot_and_gpus_differ_in_their_scheduling() {
        let of = |it| body(&order(it), &Params::default())["scheduling"].clone();
        assert_eq!(of(plain()), json!({"automaticRestart": false}));
        let spot = json!({
            "automaticRestart": false, "provisioningModel": "SPOT", "instanceTerminationAction": "DELETE",
            "onHostMaintenance": "TERMINATE",
        });
        assert_eq!(of(typed("n2-standard-4", samples::spot_type("spot", 1))), spot);
        let gpus = json!({"automaticRestart": false, "onHostMaintenance": "TERMINATE"});
        assert_eq!(of(typed("a2-highgpu-1g", plain())), gpus);
        assert_eq!(of(typed("n1-standard-8+nvidia-tesla-t4:1", plain())), gpus);
    }

    #[test]
    fn accelerators_are_attached_to_n1() {
        let body = body(&order(typed("n1-standard-8+nvidia-tesla-t4:2", plain())), &Params::default());
        assert_eq!(body["machineType"], "zones/us-central1-a/machineTypes/n1-standard-8");
        let wanted = json!([{
            "acceleratorType": "zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2,
        }]);
        assert_eq!(body["guestAccelerators"], wanted);
    }

    #[test]
    fn added_scratch_is_a_second_disk_that_goes_with_the_vm() {
        for (bytes, gib) in [(0, None), (1, Some("1")), (GIB, Some("1")), (GIB + 1, Some("2"))] {
            let it = InstanceType { added_scratch: bytes, ..InstanceType::clone(&plain()) };
            let disks = body(&order(Arc::new(it)), &Params::default())["disks"].clone();
            let disks = disks.as_array().unwrap();
            assert!(disks.iter().all(|disk| disk["autoDelete"] == true), "{disks:?}");
            assert_eq!(
                disks.get(1).map(|disk| disk["initializeParams"]["diskSizeGb"].clone()),
                gib.map(Value::from)
            );
            if let Some(disk) = disks.get(1) {
                assert_eq!(disk["deviceName"], "arvados-scratch");
            }
        }
    }

    #[test]
    fn no_vm_has_a_public_address_and_a_network_is_the_sites() {
        let of = |subnetwork: &str| {
            let params = Params { subnetwork: subnetwork.to_owned(), ..Params::default() };
            body(&order(plain()), &params)["networkInterfaces"].clone()
        };
        assert_eq!(of(""), json!([{"network": "global/networks/default"}]));
        assert_eq!(of("jobs"), json!([{"subnetwork": "projects/lab/regions/us-central1/subnetworks/jobs"}]));
        let shared = "projects/host/regions/us-central1/subnetworks/jobs";
        assert_eq!(of(shared), json!([{"subnetwork": shared}]));
    }

    #[test]
    fn images_subnetworks_and_types_of_other_forms_are_refused_before_anything_is_sent() {
        let path = |image| image_path(image, "lab").map_err(|failure| failure.code);
        assert_eq!(path("worker-1"), Ok("projects/lab/global/images/worker-1".to_owned()));
        assert_eq!(path("family/worker"), Ok("projects/lab/global/images/family/worker".to_owned()));
        for whole in
            ["projects/debian-cloud/global/images/debian-12", "projects/d/global/images/family/debian-12"]
        {
            assert_eq!(path(whole), Ok(whole.to_owned()));
        }
        for image in ["", "Worker", "a/b", "projects/../global/images/x", "https://x/y", "img?x"] {
            assert_eq!(path(image), Err("bad_image".to_owned()), "{image}");
        }
        for subnetwork in
            ["A", "a/b", "projects/p/regions/r/networks/n", "projects/p/regions/../subnetworks/n"]
        {
            assert_eq!(subnetwork_path(subnetwork, "lab", "r").unwrap_err().code, "bad_subnetwork");
        }
        let (order, params) = (order(samples::instance_type("small", 1)), Params::default());
        let insert = Insert { order: &order, params: &params, project: "p", zone: "a-b-c", name: "n" };
        assert_eq!(insert.body().unwrap_err().code, "bad_type");
    }

    fn items(body: &Value) -> Vec<(String, String)> {
        let items = body["metadata"]["items"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        items.map(|it| (text(&it["key"]), text(&it["value"]))).collect()
    }

    #[test]
    fn only_a_key_that_is_deployed_changes_how_the_vm_lets_in() {
        let keys = |order: &CreateOrder, params: &Params| -> Vec<String> {
            items(&body(order, params)).into_iter().map(|(key, _)| key).collect()
        };
        let mut order = order(plain());
        let all = Params::default();
        assert_eq!(keys(&order, &all), ["arvados-tags", "startup-script", "enable-guest-attributes"]);
        order.public_key = Some("ssh-ed25519 AAAAC3Nz root@host\n".to_owned());
        let quiet = Params { verify_host_keys: false, init_by: InitBy::UserData, ..Params::default() };
        let login = ["ssh-keys", "enable-oslogin", "block-project-ssh-keys"];
        assert_eq!(keys(&order, &quiet), [&["arvados-tags", "user-data"][..], &login].concat());
        let (_, line) = items(&body(&order, &all)).into_iter().find(|(key, _)| key == "ssh-keys").unwrap();
        assert_eq!(line, "crunch:ssh-ed25519 AAAAC3Nz crunch");
    }

    #[test]
    fn the_secret_is_in_tags_and_init_command_and_in_no_label() {
        let mut order = order(plain());
        order.tags.insert("Owner", "lab");
        let body = body(&order, &Params::default());
        assert_eq!(body.to_string().matches("0123456789abcdef").count(), 2);
        assert_eq!(body["labels"], json!({"arvados-instance-set": "set", "owner": "lab"}));
        assert_eq!(body["disks"][0]["initializeParams"]["labels"], json!({"owner": "lab"}));
    }

    /// Runs a script as the guest agent does, with another mark; what it has printed.
    fn run(script: &str, mark: &std::path::Path) -> String {
        let script = script.replace(DONE_MARK, &mark.display().to_string());
        let output = Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_startup_script_does_something_at_the_first_boot_only_however_its_command_ends() {
        for command in ["echo booted", "echo booted; false", "echo booted\nexit 3", "cat <<E\nbooted\nE"] {
            let directory = tempfile::tempdir().unwrap();
            let mark = directory.path().join("mark");
            let script = init_script(InitBy::StartupScript, command);
            assert_eq!(
                (run(&script, &mark).as_str(), run(&script, &mark).as_str()),
                ("booted\n", ""),
                "{command}"
            );
        }
        assert_eq!(init_script(InitBy::UserData, "echo a"), "#!/bin/sh\necho a\n");
    }

    #[test]
    fn the_longest_init_command_is_taken() {
        let secret = samples::order(&plain(), "set", &"0".repeat(40)).init_command;
        let command = "x".repeat(LONGEST_INIT_COMMAND);
        let script = init_script(InitBy::StartupScript, &format!("{secret}\n{command}"));
        assert!(script.len() <= LONGEST_ITEM, "{}", script.len());
    }
}

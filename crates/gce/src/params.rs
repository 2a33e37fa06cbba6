//! What the site says of its Compute Engine: `DriverParameters`, a row each, and typed. They are read where the rest of the
//! configuration is (`src/settings`), which knows the place of every value in the file.

use std::collections::BTreeMap;

use dispatch_core::driver::{Parameter, ParameterValue, Parameters};

const DISK_TYPE: &str = "pd-balanced";

/// Who runs the init command on a new VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitBy {
    /// The guest agent of Google's images, at every boot: ours does something at the first only.
    StartupScript,
    /// cloud-init, at the first boot.
    UserData,
}

impl InitBy {
    /// Its word in the configuration, and the name of the metadata item.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartupScript => "startup-script",
            Self::UserData => "user-data",
        }
    }

    /// The one of that word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        [Self::StartupScript, Self::UserData].into_iter().find(|it| it.as_str() == word)
    }
}

/// Parameters of driver `gce`. The defaults are those of `config/default.yml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The project; empty = that of the key, or of the machine that we run on.
    pub project_id: String,
    /// Zones of new VMs, of one region, tried in turn.
    pub zones: Vec<String>,
    /// A service account's key; empty = that of `GOOGLE_APPLICATION_CREDENTIALS`, else the metadata server.
    pub credentials_file: String,
    /// Subnetwork of new VMs, a name or `projects/P/regions/R/subnetworks/N`; empty = the default network.
    pub subnetwork: String,
    /// Network tags of new VMs: what firewall rules select by.
    pub network_tags: Vec<String>,
    /// E-mail of the new VMs' service account; empty = none.
    pub service_account: String,
    /// The user to log in as.
    pub admin_username: String,
    /// Type of boot disks.
    pub boot_disk_type: String,
    /// GiB of boot disks; 0 = as the image says.
    pub boot_disk_size: u32,
    /// Type of the disks of `AddedScratch`.
    pub scratch_disk_type: String,
    /// Their price, a GiB and month.
    pub scratch_disk_price: f64,
    /// Who runs the init command.
    pub init_by: InitBy,
    /// Whether VMs publish their host keys, and we ask for them.
    pub verify_host_keys: bool,
    /// Quota group by prefix of the family or the accelerator.
    pub instance_type_quota_groups: BTreeMap<String, String>,
    /// Where to call instead of Google's endpoint. Not in the file: the environment's word.
    pub endpoint: Option<String>,
}

impl Params {
    /// The values that were read, typed.
    pub fn new(parameters: &Parameters) -> Self {
        let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
        Self {
            project_id: parameters.text("ProjectID"),
            zones: parameters.texts("Zones"),
            credentials_file: parameters.text("CredentialsFile"),
            subnetwork: parameters.text("Subnetwork"),
            network_tags: parameters.texts("NetworkTags"),
            service_account: parameters.text("ServiceAccount"),
            admin_username: parameters.text("AdminUsername"),
            boot_disk_type: or(parameters.text("BootDiskType"), DISK_TYPE),
            boot_disk_size: parameters.count("BootDiskSize"),
            scratch_disk_type: or(parameters.text("ScratchDiskType"), DISK_TYPE),
            scratch_disk_price: parameters.number("ScratchDiskPrice"),
            // Another word is refused where the file is read.
            init_by: InitBy::of(&parameters.text("InitBy")).unwrap_or(InitBy::StartupScript),
            verify_host_keys: parameters.flag("VerifyHostKeys"),
            instance_type_quota_groups: parameters.text_map("InstanceTypeQuotaGroups"),
            endpoint: parameters.endpoint.clone(),
        }
    }
}

impl Default for Params {
    /// The parameters of a site that sets none.
    fn default() -> Self {
        Self::new(&Parameters::defaults(all()))
    }
}

/// All parameters, one row each.
pub(crate) fn all() -> Vec<Parameter> {
    let row = |name, default, meaning| Parameter { name, default, meaning };
    let text = ParameterValue::text;
    vec![
        row("ProjectID", text(""), "Project of the VMs. Empty: that of the key file, or of this host."),
        row(
            "Zones",
            ParameterValue::Texts(Vec::new()),
            "A zone, or a list of zones of one region, of which one is used as long as it has room.",
        ),
        row(
            "CredentialsFile",
            text(""),
            "A service account's key (JSON). Empty: GOOGLE_APPLICATION_CREDENTIALS, else this host's service account.",
        ),
        row(
            "Subnetwork",
            text(""),
            "Name of the VMs' subnetwork, or projects/P/regions/R/subnetworks/N of a shared VPC. Empty: the default \
             network.",
        ),
        row(
            "NetworkTags",
            ParameterValue::Texts(Vec::new()),
            "Network tags of the VMs, by which firewall rules select them.",
        ),
        row("ServiceAccount", text(""), "E-mail of the VMs' service account. Empty: none."),
        row("AdminUsername", text("crunch"), "Who to log in as."),
        row("BootDiskType", text(DISK_TYPE), "Type of boot disks."),
        row("BootDiskSize", ParameterValue::Count(0), "Their size in GiB. 0: as the image says."),
        row("ScratchDiskType", text(DISK_TYPE), "Type of attached disks (AddedScratch)."),
        row("ScratchDiskPrice", ParameterValue::Number(0.1), "Their price, a GiB and month."),
        row(
            "InitBy",
            text(InitBy::StartupScript.as_str()),
            "Who runs the init command: startup-script (the guest agent), or user-data (cloud-init).",
        ),
        row(
            "VerifyHostKeys",
            ParameterValue::Flag(true),
            "Whether VMs publish their host keys as guest attributes, and connections are held against these.",
        ),
        row(
            "InstanceTypeQuotaGroups",
            ParameterValue::TextMap(quota_groups()),
            "Which types share a quota, by prefix of family or accelerator.",
        ),
    ]
}

/// The families that the quota CPUS counts.
fn quota_groups() -> BTreeMap<String, String> {
    ["e2", "f1", "g1", "n1"].map(|family| (family.to_owned(), "cpus".to_owned())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_disk_type_is_the_default_one() {
        let typed = |text: &str| {
            let mut parameters = Parameters::defaults(all());
            parameters.set("BootDiskType", ParameterValue::text(text));
            parameters.set("ScratchDiskType", ParameterValue::text(text));
            let params = Params::new(&parameters);
            assert_eq!(params.boot_disk_type, params.scratch_disk_type);
            params.boot_disk_type
        };
        assert_eq!((typed("").as_str(), typed("pd-ssd").as_str()), ("pd-balanced", "pd-ssd"));
    }
}

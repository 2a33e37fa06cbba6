//! `DriverParameters`, typed for each driver that there is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use dispatch_core::secret::Secret;

use super::key::{KeyAlgorithm, PrivateKey};
use super::known::nearest;
use super::section::Section;

const DRIVERS: &str = "ec2 or loopback";

/// A driver and its parameters.
#[derive(Debug, Clone)]
pub enum DriverParameters {
    /// SSH servers inside this process.
    Loopback(Loopback),
    /// Amazon's cloud.
    Ec2(Box<Ec2>),
}

impl DriverParameters {
    /// As in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loopback(_) => "loopback",
            Self::Ec2(_) => "ec2",
        }
    }
}

/// Parameters of driver `loopback`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loopback {
    /// How many instances there may be; at least one.
    pub instances: u32,
    /// How long an instance boots.
    pub boot_delay: Duration,
    /// Where instances are kept; `None` = the driver's own place.
    pub state_directory: Option<PathBuf>,
}

const LOOPBACK_PARAMETERS: [&str; 3] = ["Instances", "BootDelay", "StateDirectory"];

/// Parameters of driver `ec2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ec2 {
    /// Both empty = the default chain of credentials.
    pub access_key_id: String,
    /// The secret that goes with it.
    pub secret_access_key: Secret,
    /// The region; empty = that of the environment.
    pub region: String,
    /// Security groups of new VMs.
    pub security_group_ids: Vec<String>,
    /// Subnets of new VMs, tried in turn; empty = the account's default.
    pub subnet_ids: Vec<String>,
    /// Who to log in as.
    pub admin_username: String,
    /// Type of attached volumes.
    pub ebs_volume_type: String,
    /// Price of attached volumes, a GiB and month.
    pub ebs_price: f64,
    /// Instance profile of new VMs; empty = none.
    pub iam_instance_profile: String,
    /// How often spot prices are fetched; zero = never.
    pub spot_price_update_interval: Duration,
    /// Quota group by prefix of the provider type.
    pub instance_type_quota_groups: BTreeMap<String, String>,
}

const EC2_PARAMETERS: [&str; 11] = [
    "AccessKeyID",
    "SecretAccessKey",
    "Region",
    "SecurityGroupIDs",
    "SubnetID",
    "AdminUsername",
    "EBSVolumeType",
    "EBSPrice",
    "IAMInstanceProfile",
    "SpotPriceUpdateInterval",
    "InstanceTypeQuotaGroups",
];

/// Reads `Driver` and `DriverParameters` of `Containers.CloudVMs`; `None` after a problem.
pub fn read(cloud: &Section<'_>, key: Option<&PrivateKey>) -> Option<DriverParameters> {
    let parameters = cloud.section("DriverParameters");
    match cloud.text("Driver").as_str() {
        "loopback" => Some(DriverParameters::Loopback(loopback(&parameters))),
        "ec2" => {
            refuse_ecdsa(cloud, key);
            Some(DriverParameters::Ec2(Box::new(ec2(&parameters))))
        }
        "azure" => {
            cloud.refuse("Driver", &format!("the driver for Azure is not there yet; use {DRIVERS}"));
            None
        }
        _ => {
            cloud.refuse("Driver", DRIVERS);
            None
        }
    }
}

fn refuse_ecdsa(cloud: &Section<'_>, key: Option<&PrivateKey>) {
    if cloud.flag("DeployPublicKey") && key.is_some_and(|key| key.algorithm == KeyAlgorithm::Ecdsa) {
        cloud.refuse(
            "DeployPublicKey",
            "EC2 does not import ECDSA keys: false, or an RSA or ED25519 DispatchPrivateKey",
        );
    }
}

fn loopback(parameters: &Section<'_>) -> Loopback {
    warn_of_others(parameters, &LOOPBACK_PARAMETERS);
    let instances = if parameters.is_set("Instances") { parameters.count("Instances") } else { 1 };
    if instances == 0 {
        parameters.refuse("Instances", "a whole number from 1 on");
    }
    let directory = parameters.text("StateDirectory");
    Loopback {
        instances,
        boot_delay: parameters.duration("BootDelay"),
        state_directory: (!directory.is_empty()).then(|| directory.into()),
    }
}

fn ec2(parameters: &Section<'_>) -> Ec2 {
    warn_of_others(parameters, &EC2_PARAMETERS);
    let ec2 = Ec2 {
        access_key_id: parameters.text("AccessKeyID"),
        secret_access_key: parameters.secret("SecretAccessKey"),
        region: parameters.text("Region"),
        security_group_ids: parameters.texts_in_any_form("SecurityGroupIDs"),
        subnet_ids: parameters.texts_in_any_form("SubnetID"),
        admin_username: parameters.text("AdminUsername"),
        ebs_volume_type: parameters.text("EBSVolumeType"),
        ebs_price: parameters.number("EBSPrice"),
        iam_instance_profile: parameters.text("IAMInstanceProfile"),
        spot_price_update_interval: parameters.duration("SpotPriceUpdateInterval"),
        instance_type_quota_groups: parameters.section("InstanceTypeQuotaGroups").text_map(),
    };
    match (ec2.access_key_id.is_empty(), ec2.secret_access_key.is_empty()) {
        (true, false) => {
            parameters.missing("AccessKeyID", "both or neither of AccessKeyID and SecretAccessKey")
        }
        (false, true) => {
            parameters.missing("SecretAccessKey", "both or neither of AccessKeyID and SecretAccessKey")
        }
        (true, true) | (false, false) => {}
    }
    ec2
}

fn warn_of_others(parameters: &Section<'_>, known: &[&str]) {
    let others = parameters.keys().into_iter().filter(|(key, at)| at.is_some() && !known.contains(key));
    for (key, _) in others {
        let list = known.join(", ");
        if parameters.is_known(key) {
            let message = format!("a parameter of another driver, ignored; this one knows {list}");
            parameters.warn(key, &message);
        } else {
            let near = nearest(key, known.iter().copied());
            let hint = near.map_or(String::new(), |near| format!(" (did you mean {near}?)"));
            let message = format!("not a parameter of this driver, ignored{hint}; it knows {list}");
            parameters.unknown(key, &message);
        }
    }
}

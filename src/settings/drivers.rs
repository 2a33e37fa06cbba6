//! `DriverParameters`, typed for each driver that there is.

use std::path::PathBuf;
use std::time::Duration;

pub use dispatch_ec2::Params as Ec2;

use super::host::Environment;
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

/// Reads `Driver` and `DriverParameters` of `Containers.CloudVMs`; `None` after a problem.
pub fn read(
    cloud: &Section<'_>,
    key: Option<&PrivateKey>,
    environment: &Environment,
) -> Option<DriverParameters> {
    let parameters = cloud.section("DriverParameters");
    match cloud.text("Driver").as_str() {
        "loopback" => Some(DriverParameters::Loopback(loopback(&parameters))),
        "ec2" => {
            refuse_ecdsa(cloud, key);
            if environment.image_id.is_none() {
                require_image(cloud);
            }
            warn_of_proxy(cloud, environment);
            refuse_endpoint(cloud, environment);
            Some(DriverParameters::Ec2(Box::new(ec2(&parameters, environment))))
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

/// EC2 would refuse each order.
fn require_image(cloud: &Section<'_>) {
    if cloud.text("ImageID").is_empty() {
        cloud.missing("ImageID", "with driver ec2 the id of the VMs' image, such as ami-0123456789abcdef0");
    }
}

fn warn_of_proxy(cloud: &Section<'_>, environment: &Environment) {
    let is_https = environment.ec2_endpoint.as_ref().is_none_or(|url| url.starts_with("https:"));
    if let Some(variable) = environment.https_proxy.filter(|_| is_https) {
        let message = format!("{variable} of the environment is not used: EC2 is called without a proxy");
        cloud.warn("Driver", &message);
    }
}

/// A standby would learn of it only when it is needed.
fn refuse_endpoint(cloud: &Section<'_>, environment: &Environment) {
    let checked = environment.ec2_endpoint.as_deref().map_or(Ok(()), dispatch_ec2::check_endpoint);
    if let Err(error) = checked {
        cloud.fail("Driver", &format!("{error}; wanted is one such as https://ec2.example.com/"));
    }
}

fn refuse_region(parameters: &Section<'_>, region: &str) {
    // An empty one is the environment's to say; whether that does is seen at start.
    if !region.is_empty() && dispatch_ec2::check_region(region).is_err() {
        parameters.refuse("Region", "the name of a region, such as us-east-1, or nothing: the environment's");
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

fn ec2(parameters: &Section<'_>, environment: &Environment) -> Ec2 {
    warn_of_others(parameters, &Ec2::NAMES);
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
        endpoint: environment.ec2_endpoint.clone(),
    };
    refuse_region(parameters, &ec2.region);
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

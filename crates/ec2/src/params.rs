//! What the site says of its EC2: `DriverParameters`, a row each, and typed. They are read where the rest of the
//! configuration is (`src/settings`), which knows the place of every value in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::driver::{Parameter, ParameterValue, Parameters};
use dispatch_core::secret::Secret;

/// The type of volumes whose type is not given, or empty.
const VOLUME_TYPE: &str = "gp2";

/// Parameters of driver `ec2`. The defaults are those of `config/default.yml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
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
    /// The user to log in as.
    pub admin_username: String,
    /// Type of attached volumes.
    pub ebs_volume_type: String,
    /// Price of attached volumes, a GiB and month.
    pub ebs_price: f64,
    /// Name of the instance profile of new VMs; empty = none.
    pub iam_instance_profile: String,
    /// How often spot prices are fetched; zero = never.
    pub spot_price_update_interval: Duration,
    /// Over how many network hops the metadata service's answers go; 0 = what image and account say.
    pub metadata_hop_limit: u32,
    /// Those of the subnets whose VMs have IPv6 addresses only: their metadata service must answer by IPv6.
    pub ipv6_only_subnet_ids: Vec<String>,
    /// Quota group by prefix of the provider type.
    pub instance_type_quota_groups: BTreeMap<String, String>,
    /// Where to call instead of the region's endpoint. Not in the file: the environment's word.
    pub endpoint: Option<String>,
}

impl Params {
    /// The values that were read, typed.
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            access_key_id: parameters.text("AccessKeyID"),
            secret_access_key: parameters.secret("SecretAccessKey"),
            region: parameters.text("Region"),
            security_group_ids: parameters.texts("SecurityGroupIDs"),
            subnet_ids: parameters.texts("SubnetID"),
            admin_username: parameters.text("AdminUsername"),
            ebs_volume_type: Some(parameters.text("EBSVolumeType"))
                .filter(|it| !it.is_empty())
                .unwrap_or_else(|| VOLUME_TYPE.to_owned()),
            ebs_price: parameters.number("EBSPrice"),
            iam_instance_profile: parameters.text("IAMInstanceProfile"),
            spot_price_update_interval: parameters.duration("SpotPriceUpdateInterval"),
            metadata_hop_limit: parameters.count("MetadataHopLimit"),
            ipv6_only_subnet_ids: parameters.texts("IPv6OnlySubnetIDs"),
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
    vec![
        row(
            "AccessKeyID",
            ParameterValue::text(""),
            "Both empty: credentials from the environment, a web identity or the instance's role.",
        ),
        row("SecretAccessKey", ParameterValue::no_secret(), "The secret that goes with it."),
        row("Region", ParameterValue::text(""), "Region of the VMs."),
        row(
            "SecurityGroupIDs",
            ParameterValue::Texts(Vec::new()),
            "Security groups of the VMs: a list, or a map whose keys they are.",
        ),
        row(
            "SubnetID",
            ParameterValue::Texts(Vec::new()),
            "A subnet, or a list of which one is used as long as it has room.",
        ),
        row("AdminUsername", ParameterValue::text("crunch"), "Who to log in as."),
        row("EBSVolumeType", ParameterValue::text(VOLUME_TYPE), "Type of attached volumes (AddedScratch)."),
        row("EBSPrice", ParameterValue::Number(0.1), "Their price, a GiB and month."),
        row("IAMInstanceProfile", ParameterValue::text(""), "Instance profile of the VMs."),
        row(
            "SpotPriceUpdateInterval",
            ParameterValue::Duration(Duration::from_secs(24 * 3600)),
            "How often spot prices are fetched; 0: never.",
        ),
        row(
            "InstanceTypeQuotaGroups",
            ParameterValue::TextMap(quota_groups()),
            "Which types share a quota, by prefix.",
        ),
        row(
            "MetadataHopLimit",
            ParameterValue::Count(1),
            "How many network hops from the VM its metadata are served: 1 to the VM itself, 2 to containers behind \
             its bridge too; 0: as image and account say.",
        ),
        row(
            "IPv6OnlySubnetIDs",
            ParameterValue::Texts(Vec::new()),
            "Those of the subnets that have no IPv4 addresses: the metadata service of their VMs answers by IPv6 too.",
        ),
    ]
}

/// The largest hop limit that EC2 takes.
pub(crate) const MOST_HOPS: u32 = 64;

fn quota_groups() -> BTreeMap<String, String> {
    let standard = ["a", "c", "d", "h", "i", "m", "r", "t", "z"].map(|it| (it, "standard"));
    let groups = standard.into_iter().chain([("p5", "p5"), ("vt", "g")]);
    groups.map(|(prefix, group)| (prefix.to_owned(), group.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_volume_type_is_the_default_one() {
        let typed = |text: &str| {
            let mut parameters = Parameters::defaults(all());
            parameters.set("EBSVolumeType", ParameterValue::text(text));
            Params::new(&parameters).ebs_volume_type
        };
        assert_eq!((typed("").as_str(), typed("io2").as_str()), ("gp2", "io2"));
        assert_eq!(Params::default().ebs_volume_type, "gp2");
    }
}

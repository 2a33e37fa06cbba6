//! What the site says of its EC2: `DriverParameters`, typed. They are read and checked where the rest of the
//! configuration is (`src/settings`), which knows the place of every value in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::secret::Secret;

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
    /// Who to log in as.
    pub admin_username: String,
    /// Type of attached volumes.
    pub ebs_volume_type: String,
    /// Price of attached volumes, a GiB and month.
    pub ebs_price: f64,
    /// Name of the instance profile of new VMs; empty = none.
    pub iam_instance_profile: String,
    /// How often spot prices are fetched; zero = never.
    pub spot_price_update_interval: Duration,
    /// Quota group by prefix of the provider type.
    pub instance_type_quota_groups: BTreeMap<String, String>,
    /// Where to call instead of the region's endpoint. Not in the file: the environment's word.
    pub endpoint: Option<String>,
}

impl Params {
    /// Their names in the configuration.
    pub const NAMES: [&str; 11] = [
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
}

impl Default for Params {
    fn default() -> Self {
        let standard = ["a", "c", "d", "h", "i", "m", "r", "t", "z"].map(|it| (it, "standard"));
        let groups = standard.into_iter().chain([("p5", "p5"), ("vt", "g")]);
        Self {
            access_key_id: String::new(),
            secret_access_key: Secret::default(),
            region: String::new(),
            security_group_ids: Vec::new(),
            subnet_ids: Vec::new(),
            admin_username: "crunch".to_owned(),
            ebs_volume_type: "gp2".to_owned(),
            ebs_price: 0.1,
            iam_instance_profile: String::new(),
            spot_price_update_interval: Duration::from_secs(24 * 3600),
            instance_type_quota_groups: groups.map(|(it, group)| (it.to_owned(), group.to_owned())).collect(),
            endpoint: None,
        }
    }
}

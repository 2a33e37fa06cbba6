//! The call that orders a VM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::instance::{InstanceType, Market, Price, TagKeys};
use dispatch_core::ports::CreateOrder;
use sha2::{Digest as _, Sha256};

use super::{Action, Request};
use crate::Params;

/// Rounds up: one byte more than 1 GiB is 2 GiB.
const GIB: u64 = 1 << 30;
/// Where a VM expects the volume of its added scratch space.
const SCRATCH_DEVICE: &str = "/dev/xvdt";

/// What one attempt to order a VM asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunInstances<'a> {
    pub order: &'a CreateOrder,
    pub params: &'a Params,
    /// `None` = the account's default.
    pub subnet: Option<&'a str>,
    /// `None` = nobody is let in by a key of EC2's.
    pub key_name: Option<&'a str>,
}

impl RunInstances<'_> {
    /// The call.
    pub fn request(&self) -> Request {
        let order = self.order;
        let request = Request::new(Action::RunInstances)
            .hiding(&order.secret)
            .with("ImageId", &order.image)
            .with("InstanceType", order.instance_type.provider_type.as_str())
            .with("MinCount", 1)
            .with("MaxCount", 1)
            .with("ClientToken", self.client_token())
            .with("DisableApiTermination", false)
            .with("InstanceInitiatedShutdownBehavior", "terminate")
            .with("MetadataOptions.HttpEndpoint", "enabled")
            .with("MetadataOptions.HttpTokens", "required")
            .with("UserData", user_data(&order.init_command));
        let request = self.with_metadata(request);
        let request = self.with_network(request);
        let request = self.with_tags(request);
        let request = self.with_scratch(request);
        let request = with_market(request, &order.instance_type);
        self.with_key_and_profile(request)
    }

    /// The same for the same secret and subnet, so that an order sent twice makes one VM. EC2 remembers a
    /// token together with all parameters, even of a refused call: the next subnet needs another one.
    fn client_token(&self) -> String {
        let mut digest = Sha256::new();
        digest.update("arvados-dispatch-cloud RunInstances\0");
        digest.update(self.order.secret.expose());
        digest.update("\0");
        digest.update(self.subnet.unwrap_or_default());
        // EC2 takes 64 characters at most: all of them.
        hex::encode(digest.finalize())
    }

    /// Without a hop limit of ours image or account choose one, and some let containers read the VM's credentials. By
    /// IPv6 the service answers only if asked to, also where there is nothing else; elsewhere it may be refused.
    fn with_metadata(&self, request: Request) -> Request {
        let hops = self.params.metadata_hop_limit;
        let request = match hops {
            0 => request,
            _ => request.with("MetadataOptions.HttpPutResponseHopLimit", hops),
        };
        let has_ipv6_only =
            self.subnet.is_some_and(|subnet| self.params.ipv6_only_subnet_ids.iter().any(|it| it == subnet));
        if has_ipv6_only { request.with("MetadataOptions.HttpProtocolIpv6", "enabled") } else { request }
    }

    /// All tags for the VM; for what comes with it those of the site, by which it finds its costs. Our own are not for
    /// these: they are the VM's, and one of them is its secret.
    fn with_tags(&self, request: Request) -> Request {
        let tags = self.order.tags.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let request = request
            .with("TagSpecification.1.ResourceType", "instance")
            .with_tags("TagSpecification.1.Tag", tags);
        let of_site = of_site(self.order);
        if of_site.is_empty() {
            return request;
        }
        let is_spot = self.order.instance_type.market() == Market::Spot;
        let kinds =
            ["volume", "network-interface"].into_iter().chain(is_spot.then_some("spot-instances-request"));
        kinds.zip(2..).fold(request, |request, (kind, number)| {
            let name = format!("TagSpecification.{number}");
            request
                .with(format!("{name}.ResourceType"), kind)
                .with_tags(&format!("{name}.Tag"), of_site.iter().copied())
        })
    }

    fn with_network(&self, request: Request) -> Request {
        let groups = self.params.security_group_ids.iter().map(String::as_str);
        let request = request
            .with("NetworkInterface.1.DeviceIndex", 0)
            .with("NetworkInterface.1.AssociatePublicIpAddress", false)
            .with("NetworkInterface.1.DeleteOnTermination", true)
            .with_list("NetworkInterface.1.SecurityGroupId", groups);
        match self.subnet {
            Some(subnet) => request.with("NetworkInterface.1.SubnetId", subnet),
            None => request,
        }
    }

    fn with_scratch(&self, request: Request) -> Request {
        let gib = scratch_gib(&self.order.instance_type);
        if gib == 0 {
            return request;
        }
        request
            .with("BlockDeviceMapping.1.DeviceName", SCRATCH_DEVICE)
            .with("BlockDeviceMapping.1.Ebs.DeleteOnTermination", true)
            .with("BlockDeviceMapping.1.Ebs.VolumeSize", gib)
            .with("BlockDeviceMapping.1.Ebs.VolumeType", &self.params.ebs_volume_type)
    }

    fn with_key_and_profile(&self, mut request: Request) -> Request {
        if let Some(name) = self.key_name {
            request = request.with("KeyName", name);
        }
        let profile = &self.params.iam_instance_profile;
        if !profile.is_empty() {
            request = request.with("IamInstanceProfile.Name", profile);
        }
        request
    }
}

/// GiB of the volume that a type's VMs get, rounded up; 0 = none.
pub(crate) fn scratch_gib(instance_type: &InstanceType) -> u64 {
    instance_type.added_scratch.div_ceil(GIB)
}

/// The tags of an order that are not the dispatcher's own. Its own begin as the one that has the secret.
fn of_site(order: &CreateOrder) -> Vec<(&str, &str)> {
    let secret = order.secret.expose();
    let prefix = order.tags.0.iter().find(|(_, value)| *value == secret).and_then(|(key, _)| {
        let prefix = key.strip_suffix("InstanceSecret")?;
        Some(TagKeys::new(prefix))
    });
    // An order without its secret's tag is none of the dispatcher's: nobody knows which tags may be shown around.
    let Some(own) = prefix else { return Vec::new() };
    let all = order.tags.0.iter().filter(|(key, value)| !own.all().contains(key) && !value.contains(secret));
    all.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// A one-time request is EC2's default.
fn with_market(request: Request, instance_type: &InstanceType) -> Request {
    match instance_type.market() {
        Market::OnDemand => request,
        Market::Spot => {
            let request = request
                .with("InstanceMarketOptions.MarketType", "spot")
                .with("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate");
            match max_price(instance_type.price) {
                Some(price) => request.with("InstanceMarketOptions.SpotOptions.MaxPrice", price),
                None => request,
            }
        }
    }
}

/// EC2 refuses any order with a lower one.
const LEAST_MAX_PRICE: f64 = 0.001;

/// In dollars an hour, as EC2 prints them: a product such as 0.096 × 0.8 has an end. A type that costs nothing in the
/// configuration, or less than anything that EC2 sells, has no price there: EC2's own limit is the on-demand price.
fn max_price(price: Price) -> Option<String> {
    if price.per_hour() < LEAST_MAX_PRICE {
        return None;
    }
    let text = format!("{:.6}", price.per_hour());
    Some(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// What EC2 takes, before it is encoded.
pub(crate) const LONGEST_USER_DATA: usize = 16 << 10;
/// What stands around the site's `InstanceInitCommand` in user data: our first line, the one that writes the secret
/// (for which some room is left), and the last end of a line.
pub(crate) const BYTES_BEFORE_INIT_COMMAND: usize = 256;

fn user_data(init_command: &str) -> String {
    STANDARD.encode(format!("#!/bin/sh\n{init_command}\n"))
}

#[cfg(test)]
mod tests {
    use dispatch_sim::samples;

    use super::*;

    fn value(request: &Request, name: &str) -> Option<String> {
        request.parameters().find(|(it, _)| *it == name).map(|(_, value)| value.to_owned())
    }

    fn token(secret: &str, subnet: Option<&str>) -> String {
        let order = samples::order(&samples::instance_type("small", 1), "set", secret);
        let params = Params::default();
        let run = RunInstances { order: &order, params: &params, subnet, key_name: None };
        value(&run.request(), "ClientToken").unwrap()
    }

    #[test]
    fn an_order_sent_twice_has_one_token_and_another_order_another() {
        assert_eq!(token("secret", Some("subnet-1")), token("secret", Some("subnet-1")));
        assert_ne!(token("secret", Some("subnet-1")), token("other", Some("subnet-1")));
        assert_ne!(token("secret", Some("subnet-1")), token("secret", Some("subnet-2")));
        assert_eq!(token("secret", None).len(), 64);
    }

    #[test]
    fn a_token_does_not_give_the_secret_away() {
        assert!(!token("deadbeef", None).contains("deadbeef"));
    }

    #[test]
    fn scratch_space_is_rounded_up_to_gib() {
        for (bytes, gib) in
            [(0, 0), (1, 1), (GIB, 1), (GIB + 1, 2), (500_000_000_000, 466), (u64::MAX, 1 << 34)]
        {
            let it =
                InstanceType { added_scratch: bytes, ..InstanceType::clone(&samples::instance_type("a", 1)) };
            assert_eq!(scratch_gib(&it), gib, "{bytes}");
        }
    }

    #[test]
    fn a_maximum_price_has_an_end_and_none_is_not_sent() {
        for (price, text) in [
            (0.096 * 0.8, Some("0.0768")),
            (0.04, Some("0.04")),
            (12.0, Some("12")),
            (10.0 / 3.0, Some("3.333333")),
            (0.0, None),
            (1e-9, None),
            (0.0009999, None),
            (0.001, Some("0.001")),
        ] {
            assert_eq!(max_price(Price::new(price).unwrap()).as_deref(), text, "{price}");
        }
        let free = InstanceType {
            price: Price::new(0.0).unwrap(),
            ..InstanceType::clone(&samples::spot_type("spot", 1))
        };
        let order = samples::order(&std::sync::Arc::new(free), "set", "secret");
        let params = Params::default();
        let run = RunInstances { order: &order, params: &params, subnet: None, key_name: None }.request();
        let of = |name: &str| value(&run, &format!("InstanceMarketOptions.{name}"));
        assert_eq!((of("MarketType").as_deref(), of("SpotOptions.MaxPrice")), (Some("spot"), None));
    }

    /// The kind of each resource that is tagged, with the keys of its tags.
    fn tagged(order: &CreateOrder) -> Vec<(String, Vec<String>)> {
        let params = Params::default();
        let run = RunInstances { order, params: &params, subnet: None, key_name: None }.request();
        let keys = |number: u32| {
            (1..).map_while(|tag| value(&run, &format!("TagSpecification.{number}.Tag.{tag}.Key"))).collect()
        };
        (1..)
            .map_while(|number| {
                Some((value(&run, &format!("TagSpecification.{number}.ResourceType"))?, keys(number)))
            })
            .collect()
    }

    #[test]
    fn what_comes_with_a_vm_has_the_sites_tags_and_never_the_secret() {
        let mut order = samples::order(&samples::spot_type("spot", 1), "set", "0123456789abcdef");
        let own =
            ["ArvadosIdleBehavior", "ArvadosInstanceSecret", "ArvadosInstanceSetID", "ArvadosInstanceType"];
        let of =
            |kind: &str, keys: &[&str]| (kind.to_owned(), keys.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(tagged(&order), [of("instance", &own)], "a site without tags: nothing more to be allowed");
        order.tags.insert("Owner", "lab");
        order.tags.insert("Copy", "of 0123456789abcdef");
        let all = [&own[..], &["Copy", "Owner"]].concat();
        let seen = tagged(&order);
        let (vm, others) = seen.split_first().unwrap();
        assert_eq!(vm.1.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        let kinds = ["volume", "network-interface", "spot-instances-request"];
        assert_eq!(others, kinds.map(|kind| of(kind, &["Owner"])));
        let plain = CreateOrder { instance_type: samples::instance_type("plain", 1), ..order.clone() };
        assert_eq!(
            tagged(&plain)[1..],
            kinds[..2].iter().map(|kind| of(kind, &["Owner"])).collect::<Vec<_>>()
        );
        order.tags.0.remove("ArvadosInstanceSecret");
        assert_eq!(tagged(&order).len(), 1, "who does not know the secret's tag shows nothing around");
    }

    #[test]
    fn metadata_are_the_vms_own_unless_the_site_says_otherwise_and_by_ipv6_where_there_is_no_other() {
        let order = samples::order(&samples::instance_type("small", 1), "set", "secret");
        let options = |hops, subnet| {
            let ipv6_only_subnet_ids = vec!["subnet-6".to_owned()];
            let params = Params { metadata_hop_limit: hops, ipv6_only_subnet_ids, ..Params::default() };
            let run = RunInstances { order: &order, params: &params, subnet, key_name: None }.request();
            ["HttpPutResponseHopLimit", "HttpProtocolIpv6"]
                .map(|it| value(&run, &format!("MetadataOptions.{it}")))
        };
        let hops = Params::default().metadata_hop_limit;
        assert_eq!(options(hops, None), [Some("1".to_owned()), None]);
        assert_eq!(options(2, Some("subnet-4")), [Some("2".to_owned()), None]);
        assert_eq!(options(0, Some("subnet-6")), [None, Some("enabled".to_owned())]);
    }

    #[test]
    fn user_data_of_the_longest_init_command_are_taken() {
        let secret = samples::order(&samples::instance_type("small", 1), "set", &"0".repeat(40)).init_command;
        let command = "x".repeat(LONGEST_USER_DATA - BYTES_BEFORE_INIT_COMMAND);
        let script = STANDARD.decode(user_data(&format!("{secret}\n{command}"))).unwrap();
        assert!(script.len() <= LONGEST_USER_DATA, "{}", script.len());
    }

    #[test]
    fn user_data_is_a_shell_script() {
        let script = STANDARD.decode(user_data("echo a\necho b")).unwrap();
        assert_eq!(script, b"#!/bin/sh\necho a\necho b\n");
    }
}

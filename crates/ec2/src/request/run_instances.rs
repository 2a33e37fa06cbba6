//! The call that orders a VM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_core::instance::{InstanceType, Market, Price, Tags};
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
        let request = self.with_network(request);
        let request = with_tags(request, &order.tags);
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

fn with_tags(request: Request, tags: &Tags) -> Request {
    let tags = tags.0.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    request.with("TagSpecification.1.ResourceType", "instance").with_tags("TagSpecification.1.Tag", tags)
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

/// In dollars an hour, as EC2 prints them: a product such as 0.096 × 0.8 has an end. Of a type that costs nothing
/// in the configuration nobody has said what it may cost: EC2's own limit is the on-demand price.
fn max_price(price: Price) -> Option<String> {
    let text = format!("{:.6}", price.per_hour());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    (!text.is_empty() && text != "0").then(|| text.to_owned())
}

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

    #[test]
    fn user_data_is_a_shell_script() {
        let script = STANDARD.decode(user_data("echo a\necho b")).unwrap();
        assert_eq!(script, b"#!/bin/sh\necho a\necho b\n");
    }
}

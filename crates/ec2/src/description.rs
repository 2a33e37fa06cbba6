//! What the EC2 driver says of itself before it is opened.

use std::time::Duration;

use dispatch_cloud_kit::unused_proxy;
use dispatch_core::driver::{
    DriverAdvice, DriverDescription, KeyAlgorithm, Parameter, ParameterValue, Parameters, Remark, RemarkKind,
    Surroundings,
};

use crate::advice::Advice;
use crate::endpoint::{check_endpoint, check_region};
use crate::params;
use crate::request::{BYTES_BEFORE_INIT_COMMAND, LONGEST_USER_DATA};

/// The description of driver `ec2`.
#[derive(Debug, Clone, Copy)]
pub struct Description;

impl DriverDescription for Description {
    fn name(&self) -> &'static str {
        "ec2"
    }

    fn parameters(&self) -> Vec<Parameter> {
        params::all()
    }

    fn remarks_on_surroundings(&self, surroundings: &Surroundings<'_>) -> Vec<Remark> {
        let remarks = [
            ecdsa_key(surroundings.deployed_key),
            no_image(surroundings.has_image),
            unused_proxy(surroundings, "EC2"),
            bad_endpoint(surroundings.endpoint),
            long_init_command(surroundings.init_command_bytes),
        ];
        remarks.into_iter().flatten().collect()
    }

    fn remarks_on_parameters(&self, parameters: &Parameters) -> Vec<Remark> {
        let remarks =
            [bad_region(&parameters.text("Region")), half_a_key(parameters), too_many_hops(parameters)];
        remarks.into_iter().flatten().chain(strange_subnets(parameters)).collect()
    }

    fn is_this_machine(&self) -> bool {
        false
    }

    fn refuses_types(&self, _: &Parameters, _: usize) -> Option<String> {
        None
    }

    fn runner_checks_for_interruption(&self) -> bool {
        true
    }

    fn places(&self, parameters: &Parameters) -> Vec<String> {
        parameters.texts("SubnetID")
    }

    fn narrowed(&self, parameters: &Parameters, place: Option<&str>, _: &str) -> Parameters {
        let mut narrowed = parameters.clone();
        let here: Vec<_> = place.map(str::to_owned).into_iter().collect();
        let without_ipv4 = parameters.texts("IPv6OnlySubnetIDs").into_iter().filter(|it| here.contains(it));
        narrowed.set("IPv6OnlySubnetIDs", ParameterValue::Texts(without_ipv4.collect()));
        narrowed.set("SubnetID", ParameterValue::Texts(here));
        // Nobody looks at prices in a trial, and the unfiltered list would ask for those of the whole account.
        narrowed.set("SpotPriceUpdateInterval", ParameterValue::Duration(Duration::ZERO));
        narrowed
    }

    fn advice(&self) -> Option<&'static dyn DriverAdvice> {
        Some(&Advice)
    }
}

fn ecdsa_key(deployed: Option<KeyAlgorithm>) -> Option<Remark> {
    let wanted = "EC2 does not import ECDSA keys: false, or an RSA or ED25519 DispatchPrivateKey";
    let remark = || Remark::cloud_vms("DeployPublicKey", RemarkKind::Refused(wanted.to_owned()));
    (deployed == Some(KeyAlgorithm::Ecdsa)).then(remark)
}

/// EC2 would refuse each order.
fn no_image(has_image: bool) -> Option<Remark> {
    let wanted = "with driver ec2 the id of the VMs' image, such as ami-0123456789abcdef0";
    (!has_image).then(|| Remark::cloud_vms("ImageID", RemarkKind::Missing(wanted.to_owned())))
}

/// A standby would learn of it only when it is needed.
fn bad_endpoint(endpoint: Option<&str>) -> Option<Remark> {
    let error = check_endpoint(endpoint?).err()?;
    let message = format!("{error}; wanted is one such as https://ec2.example.com/");
    Some(Remark::cloud_vms("Driver", RemarkKind::Failed(message)))
}

/// EC2 would refuse each order.
fn long_init_command(bytes: usize) -> Option<Remark> {
    let most = LONGEST_USER_DATA - BYTES_BEFORE_INIT_COMMAND;
    let message = format!(
        "it has {bytes} bytes, and EC2 takes {most} (user data are 16 KiB at most, and we write the VM's secret first); \
         let it fetch the rest"
    );
    (bytes > most).then(|| Remark::cloud_vms("InstanceInitCommand", RemarkKind::Failed(message)))
}

fn too_many_hops(parameters: &Parameters) -> Option<Remark> {
    let wanted = format!("from 1 to {}, or 0: as image and account say", params::MOST_HOPS);
    let is_bad = parameters.count("MetadataHopLimit") > params::MOST_HOPS;
    is_bad.then(|| Remark::parameter("MetadataHopLimit", RemarkKind::Refused(wanted)))
}

/// A word that is misspelt would leave VMs without their user data.
fn strange_subnets(parameters: &Parameters) -> Option<Remark> {
    let subnets = parameters.texts("SubnetID");
    let others = parameters.texts("IPv6OnlySubnetIDs").into_iter().find(|it| !subnets.contains(it))?;
    let message = format!("`{others}` is not in SubnetID");
    Some(Remark::parameter("IPv6OnlySubnetIDs", RemarkKind::Failed(message)))
}

/// An empty region is the environment's to say; whether that does is seen at start.
fn bad_region(region: &str) -> Option<Remark> {
    let wanted = "the name of a region, such as us-east-1, or nothing: the environment's";
    let is_bad = !region.is_empty() && check_region(region).is_err();
    is_bad.then(|| Remark::parameter("Region", RemarkKind::Refused(wanted.to_owned())))
}

fn half_a_key(parameters: &Parameters) -> Option<Remark> {
    let both = RemarkKind::Missing("both or neither of AccessKeyID and SecretAccessKey".to_owned());
    match (parameters.text("AccessKeyID").is_empty(), parameters.secret("SecretAccessKey").is_empty()) {
        (true, false) => Some(Remark::parameter("AccessKeyID", both)),
        (false, true) => Some(Remark::parameter("SecretAccessKey", both)),
        (true, true) | (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use dispatch_core::driver::RemarkKey;

    use super::*;

    #[test]
    fn a_trial_is_narrowed_to_one_subnet_and_asks_for_no_prices() {
        let mut parameters = Parameters::defaults(params::all());
        parameters.set("SubnetID", ParameterValue::Texts(vec!["subnet-1".into(), "subnet-2".into()]));
        assert_eq!(Description.places(&parameters), ["subnet-1", "subnet-2"]);
        let narrowed = crate::Params::new(&Description.narrowed(&parameters, Some("subnet-2"), "zzzzz"));
        assert_eq!(narrowed.subnet_ids, ["subnet-2"]);
        assert!(narrowed.spot_price_update_interval.is_zero());
        assert!(Description.narrowed(&parameters, None, "zzzzz").texts("SubnetID").is_empty());
    }

    #[test]
    fn an_init_command_that_ec2_would_refuse_with_every_order_is_an_error() {
        let remarks = |init_command_bytes| {
            let surroundings =
                Surroundings { has_image: true, init_command_bytes, ..Surroundings::default() };
            Description.remarks_on_surroundings(&surroundings)
        };
        let most = LONGEST_USER_DATA - BYTES_BEFORE_INIT_COMMAND;
        assert_eq!(remarks(most), []);
        let [Remark { key: RemarkKey::CloudVms("InstanceInitCommand"), what: RemarkKind::Failed(message) }] =
            &remarks(most + 1)[..]
        else {
            panic!("{:?}", remarks(most + 1));
        };
        assert!(message.contains(&most.to_string()) && message.contains("16 KiB"), "{message}");
    }

    #[test]
    fn hops_and_subnets_without_ipv4_are_checked_against_what_ec2_takes() {
        let mut parameters = Parameters::defaults(params::all());
        parameters.set("SubnetID", ParameterValue::Texts(vec!["subnet-1".into()]));
        let told = |parameters: &Parameters| {
            let keys = Description.remarks_on_parameters(parameters).into_iter().map(|it| it.key);
            keys.collect::<Vec<_>>()
        };
        parameters.set("MetadataHopLimit", ParameterValue::Count(64));
        parameters.set("IPv6OnlySubnetIDs", ParameterValue::Texts(vec!["subnet-1".into()]));
        assert_eq!(told(&parameters), []);
        let narrowed = Description.narrowed(&parameters, None, "zzzzz");
        assert_eq!(told(&narrowed), [], "a trial without that subnet");
        parameters.set("MetadataHopLimit", ParameterValue::Count(65));
        parameters.set("IPv6OnlySubnetIDs", ParameterValue::Texts(vec!["subnet-2".into()]));
        assert_eq!(told(&parameters), ["MetadataHopLimit", "IPv6OnlySubnetIDs"].map(RemarkKey::Parameter));
    }

    #[test]
    fn every_parameter_is_typed_under_its_own_name() {
        for parameter in params::all() {
            let mut changed = Parameters::defaults(params::all());
            changed.set(parameter.name, other(&parameter.default));
            let name = parameter.name;
            assert_ne!(crate::Params::new(&changed), crate::Params::default(), "{name} is not read");
        }
    }

    fn other(value: &ParameterValue) -> ParameterValue {
        match value {
            ParameterValue::Text(_) => ParameterValue::text("other"),
            ParameterValue::Secret(_) => ParameterValue::Secret(dispatch_core::secret::Secret::new("other")),
            ParameterValue::Texts(_) => ParameterValue::Texts(vec!["other".to_owned()]),
            ParameterValue::TextMap(_) => ParameterValue::TextMap(Default::default()),
            ParameterValue::Number(number) => ParameterValue::Number(number + 1.0),
            ParameterValue::Count(count) => ParameterValue::Count(count + 1),
            ParameterValue::Flag(flag) => ParameterValue::Flag(!flag),
            ParameterValue::Duration(duration) => {
                ParameterValue::Duration(*duration + Duration::from_secs(1))
            }
        }
    }
}

//! What the driver of Compute Engine says of itself before it is opened.

use std::path::Path;

use dispatch_cloud_kit::unused_proxy;
use dispatch_core::driver::{
    DriverAdvice, DriverDescription, Parameter, ParameterValue, Parameters, Remark, RemarkKind, Surroundings,
};

use crate::advice::Advice;
use crate::endpoint::check_endpoint;
use crate::insert::{IMAGE_FORMS, LONGEST_INIT_COMMAND, SUBNETWORK_FORMS, image_path, subnetwork_path};
use crate::names::{is_project, is_resource_name, region_of};
use crate::params::{self, InitBy};
use crate::tags::unlike_label;

/// The description of driver `gce`.
#[derive(Debug, Clone, Copy)]
pub struct Description;

impl DriverDescription for Description {
    fn name(&self) -> &'static str {
        "gce"
    }

    fn parameters(&self) -> Vec<Parameter> {
        params::all()
    }

    fn remarks_on_surroundings(&self, surroundings: &Surroundings<'_>) -> Vec<Remark> {
        let remarks = [
            bad_image(surroundings),
            unused_proxy(surroundings, "Compute Engine"),
            bad_endpoint(surroundings.endpoint),
            long_init_command(surroundings.init_command_bytes),
        ];
        remarks.into_iter().flatten().chain(strange_labels(surroundings)).collect()
    }

    fn remarks_on_parameters(&self, parameters: &Parameters) -> Vec<Remark> {
        let text = |name: &'static str, is_good: fn(&str) -> bool, wanted: &str| {
            let is_bad = !is_good(&parameters.text(name));
            is_bad.then(|| Remark::parameter(name, RemarkKind::Refused(wanted.to_owned())))
        };
        let remarks = [
            text(
                "ProjectID",
                is_project_or_none,
                "the id of a project, such as lab-123456, or nothing: that of the key \
                 or of this host",
            ),
            text("CredentialsFile", is_absolute_or_none, "an absolute path, or nothing"),
            text("Subnetwork", is_subnetwork, SUBNETWORK_FORMS),
            text(
                "ServiceAccount",
                is_account_or_none,
                "the e-mail of a service account, such as \
                 worker@lab-123456.iam.gserviceaccount.com, or nothing: none",
            ),
            text("AdminUsername", is_user, "the name of a user of Linux, such as crunch"),
            text("BootDiskType", is_name_or_none, "a type of disks, such as pd-balanced"),
            text("ScratchDiskType", is_name_or_none, "a type of disks, such as pd-balanced"),
            text("InitBy", |word| InitBy::of(word).is_some(), "startup-script or user-data"),
            bad_zones(parameters),
            foreign_subnetwork(parameters),
            bad_network_tags(parameters),
        ];
        remarks.into_iter().flatten().collect()
    }

    fn is_this_machine(&self) -> bool {
        false
    }

    fn refuses_types(&self, _: &Parameters, _: usize) -> Option<String> {
        None
    }

    /// The runner asks EC2's metadata service.
    fn runner_checks_for_interruption(&self) -> bool {
        false
    }

    fn places(&self, parameters: &Parameters) -> Vec<String> {
        parameters.texts("Zones")
    }

    fn narrowed(&self, parameters: &Parameters, place: Option<&str>, _: &str) -> Parameters {
        let mut narrowed = parameters.clone();
        narrowed.set("Zones", ParameterValue::Texts(place.map(str::to_owned).into_iter().collect()));
        narrowed
    }

    fn advice(&self) -> Option<&'static dyn DriverAdvice> {
        Some(&Advice)
    }
}

/// Compute Engine would refuse each order.
fn bad_image(surroundings: &Surroundings<'_>) -> Option<Remark> {
    if !surroundings.has_image {
        let wanted = format!("with driver gce the VMs' image: {IMAGE_FORMS}");
        return Some(Remark::cloud_vms("ImageID", RemarkKind::Missing(wanted)));
    }
    let is_bad = image_path(surroundings.image, "project").is_err();
    is_bad.then(|| Remark::cloud_vms("ImageID", RemarkKind::Refused(IMAGE_FORMS.to_owned())))
}

/// A standby would learn of it only when it is needed.
fn bad_endpoint(endpoint: Option<&str>) -> Option<Remark> {
    let error = check_endpoint(endpoint?).err()?;
    let message = format!("{error}; wanted is one such as https://compute.example.com/compute/v1/");
    Some(Remark::cloud_vms("Driver", RemarkKind::Failed(message)))
}

/// Compute Engine would refuse each order.
fn long_init_command(bytes: usize) -> Option<Remark> {
    let message = format!(
        "it has {bytes} bytes, and Compute Engine takes {LONGEST_INIT_COMMAND} (an item of metadata is 256 KiB at most, \
         and we write the VM's secret first); let it fetch the rest"
    );
    (bytes > LONGEST_INIT_COMMAND)
        .then(|| Remark::cloud_vms("InstanceInitCommand", RemarkKind::Failed(message)))
}

/// Tags are kept exactly, but bills are by label.
fn strange_labels(surroundings: &Surroundings<'_>) -> Vec<Remark> {
    let unlike = surroundings.resource_tags.iter().filter_map(|(key, value)| unlike_label(key, value));
    let told: Vec<_> = unlike.collect();
    if told.is_empty() {
        return Vec::new();
    }
    let message =
        format!("labels of Compute Engine, by which bills are split, cannot show all: {}", told.join("; "));
    vec![Remark::cloud_vms("ResourceTags", RemarkKind::Doubtful(message))]
}

fn is_project_or_none(text: &str) -> bool {
    text.is_empty() || is_project(text)
}

fn is_absolute_or_none(text: &str) -> bool {
    text.is_empty() || Path::new(text).is_absolute()
}

fn is_subnetwork(text: &str) -> bool {
    text.is_empty() || subnetwork_path(text, "project", "region").is_ok()
}

fn is_account_or_none(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "@.-_:+".contains(c);
    let is_mail = || text.split('@').filter(|part| !part.is_empty()).count() == 2;
    text.is_empty() || (text.chars().all(is_letter) && is_mail() && text.matches('@').count() == 1)
}

/// It stands in a line of the guest agent's, before a colon.
fn is_user(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    begins && text.len() <= 32 && text.chars().all(is_inner)
}

fn is_name_or_none(text: &str) -> bool {
    text.is_empty() || is_resource_name(text)
}

fn bad_zones(parameters: &Parameters) -> Option<Remark> {
    let wanted = "a zone such as us-central1-a, or a list of zones of one region";
    let zones = parameters.texts("Zones");
    if zones.is_empty() {
        return Some(Remark::parameter("Zones", RemarkKind::Missing(wanted.to_owned())));
    }
    if zones.iter().any(|zone| region_of(zone).is_none()) {
        return Some(Remark::parameter("Zones", RemarkKind::Refused(wanted.to_owned())));
    }
    let other = zones.iter().find(|zone| region_of(zone) != region_of(&zones[0]))?;
    let message = format!("`{other}` is not in the region of `{}`: {wanted}", zones[0]);
    Some(Remark::parameter("Zones", RemarkKind::Failed(message)))
}

/// Compute Engine would refuse each order.
fn foreign_subnetwork(parameters: &Parameters) -> Option<Remark> {
    let (subnetwork, zones) = (parameters.text("Subnetwork"), parameters.texts("Zones"));
    let (_, rest) = subnetwork.split_once("/regions/")?;
    let (region, zone) = (rest.split('/').next()?, zones.first()?);
    // What is none is told elsewhere.
    let of_zone = region_of(zone).filter(|it| is_subnetwork(&subnetwork) && *it != region)?;
    let message = format!("it is of region {region}, and `{zone}` (Zones) is of {of_zone}");
    Some(Remark::parameter("Subnetwork", RemarkKind::Failed(message)))
}

fn bad_network_tags(parameters: &Parameters) -> Option<Remark> {
    let wanted = "names of lower-case letters, digits and -, 64 at most";
    let tags = parameters.texts("NetworkTags");
    let is_bad = tags.len() > 64 || tags.iter().any(|tag| !is_resource_name(tag));
    is_bad.then(|| Remark::parameter("NetworkTags", RemarkKind::Refused(wanted.to_owned())))
}

#[cfg(test)]
mod tests {
    use dispatch_core::driver::RemarkKey;

    use super::*;

    /// A site that has said what it must.
    fn usable() -> Parameters {
        let mut parameters = Parameters::defaults(params::all());
        parameters.set("Zones", ParameterValue::Texts(vec!["us-central1-a".into(), "us-central1-b".into()]));
        parameters
    }

    fn told(name: &'static str, value: ParameterValue) -> Vec<RemarkKey> {
        let mut parameters = usable();
        parameters.set(name, value);
        Description.remarks_on_parameters(&parameters).into_iter().map(|it| it.key).collect()
    }

    #[test]
    fn a_usable_site_is_told_nothing() {
        assert_eq!(Description.remarks_on_parameters(&usable()), []);
        let image = Surroundings { has_image: true, image: "family/worker", ..Surroundings::default() };
        assert_eq!(Description.remarks_on_surroundings(&image), []);
    }

    #[test]
    fn each_wrong_text_is_refused_under_its_name() {
        for (name, good, bad) in [
            ("ProjectID", "example.com:lab", "Lab 1"),
            ("CredentialsFile", "/etc/arvados/gce.json", "gce.json"),
            ("Subnetwork", "projects/host/regions/us-central1/subnetworks/jobs", "regions/x"),
            ("Subnetwork", "jobs", "projects/host/regions/europe-west1/subnetworks/jobs"),
            ("Subnetwork", "", "projects/host/regions/us-central1/networks/jobs"),
            ("ServiceAccount", "worker@lab.iam.gserviceaccount.com", "worker"),
            ("ServiceAccount", "", "a@b@c"),
            ("AdminUsername", "crunch", "crunch:root"),
            ("AdminUsername", "_a", ""),
            ("BootDiskType", "pd-ssd", "PD SSD"),
            ("ScratchDiskType", "hyperdisk-balanced", "a/b"),
            ("InitBy", "user-data", "cloud-init"),
        ] {
            assert_eq!(told(name, ParameterValue::text(good)), [], "{name}: {good}");
            assert_eq!(told(name, ParameterValue::text(bad)), [RemarkKey::Parameter(name)], "{name}: {bad}");
        }
    }

    #[test]
    fn zones_are_there_are_zones_and_of_one_region() {
        let texts = |texts: &[&str]| ParameterValue::Texts(texts.iter().map(|it| (*it).to_owned()).collect());
        for zones in [&[][..], &["us-central1"], &["us-central1-a", "europe-west1-b"], &["A-B-C"]] {
            assert_eq!(told("Zones", texts(zones)), [RemarkKey::Parameter("Zones")], "{zones:?}");
        }
        assert_eq!(told("NetworkTags", texts(&["arvados", "a_b"])), [RemarkKey::Parameter("NetworkTags")]);
        assert_eq!(told("NetworkTags", texts(&["arvados", "jobs"])), []);
    }

    #[test]
    fn what_compute_engine_would_refuse_with_every_order_is_told() {
        let good = || Surroundings { has_image: true, image: "worker", ..Surroundings::default() };
        let told = |surroundings: &Surroundings<'_>| {
            let remarks = Description.remarks_on_surroundings(surroundings);
            remarks.into_iter().map(|it| it.key).collect::<Vec<_>>()
        };
        let long = Surroundings { init_command_bytes: LONGEST_INIT_COMMAND + 1, ..good() };
        assert_eq!(told(&long), [RemarkKey::CloudVms("InstanceInitCommand")]);
        assert_eq!(told(&Surroundings { image: "ami 1", ..good() }), [RemarkKey::CloudVms("ImageID")]);
        assert_eq!(told(&Surroundings::default()), [RemarkKey::CloudVms("ImageID")]);
        assert_eq!(told(&Surroundings { endpoint: Some("x"), ..good() }), [RemarkKey::CloudVms("Driver")]);
        let tags = [("owner".to_owned(), "The Lab".to_owned())].into();
        assert_eq!(
            told(&Surroundings { resource_tags: tags, ..good() }),
            [RemarkKey::CloudVms("ResourceTags")]
        );
        let tags = [("owner".to_owned(), "lab".to_owned())].into();
        assert_eq!(told(&Surroundings { resource_tags: tags, ..good() }), []);
    }

    #[test]
    fn a_trial_is_narrowed_to_one_zone() {
        assert_eq!(Description.places(&usable()), ["us-central1-a", "us-central1-b"]);
        let narrowed = crate::Params::new(&Description.narrowed(&usable(), Some("us-central1-b"), "zzzzz"));
        assert_eq!(narrowed.zones, ["us-central1-b"]);
    }

    #[test]
    fn every_parameter_is_typed_under_its_own_name() {
        for parameter in params::all() {
            let mut changed = Parameters::defaults(params::all());
            changed.set(parameter.name, other(parameter.name, &parameter.default));
            let name = parameter.name;
            assert_ne!(crate::Params::new(&changed), crate::Params::default(), "{name} is not read");
        }
    }

    fn other(name: &str, value: &ParameterValue) -> ParameterValue {
        match value {
            ParameterValue::Text(_) if name == "InitBy" => ParameterValue::text("user-data"),
            ParameterValue::Text(_) => ParameterValue::text("other"),
            ParameterValue::Texts(_) => ParameterValue::Texts(vec!["other".to_owned()]),
            ParameterValue::TextMap(_) => ParameterValue::TextMap(Default::default()),
            ParameterValue::Number(number) => ParameterValue::Number(number + 1.0),
            ParameterValue::Count(count) => ParameterValue::Count(count + 1),
            ParameterValue::Flag(flag) => ParameterValue::Flag(!flag),
            ParameterValue::Secret(_) | ParameterValue::Duration(_) => panic!("{name}: gce has none"),
        }
    }
}

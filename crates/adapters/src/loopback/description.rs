//! What the loopback driver says of itself before it is opened.

use std::path::PathBuf;
use std::time::Duration;

use dispatch_core::driver::{
    DriverAdvice, DriverDescription, Parameter, ParameterValue, Parameters, Remark, RemarkKind, Surroundings,
};

use super::Params;

/// The description of driver `loopback`.
#[derive(Debug, Clone, Copy)]
pub struct Description;

impl Params {
    /// The values that were read, typed. `authorized_key`: who may log in where a create does not bring a key.
    pub fn new(parameters: &Parameters, cluster_id: &str, authorized_key: Option<String>) -> Self {
        Self {
            instances: parameters.count("Instances") as usize,
            boot_delay: parameters.duration("BootDelay"),
            state_directory: directory(parameters, cluster_id),
            authorized_key,
        }
    }
}

impl DriverDescription for Description {
    fn name(&self) -> &'static str {
        "loopback"
    }

    fn parameters(&self) -> Vec<Parameter> {
        let row = |name, default, meaning| Parameter { name, default, meaning };
        vec![
            row("Instances", ParameterValue::Count(1), "How many instances there may be."),
            row("BootDelay", ParameterValue::Duration(Duration::ZERO), "How long one boots."),
            row(
                "StateDirectory",
                ParameterValue::text(""),
                "Where instances are kept: a dispatcher started again finds them there.",
            ),
        ]
    }

    fn remarks_on_surroundings(&self, _: &Surroundings<'_>) -> Vec<Remark> {
        Vec::new()
    }

    fn remarks_on_parameters(&self, parameters: &Parameters) -> Vec<Remark> {
        let none =
            || Remark::parameter("Instances", RemarkKind::Refused("a whole number from 1 on".to_owned()));
        (parameters.count("Instances") == 0).then(none).into_iter().collect()
    }

    fn is_this_machine(&self) -> bool {
        true
    }

    fn refuses_types(&self, parameters: &Parameters, types: usize) -> Option<String> {
        let refusal =
            || format!("{types} types: loopback with one instance takes one at most (or set Instances)");
        (types > 1 && parameters.count("Instances") == 1).then(refusal)
    }

    fn runner_checks_for_interruption(&self) -> bool {
        false
    }

    fn places(&self, _: &Parameters) -> Vec<String> {
        Vec::new()
    }

    /// It lives in its dispatcher: a trial gets a directory of its own beside the dispatcher's.
    fn narrowed(&self, parameters: &Parameters, _: Option<&str>, cluster_id: &str) -> Parameters {
        let mut neighbour = directory(parameters, cluster_id).into_os_string();
        neighbour.push("-cloudtest");
        let mut narrowed = parameters.clone();
        narrowed.set("StateDirectory", ParameterValue::Text(neighbour.to_string_lossy().into_owned()));
        narrowed
    }

    fn advice(&self) -> Option<&'static dyn DriverAdvice> {
        None
    }
}

/// The configured directory; else one that is the same at every start, so that a dispatcher started again finds its
/// instances. It lies where the ssh runtime directory is by default: below the temporary directory, in one of our own.
fn directory(parameters: &Parameters, cluster_id: &str) -> PathBuf {
    match parameters.text("StateDirectory") {
        none if none.is_empty() => {
            let own = format!("arvados-dispatch-{}", rustix::process::geteuid().as_raw());
            std::env::temp_dir().join(own).join(format!("loopback-{cluster_id}"))
        }
        directory => directory.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_keeps_its_instances_beside_the_dispatchers() {
        let mut parameters = Parameters::defaults(Description.parameters());
        parameters.set("StateDirectory", ParameterValue::text("/x/cloud"));
        let narrowed = Description.narrowed(&parameters, None, "zzzzz");
        assert_eq!(narrowed.text("StateDirectory"), "/x/cloud-cloudtest");
        assert_eq!(
            Params::new(&narrowed, "zzzzz", None).state_directory,
            PathBuf::from("/x/cloud-cloudtest")
        );
    }

    #[test]
    fn one_instance_takes_one_type() {
        let parameters = Parameters::defaults(Description.parameters());
        assert!(Description.refuses_types(&parameters, 1).is_none());
        assert!(Description.refuses_types(&parameters, 2).is_some());
    }
}

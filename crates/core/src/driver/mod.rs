//! What a driver says of itself: its name, its parameters, what it needs, and what to check when it fails.
//!
//! ```text
//!   the driver's crate ── DriverDescription ──┬─► settings    reads, checks, hides and dumps its parameters
//!                         (pure, no cloud)    ├─► cloudtest   which places to try, how to narrow the driver to one
//!                                             └─► start of the service: what is told about proxy and endpoint
//!                      ── DriverAdvice ───────► cloudtest     what to check, in the words of that cloud
//! ```
//! It owns the questions, and the values of a driver's parameters. It never opens a cloud: that is the port's
//! ([`crate::ports::CloudDriver`]). Whoever reads or prints the configuration iterates over descriptions and knows no
//! cloud by name. So a parameter that a driver declares as a secret is hidden everywhere.

mod advice;
mod parameters;

use std::collections::BTreeMap;

pub use advice::{CloudCall, DriverAdvice, Login};
pub use parameters::{Parameter, ParameterValue, Parameters};

/// Algorithms of the site's private key that VMs in use accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA.
    Rsa,
    /// ECDSA on a NIST curve.
    Ecdsa,
    /// ED25519.
    Ed25519,
}

/// What a driver is told about the rest of the configuration, to judge whether it can work with it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings<'a> {
    /// Whether there is an image for new VMs.
    pub has_image: bool,
    /// The image's name; empty = there is none.
    pub image: &'a str,
    /// Whether new VMs are to be told our public key.
    pub deploys_key: bool,
    /// The tags that the site wants on new VMs: a cloud may be able to show less.
    pub resource_tags: BTreeMap<String, String>,
    /// The algorithm of the key that new VMs are told; `None` = they are told none, or the key cannot be used.
    pub deployed_key: Option<KeyAlgorithm>,
    /// How long the site's `InstanceInitCommand` is: clouds bound what a new instance is told.
    pub init_command_bytes: usize,
    /// Where the environment says that the cloud is called, instead of its own endpoint.
    pub endpoint: Option<&'a str>,
    /// The environment's variable that names a proxy for https; never its value, which may have a password.
    pub https_proxy: Option<&'static str>,
}

/// A key of the configuration that a driver has a remark about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemarkKey {
    /// A key of the section `CloudVMs`.
    CloudVms(&'static str),
    /// One of the driver's own parameters.
    Parameter(&'static str),
}

/// What a driver says about a key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Which key.
    pub key: RemarkKey,
    /// What about it.
    pub what: RemarkKind,
}

/// How serious a remark is, and its text. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemarkKind {
    /// Its value cannot be used; what is wanted instead. The value is shown with it, unless it is a secret.
    Refused(String),
    /// It has no value; what is wanted.
    Missing(String),
    /// It cannot be used for a reason that is told in full.
    Failed(String),
    /// It can be used, and is probably not meant.
    Doubtful(String),
}

impl Remark {
    /// A remark about a key of the section `CloudVMs`.
    pub fn cloud_vms(key: &'static str, what: RemarkKind) -> Self {
        Self { key: RemarkKey::CloudVms(key), what }
    }

    /// A remark about a parameter.
    pub fn parameter(name: &'static str, what: RemarkKind) -> Self {
        Self { key: RemarkKey::Parameter(name), what }
    }
}

/// What a driver says of itself, without opening its cloud.
pub trait DriverDescription: Sync {
    /// As in the configuration's `Driver`.
    fn name(&self) -> &'static str;

    /// Its parameters, in the order of the documentation. One whose default is [`ParameterValue::Secret`] is shown
    /// nowhere.
    fn parameters(&self) -> Vec<Parameter>;

    /// What it says about the rest of the configuration.
    fn remarks_on_surroundings(&self, surroundings: &Surroundings<'_>) -> Vec<Remark>;

    /// What it says about parameters of which each has the right type.
    fn remarks_on_parameters(&self, parameters: &Parameters) -> Vec<Remark>;

    /// Whether its instances are this machine: then the machine itself is the instance type of a site that has none.
    fn is_this_machine(&self) -> bool;

    /// Why it cannot work with that many instance types; `None` = it can.
    fn refuses_types(&self, parameters: &Parameters, types: usize) -> Option<String>;

    /// Whether the runner is to ask the cloud if a preemptible instance is about to be taken away.
    fn runner_checks_for_interruption(&self) -> bool;

    /// The places, such as subnets, that its parameters name; empty = the cloud chooses.
    fn places(&self, parameters: &Parameters) -> Vec<String>;

    /// The parameters for a trial in that place alone, beside the service itself.
    fn narrowed(&self, parameters: &Parameters, place: Option<&str>, cluster_id: &str) -> Parameters;

    /// What to check when it fails; `None` = the advice of the default driver is given.
    fn advice(&self) -> Option<&'static dyn DriverAdvice>;
}

/// The names of all parameters that these drivers keep secret.
pub fn secret_names(drivers: &[&'static dyn DriverDescription]) -> Vec<&'static str> {
    let parameters = drivers.iter().flat_map(|driver| driver.parameters());
    parameters.filter(Parameter::is_secret).map(|it| it.name).collect()
}

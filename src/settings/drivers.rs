//! `Driver` and `DriverParameters`: read, checked and dumped as each driver describes itself.
//!
//! ```text
//!   DRIVERS ── name ──► description ── parameters ──► read each by its type ──► Driver {description, values}
//!                                   ── remarks ─────► findings of the report
//! ```
//! It owns the list of drivers that are built in. It knows no parameter of any of them.

use std::collections::BTreeMap;
use std::fmt;

use dispatch_core::driver::{
    DriverAdvice, DriverDescription, ParameterValue, Parameters, Remark, RemarkKey, RemarkKind, Surroundings,
};
use serde_json::{Map, Value};

use super::dump::hidden;
use super::host::Environment;
use super::key::PrivateKey;
use super::known::nearest;
use super::section::Section;
use super::units::format_duration;

/// The drivers that are built in. The first is the default, and gives advice where another has none of its own.
pub static DRIVERS: [&dyn DriverDescription; 4] = [
    &dispatch_ec2::Description,
    &dispatch_azure::Description,
    &dispatch_gce::Description,
    &dispatch_adapters::loopback::Description,
];

/// The drivers to choose from.
pub type Drivers<'a> = &'a [&'static dyn DriverDescription];

/// A driver and its parameters. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Driver {
    /// What the driver says of itself.
    pub description: &'static dyn DriverDescription,
    /// What the site says of it.
    pub parameters: Parameters,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name()).field("parameters", &self.parameters).finish()
    }
}

impl Driver {
    /// The name as in the configuration.
    pub fn name(&self) -> &'static str {
        self.description.name()
    }

    /// What to check when it fails.
    pub fn advice(&self) -> &'static dyn DriverAdvice {
        self.description.advice().unwrap_or(&dispatch_ec2::Advice)
    }

    /// Its parameters with the values in force; no secrets.
    pub fn dump(&self) -> Value {
        let shown = self.parameters.iter().map(|(name, value)| (name.to_owned(), dump(value)));
        Value::Object(Map::from_iter(shown))
    }
}

fn dump(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::Text(text) => text.as_str().into(),
        ParameterValue::Secret(secret) => hidden(secret.expose()),
        ParameterValue::Texts(texts) => texts.as_slice().into(),
        ParameterValue::TextMap(map) => {
            map.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect()
        }
        ParameterValue::Number(number) => (*number).into(),
        ParameterValue::Count(count) => (*count).into(),
        ParameterValue::Duration(duration) => format_duration(*duration).into(),
        ParameterValue::Flag(flag) => (*flag).into(),
    }
}

/// Reads `Driver` and `DriverParameters` of `Containers.CloudVMs`; `None` after a problem.
pub fn read(
    drivers: Drivers<'_>,
    cloud: &Section<'_>,
    key: Option<&PrivateKey>,
    environment: &Environment,
) -> Option<Driver> {
    let section = cloud.section("DriverParameters");
    let name = cloud.text("Driver");
    let Some(description) = drivers.iter().copied().find(|driver| driver.name() == name) else {
        refuse_driver(drivers, cloud);
        return None;
    };
    let image = environment.image_id.clone().unwrap_or_else(|| cloud.text("ImageID"));
    let endpoint = environment.endpoint_of(description.name());
    for remark in
        description.remarks_on_surroundings(&surroundings(cloud, &image, key, environment, endpoint))
    {
        note(cloud, &section, remark);
    }
    let parameters = parameters(description, &section, endpoint);
    for remark in description.remarks_on_parameters(&parameters) {
        note(cloud, &section, remark);
    }
    Some(Driver { description, parameters })
}

fn refuse_driver(drivers: Drivers<'_>, cloud: &Section<'_>) {
    let names: Vec<_> = drivers.iter().map(|driver| driver.name()).collect();
    cloud.refuse("Driver", &names.join(" or "));
}

fn surroundings<'a>(
    cloud: &Section<'_>,
    image: &'a str,
    key: Option<&PrivateKey>,
    environment: &'a Environment,
    endpoint: Option<&'a str>,
) -> Surroundings<'a> {
    Surroundings {
        has_image: !image.is_empty(),
        image,
        deploys_key: cloud.flag("DeployPublicKey"),
        resource_tags: cloud.section("ResourceTags").text_map(),
        deployed_key: key.map(|key| key.algorithm).filter(|_| cloud.flag("DeployPublicKey")),
        init_command_bytes: cloud.text("InstanceInitCommand").len(),
        endpoint,
        https_proxy: environment.https_proxy,
    }
}

fn note(cloud: &Section<'_>, parameters: &Section<'_>, remark: Remark) {
    let (section, key) = match remark.key {
        RemarkKey::CloudVms(key) => (cloud, key),
        RemarkKey::Parameter(name) => (parameters, spellings(parameters, name).pop().unwrap_or(name)),
    };
    match remark.what {
        RemarkKind::Refused(wanted) => section.refuse(key, &wanted),
        RemarkKind::Missing(wanted) => section.missing(key, &wanted),
        RemarkKind::Failed(message) => section.fail(key, &message),
        RemarkKind::Doubtful(message) => section.warn(key, &message),
    }
}

/// What the site sets, read by the type of the driver's own default; the rest has that default.
fn parameters(
    description: &dyn DriverDescription,
    section: &Section<'_>,
    endpoint: Option<&str>,
) -> Parameters {
    let known = description.parameters();
    let names: Vec<_> = known.iter().map(|it| it.name).collect();
    warn_of_others(section, &names);
    let mut parameters = Parameters::defaults(known.clone());
    for parameter in &known {
        let spellings = spellings(section, parameter.name);
        let Some((counts, others)) = spellings.split_last() else { continue };
        for other in others {
            section.warn(other, &format!("given twice: {counts} counts, as for the site's other services"));
        }
        parameters.set(parameter.name, value(section, counts, &parameter.default));
    }
    parameters.endpoint = endpoint.map(str::to_owned);
    parameters
}

/// How the site spells a parameter, if it sets it: the site's other services read these names without regard to case, in
/// the order of their bytes, and the last one counts.
fn spellings<'a>(section: &Section<'a>, name: &str) -> Vec<&'a str> {
    let set = section.keys().into_iter().filter(|(key, at)| at.is_some() && key.eq_ignore_ascii_case(name));
    let mut spellings: Vec<_> = set.map(|(key, _)| key).collect();
    spellings.sort_unstable();
    spellings
}

fn value(section: &Section<'_>, name: &str, like: &ParameterValue) -> ParameterValue {
    match like {
        ParameterValue::Text(_) => ParameterValue::Text(section.text(name)),
        ParameterValue::Secret(_) => ParameterValue::Secret(section.secret(name)),
        ParameterValue::Texts(_) => ParameterValue::Texts(section.texts_in_any_form(name)),
        ParameterValue::TextMap(default) => {
            ParameterValue::TextMap(text_map(&section.section(name), default))
        }
        ParameterValue::Number(_) => ParameterValue::Number(section.number(name)),
        ParameterValue::Count(_) => ParameterValue::Count(section.count(name)),
        ParameterValue::Duration(_) => ParameterValue::Duration(section.duration(name)),
        ParameterValue::Flag(_) => ParameterValue::Flag(section.flag(name)),
    }
}

/// What the site says, over the driver's own default. The defaults of the site's services are another driver's.
fn text_map(section: &Section<'_>, default: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let of_site = section.keys().into_iter().filter(|(_, at)| at.is_some());
    let of_site = of_site.map(|(key, _)| (key.to_owned(), section.text(key)));
    default.clone().into_iter().chain(of_site).collect()
}

fn warn_of_others(parameters: &Section<'_>, known: &[&str]) {
    let is_known = |key: &str| known.iter().any(|it| it.eq_ignore_ascii_case(key));
    let others = parameters.keys().into_iter().filter(|(key, at)| at.is_some() && !is_known(key));
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

#[cfg(test)]
mod tests;

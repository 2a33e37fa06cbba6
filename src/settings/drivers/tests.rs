//! A driver that is made up: what it declares as a secret is shown nowhere, whatever its name looks like.

use dispatch_core::driver::Parameter;
use dispatch_core::secret::Secret;

use super::super::host::Host;
use super::super::load::{Loaded, parse_with};
use super::super::report::SettingsError;
use super::*;

const SECRET: &str = "open-sesame-42";

struct MadeUp;

impl DriverDescription for MadeUp {
    fn name(&self) -> &'static str {
        "made-up"
    }

    fn parameters(&self) -> Vec<Parameter> {
        let row = |name, default| Parameter { name, default, meaning: "" };
        vec![
            row("Zone", ParameterValue::text("north")),
            row("Passphrase", ParameterValue::no_secret()),
            row("Most", ParameterValue::Count(7)),
        ]
    }

    fn remarks_on_surroundings(&self, _: &Surroundings<'_>) -> Vec<Remark> {
        Vec::new()
    }

    /// Refuses the secret, as a thoughtless driver might.
    fn remarks_on_parameters(&self, parameters: &Parameters) -> Vec<Remark> {
        let refused = || Remark::parameter("Passphrase", RemarkKind::Refused("a better one".to_owned()));
        (parameters.text("Zone") == "nowhere").then(refused).into_iter().collect()
    }

    fn is_this_machine(&self) -> bool {
        false
    }

    fn refuses_types(&self, _: &Parameters, _: usize) -> Option<String> {
        None
    }

    fn runner_checks_for_interruption(&self) -> bool {
        false
    }

    fn places(&self, _: &Parameters) -> Vec<String> {
        Vec::new()
    }

    fn narrowed(&self, parameters: &Parameters, _: Option<&str>, _: &str) -> Parameters {
        parameters.clone()
    }

    fn advice(&self) -> Option<&'static dyn DriverAdvice> {
        None
    }
}

fn load(parameters: &str) -> Result<Loaded, SettingsError> {
    use russh::keys::{Algorithm, PrivateKey};
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let key = key.to_openssh(Default::default()).unwrap().to_string();
    let containers = serde_json::json!({
        "DispatchPrivateKey": key,
        "CloudVMs": {"Enable": true, "Driver": "made-up"},
    });
    let mut text = containers.to_string();
    // The parameters are YAML as a person writes it: what is not quoted can be refused.
    text.truncate(text.len() - 2);
    let text = format!(
        "Clusters:\n  zzzzz:\n    ManagementToken: m\n    SystemRootToken: s\n    Services:\n      Controller:\n        \
         ExternalURL: https://zzzzz.example.com\n    Containers: {text}, DriverParameters: {{{parameters}}}}}}}\n"
    );
    let drivers: [&dyn DriverDescription; 2] = [&dispatch_ec2::Description, &MadeUp];
    let host = Host { vcpus: 1, ram: 1, scratch: 1 };
    parse_with(&drivers, "x.yml", text.as_bytes(), None, &Environment::default(), &host)
}

#[test]
fn a_new_drivers_parameters_are_read_by_their_types() {
    let driver = load("Most: 9").unwrap().settings.driver;
    assert_eq!((driver.name(), driver.parameters.count("Most")), ("made-up", 9));
    assert_eq!(driver.parameters.text("Zone"), "north");
    let error = load("Most: many").unwrap_err().to_string();
    assert!(error.contains("DriverParameters.Most: `many` is not accepted: a whole number"), "{error}");
}

#[test]
fn a_new_drivers_secret_is_in_no_dump_and_in_no_debug_text() {
    let settings = load(&format!("Passphrase: {SECRET}")).unwrap().settings;
    assert_eq!(settings.driver.parameters.secret("Passphrase").expose(), SECRET);
    let dump = settings.dump();
    let shown = &dump["Clusters"]["zzzzz"]["Containers"]["CloudVMs"]["DriverParameters"]["Passphrase"];
    assert_eq!(shown, "(secret)");
    let texts = [dump.to_string(), format!("{settings:?}"), format!("{:#?}", settings.driver)];
    for text in texts {
        assert!(!text.contains(SECRET), "{text}");
    }
    let secrets: Vec<_> = settings.driver.parameters.secrets().map(Secret::expose).collect();
    assert_eq!(secrets, [SECRET], "who hides secrets in texts gets it");
}

#[test]
fn a_new_drivers_secret_is_in_no_error() {
    for (parameters, secret) in [
        (format!("Zone: nowhere, Passphrase: {SECRET}"), SECRET),
        // What readers of YAML disagree about, alone and in a list, and a value of the wrong shape.
        ("Passphrase: 0420".to_owned(), "0420"),
        ("Passphrase: [0420]".to_owned(), "0420"),
        (format!("Passphrase: {{a: {SECRET}}}"), SECRET),
    ] {
        let error = load(&parameters).unwrap_err().to_string();
        assert!(error.contains("DriverParameters.Passphrase"), "{error}");
        assert!(error.contains("(secret)") && !error.contains(secret), "{error}");
    }
}

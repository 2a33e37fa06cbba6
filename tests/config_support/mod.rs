//! What the configuration's tests share: a key, the recorded site, and short ways to load.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test whose support fails has failed")]

use std::path::PathBuf;

use arvados_dispatch_cloud::settings::{Environment, Host, Loaded, SettingsError, parse};

/// A private key made for one test.
pub struct TestKey(String);

impl TestKey {
    pub fn new() -> Self {
        use russh::keys::{Algorithm, PrivateKey};
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        Self(key.to_openssh(Default::default()).unwrap().to_string())
    }

    pub fn pem(&self) -> &str {
        &self.0
    }

    /// As a YAML scalar in double quotes.
    pub fn yaml(&self) -> String {
        serde_json::to_string(&self.0).unwrap()
    }
}

pub const HOST: Host = Host { vcpus: 4, ram: 8 << 30, scratch: 100_000_000_000 };

pub fn reference(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/reference")).join(name)
}

/// The recorded site, with a key in place of `(private key)`.
pub fn site_text(key: &TestKey) -> String {
    let text = std::fs::read_to_string(reference("site.yml")).unwrap();
    assert!(text.contains("(private key)"));
    text.replace("(private key)", &key.yaml())
}

pub fn load_site(key: &TestKey) -> Loaded {
    load_text(&site_text(key)).unwrap()
}

pub fn load_text(text: &str) -> Result<Loaded, SettingsError> {
    parse("config.yml", text.as_bytes(), None, &Environment::default(), &HOST)
}

/// The least that a site must say; `more` is indented by four and follows.
pub fn minimal(key: &TestKey, more: &str) -> String {
    let (key, cloud) = (key.yaml(), "CloudVMs: {ImageID: ami-1}");
    let containers = format!("    Containers: {{DispatchPrivateKey: {key}, {cloud}}}\n");
    let containers = if more.contains("    Containers:") { String::new() } else { containers };
    format!(
        "Clusters:\n  zzzzz:\n    ManagementToken: m\n    SystemRootToken: s\n    Services:\n      Controller:\n        ExternalURL: https://zzzzz.example.com\n{containers}{more}"
    )
}

/// A YAML text as JSON, by the library's own reader (the texts here are quoted where it matters).
pub fn yaml_to_json(text: &str) -> serde_json::Value {
    use arvados_dispatch_cloud::settings::yaml::{Kind, Node, plain, read};
    fn convert(node: &Node) -> serde_json::Value {
        match &node.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::List(items) => items.iter().map(convert).collect(),
            Kind::Map(entries) => {
                entries.iter().map(|entry| (entry.key.text.clone(), convert(&entry.value))).collect()
            }
            Kind::Scalar(scalar) if scalar.quoted => scalar.text.as_str().into(),
            Kind::Scalar(scalar) => match plain::meaning(&scalar.text).unwrap() {
                plain::Meaning::Flag(flag) => flag.into(),
                plain::Meaning::Integer(integer) => u64::try_from(integer).unwrap().into(),
                plain::Meaning::Fraction(fraction) => fraction.into(),
                plain::Meaning::Text => scalar.text.as_str().into(),
            },
        }
    }
    convert(&read(text).unwrap().tree)
}

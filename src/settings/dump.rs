//! The effective configuration, for `config dump`: every row of every table, no secrets.

use serde_json::{Value, json};
use url::Url;

use super::model::Settings;
use super::postgresql::Connection;
use super::report::without_userinfo;
use super::table::TABLES;
use super::tls::PemSource;

/// What is shown instead of a secret.
pub const HIDDEN: &str = "(secret)";

impl Settings {
    /// Every key that we read with the value in force, as a configuration of its own.
    pub fn dump(&self) -> Value {
        let mut cluster = json!({});
        for table in TABLES {
            table.dump(self, &mut cluster);
        }
        json!({"Clusters": {self.policy.cluster_id.as_str(): cluster}})
    }
}

/// The keywords of a connection.
pub(super) fn connection(connection: &Connection) -> Value {
    let shown = |key: &str, value: &str| if key.ends_with("password") { hidden(value) } else { value.into() };
    connection.0.iter().map(|(key, value)| (key.clone(), shown(key, value))).collect()
}

/// A password or a token in a URL is of no use to us, and is somebody's all the same.
pub(super) fn without_secrets(url: &Url) -> String {
    without_userinfo(url.as_str())
}

pub(super) fn hidden(secret: &str) -> Value {
    if secret.is_empty() { "".into() } else { HIDDEN.into() }
}

pub(super) fn pem(source: Option<&PemSource>) -> Value {
    match source {
        None => "".into(),
        Some(PemSource::Inline(_)) => HIDDEN.into(),
        Some(PemSource::File(path)) => path.to_string_lossy().into(),
    }
}

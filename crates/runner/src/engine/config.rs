//! The configuration that comes on stdin, as far as this engine needs it. It contains tokens, so it is never
//! printed.

use std::collections::BTreeMap;
use std::fmt;

use dispatch_core::secret::Secret;
use serde::Deserialize;

use crate::RunnerError;

/// The controller's address, and the token.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    env: BTreeMap<String, String>,
    cluster: Option<Cluster>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Cluster {
    services: Services,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Services {
    controller: Service,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Service {
    #[serde(rename = "ExternalURL")]
    external_url: String,
}

impl Config {
    /// Reads the JSON of a start command.
    pub fn decode(text: &[u8]) -> Result<Self, RunnerError> {
        // The library's own error text quotes what it found, which may be a token.
        serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            RunnerError::Config(format!("{:?} error at line {line} column {column}", error.classify()))
        })
    }

    /// The configuration of a runner that was started by hand: its own environment variables.
    pub fn from_environment() -> Self {
        let text = |os: std::ffi::OsString| os.into_string().ok();
        let env = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect();
        Self { env, cluster: None }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The controller's base URL, without a slash at its end.
    pub fn controller(&self) -> Result<String, RunnerError> {
        let external = self.cluster.as_ref().map(|cluster| cluster.services.controller.external_url.as_str());
        match (external.filter(|url| !url.is_empty()), self.variable("ARVADOS_API_HOST")) {
            (Some(url), _) => Ok(url.trim_end_matches('/').to_owned()),
            (None, Some(host)) => Ok(format!("https://{host}")),
            (None, None) => Err(RunnerError::Config("it names no controller (ARVADOS_API_HOST)".to_owned())),
        }
    }

    /// The token for all calls.
    pub fn token(&self) -> Result<Secret, RunnerError> {
        let missing = || RunnerError::Config("it has no ARVADOS_API_TOKEN".to_owned());
        self.variable("ARVADOS_API_TOKEN").map(Secret::new).ok_or_else(missing)
    }

    /// Whether any certificate is accepted.
    pub fn insecure(&self) -> bool {
        matches!(self.variable("ARVADOS_API_HOST_INSECURE"), Some("1" | "t" | "true" | "yes"))
    }

    /// The address that is reported to the controller.
    pub fn gateway_address(&self) -> Option<&str> {
        self.variable("GatewayAddress")
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config { (secret) }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_references_stdin_is_understood() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/reference/detach-stdin.json");
        let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for start in recorded.as_array().unwrap() {
            let mut stdin = start["stdin"].clone();
            // The recording contains the configuration only once.
            stdin["Cluster"] = recorded[0]["stdin"]["Cluster"].clone();
            let config = Config::decode(stdin.to_string().as_bytes()).unwrap();
            let env = &stdin["Env"];
            assert_eq!(config.token().unwrap().expose(), env["ARVADOS_API_TOKEN"].as_str().unwrap());
            assert_eq!(config.gateway_address(), env["GatewayAddress"].as_str());
            assert_eq!(config.controller().unwrap(), "http://127.0.0.1:8000");
        }
    }

    #[test]
    fn without_a_cluster_the_host_is_asked_over_https() {
        let config =
            Config::decode(br#"{"Env":{"ARVADOS_API_HOST":"zzzzz.example:443"},"Cluster":null}"#).unwrap();
        assert_eq!(config.controller().unwrap(), "https://zzzzz.example:443");
        assert!(config.token().is_err() && !config.insecure());
    }

    #[test]
    fn a_wrong_configuration_is_refused_without_quoting_it() {
        let error = Config::decode(br#"{"Env":{"ARVADOS_API_TOKEN":"v2/tok/sesame"},"Cluster":"sesame"}"#)
            .unwrap_err();
        assert!(!error.to_string().contains("sesame"), "{error}");
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}

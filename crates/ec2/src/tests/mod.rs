//! The driver as a whole: its calls as data, against moto, and against recorded troubles.

mod chain;
mod credentials;
mod endpoints;
mod faults;
mod https;
mod model;
mod moto;
mod paging;
mod reference;
mod signature;

use std::time::Duration;

use dispatch_core::time::Timestamp;
use prometheus::Registry;

use crate::{Ec2Cloud, Options, Params};

/// The time in all tests.
fn now() -> Timestamp {
    "2026-11-22T21:09:52.512Z".parse().unwrap()
}

fn log() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

fn params() -> Params {
    Params {
        access_key_id: "testing".to_owned(),
        secret_access_key: dispatch_core::secret::Secret::new("testing"),
        region: "us-east-1".to_owned(),
        ..Params::default()
    }
}

/// A driver whose calls go to that endpoint, and its series.
async fn driver(endpoint: &str, params: Params) -> (Ec2Cloud, Registry) {
    let registry = Registry::new();
    let options = Options {
        params: Params { endpoint: Some(endpoint.to_owned()), ..params },
        call_timeout: Duration::from_secs(30),
        now,
        registry: &registry,
        log: log(),
    };
    (Ec2Cloud::open(options).await.unwrap(), registry)
}

/// The value of a series such as `ec2_instances{subnet_id=""}`.
fn value(registry: &Registry, series: &str) -> Option<f64> {
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let name = format!("arvados_dispatchcloud_{series} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

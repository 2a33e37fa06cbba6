//! The driver as a whole: against a fake Azure that behaves, that is slow, that shouts, and that is in trouble.

mod conformance;
mod faults;
mod https;
mod leftovers;
mod models;
mod orders;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::ProviderType;
use dispatch_core::instance::{InstanceType, Tags};
use dispatch_core::ports::CreateOrder;
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use dispatch_sim::clouds::azure::{CLIENT, CLIENT_SECRET, FakeAzure, SUBSCRIPTION, TENANT};
use dispatch_sim::samples;
use prometheus::Registry;

use crate::{AzureCloud, Environment, Options, Params};

const SECRET: &str = "8c98d2f64d2d4596e23c19fa61eeeffe21223b59";
const SET: &str = "zzzzz-gj3su-0123456789abcde";

/// The time in all tests: a quarter of an hour after the fake's own.
fn now() -> Timestamp {
    "2026-11-22T21:24:52.512Z".parse().unwrap()
}

fn params() -> Params {
    let text = str::to_owned;
    Params {
        subscription_id: text(SUBSCRIPTION),
        cloud_environment: text("AzureStackCloud"),
        client_id: text(CLIENT),
        client_secret: Secret::new(CLIENT_SECRET),
        tenant_id: text(TENANT),
        resource_group: text("cluster"),
        image_resource_group: text("images"),
        network_resource_group: text("network"),
        network: text("net"),
        subnet: text("sub"),
        ..Params::default()
    }
}

/// A fake, and a driver whose calls go there.
struct World {
    azure: FakeAzure,
    driver: AzureCloud,
    registry: Registry,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(params(), Duration::from_secs(30), |_| ())
    }

    fn with(params: Params, call_timeout: Duration, change: impl FnOnce(&mut Environment)) -> Self {
        let azure = FakeAzure::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let cloud_file = Some(azure.environment_file(directory.path()).unwrap());
        let identity_host = Some(azure.endpoint.clone());
        let mut environment = Environment { cloud_file, identity_host, ..Environment::default() };
        change(&mut environment);
        let (driver, registry) = driver(params, environment, call_timeout);
        Self { azure, driver, registry, _directory: directory }
    }

    /// What was called since the last time, without tokens: method and last part of the path.
    fn called(&self) -> Vec<String> {
        let calls = self.azure.with(|arm| arm.calls());
        calls.iter().filter(|it| !it.path.ends_with("/token")).map(|it| it.what()).collect()
    }
}

fn driver(params: Params, environment: Environment, call_timeout: Duration) -> (AzureCloud, Registry) {
    let registry = Registry::new();
    let options = Options {
        params,
        environment,
        set_tag: "ArvadosInstanceSetID".to_owned(),
        call_timeout,
        now,
        registry: &registry,
        log: slog::Logger::root(slog::Discard, slog::o!()),
    };
    (AzureCloud::open(options).unwrap(), registry)
}

/// A file of endpoints where nobody listens.
fn nowhere(directory: &tempfile::TempDir) -> PathBuf {
    let azure = FakeAzure::start().unwrap();
    azure.environment_file(directory.path()).unwrap()
}

fn instance_type(provider_type: &str) -> Arc<InstanceType> {
    let provider_type = ProviderType::new(provider_type).unwrap();
    Arc::new(InstanceType { provider_type, ..InstanceType::clone(&samples::instance_type("small", 1)) })
}

fn order() -> CreateOrder {
    order_of(instance_type("Standard_D2s_v5"), SECRET)
}

fn order_of(instance_type: Arc<InstanceType>, secret: &str) -> CreateOrder {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUsyyuCL52eZXqpTmT1qk1Tnzr2bmbQbDgLxpWAE comment\n";
    CreateOrder { public_key: Some(key.to_owned()), ..samples::order(&instance_type, SET, secret) }
}

fn of_set() -> Tags {
    Tags([("ArvadosInstanceSetID".to_owned(), SET.to_owned())].into())
}

/// The value of a series such as `azure_errors_total{code="a",operation="b"}`.
fn value(registry: &Registry, series: &str) -> Option<f64> {
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let name = format!("arvados_dispatchcloud_{series} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

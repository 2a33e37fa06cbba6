//! The driver as a whole: against the fake Compute Engine, and against troubles of every kind.

mod conformance;
mod creates;
mod faults;
mod host_keys;
mod https;
pub(crate) mod keys;
mod lists;
mod tags;
mod tokens;
mod vendor;

use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::ProviderType;
use dispatch_core::instance::InstanceType;
use dispatch_core::ports::CreateOrder;
use dispatch_core::time::Timestamp;
use dispatch_sim::clouds::gce::GceServer;
use dispatch_sim::samples;
use prometheus::Registry;

use crate::environment::Environment;
use crate::{GceCloud, Options, Params};

const SECRET: &str = "8c98d2f64d2d4596e23c19fa61eeeffe21223b59";
const ZONES: [&str; 3] = ["us-central1-a", "us-central1-b", "us-central1-c"];

/// The time in all tests.
fn now() -> Timestamp {
    "2026-11-22T21:09:52.512Z".parse().unwrap()
}

fn log() -> slog::Logger {
    slog::Logger::root(slog::Discard, slog::o!())
}

/// Collects the messages that are logged.
struct Messages(std::sync::mpsc::Sender<String>);

impl slog::Drain for Messages {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        // Whoever listens may have gone.
        let _ = self.0.send(record.msg().to_string());
        Ok(())
    }
}

/// A log, and what is logged there.
fn listener() -> (slog::Logger, std::sync::mpsc::Receiver<String>) {
    let (tell, told) = std::sync::mpsc::channel();
    (slog::Logger::root(slog::Drain::fuse(Messages(tell)), slog::o!()), told)
}

fn params() -> Params {
    Params { zones: ZONES.map(str::to_owned).into(), ..Params::default() }
}

/// A fake cloud, a driver whose host has a service account there, and its series.
async fn cloud(params: Params) -> (GceServer, GceCloud, Registry) {
    let server = GceServer::start().unwrap();
    let (cloud, registry) = driver(&server, params, Duration::from_secs(30)).await;
    (server, cloud, registry)
}

async fn driver(server: &GceServer, params: Params, call_timeout: Duration) -> (GceCloud, Registry) {
    driver_with(server, params, call_timeout, log()).await
}

async fn driver_with(
    server: &GceServer,
    params: Params,
    call_timeout: Duration,
    log: slog::Logger,
) -> (GceCloud, Registry) {
    let registry = Registry::new();
    let params = Params { endpoint: Some(server.endpoint()), ..params };
    let options = Options { params, call_timeout, now, registry: &registry, log };
    let host = Some(server.metadata_host().to_owned());
    let environment = Environment { file: None, metadata_host: host };
    (GceCloud::open_in(options, environment).await.unwrap(), registry)
}

fn real(base: Arc<InstanceType>, provider_type: &str) -> Arc<InstanceType> {
    let provider_type = ProviderType::new(provider_type).unwrap();
    Arc::new(InstanceType { provider_type, ..InstanceType::clone(&base) })
}

fn small() -> Arc<InstanceType> {
    real(samples::instance_type("small", 1), "n2-standard-4")
}

fn order_of(instance_type: &Arc<InstanceType>, secret: &str) -> CreateOrder {
    samples::order(instance_type, "set", secret)
}

fn order() -> CreateOrder {
    order_of(&small(), SECRET)
}

/// Google's names of the methods of the calls since the last look.
fn methods(server: &GceServer) -> Vec<String> {
    server.with(|fake| fake.calls().into_iter().map(|call| call.name).collect())
}

/// The value of a series such as `gce_instances{zone="a"}`.
fn value(registry: &Registry, series: &str) -> Option<f64> {
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let name = format!("arvados_dispatchcloud_{series} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

//! Stub until the API lands.
use std::{io, net::TcpListener, time::Duration};
use actix_web::{App, HttpServer, dev::Server};
use dispatch_actors::{clock, metrics::RequestMetrics, system::Handles};
use dispatch_core::{policy::Policy, secret::Secret, time::Timestamp};
use crate::settings::Tls;
#[derive(Clone)]
#[allow(missing_docs)]
pub struct ApiState { pub active: tokio::sync::watch::Receiver<Option<Active>>, pub management_token: Secret, pub registry: prometheus::Registry, pub requests: RequestMetrics, pub health: HealthPolicy, pub runner: tokio::sync::watch::Receiver<Result<(), String>>, pub log: slog::Logger }
#[derive(Clone)]
#[allow(missing_docs)]
pub struct Active { pub handles: Handles, pub since: Timestamp }
#[allow(missing_docs)]
impl Active { pub fn now(handles: Handles) -> Self { Self { handles, since: clock::now() } } }
#[derive(Clone)]
#[allow(missing_docs)]
pub struct HealthPolicy { pub poll_interval: Duration }
#[allow(missing_docs)]
impl HealthPolicy { pub fn new(p: &Policy) -> Self { Self { poll_interval: p.poll_interval } } }
#[allow(missing_docs)]
pub struct CertReloader;
#[allow(missing_docs)]
impl CertReloader { pub fn new(_: Tls) -> io::Result<Self> { Ok(Self) } pub fn reload(&self) -> io::Result<()> { Ok(()) } pub fn server_config(&self) -> rustls::ServerConfig { unreachable!() } }
#[allow(missing_docs)]
pub fn serve(l: TcpListener, _: Option<rustls::ServerConfig>, _: ApiState) -> io::Result<Server> { Ok(HttpServer::new(App::new).workers(1).disable_signals().listen(l)?.run()) }

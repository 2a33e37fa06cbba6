//! The HTTP server.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;

use super::state::ApiState;
use super::{auth, health, routes, watch};

/// Few clients ask, and the answers are made by the arbiter.
const WORKERS: usize = 2;
/// How long an idle connection is kept open for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests in work may take once the server is told to stop, in seconds.
const STOP_SECONDS: u64 = 5;

/// Serves the API on a bound listener, with TLS if there is a configuration for it. The threads answer from
/// now on; the returned future must be awaited or spawned, and its `handle()` stops it. Signals are the
/// caller's.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(listener: TcpListener, tls: Option<ServerConfig>, state: ApiState) -> io::Result<Server> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(health::SilentActors::default())
            .configure(routes::all)
            .wrap(from_fn(auth::gate))
            .wrap(from_fn(watch::exchange))
    });
    let server =
        server.workers(WORKERS).keep_alive(KEEP_ALIVE).shutdown_timeout(STOP_SECONDS).disable_signals();
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listener, config)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

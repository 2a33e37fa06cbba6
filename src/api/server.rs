//! The HTTP server, and how many connections it keeps.
//!
//! ```text
//!   queue of the system ──► accepted ──► TLS handshake ──► first request ──► refused: closed after the answer
//!   (at most QUEUE, in      (at most      (≤ HANDSHAKE)    (≤ FIRST_REQUEST, answered: kept for KEEP_ALIVE
//!    the order of arrival)   CONNECTIONS)                   at most UNPROVEN)
//! ```
//! Each connection costs the process one file descriptor, and descriptors are what the fleet lives on: so there is a
//! bound. With a bound, clients that say nothing could shut the others out: so a connection must earn its place. Until
//! it has shown the token it is open for some seconds at most, and after its first second it goes as soon as another
//! needs its place (`places`).

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{NormalizePath, TrailingSlash, from_fn};
use actix_web::{App, HttpServer, web};
use rustls::ServerConfig;
use tokio::net::TcpSocket;

use super::places::{self, Limits};
use super::state::ApiState;
use super::{auth, events, health, routes, watch};

/// Few clients ask, and the answers are made by the arbiter.
const WORKERS: usize = 2;
/// How many connections are open at once: far more than a site has dashboards, health checkers and operators, and few
/// of the descriptors that a process has.
const CONNECTIONS: usize = 256;
/// How many of them may stay open without having shown the token. Those that shake hands are not counted here: they
/// have `HANDSHAKE`.
const UNPROVEN: usize = 64;
/// How many more wait in the system until there is room, without a descriptor of ours. The system's own bound
/// (`net.core.somaxconn`) may be lower. A client beyond it is not heard: it tries again by luck, not in its turn.
const QUEUE: u32 = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// How long the head of a connection's first request may take, from the moment when the connection is accepted (with
/// TLS, when the handshake is over). What a client sends while it waits for its turn is there by then.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// How long a client may go on sending the body of a request that has been refused.
const LINGER: Duration = Duration::from_secs(1);
/// How long an idle connection is kept open for the next request.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests in work may take once the server is told to stop, in seconds.
const STOP_SECONDS: u64 = 5;

/// Serves the API on a bound listener, with TLS if there is a configuration for it. The threads begin when the returned
/// future is polled first, so it must be awaited or spawned; its `handle()` stops it. Signals are the caller's.
///
/// # Errors
/// If the listener cannot be used.
pub fn serve(listener: TcpListener, tls: Option<ServerConfig>, state: ApiState) -> io::Result<Server> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(health::SilentActors::default())
            .app_data(watch::Refused::default())
            .app_data(web::Data::new(events::Followers::default()))
            .configure(routes::all)
            .wrap(from_fn(auth::gate))
            .wrap(from_fn(watch::exchange))
            // Clients of the site send `//arvados/v1/…`.
            .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
    });
    let limits = Limits { connections: CONNECTIONS / WORKERS, unproven: UNPROVEN / WORKERS };
    let server = server
        .on_connect(move |connection, data| places::take(connection, data, limits))
        .workers(WORKERS)
        .max_connections(limits.connections)
        .tls_handshake_timeout(HANDSHAKE)
        .client_request_timeout(FIRST_REQUEST)
        .client_disconnect_timeout(LINGER)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(STOP_SECONDS)
        .disable_signals();
    let listener = with_queue(listener)?;
    let server = match tls {
        Some(config) => server.listen_rustls_0_23(listener, config)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// The same listener with a longer queue. The standard library's holds 128.
fn with_queue(listener: TcpListener) -> io::Result<TcpListener> {
    // Only the type is a stream's: this is how tokio takes a socket over. Its `listen` sets the queue of one that
    // listens already.
    listener.set_nonblocking(true)?;
    TcpSocket::from_std_stream(TcpStream::from(OwnedFd::from(listener))).listen(QUEUE)?.into_std()
}

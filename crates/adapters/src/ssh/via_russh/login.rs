//! From an address to a connection that is logged in. All of it runs on the thread of connections.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::ports::ExecErrorKind;
use russh::client::{self, AuthResult, Config, Handle};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};

use super::failure::{judge, judge_io, permission_denied};
use super::line::LoggedIn;
use super::peer::{Facts, Peer};
use super::wire::{Traffic, Wire};
use super::{ALIVE_INTERVAL, ALIVE_MAX};
use crate::ssh::endpoint::Endpoint;
use crate::ssh::own_side::is_lack;

/// The kind of a failure, and why.
pub(super) type Judged = (ExecErrorKind, String);

/// Everything that an attempt needs.
pub(super) struct Attempt {
    pub endpoint: Endpoint,
    pub user: String,
    pub key: Arc<PrivateKey>,
    pub config: Arc<Config>,
    /// How many names may be looked up at a time: each takes a thread.
    pub lookups: Arc<Semaphore>,
}

impl Attempt {
    /// Connects and logs in. Nothing of it stays when it fails or is dropped.
    pub(super) async fn run(self) -> Result<LoggedIn, Judged> {
        let addresses = self.addresses().await?;
        let stream = connect(&addresses).await.map_err(|source| judge_io(&source))?;
        let traffic = Arc::new(Traffic::default());
        let (wire, closer) = Wire::new(stream, Arc::clone(&traffic));
        let (peer, facts) = Peer::new(Arc::clone(&traffic));
        let opened = client::connect_stream(self.config, wire, peer).await;
        let mut handle = opened.map_err(|error| why_ended(&facts, || judge(&error, &traffic)))?;
        log_in(&mut handle, &self.user, &self.key, &facts).await?;
        let host_key = facts.borrow().host_key.clone();
        let host_key =
            host_key.ok_or_else(|| (ExecErrorKind::Refused, "it has shown no host key".to_owned()))?;
        Ok(LoggedIn { handle, facts, traffic, host_key, closer })
    }

    /// The addresses of the host. A name is looked up on a thread of its own, because the system's function for that
    /// blocks.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Judged> {
        let Endpoint { host, port } = self.endpoint.clone();
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![(ip, port).into()]);
        }
        let turn = Arc::clone(&self.lookups).acquire_owned().await.expect("it is never closed");
        let (answer, answered) = oneshot::channel();
        let look_up = move || {
            let _turn = turn;
            // An error means that nobody waits any more.
            let _ = answer.send((host, port).to_socket_addrs().map(Iterator::collect));
        };
        let started = std::thread::Builder::new().name("ssh-lookup".to_owned()).spawn(look_up);
        started.map_err(|source| local(format!("cannot start a thread to look a name up: {source}")))?;
        let found = answered.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
        found.map_err(|source| judge_io(&source))
    }
}

fn local(why: String) -> Judged {
    (ExecErrorKind::Local, why)
}

/// One address after the other. The error is the last one's, or the first that is our own side's.
async fn connect(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match connect_to(*address).await {
            Ok(stream) => return Ok(stream),
            Err(source) if is_lack(&source) => return Err(source),
            Err(source) => last = source,
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // With this a command takes 2 ms instead of 44.
    socket.set_nodelay(true)?;
    // The crate sends no keepalives while it waits for a write to end: then the system has to notice that nobody
    // acknowledges it.
    let silence = ALIVE_INTERVAL.saturating_mul(ALIVE_MAX as u32 + 1).max(Duration::from_secs(1));
    rustix::net::sockopt::set_tcp_user_timeout(&socket, silence.as_millis() as u32)?;
    socket.connect(address).await
}

async fn log_in(
    handle: &mut Handle<Peer>,
    user: &str,
    key: &Arc<PrivateKey>,
    facts: &watch::Receiver<Facts>,
) -> Result<(), Judged> {
    let closed = || (ExecErrorKind::Refused, "connection closed by its server".to_owned());
    let failed = || why_ended(facts, closed);
    for hash in signatures(handle, key).await.map_err(|_| failed())? {
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        match handle.authenticate_publickey(user, key).await {
            Ok(AuthResult::Success) => return Ok(()),
            // The crate says the same of a connection that has ended as of a server that knows no way to log in.
            Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() => {
                wait_for_end(facts.clone()).await;
                return Err(failed());
            }
            Ok(AuthResult::Failure { .. }) => {}
            Err(_) => {
                wait_for_end(facts.clone()).await;
                return Err(failed());
            }
        }
    }
    Err((ExecErrorKind::Authentication, permission_denied()))
}

/// By which hashes an RSA key may sign, the strongest first; SHA-1 is none of them. Other keys have no choice.
async fn signatures(handle: &Handle<Peer>, key: &PrivateKey) -> Result<Vec<Option<HashAlg>>, russh::Error> {
    if !key.algorithm().is_rsa() {
        return Ok(vec![None]);
    }
    Ok(match handle.best_supported_rsa_hash().await? {
        // It does not tell.
        None => vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
        Some(None) => Vec::new(),
        Some(best) => vec![best],
    })
}

/// Why the connection has ended as far as its server or the crate have told, or else what the caller has seen.
fn why_ended(facts: &watch::Receiver<Facts>, otherwise: impl FnOnce() -> Judged) -> Judged {
    facts.borrow().end.clone().unwrap_or_else(otherwise)
}

/// Resolves when a connection has ended.
pub(super) async fn wait_for_end(mut facts: watch::Receiver<Facts>) {
    // An error means that the crate has let go of the connection, which is an end, too.
    let _ = facts.wait_for(|facts| facts.end.is_some()).await;
}

//! Connections over the crate russh, inside this process.
//!
//! ```text
//!   Russh ─────── mod          opens connections
//!     ├─ Thread   thread       on which all of them are served
//!     ├─ Attempt  login        address, socket, key exchange, login
//!     │    ├─ Wire   wire        the socket: counted, and closed from outside
//!     │    └─ Peer   peer        what the server does by itself: noted, and refused
//!     └─ RusshLine line        one connection: commands in sessions
//!          └─ carry  long        a command that goes on for long
//!   algorithms · failure       pure
//! ```
//! No process, no file: the private key stays in memory. A connection takes some ten kilobytes and one descriptor.

mod algorithms;
mod failure;
mod line;
mod login;
mod long;
mod peer;
mod thread;
mod wire;

use std::net::{Ipv4Addr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind};
use dispatch_core::secret::Secret;
use russh::Limits;
use russh::client::Config;
use russh::keys::PrivateKey;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::line::{Dialer, Login};
use super::own_side::NOT_ABLE;
use super::{KeyExchange, SetupError, key};
use line::RusshLine;
use login::Attempt;
use thread::Thread;

/// The most file descriptors that this process has open for one VM: its connection, one that is being opened, and two
/// that are not used any more and whose last commands still run. Measured by a test.
pub(super) const DESCRIPTORS_OF_A_VM: u64 = 4;

/// How often a server that says nothing is asked whether it is there, and how many of these questions it may leave
/// without an answer. The other client has the same.
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const ALIVE_MAX: usize = 3;
/// How many names are looked up at a time.
const LOOKUPS: usize = 16;
/// How much of a command's output may be under way: after we have closed a session it is nobody's, and is no flood yet.
const WINDOW: u32 = 256 << 10;
/// How many packets of a command's output may wait to be read.
const WAITING_PACKETS: usize = 16;

/// Opens connections by way of the crate.
pub(super) struct Russh {
    key: Arc<PrivateKey>,
    key_exchange: KeyExchange,
    thread: Rc<Thread>,
    lookups: Arc<Semaphore>,
}

impl Russh {
    /// Checks the key, and starts the thread.
    ///
    /// # Errors
    /// If the key cannot be used, or the thread cannot be started.
    pub(super) fn new(private_key: &Secret, key_exchange: KeyExchange) -> Result<Self, SetupError> {
        let key = Arc::new(key::parse(private_key.expose())?);
        let thread = Rc::new(Thread::start().map_err(SetupError::Thread)?);
        Ok(Self { key, key_exchange, thread, lookups: Arc::new(Semaphore::new(LOOKUPS)) })
    }

    fn attempt(&self, login: &Login<'_>) -> Attempt {
        let config = Config {
            preferred: algorithms::offered(self.key_exchange, login.known),
            keepalive_interval: Some(ALIVE_INTERVAL),
            keepalive_max: ALIVE_MAX,
            nodelay: true,
            window_size: WINDOW,
            channel_buffer_size: WAITING_PACKETS,
            // By the amount of data only, like the other client: after an hour all connections that were opened after a
            // restart would exchange keys at once.
            limits: Limits { rekey_time_limit: Duration::MAX, ..Limits::default() },
            ..Config::default()
        };
        Attempt {
            endpoint: login.endpoint.clone(),
            user: login.user.to_owned(),
            key: Arc::clone(&self.key),
            config: Arc::new(config),
            lookups: Arc::clone(&self.lookups),
        }
    }
}

impl Dialer for Russh {
    type Line = RusshLine;

    async fn dial(&self, login: &Login<'_>) -> Result<RusshLine, ExecError> {
        let attempt = self.thread.run(self.attempt(login).run());
        let Ok(ended) = timeout(login.deadline, attempt).await else { return Err(login.out_of_time()) };
        let gone = || Err((ExecErrorKind::Local, "the thread of ssh connections has ended".to_owned()));
        let opened = ended.unwrap_or_else(gone).map_err(|(kind, why)| login.failed(kind, &why))?;
        let line = RusshLine::new(opened, Rc::clone(&self.thread));
        line.tell_login(login);
        Ok(line)
    }

    /// A socket: no connection is made with it.
    async fn check_own_side(&self) -> Result<(), String> {
        let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop);
        bound.map_err(|source| format!("{NOT_ABLE}: {source}"))
    }
}

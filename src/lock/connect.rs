//! A connection to one server, guarded before its first word.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{LockError, Reason};
use super::guard::{Guarded, GuardedTls, Rules};
use super::session::Session;
use super::tls;
use crate::settings::{DatabaseTls, Keepalives};

/// Where a server is.
pub(super) enum Place {
    /// The file of its socket.
    Socket(PathBuf),
    /// By network: the name that its certificate has, where it is if that is not to be looked up, its port.
    Network(String, Option<IpAddr>, u16),
}

/// One server, and how it is spoken to.
pub(super) struct Route {
    /// `HOST:PORT`, for people.
    pub name: String,
    pub place: Place,
    pub config: Config,
    pub tls: Option<DatabaseTls>,
    pub rules: Rules,
    pub keepalives: Keepalives,
}

impl Route {
    /// Connects and proves who we are. Each address is tried.
    pub async fn open(&self) -> Result<Session, LockError> {
        match &self.place {
            Place::Socket(file) => {
                let stream = UnixStream::connect(file).await.map_err(|error| self.unreachable(&error))?;
                self.log_in(stream, "").await
            }
            Place::Network(name, address, port) => {
                let addresses = match address {
                    Some(address) => vec![SocketAddr::new(*address, *port)],
                    None => {
                        let found = lookup_host((name.as_str(), *port)).await;
                        found.map_err(|error| self.unreachable(&error))?.collect()
                    }
                };
                let mut last = self.unreachable(&io::Error::other("its name has no address"));
                for address in addresses {
                    match self.open_at(address, name).await {
                        Ok(session) => return Ok(session),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    async fn open_at(&self, address: SocketAddr, name: &str) -> Result<Session, LockError> {
        let stream = TcpStream::connect(address).await.map_err(|error| self.unreachable(&error))?;
        self.prepare(&stream).map_err(|error| self.unreachable(&error))?;
        self.log_in(stream, name).await
    }

    /// Silence of the server, or of the way to it, is to be noticed by the system.
    fn prepare(&self, stream: &TcpStream) -> io::Result<()> {
        let (socket, keepalives) = (stream.as_fd(), &self.keepalives);
        stream.set_nodelay(true)?;
        let within = u32::try_from(keepalives.user_timeout.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(socket, within)?;
        sockopt::set_socket_keepalive(socket, keepalives.enabled)?;
        if keepalives.enabled {
            sockopt::set_tcp_keepidle(socket, keepalives.idle)?;
            sockopt::set_tcp_keepintvl(socket, keepalives.interval)?;
            sockopt::set_tcp_keepcnt(socket, keepalives.count)?;
        }
        Ok(())
    }

    async fn log_in<S>(&self, stream: S, name: &str) -> Result<Session, LockError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let refused = |error: tokio_postgres::Error| self.refused(Reason::from(&error));
        let guarded = Guarded::plain(stream, self.rules.clone(), self.tls.is_some());
        let Some(tls) = &self.tls else {
            let (client, connection) = self.config.connect_raw(guarded, NoTls).await.map_err(refused)?;
            return Ok(Session::new(self.name.clone(), client, connection));
        };
        let mut tls = MakeRustlsConnect::new(tls::config(tls)?);
        let Ok(tls) = <MakeRustlsConnect as MakeTlsConnect<Guarded<S>>>::make_tls_connect(&mut tls, name);
        let tls = GuardedTls { tls, rules: self.rules.clone() };
        let (client, connection) = self.config.connect_raw(guarded, tls).await.map_err(refused)?;
        Ok(Session::new(self.name.clone(), client, connection))
    }

    fn unreachable(&self, error: &io::Error) -> LockError {
        self.refused(Reason::text(&format!("error connecting to server: {error}")))
    }

    fn refused(&self, reason: Reason) -> LockError {
        LockError::Connect { server: self.name.clone(), reason }
    }
}

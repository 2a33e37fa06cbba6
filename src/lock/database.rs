//! Where the lock is: the site's database, from `PostgreSQL.Connection` to a session.

use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, SslMode};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{LockError, Reason};
use super::session::Session;
use super::tls;
use crate::settings::{BadKeyword, Connection, DatabaseAddress, DatabaseServer, DatabaseTls};

/// PostgreSQL cuts longer names.
const LONGEST_NAME: usize = 63;

/// The site's database. Has the password, and no `Debug`.
pub struct Database {
    servers: Vec<Server>,
}

/// One of the servers that may have the database.
struct Server {
    /// `HOST:PORT`, for people.
    name: String,
    config: Config,
    tls: Option<DatabaseTls>,
    connect_within: Duration,
}

impl Database {
    /// The database that the site says to lock in; `None`: it says none. `cluster_id` is a part of the name by
    /// which the server's operators see us.
    ///
    /// # Errors
    /// If a keyword's value cannot be used. Settings that were read without problem have none such.
    pub fn new(connection: &Connection, cluster_id: &str) -> Result<Option<Self>, BadKeyword> {
        if !connection.is_configured() {
            return Ok(None);
        }
        let common = common(connection, cluster_id)?;
        let (tls, connect_within) = (connection.tls()?, connection.connect_within()?);
        let servers = connection.servers()?.into_iter();
        let server = |it| Server::new(it, common.clone(), tls.clone(), connect_within);
        Ok(Some(Self { servers: servers.map(server).collect() }))
    }

    /// The servers' names, for people.
    pub fn names(&self) -> String {
        self.servers.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// A session with the first server that can be used.
    pub(super) async fn connect(&self) -> Result<Session, LockError> {
        let mut errors = Vec::new();
        for server in &self.servers {
            match server.connect().await {
                Ok(session) => return Ok(session),
                Err(error) => errors.push(error),
            }
        }
        Err(LockError::NoServer(errors))
    }
}

impl Server {
    fn new(server: DatabaseServer, common: Config, tls: Option<DatabaseTls>, within: Duration) -> Self {
        let mut config = common;
        config.port(server.port);
        let (name, tls) = match server.address {
            // A socket has no use for TLS, whatever the site says of the network.
            DatabaseAddress::Socket(directory) => {
                config.host_path(&directory);
                (directory.display().to_string(), None)
            }
            DatabaseAddress::Network(name, address) => {
                config.host(&name);
                if let Some(address) = address {
                    config.hostaddr(address);
                }
                (name, tls)
            }
        };
        config.ssl_mode(match &tls {
            None => SslMode::Disable,
            Some(tls) if tls.required => SslMode::Require,
            Some(_) => SslMode::Prefer,
        });
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        let name = format!("{name}:{}", server.port);
        Self { name, config, tls, connect_within: within }
    }

    /// Connects, proves who we are, and looks whether the server is one to lock in.
    async fn connect(&self) -> Result<Session, LockError> {
        let connected = match &self.tls {
            None => self.open(NoTls).await?,
            Some(tls) => self.open(MakeRustlsConnect::new(tls::config(tls)?)).await?,
        };
        connected.prepare().await
    }

    async fn open<T>(&self, tls: T) -> Result<Session, LockError>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: 'static,
    {
        let refused = |reason| LockError::Connect { server: self.name.clone(), reason };
        match tokio::time::timeout(self.connect_within, self.config.connect(tls)).await {
            Ok(Ok((client, connection))) => Ok(Session::new(self.name.clone(), client, connection)),
            Ok(Err(error)) => Err(refused(Reason::from(&error))),
            Err(_) => {
                let text = format!("no session within {} s", self.connect_within.as_secs());
                Err(refused(Reason::text(&text)))
            }
        }
    }
}

/// What is the same for all servers.
fn common(connection: &Connection, cluster_id: &str) -> Result<Config, BadKeyword> {
    let mut config = Config::new();
    let keepalives = connection.keepalives()?;
    config
        .connect_timeout(connection.connect_within()?)
        .keepalives(keepalives.enabled)
        .keepalives_idle(keepalives.idle)
        .keepalives_interval(keepalives.interval)
        .keepalives_retries(keepalives.count)
        .tcp_user_timeout(keepalives.user_timeout);
    if connection.requires_channel_binding()? {
        config.channel_binding(ChannelBinding::Require);
    }
    let own_name = own_name(cluster_id);
    let names = ["application_name", "fallback_application_name"].map(|keyword| connection.get(keyword));
    config.application_name(names.into_iter().flatten().next().unwrap_or(&own_name));
    connection.get("user").map(|it| config.user(it));
    connection.get("password").map(|it| config.password(it));
    connection.get("dbname").map(|it| config.dbname(it));
    connection.get("options").map(|it| config.options(it));
    Ok(config)
}

/// What `pg_stat_activity` shows of us: which program, whose, where. Of a long host name the end is cut, not the
/// process's number.
fn own_name(cluster_id: &str) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let (head, tail) =
        (format!("arvados-dispatch-cloud {cluster_id} {host}"), format!(" pid {}", std::process::id()));
    // The server takes ASCII only, and puts `?` for everything else, byte by byte.
    let ascii = head.chars().map(|it| if it.is_ascii_graphic() || it == ' ' { it } else { '?' });
    ascii.take(LONGEST_NAME - tail.len()).chain(tail.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_operators_see_which_process_has_the_lock() {
        let name = own_name("zzzzz");
        assert!(name.starts_with("arvados-dispatch-cloud zzzzz "), "{name}");
        assert!(name.ends_with(&format!(" pid {}", std::process::id())), "{name}");
        assert!(own_name(&"z".repeat(100)).len() == LONGEST_NAME, "{name}");
    }

    #[test]
    fn a_socket_is_used_without_tls_and_the_network_as_the_site_says() {
        let keywords = [("host", "/run/pg,db,::1"), ("port", "6432"), ("sslmode", "verify-full")];
        let keywords = keywords.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let database = Database::new(&Connection(keywords.into()), "zzzzz").unwrap().unwrap();
        let modes: Vec<_> = database.servers.iter().map(|it| it.config.get_ssl_mode()).collect();
        assert_eq!(modes, [SslMode::Disable, SslMode::Require, SslMode::Require]);
        assert_eq!(database.names(), "/run/pg:6432, db:6432, [::1]:6432");
    }

    #[test]
    fn without_host_and_database_there_is_no_lock() {
        let only_user = Connection([("user".to_owned(), "arvados".to_owned())].into());
        assert!(Database::new(&only_user, "zzzzz").unwrap().is_none());
    }
}

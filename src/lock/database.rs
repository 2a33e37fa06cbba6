//! Where the lock is: the site's database, from `PostgreSQL.Connection` to a session.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode};

use super::connect::{Place, Route};
use super::error::{LockError, Reason};
use super::guard::Rules;
use super::session::Session;
use crate::settings::{
    AuthMethod, BadKeyword, Connection, DatabaseAddress, DatabaseServer, DatabaseTls, Keepalives,
};

/// PostgreSQL cuts longer names.
const LONGEST_NAME: usize = 63;

/// The site's database. Has the password, and no `Debug`.
pub struct Database {
    servers: Vec<Server>,
}

/// One of the servers that may have the database.
struct Server {
    route: Route,
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
        let protection = Protection {
            tls: connection.tls()?,
            methods: connection.auth_methods()?,
            // Whoever disables TLS has chosen that; whoever only lets it be left out has not.
            cleartext: connection.get("sslmode") == Some("disable"),
            keepalives: connection.keepalives()?,
        };
        let connect_within = connection.connect_within()?;
        let servers = connection.servers()?.into_iter();
        let server = |it| Server { route: protection.route(it, common.clone()), connect_within };
        Ok(Some(Self { servers: servers.map(server).collect() }))
    }

    /// The servers' names, for people.
    pub fn names(&self) -> String {
        self.servers.iter().map(|it| it.route.name.as_str()).collect::<Vec<_>>().join(", ")
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
    /// Connects, proves who we are, and looks whether the server is one to lock in.
    async fn connect(&self) -> Result<Session, LockError> {
        let Ok(opened) = tokio::time::timeout(self.connect_within, self.route.open()).await else {
            let text = format!("no session within {} s", self.connect_within.as_secs());
            return Err(LockError::Connect { server: self.route.name.clone(), reason: Reason::text(&text) });
        };
        opened?.prepare().await
    }
}

/// How the site wants connections protected.
struct Protection {
    tls: Option<DatabaseTls>,
    methods: Vec<AuthMethod>,
    cleartext: bool,
    keepalives: Keepalives,
}

impl Protection {
    fn route(&self, server: DatabaseServer, mut config: Config) -> Route {
        let (name, place, tls) = match server.address {
            // A socket has no use for TLS, whatever the site says of the network.
            DatabaseAddress::Socket(directory) => {
                let file = directory.join(format!(".s.PGSQL.{}", server.port));
                (directory.display().to_string(), Place::Socket(file), None)
            }
            DatabaseAddress::Network(name, address) => {
                let place = Place::Network(name.clone(), address, server.port);
                (name, place, self.tls.clone())
            }
        };
        config.ssl_mode(match &tls {
            None => SslMode::Disable,
            Some(tls) if tls.required => SslMode::Require,
            Some(_) => SslMode::Prefer,
        });
        let is_local = matches!(place, Place::Socket(_));
        let rules = Rules { methods: self.methods.clone(), cleartext: is_local || self.cleartext };
        let name = if name.contains(':') { format!("[{name}]") } else { name };
        let name = format!("{name}:{}", server.port);
        Route { name, place, config, tls, rules, keepalives: self.keepalives }
    }
}

/// What is the same for all servers.
fn common(connection: &Connection, cluster_id: &str) -> Result<Config, BadKeyword> {
    let mut config = Config::new();
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
        let modes: Vec<_> = database.servers.iter().map(|it| it.route.config.get_ssl_mode()).collect();
        assert_eq!(modes, [SslMode::Disable, SslMode::Require, SslMode::Require]);
        assert_eq!(database.names(), "/run/pg:6432, db:6432, [::1]:6432");
    }

    #[test]
    fn without_host_and_database_there_is_no_lock() {
        let only_user = Connection([("user".to_owned(), "arvados".to_owned())].into());
        assert!(Database::new(&only_user, "zzzzz").unwrap().is_none());
    }
}

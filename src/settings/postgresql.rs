//! `PostgreSQL.Connection`: libpq's keywords, as far as the one-dispatcher lock needs them.
//!
//! The site's other services read the same map. A keyword that we cannot follow is a warning, or an error if
//! leaving it out would make the connection less safe than the site wants it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroize;

use super::authentication::{self, AuthMethod};
use super::section::Section;

/// Where Debian's servers have their socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const DEFAULT_PORT: u16 = 5432;
/// A connection, its authentication included, must stand within this time, unless the site says otherwise.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What the lock does with them: see `src/lock`.
const FOLLOWED: [&str; 21] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "fallback_application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "require_auth",
];

/// What they ask for is so anyway: a replica is never locked in, servers are tried in their order, texts are ASCII.
const ANYWAY: [&str; 5] =
    ["target_session_attrs", "load_balance_hosts", "client_encoding", "sslcompression", "sslsni"];

/// To leave one of these out would be to connect to somebody else, or less safely.
const CANNOT_FOLLOW: [&str; 7] =
    ["service", "servicefile", "passfile", "requirepeer", "sslcrl", "sslcrldir", "sslpassword"];

/// Keywords of libpq in lower case, without empty ones. Its `Debug` shows the keywords only; its values, the password
/// among them, are overwritten when it goes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Connection(pub BTreeMap<String, String>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// A server that may have the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseServer {
    /// Where it is.
    pub address: DatabaseAddress,
    /// Its port; part of the name of a socket, too.
    pub port: u16,
}

/// Where a database server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseAddress {
    /// The directory of its socket.
    Socket(PathBuf),
    /// By network: the name that its certificate has, and where it is if that is not to be looked up.
    Network(String, Option<IpAddr>),
}

/// How a connection by network is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseTls {
    /// Whether a server without TLS will do.
    pub required: bool,
    /// The authorities that may vouch for the server.
    pub authorities: Authorities,
    /// Whether the certificate must name the server.
    pub checks_name: bool,
    /// Our own certificate and its key, if the server asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// The authorities that may vouch for a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authorities {
    /// None: the connection is encrypted, and the server does not prove itself.
    Anybody,
    /// The authorities that the system trusts.
    System,
    /// The authorities of a PEM file.
    File(PathBuf),
}

/// When the system gives a connection up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalives {
    /// Whether silence is noticed at all.
    pub enabled: bool,
    /// Silence before the first question.
    pub idle: Duration,
    /// Between questions.
    pub interval: Duration,
    /// Questions without an answer.
    pub count: u32,
    /// How long what was sent may go without acknowledgement.
    pub user_timeout: Duration,
}

/// A keyword whose value is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("PostgreSQL.Connection.{keyword} is not accepted: {wanted}")]
pub struct BadKeyword {
    /// The keyword.
    pub keyword: &'static str,
    /// What is accepted.
    pub wanted: &'static str,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Connection {
    /// Whether there is a database to lock in.
    pub fn is_configured(&self) -> bool {
        ["host", "hostaddr", "dbname"].iter().any(|key| self.0.contains_key(*key))
    }

    /// A keyword's value, as it was written.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str)
    }

    /// The servers to try, in this order; at least one. Without a host: this machine's.
    ///
    /// # Errors
    /// If lists do not match, or a number or address cannot be read.
    pub fn servers(&self) -> Result<Vec<DatabaseServer>, BadKeyword> {
        let (hosts, addresses, ports) = (self.list("host"), self.list("hostaddr"), self.ports()?);
        if hosts.is_empty() && addresses.is_empty() {
            let port = ports.first().copied().unwrap_or(DEFAULT_PORT);
            let socket = DatabaseAddress::Socket(SOCKET_DIRECTORY.into());
            let network = DatabaseAddress::Network("localhost".to_owned(), None);
            return Ok([socket, network].map(|address| DatabaseServer { address, port }).into());
        }
        let count = hosts.len().max(addresses.len());
        let bad = |keyword, wanted| Err(BadKeyword { keyword, wanted });
        if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
            return bad("hostaddr", "as many addresses as there are hosts");
        }
        if ports.len() > 1 && ports.len() != count {
            return bad("port", "one port, or as many as there are hosts");
        }
        let server = |number: usize| {
            let address = address(hosts.get(number).copied(), addresses.get(number).copied())?;
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            Ok(DatabaseServer { address, port })
        };
        (0..count).map(server).collect()
    }

    /// How connections by network are protected; `None`: not at all.
    ///
    /// # Errors
    /// If a value is not libpq's.
    pub fn tls(&self) -> Result<Option<DatabaseTls>, BadKeyword> {
        let (required, verifies, names) = match self.get("sslmode").unwrap_or("prefer") {
            "disable" => return Ok(None),
            // libpq tries without TLS first for `allow`; we do not mind better.
            "allow" | "prefer" => (false, false, false),
            "require" => (true, false, false),
            "verify-ca" => (true, true, false),
            "verify-full" => (true, true, true),
            _ => {
                let wanted = "disable, allow, prefer, require, verify-ca or verify-full";
                return Err(BadKeyword { keyword: "sslmode", wanted });
            }
        };
        let (authorities, names) = match self.get("sslrootcert") {
            // Everybody's authorities vouch for everybody: only with the name they say something.
            Some("system") => (Authorities::System, true),
            Some(file) => (Authorities::File(path(file)), names),
            None if verifies => (Authorities::System, names),
            None => (Authorities::Anybody, false),
        };
        let identity = match (self.get("sslcert"), self.get("sslkey")) {
            (Some(certificate), Some(key)) => Some((path(certificate), path(key))),
            (None, None) => None,
            (Some(_), None) => {
                return Err(BadKeyword { keyword: "sslkey", wanted: "needed beside sslcert" });
            }
            (None, Some(_)) => {
                return Err(BadKeyword { keyword: "sslcert", wanted: "needed beside sslkey" });
            }
        };
        Ok(Some(DatabaseTls { required, authorities, checks_name: names, identity }))
    }

    /// Whether the password's proof must be bound to the TLS connection.
    ///
    /// # Errors
    /// If the value is not libpq's.
    pub fn requires_channel_binding(&self) -> Result<bool, BadKeyword> {
        match self.get("channel_binding") {
            None | Some("disable" | "prefer") => Ok(false),
            Some("require") => Ok(true),
            Some(_) => Err(BadKeyword { keyword: "channel_binding", wanted: "disable, prefer or require" }),
        }
    }

    /// The ways in which a server may ask who we are.
    ///
    /// # Errors
    /// If the value is not libpq's.
    pub fn auth_methods(&self) -> Result<Vec<AuthMethod>, BadKeyword> {
        let wanted = authentication::WANTED;
        authentication::accepted(self.get("require_auth").unwrap_or_default())
            .ok_or(BadKeyword { keyword: "require_auth", wanted })
    }

    /// How long a connection may take until it stands, its authentication included.
    ///
    /// # Errors
    /// If it is no number.
    pub fn connect_within(&self) -> Result<Duration, BadKeyword> {
        let seconds: Option<i64> = self.number("connect_timeout", "a number of seconds")?;
        // libpq waits for ever if it is not positive: a standby would never say why it waits.
        let positive = seconds.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0);
        Ok(positive.map_or(CONNECT_WITHIN, Duration::from_secs))
    }

    /// When the system gives a connection up: within about ten seconds, unless the site says otherwise.
    ///
    /// # Errors
    /// If one of the values is no number.
    pub fn keepalives(&self) -> Result<Keepalives, BadKeyword> {
        let number = |keyword, wanted| self.number::<u32>(keyword, wanted);
        let seconds = |keyword, default| {
            let found = number(keyword, "a number of seconds")?.filter(|it| *it > 0);
            Ok::<_, BadKeyword>(Duration::from_secs(found.map_or(default, u64::from)))
        };
        let milliseconds = number("tcp_user_timeout", "a number of milliseconds")?.filter(|it| *it > 0);
        Ok(Keepalives {
            enabled: number("keepalives", "0 or 1")? != Some(0),
            idle: seconds("keepalives_idle", 5)?,
            interval: seconds("keepalives_interval", 2)?,
            count: number("keepalives_count", "a number")?.filter(|it| *it > 0).unwrap_or(3),
            user_timeout: Duration::from_millis(milliseconds.map_or(10_000, u64::from)),
        })
    }

    /// What is wrong with it.
    fn faults(&self) -> impl Iterator<Item = BadKeyword> {
        let faults = [
            self.servers().err(),
            self.tls().err(),
            self.requires_channel_binding().err(),
            self.auth_methods().err(),
            self.connect_within().err(),
            self.keepalives().err(),
        ];
        faults.into_iter().flatten()
    }

    fn list(&self, keyword: &str) -> Vec<&str> {
        self.get(keyword).map(|list| list.split(',').map(str::trim).collect()).unwrap_or_default()
    }

    fn ports(&self) -> Result<Vec<u16>, BadKeyword> {
        let wanted = "a port number from 1 to 65535";
        let port = |text: &str| match text {
            "" => Ok(DEFAULT_PORT),
            text => {
                let port = text.parse().ok().filter(|port| *port > 0);
                port.ok_or(BadKeyword { keyword: "port", wanted })
            }
        };
        self.list("port").into_iter().map(port).collect()
    }

    fn number<T: FromStr>(
        &self,
        keyword: &'static str,
        wanted: &'static str,
    ) -> Result<Option<T>, BadKeyword> {
        let number = self.get(keyword).map(|text| text.trim().parse::<T>());
        number.transpose().map_err(|_| BadKeyword { keyword, wanted })
    }
}

/// A host that begins with a slash is the directory of a socket; one that is empty is this machine.
fn address(host: Option<&str>, address: Option<&str>) -> Result<DatabaseAddress, BadKeyword> {
    if let Some(text) = address.filter(|text| !text.is_empty()) {
        let wanted = "an IP address, or several with commas between";
        let ip = text.parse().map_err(|_| BadKeyword { keyword: "hostaddr", wanted })?;
        return Ok(DatabaseAddress::Network(host.unwrap_or(text).to_owned(), Some(ip)));
    }
    Ok(match host {
        None | Some("") => DatabaseAddress::Socket(SOCKET_DIRECTORY.into()),
        Some(directory) if directory.starts_with('/') => DatabaseAddress::Socket(directory.into()),
        Some(name) => DatabaseAddress::Network(name.to_owned(), None),
    })
}

fn path(text: &str) -> PathBuf {
    Path::new(text.strip_prefix("file://").unwrap_or(text)).to_owned()
}

/// Reads `PostgreSQL.Connection`.
pub(super) fn read(section: &Section<'_>) -> Connection {
    let written: BTreeMap<String, String> =
        section.keys().into_iter().map(|(key, _)| (key.to_lowercase(), key.to_owned())).collect();
    let keywords = section.text_map().into_iter().map(|(key, value)| (key.to_lowercase(), value));
    let connection = Connection(keywords.filter(|(_, value)| !value.is_empty()).collect());
    if !connection.is_configured() {
        return connection;
    }
    let as_written = |keyword: &str| written.get(keyword).cloned().unwrap_or_else(|| keyword.to_owned());
    for BadKeyword { keyword, wanted } in connection.faults() {
        section.refuse(&as_written(keyword), wanted);
    }
    for keyword in connection.0.keys().map(String::as_str) {
        if CANNOT_FOLLOW.contains(&keyword) {
            section.fail(&as_written(keyword), "not built in, and it would be unsafe to go on without it");
        } else if !FOLLOWED.contains(&keyword) && !ANYWAY.contains(&keyword) {
            section
                .warn(&as_written(keyword), "no effect on the one-dispatcher lock: the session is our own");
        }
    }
    connection
}

#[cfg(test)]
mod tests;

//! Writes the configuration file of one connection's ssh client, and the one line of its `known_hosts`.

use std::path::Path;
use std::time::Duration;

use dispatch_core::ports::HostKey;

use crate::ssh::endpoint::Endpoint;

/// The name under which the client knows the VM, whatever the VM's present address is.
pub(super) const ALIAS: &str = "vm";

/// The settings that differ from one connection to another.
pub(super) struct ClientConfig<'a> {
    pub endpoint: &'a Endpoint,
    pub user: &'a str,
    pub key_file: &'a Path,
    pub known_hosts: &'a Path,
    pub connect_timeout: Duration,
    /// The line about key exchanges, or nothing.
    pub key_exchange: &'a str,
}

impl ClientConfig<'_> {
    /// The text of the file. The client reads no other configuration, neither the user's nor the system's.
    pub(super) fn text(&self) -> String {
        // The client expands percent signs in HostName, and the zone of a link-local address begins with one.
        let host = self.endpoint.host.replace('%', "%%");
        let seconds = self.connect_timeout.as_secs().max(1);
        format!(
            "Host {ALIAS}\n\
             HostName {host}\n\
             Port {port}\n\
             User \"{user}\"\n\
             HostKeyAlias {ALIAS}\n\
             IdentityFile \"{key}\"\n\
             UserKnownHostsFile \"{known_hosts}\"\n\
             ConnectTimeout {seconds}\n\
             {key_exchange}{FIXED}",
            key_exchange = self.key_exchange,
            port = self.endpoint.port,
            user = self.user,
            key = self.key_file.display(),
            known_hosts = self.known_hosts.display(),
        )
    }
}

/// What is the same for every connection.
const FIXED: &str = "\
StrictHostKeyChecking accept-new
GlobalKnownHostsFile /dev/null
HashKnownHosts no
UpdateHostKeys no
CheckHostIP no
BatchMode yes
PreferredAuthentications publickey
IdentitiesOnly yes
IdentityAgent none
AddKeysToAgent no
ControlPersist no
ServerAliveInterval 10
ServerAliveCountMax 3
ForwardAgent no
ForwardX11 no
ClearAllForwardings yes
PermitLocalCommand no
RequestTTY no
Compression no
LogLevel INFO
";

/// The line of `known_hosts` for a key that was verified.
pub(super) fn known_hosts_line(key: &HostKey) -> String {
    format!("{ALIAS} {} {}\n", key.algorithm, key.base64)
}

/// The key that the server showed. It is in the last line, because the client adds a key of another algorithm
/// than the known one's.
pub(super) fn shown_host_key(known_hosts: &str) -> Option<HostKey> {
    let line = known_hosts.lines().rfind(|line| !line.trim().is_empty())?;
    let mut words = line.split_ascii_whitespace().skip(1);
    Some(HostKey { algorithm: words.next()?.to_owned(), base64: words.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_line() {
        let key = HostKey { algorithm: "ssh-ed25519".into(), base64: "AAAA".into() };
        assert_eq!(shown_host_key(&known_hosts_line(&key)), Some(key));
        assert_eq!(shown_host_key(""), None);
        assert_eq!(shown_host_key("vm ssh-rsa"), None);
    }

    #[test]
    fn a_zone_is_written_as_the_client_expects_it() {
        let config = ClientConfig {
            endpoint: &Endpoint { host: "fe80::1%eth0".into(), port: 22 },
            user: "crunch",
            key_file: Path::new("/k"),
            known_hosts: Path::new("/h"),
            connect_timeout: Duration::from_secs(30),
            key_exchange: "",
        };
        assert!(config.text().contains("HostName fe80::1%%eth0\n"), "{}", config.text());
    }
}

//! Where a VM listens: an address from the cloud's listing, made safe for a line of a configuration file and for a log.

use std::fmt;

use dispatch_core::ports::{ExecError, ExecErrorKind};

use super::failure::error;

/// A host and a port that can be written into the client's configuration without quoting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    /// Reads `host`, `host:port`, `v6`, `[v6]` or `[v6]:port`.
    ///
    /// The cloud's answer is not trusted: a host that contains a space or a line feed could add
    /// configuration.
    pub(super) fn parse(address: &str, default_port: u16) -> Result<Self, ExecError> {
        if address.is_empty() {
            return Err(error(ExecErrorKind::NotReady, "instance has no address yet"));
        }
        let (host, port) = split(address);
        let port = match port {
            Some(text) => text.parse().ok().filter(|port| *port != 0).ok_or_else(|| unusable(address))?,
            None => default_port,
        };
        let harmless = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
        if host.is_empty() || host.starts_with('-') || !host.chars().all(harmless) {
            return Err(unusable(address));
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)
    }
}

/// An address with more than one colon and without brackets is an IPv6 address without a port.
fn split(address: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or("")) });
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (address, None),
    }
}

fn unusable(address: &str) -> ExecError {
    error(ExecErrorKind::Refused, format!("address {address:?} is not a host or host:port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(address: &str) -> (String, u16) {
        let endpoint = Endpoint::parse(address, 22).unwrap();
        (endpoint.host, endpoint.port)
    }

    #[test]
    fn an_address_may_carry_a_port() {
        assert_eq!(parsed("10.0.0.1"), ("10.0.0.1".into(), 22));
        assert_eq!(parsed("10.0.0.1:2222"), ("10.0.0.1".into(), 2222));
        assert_eq!(parsed("vm-1.example:1"), ("vm-1.example".into(), 1));
    }

    #[test]
    fn an_ipv6_address_is_understood_with_and_without_brackets() {
        assert_eq!(parsed("::1"), ("::1".into(), 22));
        assert_eq!(parsed("[::1]"), ("::1".into(), 22));
        assert_eq!(parsed("[fe80::1%eth0]:2222"), ("fe80::1%eth0".into(), 2222));
    }

    #[test]
    fn an_empty_address_is_not_ready_and_a_strange_one_is_refused() {
        assert_eq!(Endpoint::parse("", 22).unwrap_err().kind, ExecErrorKind::NotReady);
        for address in
            ["a b", "a\nProxyCommand x", "-oProxyCommand=x", "a:0", "a:99999", "a:", "[::1]x", "$(x)", "[]"]
        {
            assert_eq!(Endpoint::parse(address, 22).unwrap_err().kind, ExecErrorKind::Refused, "{address}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_accepted_is_one_harmless_word(address in ".{0,30}") {
            if let Ok(endpoint) = Endpoint::parse(&address, 22) {
                let harmless = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
                proptest::prop_assert!(!endpoint.host.is_empty() && endpoint.host.chars().all(harmless));
                proptest::prop_assert!(endpoint.port != 0 && !endpoint.host.starts_with('-'));
            }
        }
    }
}

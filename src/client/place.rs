//! Where the service is, and which token it wants: from the site's configuration, or from --url and the environment.
//!
//! ```text
//!   URL     --url, else each InternalURL, then what this machine binds for it (as `health` asks)
//!   token   ARVADOS_MANAGEMENT_TOKEN, else ManagementToken of the configuration
//!   TLS     the site's own certificate if its configuration was read, else who the authorities vouch for
//! ```
//! The configuration is not read if both are given: an operator's own machine need not have it.

use std::sync::Arc;

use dispatch_core::secret::Secret;
use rustls::ClientConfig;
use url::Url;

use super::failure::Failure;
use crate::cli::service::At;
use crate::cli::{self, Options};
use crate::health::{addresses_to_ask, certificate, is_this_machine};
use crate::settings::{Listener, Settings};

/// The token's name in the environment.
const TOKEN: &str = "ARVADOS_MANAGEMENT_TOKEN";

/// Where a token comes from, for complaints.
const ENVIRONMENTS: &str = "in ARVADOS_MANAGEMENT_TOKEN";
const CONFIGURED: &str = "of the configuration";

/// Where the service may be, in the order in which it is asked for.
#[derive(Clone)]
pub(super) struct Places {
    pub(super) places: Vec<Place>,
    pub(super) token: Secret,
    /// Where the token comes from, for complaints.
    pub(super) origin: &'static str,
}

/// An address of the service.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) url: Url,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Places {
    /// Those of a command line.
    pub fn of(options: &Options, at: &At) -> Result<Self, Failure> {
        let given = given_token()?;
        if let (Some(token), Some(url)) = (&given, &at.url) {
            let places = vec![elsewhere(url, None)?];
            return Ok(Self { places, token: token.clone(), origin: ENVIRONMENTS });
        }
        let settings = options.load().map_err(|error| unusable(&error.to_string()))?.settings;
        let places = match &at.url {
            Some(url) => vec![elsewhere(url, Some(&settings))?],
            None => configured(&settings)?,
        };
        match given {
            Some(token) => Ok(Self { places, token, origin: ENVIRONMENTS }),
            None if settings.management_token.is_empty() => Err(Failure::Unusable(format!(
                "no ManagementToken is configured, so the service answers nobody: configure one, or set {TOKEN}"
            ))),
            None => {
                let token = sendable(settings.management_token, CONFIGURED)?;
                Ok(Self { places, token, origin: CONFIGURED })
            }
        }
    }
}

/// The token of the environment; an empty one is none.
fn given_token() -> Result<Option<Secret>, Failure> {
    let Some(token) = std::env::var_os(TOKEN).filter(|it| !it.is_empty()) else { return Ok(None) };
    let token = token.into_string().ok().map(Secret::new);
    token.map_or_else(|| Err(unsendable(ENVIRONMENTS)), |token| sendable(token, ENVIRONMENTS)).map(Some)
}

/// A token goes into a header, which takes printable ASCII.
fn sendable(token: Secret, origin: &str) -> Result<Secret, Failure> {
    let is_sendable = token.expose().bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_sendable { Ok(token) } else { Err(unsendable(origin)) }
}

fn unsendable(origin: &str) -> Failure {
    let fault =
        "has characters that cannot be sent, such as a line break: wanted is the token and nothing else";
    Failure::Unusable(format!("the ManagementToken {origin} {fault}"))
}

/// One line: all that is wrong, and what else would do.
fn unusable(error: &str) -> Failure {
    let lines: Vec<_> = error.lines().collect();
    let first = lines.first().copied().unwrap_or_default();
    let more = match lines.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more: config check tells them)", n - 1),
    };
    Failure::Unusable(format!("{first}{more}; without a configuration, give --url and set {TOKEN}"))
}

/// What `--url` says. The token goes where the operator says, and he is told if others can read it.
fn elsewhere(url: &Url, settings: Option<&Settings>) -> Result<Place, Failure> {
    if url.scheme() == "http" && !is_this_machine(url) {
        cli::complain(format!("warning: the ManagementToken is sent to {url} unencrypted"));
    }
    Place::new(url.clone(), url, settings)
}

/// What clients call comes first; what is bound may be reached on this machine if that is not.
fn configured(settings: &Settings) -> Result<Vec<Place>, Failure> {
    let mut places: Vec<Place> = Vec::new();
    for listener in &settings.listeners {
        for url in addresses(listener) {
            if places.iter().all(|it| it.url != url) {
                places.push(Place::new(url, &listener.url, Some(settings))?);
            }
        }
    }
    Ok(places)
}

fn addresses(listener: &Listener) -> Vec<Url> {
    let bound = addresses_to_ask(listener).into_iter();
    // Over http the token goes to nobody whom the site does not name, this machine aside.
    let bound = bound.filter(|url| url.scheme() == "https" || is_this_machine(url));
    let is_named = listener.url.host_str().is_some_and(|host| host != "0.0.0.0" && host != "[::]");
    is_named.then(|| listener.url.clone()).into_iter().chain(bound).collect()
}

impl Place {
    fn new(url: Url, called: &Url, settings: Option<&Settings>) -> Result<Self, Failure> {
        let tls =
            match url.scheme() {
                "https" => Some(tls(called, settings).map_err(|error| Failure::Unreachable {
                    url: url.to_string(),
                    why: format!("{error:#}"),
                })?),
                _ => None,
            };
        Ok(Self { url, tls })
    }
}

/// On another machine than the service's its certificate's file is not there: authorities vouch for it.
fn tls(called: &Url, settings: Option<&Settings>) -> anyhow::Result<Arc<ClientConfig>> {
    let own = settings.and_then(|settings| certificate::only(&settings.tls, called).ok());
    own.map_or_else(|| certificate::vouched(called), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, bind: &str) -> Vec<String> {
        let listener = Listener { url: Url::parse(url).unwrap(), bind: Url::parse(bind).unwrap() };
        addresses(&listener).iter().map(Url::to_string).collect()
    }

    #[test]
    fn what_clients_call_is_asked_first_and_loopback_if_it_is_bound() {
        assert_eq!(asked("http://localhost:1", "http://localhost:1"), ["http://localhost:1/"; 2]);
        assert_eq!(asked("http://192.0.2.1:1", "http://192.0.2.1:1"), ["http://192.0.2.1:1/"]);
        let everywhere = asked("http://192.0.2.1:1", "http://0.0.0.0:2");
        assert_eq!(everywhere, ["http://192.0.2.1:1/", "http://127.0.0.1:2/"]);
        assert_eq!(asked("http://[::]:1", "http://[::]:1"), ["http://[::1]:1/", "http://127.0.0.1:1/"]);
    }

    #[test]
    fn a_configuration_with_many_faults_is_one_line() {
        let text = unusable("a\nb\nc").to_string();
        assert!(text.starts_with("a (and 2 more") && text.lines().count() == 1, "{text}");
        assert!(unusable("a").to_string().starts_with("a; without"));
    }
}

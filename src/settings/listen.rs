//! Where the management API listens: `Services.DispatchCloud.InternalURLs`.

use url::Url;

use super::section::Section;

/// What is listened on when the site names nothing.
const DEFAULT: &str = "http://localhost:9006";

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// What clients call.
    pub url: Url,
    /// What is bound: `ListenURL` if set, else the same.
    pub bind: Url,
}

impl Listener {
    fn at(url: Url) -> Self {
        Self { bind: url.clone(), url }
    }

    /// Host and port to bind; without a port the scheme's.
    pub fn address(&self) -> (String, u16) {
        let host = self.bind.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        (host, self.bind.port_or_known_default().unwrap_or(80))
    }

    /// Whether it speaks https.
    pub fn is_https(&self) -> bool {
        self.bind.scheme() == "https"
    }
}

/// A URL of a web server.
pub fn parse_web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty()))
        .then_some(url)
}

/// Whether a URL names this machine by an address that no other reaches.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// A URL to listen on. Without a host it means all addresses, as `[::]` does.
fn parse_listen_url(text: &str) -> Option<Url> {
    parse_web_url(text).or_else(|| parse_web_url(&text.replacen("://:", "://[::]:", 1)))
}

/// What a URL to listen on may look like, for error texts.
const LISTEN_URL: &str = "a URL such as http://127.0.0.1:9006, or http://:9006 for all addresses";

/// What a web URL may look like, for error texts.
pub const WEB_URL: &str = "a URL such as https://zzzzz.example.com or http://127.0.0.1:9006";

/// The listeners, in the order of the file; `chosen` (from the environment) is the only one if it is set.
pub fn read(service: &Section<'_>, chosen: Option<&str>) -> Vec<Listener> {
    let urls = service.section("InternalURLs");
    let mut listeners: Vec<_> = urls.keys().into_iter().filter_map(|(key, _)| entry(&urls, key)).collect();
    if listeners.is_empty() {
        listeners.push(Listener::at(Url::parse(DEFAULT).expect("a constant")));
    }
    match chosen.map(|text| (text, parse_listen_url(text))) {
        None => listeners,
        Some((text, None)) => {
            let message = format!("ARVADOS_SERVICE_INTERNAL_URL={text} is not accepted: {LISTEN_URL}");
            service.fail("InternalURLs", &message);
            listeners
        }
        Some((text, Some(url))) => match listeners.into_iter().find(|it| it.url == url) {
            Some(listener) => vec![listener],
            None => {
                let message = format!(
                    "ARVADOS_SERVICE_INTERNAL_URL={text} is not listed here: it is bound all the same"
                );
                service.warn("InternalURLs", &message);
                vec![Listener::at(url)]
            }
        },
    }
}

fn entry(urls: &Section<'_>, key: &str) -> Option<Listener> {
    let Some(url) = parse_listen_url(key) else {
        urls.fail(key, &format!("`{key}` is not accepted: {LISTEN_URL}"));
        return None;
    };
    let section = urls.section(key);
    let listen = section.text("ListenURL");
    if listen.is_empty() {
        return Some(Listener::at(url));
    }
    let Some(bind) = parse_listen_url(&listen) else {
        section.refuse("ListenURL", LISTEN_URL);
        return None;
    };
    Some(Listener { url, bind })
}

//! Where the site's event feed is: `Services.Websocket`.

use std::time::Duration;

use url::Url;

use super::listen::is_loopback;
use super::section::Section;

/// The path of the service below its URL.
const PATH: &str = "/websocket";

/// What a URL of the service may look like, for warnings.
const URL: &str = "not a URL such as wss://ws.zzzzz.example.com/websocket";

/// The site's websocket service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Websocket {
    /// Where every client reaches it; `None` = polling only.
    pub external: Option<Url>,
    /// Where it is reached from within the site.
    pub internal: Vec<Url>,
    /// How often it gives a sign of life when nothing happens.
    pub ping_interval: Duration,
}

impl Websocket {
    /// The URLs to try, in order, with the service's scheme and path: those of this machine first, because they need
    /// neither a proxy nor TLS. None if the site has no `ExternalURL`.
    pub fn feed_urls(&self) -> Vec<Url> {
        let Some(external) = &self.external else { return Vec::new() };
        let local = self.internal.iter().filter(|url| is_loopback(url));
        local.chain([external]).map(feed_url).collect()
    }
}

/// `ws` for `http`, and the path if there is none.
fn feed_url(url: &Url) -> Url {
    let mut url = url.clone();
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        _ => "wss",
    };
    url.set_scheme(scheme).expect("all four are schemes of the web");
    url.set_fragment(None);
    if url.path() == "/" {
        url.set_path(PATH);
    }
    url
}

/// A URL of the service. Without one the queue is polled: what is wrong is no reason to refuse the service.
fn parse(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "ws" | "wss" | "http" | "https")
            && url.host_str().is_some_and(|it| !it.is_empty())
    })
}

/// Reads `ExternalURL`; empty = there is none.
pub fn external(section: &Section<'_>, key: &str) -> Option<Url> {
    let text = section.text(key);
    let url = parse(&text);
    if url.is_none() && !text.is_empty() {
        section.warn(key, &format!("{URL}: as if it were empty, the queue is polled only"));
    }
    // The token is in the URL of each connection.
    if url.as_ref().is_some_and(|url| matches!(url.scheme(), "ws" | "http") && !is_loopback(url)) {
        section.warn_unsafe(
            key,
            "ws to another machine: the SystemRootToken is sent in clear with each connection; use wss",
        );
    }
    url
}

/// Reads `InternalURLs`.
pub fn internal(section: &Section<'_>) -> Vec<Url> {
    let urls = section.section("InternalURLs");
    let read = |(key, _): (&str, _)| {
        let url = parse(key);
        if url.is_none() {
            urls.warn(key, &format!("{URL}: not tried"));
        }
        url
    };
    urls.keys().into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed_urls(external: &str, internal: &[&str]) -> Vec<String> {
        let websocket = Websocket {
            external: parse(external),
            internal: internal.iter().filter_map(|url| parse(url)).collect(),
            ping_interval: Duration::from_secs(60),
        };
        websocket.feed_urls().iter().map(Url::to_string).collect()
    }

    #[test]
    fn a_url_gets_the_services_scheme_and_path() {
        for (written, meant) in [
            ("wss://ws.example.com/websocket", "wss://ws.example.com/websocket"),
            ("wss://ws.example.com", "wss://ws.example.com/websocket"),
            ("https://ws.example.com/", "wss://ws.example.com/websocket"),
            ("http://ws.example.com:8005", "ws://ws.example.com:8005/websocket"),
            ("ws://[::1]:8005/other/", "ws://[::1]:8005/other/"),
            ("https://example.com:443/ws?x=1#y", "wss://example.com/ws?x=1"),
        ] {
            assert_eq!(feed_urls(written, &[]), [meant], "{written}");
        }
    }

    #[test]
    fn those_of_this_machine_are_tried_first() {
        let internal = ["http://localhost:8005", "http://10.0.0.1:8005/", "https://[::1]:8006"];
        assert_eq!(
            feed_urls("wss://ws.example.com/websocket", &internal),
            ["ws://localhost:8005/websocket", "wss://[::1]:8006/websocket", "wss://ws.example.com/websocket"]
        );
        // It is `ExternalURL` that says whether the feed is used.
        assert_eq!(feed_urls("", &internal), [""; 0]);
    }
}

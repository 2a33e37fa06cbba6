//! What can be called in place of a cloud's own endpoint, and what may be said of it.

use url::{Host, Url};

/// Whether it is the URL of a host and a path, and nothing else: no user, password, query or fragment.
pub fn is_bare(url: &Url) -> bool {
    let nobody = url.username().is_empty() && url.password().is_none();
    url.has_host() && nobody && url.query().is_none() && url.fragment().is_none()
}

/// Whether its host is this machine, by number: who decides what a name means may decide that it is elsewhere.
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

/// Whether a token, or what one can be had for, may go there: over TLS, or to this very machine.
pub fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(url))
}

/// The text without whatever may be a user and a password in it, also if it is no URL.
pub fn without_user(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_owned() };
    let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
    format!("{scheme}(secret)@{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(urls: &[&str], holds: fn(&Url) -> bool) -> Vec<bool> {
        urls.iter().map(|it| holds(&Url::parse(it).unwrap())).collect()
    }

    #[test]
    fn a_bare_url_has_a_host_and_a_path_and_nothing_else() {
        assert_eq!(all(&["http://h", "https://h:1/a/b/", "ftp://h/"], is_bare), [true; 3]);
        let more = ["http://u@h/", "http://:p@h/", "http://h/?a", "http://h/#a", "mailto:a@b", "file:///a"];
        assert_eq!(all(&more, is_bare), [false; 6]);
    }

    #[test]
    fn only_a_number_is_this_machine_and_nothing_secret_goes_elsewhere_in_the_clear() {
        assert_eq!(all(&["http://127.0.0.1/", "http://[::1]:80/"], is_this_machine), [true; 2]);
        let others =
            ["http://localhost/", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "http://[fe80::1]/"];
        assert_eq!(all(&others, is_this_machine), [false; 4]);
        assert_eq!(all(&others, is_safe), [false; 4]);
        let safe = ["https://example.com/", "http://127.0.0.1:8080/"];
        assert_eq!(all(&safe, is_safe), [true; 2]);
        assert!(!is_safe(&Url::parse("ftp://127.0.0.1/").unwrap()));
    }

    #[test]
    fn a_password_is_never_shown() {
        for (text, shown) in [
            ("http://u:hunter2@host/", "http://(secret)@host/"),
            ("u:hunter2@host", "(secret)@host"),
            ("http://u:hunter2@x@host/", "http://(secret)@host/"),
            ("http://host/", "http://host/"),
            ("", ""),
        ] {
            assert_eq!(without_user(text), shown);
        }
    }
}

//! Which of several addresses is taken.

use std::net::TcpListener;

use super::*;
use crate::settings::{Environment, Host, parse};

/// A site that listens at the first of these that it can.
fn settings(urls: &[String]) -> Settings {
    let urls: String = urls.iter().map(|url| format!("\"{url}\": {{}}, ")).collect();
    let text = format!(
        "Clusters:\n  zzzzz:\n    SystemRootToken: s\n    Services:\n      Controller: {{ExternalURL: http://127.0.0.1:1}}\n      DispatchCloud: {{InternalURLs: {{{urls}}}}}\n    Containers:\n      DispatchPrivateKey: {}\n      CloudVMs: {{Driver: loopback}}\n",
        serde_json::to_string(&key()).unwrap()
    );
    let host = Host { vcpus: 1, ram: 1, scratch: 1 };
    parse("config.yml", text.as_bytes(), None, &Environment::default(), &host).unwrap().settings
}

fn key() -> String {
    use russh::keys::{Algorithm, PrivateKey};
    let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    key.to_openssh(Default::default()).unwrap().to_string()
}

fn taken() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[test]
fn the_first_address_that_can_be_bound_is_taken() {
    let (_first, a) = taken();
    let elsewhere = "http://192.0.2.1:9006".to_owned();
    let free = "http://127.0.0.1:0".to_owned();
    let bound = Bound::new(&settings(&[elsewhere, a, free])).unwrap();
    assert!(bound.chosen.url.as_str().starts_with("http://127.0.0.1:0"), "{}", bound.chosen.url);
}

#[test]
fn an_address_in_use_is_told_only_if_no_other_can_be_bound() {
    let ((_first, a), (_second, b)) = (taken(), taken());
    let elsewhere = "http://192.0.2.1:9006".to_owned();
    let error = Bound::new(&settings(&[a.clone(), b, elsewhere.clone()])).err().unwrap().to_string();
    assert!(error.contains("Address already in use") && error.contains(&a[7..]), "{error}");
    let error = Bound::new(&settings(&[elsewhere])).err().unwrap().to_string();
    assert!(error.contains("is this host's"), "{error}");
}

#[test]
fn all_addresses_are_reached_by_ipv4_and_ipv6() {
    let bound = Bound::new(&settings(&["http://:0".to_owned()])).unwrap();
    let port = bound.socket.local_addr().unwrap().port();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    // A machine without IPv6 has nothing to reach there.
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(std::net::TcpStream::connect(("::1", port)).is_ok());
    }
}

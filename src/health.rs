//! `health`: asks a running service on this host whether it is well. The Dockerfile's HEALTHCHECK.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use url::Url;

use crate::cli::{self, Health, Options};
use crate::settings::{Listener, Settings};

/// Less than the 30 s that Docker waits.
const DEADLINE: Duration = Duration::from_secs(4);

/// Exit 0 if it is well, 1 with a line why not.
pub fn run(options: &Options, health: &Health) -> ExitCode {
    let loaded = match options.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            cli::complain(error);
            return ExitCode::FAILURE;
        }
    };
    match actix_rt::System::new().block_on(ask(&loaded.settings, health.ready)) {
        Ok(answer) => {
            cli::print(&answer);
            ExitCode::SUCCESS
        }
        Err(error) => {
            cli::complain(format!("health: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn ask(settings: &Settings, ready: bool) -> Result<String> {
    let path = if ready { "_health/ready" } else { "_health/ping" };
    let mut last = None;
    for listener in &settings.listeners {
        for url in addresses_to_ask(listener) {
            match get(&url, path, listener, settings).await {
                Ok((status, body)) => return judge(status, &body, ready),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.context("no listener is configured")?)
}

/// What is bound, not what others are told: this asks on the same host.
pub(crate) fn addresses_to_ask(listener: &Listener) -> Vec<Url> {
    let everywhere = match listener.bind.host() {
        Some(url::Host::Ipv4(address)) if address.is_unspecified() => ["127.0.0.1"].as_slice(),
        // Where there is no IPv6 it is all addresses of IPv4.
        Some(url::Host::Ipv6(address)) if address.is_unspecified() => &["[::1]", "127.0.0.1"],
        Some(url::Host::Ipv4(_) | url::Host::Ipv6(_) | url::Host::Domain(_)) | None => {
            return vec![listener.bind.clone()];
        }
    };
    let at = |host: &&str| {
        let mut url = listener.bind.clone();
        // Cannot fail: the scheme takes a host.
        let _ = url.set_host(Some(host));
        url
    };
    everywhere.iter().map(at).collect()
}

/// The token goes to our own service only: over http to this machine, over https to who has the site's certificate.
async fn get(base: &Url, path: &str, listener: &Listener, settings: &Settings) -> Result<(u16, String)> {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    let connector = awc::Connector::new().timeout(DEADLINE).handshake_timeout(DEADLINE);
    let connector = match url.scheme() {
        "https" => connector.rustls_0_23(certificate::only(&settings.tls, &listener.url)?),
        _ if is_this_machine(&url) => connector,
        _ => bail!(
            "{url} is not asked: over http the ManagementToken is sent to a loopback address only; listen on one of \
             these, too, or with https"
        ),
    };
    let http = awc::Client::builder().connector(connector).timeout(DEADLINE).disable_redirects().finish();
    let authorization = format!("Bearer {}", settings.management_token.expose());
    let request = http.get(url.as_str()).insert_header(("Authorization", authorization));
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => bail!("cannot ask {url}: {error}"),
    };
    let body = response.body().await.with_context(|| format!("cannot read the answer of {url}"))?;
    Ok((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
}

/// Whether all addresses of the host are loopback addresses.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    let Ok(addresses) = url.socket_addrs(|| None) else { return false };
    !addresses.is_empty() && addresses.iter().all(|it| it.ip().is_loopback())
}

fn judge(status: u16, body: &str, ready: bool) -> Result<String> {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let errors = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let reasons: Vec<_> = answer["error"].as_str().into_iter().chain(errors).collect();
    let reason = if reasons.is_empty() { body.to_owned() } else { reasons.join("; ") };
    // Each path has a word of its own.
    let is_well = if ready { answer["ready"] == true } else { answer["health"] == "OK" };
    match status {
        200 if is_well => Ok("OK".to_owned()),
        // It answers, and nobody may ask it more.
        404 if !ready => Ok("alive (no ManagementToken is configured, so it does not tell more)".to_owned()),
        200 => bail!("{reason}"),
        _ => bail!("status {status}: {reason}"),
    }
}

pub(crate) mod certificate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_http_only_this_machine_is_asked() {
        for (url, expected) in [
            ("http://127.0.0.1:9006", true),
            ("http://localhost:9006", true),
            ("http://[::1]:9006", true),
            ("http://192.0.2.1:9006", false),
            ("http://0.0.0.0:9006", false),
        ] {
            assert_eq!(is_this_machine(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn all_addresses_are_asked_by_loopback() {
        let asked = |bind: &str| {
            let url = Url::parse(bind).unwrap();
            let urls = addresses_to_ask(&Listener { url: url.clone(), bind: url });
            urls.iter().map(Url::to_string).collect::<Vec<_>>()
        };
        assert_eq!(asked("http://0.0.0.0:1"), ["http://127.0.0.1:1/"]);
        assert_eq!(asked("http://[::]:1"), ["http://[::1]:1/", "http://127.0.0.1:1/"]);
        assert_eq!(asked("https://a:1"), ["https://a:1/"]);
    }

    #[test]
    fn only_ok_is_well() {
        assert!(judge(200, r#"{"health":"OK"}"#, false).is_ok());
        assert!(judge(200, r#"{"ready":true,"checks":{},"errors":[]}"#, true).is_ok());
        assert!(judge(200, r#"{"health":"OK"}"#, true).is_err(), "that is not what was asked");
        assert!(judge(404, "", false).is_ok());
        assert!(judge(404, "", true).is_err());
        let error = judge(200, r#"{"health":"ERROR","error":"no poll succeeded"}"#, false).unwrap_err();
        assert_eq!(error.to_string(), "no poll succeeded");
        let error = judge(503, r#"{"ready":false,"errors":["no poll", "no list"]}"#, true).unwrap_err();
        assert_eq!(error.to_string(), "status 503: no poll; no list");
    }
}

//! `health`: asks a running service on this host whether it is well. The Dockerfile's HEALTHCHECK.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dispatch_adapters::arvados;
use serde_json::Value;

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
        let url = format!("{}/{path}", address_to_ask(listener).trim_end_matches('/'));
        match get(&url, settings).await {
            Ok((status, body)) => return judge(status, &body, ready),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no listener is configured")?)
}

/// What is bound, not what others are told: this asks on the same host.
fn address_to_ask(listener: &Listener) -> String {
    let mut url = listener.bind.clone();
    let everywhere = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_unspecified().then_some("127.0.0.1"),
        Some(url::Host::Ipv6(address)) => address.is_unspecified().then_some("[::1]"),
        Some(url::Host::Domain(_)) | None => None,
    };
    if let Some(loopback) = everywhere {
        // Cannot fail: the scheme takes a host.
        let _ = url.set_host(Some(loopback));
    }
    url.into()
}

/// The certificate is our own, and names the service's host rather than this address: any will do.
async fn get(url: &str, settings: &Settings) -> Result<(u16, String)> {
    let http = arvados::http_client(true, DEADLINE).context("cannot make an http client")?;
    let authorization = format!("Bearer {}", settings.management_token.expose());
    let request = http.get(url).insert_header(("Authorization", authorization));
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => bail!("cannot ask {url}: {error}"),
    };
    let body = response.body().await.with_context(|| format!("cannot read the answer of {url}"))?;
    Ok((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

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

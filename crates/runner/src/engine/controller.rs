//! The three calls that a runner makes. A call that fails for a temporary reason is repeated.

use std::time::Duration;

use awc::http::StatusCode;
use dispatch_core::id::ContainerUuid;
use dispatch_core::secret::Secret;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::config::Config;
use super::tls;
use crate::{RunnerError, say};

/// The deadline of one call.
const CALL: Duration = Duration::from_secs(60);
/// The pause before a call is repeated for the first time. Each pause is twice as long as the one before, up
/// to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// An answer that is longer than this is an error.
const LARGEST_ANSWER: usize = 16 << 20;

/// A call to the controller. All of them may be repeated: setting the same state twice is no error there.
#[derive(Debug)]
pub(super) enum Call<'a> {
    /// Asks whose token it is.
    CurrentToken,
    /// Asks for the container's record.
    Container(&'a ContainerUuid),
    /// Changes the record.
    Update(&'a ContainerUuid, Value),
}

/// How a call failed.
#[derive(Debug)]
struct Failure {
    /// Whether the call may succeed if it is repeated: after no answer, 5xx, or 401 (which a database outage
    /// causes, too).
    is_temporary: bool,
    /// Whether the controller has refused the token.
    is_refused: bool,
    text: String,
}

/// What the controller says about our token.
#[derive(Debug)]
pub(super) enum TokenAnswer {
    /// It is a good one.
    Accepted,
    /// 401, with the text of the call.
    Refused(String),
    /// Nothing: there was no answer, or one about something else.
    Nothing,
}

/// A client of one controller with one token.
pub(super) struct Controller {
    client: awc::Client,
    base: String,
    token: Secret,
}

impl Controller {
    /// Prepares the client. It connects when it is first used.
    pub fn new(config: &Config) -> Result<Self, RunnerError> {
        let base = config.controller()?;
        // A redirect would send the token to another server.
        let builder = awc::Client::builder().timeout(CALL).disable_redirects();
        let client = if base.starts_with("https:") {
            let tls = tls::client_config(config.insecure())?;
            builder.connector(awc::Connector::new().rustls_0_23(tls)).finish()
        } else {
            builder.finish()
        };
        Ok(Self { client, base, token: config.token()? })
    }

    /// The answer to a call. While it fails for temporary reasons, it is repeated for up to that long.
    pub async fn call_with_retries(
        &self,
        retry_time: Duration,
        call: Call<'_>,
    ) -> Result<Value, RunnerError> {
        let give_up = Instant::now() + retry_time;
        let mut pause = FIRST_PAUSE;
        loop {
            match self.perform(&call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if !failure.is_temporary || Instant::now() + pause >= give_up => {
                    return Err(RunnerError::Controller(failure.text));
                }
                Err(failure) => say(&format!("{}; trying again in {pause:?}", failure.text)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks once whether our token is still good.
    pub async fn ask_about_token(&self) -> TokenAnswer {
        match self.perform(&Call::CurrentToken).await {
            Ok(_) => TokenAnswer::Accepted,
            Err(failure) if failure.is_refused => TokenAnswer::Refused(failure.text),
            Err(_) => TokenAnswer::Nothing,
        }
    }

    async fn perform(&self, call: &Call<'_>) -> Result<Value, Failure> {
        let path = match call {
            Call::CurrentToken => "/arvados/v1/api_client_authorizations/current".to_owned(),
            Call::Container(uuid) | Call::Update(uuid, _) => format!("/arvados/v1/containers/{uuid}"),
        };
        let url = format!("{}{path}", self.base);
        let failed = |is_temporary, reason: &dyn std::fmt::Display| {
            let verb = if matches!(call, Call::Update(..)) { "PUT" } else { "GET" };
            Failure { is_temporary, is_refused: false, text: format!("{verb} {url}: {reason}") }
        };
        let sent = match call {
            Call::CurrentToken => self.client.get(&url).bearer_auth(self.token.expose()).send(),
            Call::Container(_) => {
                let select =
                    [("select", r#"["uuid","state","locked_by_uuid","command","environment","cwd"]"#)];
                let request = self.client.get(&url).bearer_auth(self.token.expose()).query(&select);
                request.map_err(|error| failed(false, &error))?.send()
            }
            Call::Update(_, attributes) => {
                let form =
                    [("container", attributes.to_string()), ("select", r#"["uuid","state"]"#.to_owned())];
                self.client.put(&url).bearer_auth(self.token.expose()).send_form(&form)
            }
        };
        let mut response = sent.await.map_err(|error| failed(true, &error))?;
        let status = response.status();
        let body = response.body().limit(LARGEST_ANSWER).await.map_err(|error| failed(true, &error))?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
            let is_refused = status == StatusCode::UNAUTHORIZED;
            let failure = failed(status.is_server_error() || is_refused, &format_args!("{status} {text}"));
            return Err(Failure { is_refused, ..failure });
        }
        serde_json::from_slice(&body).map_err(|error| failed(true, &error))
    }
}

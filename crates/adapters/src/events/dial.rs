//! Connects: TCP, TLS and the websocket's handshake, to the first of the URLs that takes us.

use std::fmt::Write;
use std::time::Duration;

use actix_codec::Framed;
use awc::error::{ConnectError, SendRequestError, WsClientError};
use awc::{BoxedSocket, Connector};
use dispatch_core::secret::Secret;
use url::Url;
use zeroize::Zeroizing;

use super::OpenError;
use super::frames::{Bounded, Frames, LONGEST};
use crate::tls;

/// How much of a library's text about a failure is repeated, in characters.
const LONGEST_TEXT: usize = 200;

/// Knows where the service is, and our token.
pub(super) struct Dialer {
    http: awc::Client,
    urls: Vec<Url>,
    token: Secret,
    timeout: Duration,
}

impl Dialer {
    pub fn new(
        mut urls: Vec<Url>,
        token: Secret,
        insecure: bool,
        timeout: Duration,
    ) -> Result<Self, OpenError> {
        if urls.is_empty() {
            return Err(OpenError::NoUrl);
        }
        for url in &mut urls {
            if !matches!(url.scheme(), "ws" | "wss") || !url.has_host() {
                return Err(OpenError::BadUrl(shown(url)));
            }
            url.set_fragment(None);
        }
        let connector = Connector::new().timeout(timeout).handshake_timeout(timeout);
        let is_tls = urls.iter().any(|url| url.scheme() == "wss");
        let connector = if is_tls { connector.rustls_0_23(tls::config(insecure)?) } else { connector };
        let http = awc::Client::builder().connector(connector).timeout(timeout).disable_redirects().finish();
        Ok(Self { http, urls, token, timeout })
    }

    /// Tries one URL after the other.
    ///
    /// # Errors
    /// For people: why none of them took us.
    pub async fn dial(&self) -> Result<Frames<BoxedSocket>, String> {
        let mut reasons = String::new();
        for url in &self.urls {
            match self.connect(url).await {
                Ok(link) => return Ok(Frames::new(link)),
                Err(reason) => {
                    let comma = if reasons.is_empty() { "" } else { "; " };
                    let _ = write!(reasons, "{comma}{}: {reason}", shown(url));
                }
            }
        }
        Err(reasons)
    }

    async fn connect(&self, url: &Url) -> Result<Framed<BoxedSocket, Bounded>, String> {
        let secret = self.with_token(url);
        let connecting = self.http.ws(secret.as_str()).max_frame_size(LONGEST).connect();
        // awc's own deadline begins anew with the handshake's answer.
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let (_, link) = connected.map_err(|_| self.no_answer())?.map_err(|error| self.reason(&error))?;
        Ok(link.into_map_codec(Bounded))
    }

    /// The service reads no header: the token must be in the query, and so this text is a secret.
    fn with_token(&self, url: &Url) -> Zeroizing<String> {
        let (url, token) = (url.as_str(), self.token.expose());
        // With room for all of it, so that it never moves and leaves a copy behind.
        let mut text = Zeroizing::new(String::with_capacity(url.len() + 16 + 3 * token.len()));
        text.push_str(url);
        text.push_str(if url.contains('?') { "&api_token=" } else { "?api_token=" });
        text.extend(form_urlencoded::byte_serialize(token.as_bytes()));
        text
    }

    fn no_answer(&self) -> String {
        format!("no answer in {} s", self.timeout.as_secs_f64())
    }

    /// Nothing that the server has written is repeated, and nothing that may contain the URL.
    fn reason(&self, error: &WsClientError) -> String {
        match error {
            WsClientError::InvalidResponseStatus(status) => format!("answered {status}, not as a websocket"),
            WsClientError::SendRequest(SendRequestError::Timeout)
            | WsClientError::SendRequest(SendRequestError::Connect(ConnectError::Timeout)) => {
                self.no_answer()
            }
            WsClientError::SendRequest(SendRequestError::Connect(ConnectError::Disconnected)) => {
                "closed the connection without an answer".into()
            }
            WsClientError::SendRequest(SendRequestError::Connect(error)) => cut(&error.to_string()),
            WsClientError::SendRequest(SendRequestError::Send(error)) => {
                format!("connection broke: {}", error.kind())
            }
            WsClientError::SendRequest(SendRequestError::Response(_)) => "answered no HTTP".into(),
            WsClientError::SendRequest(_) => "cannot be asked".into(),
            _ => "answered, but not as a websocket".into(),
        }
    }
}

/// What may be shown of a URL: no user, no password, no query.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

//! The controller over HTTP: [`Client`] behind `ports::ArvadosApi`.
//!
//! ```text
//!   question ── request ──→ method, path, parameters ── Client::call ──→ the controller
//!                                                            │
//!   records  ←── decode ←── json ←── body  (2xx) ────────────┤
//!   ApiError ←── failure ←── status, or how it broke ────────┘
//! ```
//! One method is one HTTP call within one deadline. Calls are never repeated here: whether to ask again is
//! decided in the core. Only the status of an answer is evaluated; the server's text is for people.

mod decode;
mod failure;
mod json;
mod request;

use std::time::Duration;

use async_trait::async_trait;
use awc::Connector;
use awc::http::header;
use dispatch_core::container::{MountNeeds, Record, Standing};
use dispatch_core::id::{ContainerRequestUuid, ContainerUuid, TokenUuid};
use dispatch_core::ports::{ApiError, ApiErrorKind, ArvadosApi, ListQuestion, Page};
use dispatch_core::secret::Secret;
use url::Url;

use crate::tls::{self, NoAuthorities};
use request::Request;

/// A page of a thousand records has a few megabytes. A longer body is an error.
const LONGEST_BODY: usize = 64 << 20;

/// What a [`Client`] is made from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The scheme (`http://` or `https://`), the host and the port.
    pub base_url: Url,
    /// The token is sent with each call, and never shown.
    pub token: Secret,
    /// Whether any certificate is accepted.
    pub insecure: bool,
    /// The deadline of each call, from the first byte sent to the last byte received.
    pub timeout: Duration,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is neither http nor https, or has no host.
    #[error("`{0}` is not an http or https URL")]
    BadUrl(String),
    /// This system has no certificate authorities.
    #[error(transparent)]
    NoAuthorities(#[from] NoAuthorities),
    /// The token contains characters that cannot be sent.
    #[error("token has characters that a header cannot carry")]
    BadToken,
}

/// The controller, through awc. The client is not `Send`: it must be made and used on the arbiter.
pub struct Client {
    http: awc::Client,
    /// The scheme, the host and the port.
    origin: String,
    /// The path of the base URL, without a slash at its end.
    prefix: String,
    token: Secret,
    timeout: Duration,
}

/// An answer with a good status.
struct Answer {
    status: u16,
    body: String,
    request_id: String,
}

/// A plain HTTP client with our TLS settings, for calls to other services of the site.
///
/// # Errors
/// If this system has no certificate authorities.
pub fn http_client(insecure: bool, timeout: Duration) -> Result<awc::Client, ClientError> {
    let connector = Connector::new().timeout(timeout).handshake_timeout(timeout);
    let connector = connector.rustls_0_23(tls::config(insecure)?);
    Ok(awc::Client::builder().connector(connector).timeout(timeout).disable_redirects().finish())
}

impl Client {
    /// Prepares the client. It connects when it is first used.
    ///
    /// # Errors
    /// If the URL is not http(s), the token cannot be sent, or this system has no certificate authorities.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let url = &options.base_url;
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !is_http {
            return Err(ClientError::BadUrl(url.to_string()));
        }
        let authorization = Secret::new(["Bearer ", options.token.expose()].concat());
        let mut authorization = header::HeaderValue::from_maybe_shared(authorization.to_bytes())
            .map_err(|_| ClientError::BadToken)?;
        authorization.set_sensitive(true);
        let connector = Connector::new().timeout(options.timeout).handshake_timeout(options.timeout);
        let connector = match url.scheme() {
            "https" => connector.rustls_0_23(tls::config(options.insecure)?),
            _ => connector,
        };
        let http = awc::Client::builder()
            .connector(connector)
            .timeout(options.timeout)
            .disable_redirects()
            .add_default_header((header::AUTHORIZATION, authorization))
            .add_default_header((header::ACCEPT, "application/json"))
            .finish();
        Ok(Self {
            http,
            origin: url.origin().ascii_serialization(),
            prefix: url.path().trim_end_matches('/').to_owned(),
            token: options.token,
            timeout: options.timeout,
        })
    }

    /// Makes one HTTP call within the deadline. A status other than 2xx is an error.
    async fn call(&self, request: &Request) -> Result<Answer, ApiError> {
        let request_id = new_request_id();
        let exchange = tokio::time::timeout(self.timeout, self.exchange(request, &request_id));
        let (status, body) = exchange.await.unwrap_or_else(|_| {
            let text = format!("no answer in {} s", self.timeout.as_secs_f64());
            Err(self.error(request, &request_id, ApiErrorKind::Timeout, None, &text))
        })?;
        if (200..300).contains(&status) {
            return Ok(Answer { status, body, request_id });
        }
        let text = failure::server_text(&body, &self.token);
        Err(self.error(request, &request_id, failure::kind_of_status(status), Some(status), &text))
    }

    async fn exchange(&self, request: &Request, request_id: &str) -> Result<(u16, String), ApiError> {
        let encoded = request.encode(&self.prefix);
        let url = format!("{}{}", self.origin, encoded.path_and_query);
        let mut http = self.http.request(encoded.method, url).insert_header(("X-Request-Id", request_id));
        if encoded.is_get_sent_as_post {
            http = http.insert_header(("X-Http-Method-Override", "GET"));
        }
        let sending = match encoded.form {
            Some(form) => http.content_type("application/x-www-form-urlencoded").send_body(form),
            None => http.send(),
        };
        let mut response = sending.await.map_err(|error| {
            self.error(request, request_id, failure::kind_of_send(&error), None, &error.to_string())
        })?;
        let status = response.status().as_u16();
        match response.body().limit(LONGEST_BODY).await {
            Ok(body) if response.status().is_success() && is_cut(&response, body.len()) => {
                let kind = ApiErrorKind::Connection;
                Err(self.error(
                    request,
                    request_id,
                    kind,
                    Some(status),
                    "the connection broke within the answer",
                ))
            }
            // Bytes that are not UTF-8 can only be part of a text. They must not make the rest undecodable.
            Ok(body) => Ok((status, String::from_utf8_lossy(&body).into_owned())),
            // The status of an error says enough without a body. A good status without its body is an error.
            Err(_) if !response.status().is_success() => Ok((status, String::new())),
            Err(error) => {
                let kind = failure::kind_of_body(&error);
                Err(self.error(request, request_id, kind, Some(status), &error.to_string()))
            }
        }
    }

    /// The error text `METHOD PATH: status: text (request id)`, as far as these parts are known.
    fn error(
        &self,
        request: &Request,
        request_id: &str,
        kind: ApiErrorKind,
        status: Option<u16>,
        text: &str,
    ) -> ApiError {
        let call = format!("{} /arvados/v1/{}", request.method, request.path);
        let status_text = status.map(|status| format!(": status {status}")).unwrap_or_default();
        let text = if text.is_empty() { String::new() } else { format!(": {text}") };
        let id = if text.contains(request_id) { String::new() } else { format!(" ({request_id})") };
        let message = failure::without(&format!("{call}{status_text}{text}{id}"), &self.token);
        ApiError { kind, status, message, request_id: request_id.to_owned() }
    }

    /// The error for an answer that has a good status but not the expected content.
    fn malformed(&self, request: &Request, answer: &Answer, problem: &str) -> ApiError {
        self.error(request, &answer.request_id, ApiErrorKind::Malformed, Some(answer.status), problem)
    }

    async fn page<T>(&self, request: Request, decoder: decode::Decoder<T>) -> Result<Page<T>, ApiError> {
        let answer = self.call(&request).await?;
        decode::page(&answer.body, decoder).map_err(|problem| self.malformed(&request, &answer, &problem))
    }

    async fn one<T>(&self, request: &Request, decoder: decode::Decoder<T>) -> Result<(T, Answer), ApiError> {
        let answer = self.call(request).await?;
        let decoded = decode::one(&answer.body, decoder);
        decoded.map_err(|problem| self.malformed(request, &answer, &problem)).map(|it| (it, answer))
    }

    /// The answer to an update. It must be about the container that was asked for.
    async fn standing(&self, uuid: ContainerUuid, request: &Request) -> Result<Standing, ApiError> {
        let ((theirs, standing), answer) = self.one(request, decode::standing).await?;
        self.check_uuid(uuid, theirs, request, &answer)?;
        Ok(standing)
    }

    fn check_uuid(
        &self,
        ours: ContainerUuid,
        theirs: ContainerUuid,
        request: &Request,
        answer: &Answer,
    ) -> Result<(), ApiError> {
        if ours == theirs {
            return Ok(());
        }
        Err(self.malformed(request, answer, &format!("uuid: expected {ours}, found {theirs}")))
    }
}

#[async_trait(?Send)]
impl ArvadosApi for Client {
    async fn current_token(&self) -> Result<TokenUuid, ApiError> {
        Ok(self.one(&Request::current_token(), decode::token).await?.0)
    }

    async fn list(&self, question: &ListQuestion) -> Result<Page<Record>, ApiError> {
        self.page(Request::list(question), decode::record).await
    }

    async fn mounts(&self, uuids: &[ContainerUuid]) -> Result<Page<(ContainerUuid, MountNeeds)>, ApiError> {
        self.page(Request::mounts(uuids), decode::mounts).await
    }

    async fn requests_of(
        &self,
        uuids: &[ContainerUuid],
    ) -> Result<Page<(ContainerUuid, ContainerRequestUuid)>, ApiError> {
        self.page(Request::requests_of(uuids), decode::container_request).await
    }

    async fn get(&self, uuid: ContainerUuid) -> Result<Record, ApiError> {
        let request = Request::get(uuid);
        let (record, answer) = self.one(&request, decode::record).await?;
        self.check_uuid(uuid, record.uuid, &request, &answer)?;
        Ok(record)
    }

    async fn lock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.standing(uuid, &Request::lock(uuid)).await
    }

    async fn unlock(&self, uuid: ContainerUuid) -> Result<Standing, ApiError> {
        self.standing(uuid, &Request::unlock(uuid)).await
    }

    async fn cancel(&self, uuid: ContainerUuid, error: Option<&str>) -> Result<Standing, ApiError> {
        self.standing(uuid, &Request::cancel(uuid, error)).await
    }
}

/// Whether the body is shorter than announced: awc takes a closed connection for the end of the body.
fn is_cut<S>(response: &awc::ClientResponse<S>, length: usize) -> bool {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let announced = header(header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    header(header::CONTENT_ENCODING).is_none() && announced.is_some_and(|announced: usize| length < announced)
}

/// `req-` and 20 characters of 0-9a-z.
fn new_request_id() -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let digit = |_| char::from(DIGITS[rand::random_range(0..DIGITS.len())]);
    format!("req-{}", (0..20).map(digit).collect::<String>())
}

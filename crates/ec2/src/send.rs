//! One call: signed, sent once, its answer read within a deadline and a limit. No retries, no redirects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::header;
use awc::{Client, Connector};
use dispatch_core::secret::Secret;
use dispatch_core::time::Timestamp;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::answer::{self, Malformed, error::Refusal};
use crate::clock;
use crate::credentials::Source;
use crate::driver::OpenError;
use crate::endpoint::Endpoint;
use crate::environment;
use crate::errors::{self, Failure, Meaning};
use crate::metrics;
use crate::request::Request;
use crate::sign;

/// The code of a call that had no connection, or lost it. Of kind `Other` it was never sent.
pub const NO_CONNECTION: &str = "connection";
/// A page of a thousand instances with fifty tags each is 10 MB.
const LONGEST_BODY: usize = 64 << 20;
/// How long a connection may take; a call that has none was not sent.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What came back.
struct Answer {
    status: u16,
    /// The server's clock.
    date: Option<Timestamp>,
    body: Vec<u8>,
}

/// Sends calls to one endpoint.
pub(crate) struct Sender {
    http: Client,
    endpoint: Endpoint,
    credentials: Source,
    deadline: Duration,
    errors: metrics::Errors,
}

impl Sender {
    /// Sends nothing yet. `deadline`: of each call, its connection and its whole answer.
    pub fn new(
        endpoint: Endpoint,
        credentials: Source,
        deadline: Duration,
        errors: metrics::Errors,
    ) -> Result<Self, OpenError> {
        let connector = Connector::new().timeout(CONNECT_WITHIN).handshake_timeout(CONNECT_WITHIN);
        let connector = match endpoint.url.scheme() {
            "https" => connector.rustls_0_23(tls()?),
            _ => connector,
        };
        let http = Client::builder()
            .connector(connector)
            .timeout(deadline)
            .disable_redirects()
            .add_default_header((header::ACCEPT_ENCODING, "identity"))
            .finish();
        Ok(Self { http, endpoint, credentials, deadline, errors })
    }

    /// The whole answer, of a good status; what is in it is the caller's to check.
    async fn send(&self, request: &Request) -> Result<String, Failure> {
        let now = sign::system_time();
        let called = async {
            let credentials = self.credentials.get(now).await?;
            let token = Secret::new(credentials.session_token().unwrap_or_default());
            let secrets = [request.secrets(), &[token]].concat();
            let body = request.form();
            let headers = sign::headers(&self.endpoint, &body, &credentials, now)?;
            let exchange = tokio::time::timeout(self.deadline, self.exchange(headers, body));
            let answer = exchange.await.unwrap_or_else(|_| Err(self.too_late()))?;
            let date = answer.date;
            judge(answer.status, answer.body, &secrets).map_err(|failure| with_skew(failure, now, date))
        };
        called.await.map_err(|failure| {
            // Others may serve better; that we may not do something does not make us somebody else.
            if failure.speaks_of_credentials() {
                self.credentials.forget();
            }
            named(failure, request)
        })
    }

    /// Reads an answer with `reader`; one that cannot be read may have come after the deed. Failures are counted.
    pub async fn call<T>(
        &self,
        request: &Request,
        reader: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Result<T, Failure> {
        let answer = self.send(request).await.and_then(|body| {
            reader(&body).map_err(|error| {
                let text = format!("an answer that is none: {error}");
                named(Failure::ours(Meaning::Unknown, "malformed", text), request)
            })
        });
        answer.inspect_err(|failure| self.errors.failed(request.action, failure))
    }

    /// A call whose answer says nothing but that it was done.
    pub async fn done(&self, request: &Request) -> Result<(), Failure> {
        self.call(request, |body| answer::check(request.action, body)).await
    }

    async fn exchange(&self, headers: Vec<(String, String)>, body: String) -> Result<Answer, Failure> {
        let mut call = self.http.post(self.endpoint.url.as_str()).content_type(sign::CONTENT_TYPE);
        for header in headers {
            call = call.insert_header(header);
        }
        let mut response = call.send_body(body).await.map_err(|error| self.unsent(&error))?;
        let status = response.status().as_u16();
        let date = response.headers().get(header::DATE).and_then(|it| clock::read(it.to_str().ok()?));
        match response.body().limit(LONGEST_BODY).await {
            Ok(body) => Ok(Answer { status, date, body: body.to_vec() }),
            // The status of a refusal says enough; a good one without its body says nothing.
            Err(_) if !response.status().is_success() => Ok(Answer { status, date, body: Vec::new() }),
            Err(error) => Err(unread(&error)),
        }
    }

    fn too_late(&self) -> Failure {
        let text = format!("no answer within {} s", self.deadline.as_secs_f64());
        Failure::ours(Meaning::Unknown, "timeout", text)
    }

    /// Without a connection nothing was sent; after that nobody knows.
    fn unsent(&self, error: &SendRequestError) -> Failure {
        let text = format!("{error} ({})", self.endpoint.url.host_str().unwrap_or_default());
        match error {
            SendRequestError::Timeout => self.too_late(),
            // By that name awc tells of a server that hangs up instead of answering.
            SendRequestError::Connect(ConnectError::Disconnected | ConnectError::H2(_)) => {
                Failure::ours(Meaning::Unknown, NO_CONNECTION, text)
            }
            SendRequestError::Connect(_) | SendRequestError::Url(_) => {
                Failure::ours(Meaning::Other, NO_CONNECTION, text)
            }
            _ => Failure::ours(Meaning::Unknown, NO_CONNECTION, text),
        }
    }
}

/// A body that could not be read to its end.
fn unread(error: &PayloadError) -> Failure {
    match error {
        PayloadError::Overflow => {
            let text = format!("the answer is longer than {} MiB", LONGEST_BODY >> 20);
            Failure::ours(Meaning::Unknown, "too_long", text)
        }
        _ => Failure::ours(Meaning::Unknown, NO_CONNECTION, format!("the answer broke off: {error}")),
    }
}

/// A good answer's text, or what a refusal means; it is told without these secrets.
fn judge(status: u16, body: Vec<u8>, secrets: &[Secret]) -> Result<String, Failure> {
    let text = String::from_utf8(body);
    if (200..300).contains(&status) {
        return text.map_err(|_| Failure::ours(Meaning::Unknown, "malformed", "an answer that is not UTF-8"));
    }
    let text = text.unwrap_or_default();
    let Some(Refusal { code, message, request_id }) = answer::error::read(&text) else {
        let text = format!("status {status}, without an error code of EC2's");
        return Err(Failure::ours(errors::by_status(status), &format!("http_{status}"), text));
    };
    let meaning = errors::meaning(&code, &message, status);
    let [message, id] = [message, request_id].map(|words| errors::repeatable(words, secrets));
    let id = if id.is_empty() { String::new() } else { format!(" (request {id})") };
    Err(Failure { meaning, message: format!("{code}: {message}{id}"), code })
}

/// A clock that is wrong looks like wrong keys: EC2 says that a signature has expired, or is none.
fn with_skew(failure: Failure, now: SystemTime, date: Option<Timestamp>) -> Failure {
    match date.and_then(|date| clock::skew(now, date)).filter(|_| failure.meaning == Meaning::Unauthorized) {
        Some(skew) => Failure { message: format!("{}; {skew}", failure.message), ..failure },
        None => failure,
    }
}

/// Says which call it was.
fn named(failure: Failure, request: &Request) -> Failure {
    Failure { message: format!("{}: {}", request.action.as_str(), failure.message), ..failure }
}

/// The system's authorities, and those that the site added; or those of `AWS_CA_BUNDLE` and no others, as all of AWS's
/// clients understand it.
pub(crate) fn tls() -> Result<Arc<ClientConfig>, OpenError> {
    let mut roots = RootCertStore::empty();
    match environment::ca_bundle() {
        Some(path) => {
            let failed = |why: String| OpenError::Bundle { path: path.clone(), why };
            let pem = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            roots.add_parsable_certificates(all.map_err(|error| failed(error.to_string()))?);
            if roots.is_empty() {
                return Err(failed("no certificate of an authority in it".to_owned()));
            }
        }
        None => {
            let found = dispatch_authorities::load();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let first = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
                return Err(OpenError::NoAuthorities(first));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

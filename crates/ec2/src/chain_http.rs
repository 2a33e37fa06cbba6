//! HTTP for the default chain of credentials: metadata service and STS are called by awc, as EC2 is.
//!
//! ```text
//!   aws-config, any thread ── Call ──► the task of this thread ── awc ──► metadata service, STS
//!            ▲                                 │
//!            └──────────── answer ─────────────┘
//! ```
//! The SDK wants futures that may move between threads, and awc's may not. Its own HTTP client would be a second
//! stack (hyper, tower, another HTTP/2) for a few calls an hour.

use std::str::FromStr as _;
use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use awc::http::Method;
use awc::{Client, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use tokio::sync::{mpsc, oneshot};

use crate::send;

/// Keys and tokens are far shorter.
const LONGEST_BODY: usize = 1 << 20;
/// What the chain does not say, as a whole it is waited for no longer than [`crate::credentials`] says.
const WITHIN: Duration = Duration::from_secs(10);

/// A request on its way to this thread.
struct Call {
    request: HttpRequest,
    timeouts: Timeouts,
    answer: oneshot::Sender<Result<HttpResponse, ConnectorError>>,
}

#[derive(Debug, Clone, Copy)]
struct Timeouts {
    connect: Duration,
    /// Until the answer begins.
    read: Duration,
}

impl From<&HttpConnectorSettings> for Timeouts {
    fn from(settings: &HttpConnectorSettings) -> Self {
        let [connect, read] = [settings.connect_timeout(), settings.read_timeout()];
        Self { connect: connect.unwrap_or(WITHIN), read: read.unwrap_or(WITHIN) }
    }
}

/// A client for `aws-config`. Its calls are made by a task of the current arbiter, which ends with the last clone.
pub(crate) fn client() -> SharedHttpClient {
    let (calls, mut waiting) = mpsc::unbounded_channel::<Call>();
    tokio::task::spawn_local(async move {
        while let Some(call) = waiting.recv().await {
            // The calls do not wait for each other; each ends by its deadlines.
            tokio::task::spawn_local(perform(call));
        }
    });
    http_client_fn(move |settings, _| {
        SharedHttpConnector::new(Bridge { calls: calls.clone(), timeouts: settings.into() })
    })
}

/// The SDK's end.
#[derive(Debug)]
struct Bridge {
    calls: mpsc::UnboundedSender<Call>,
    timeouts: Timeouts,
}

impl HttpConnector for Bridge {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, answered) = oneshot::channel();
        let sent = self.calls.send(Call { request, timeouts: self.timeouts, answer });
        HttpConnectorFuture::new(async move {
            let gone = || ConnectorError::other("the thread of the HTTP client has ended".into(), None);
            sent.map_err(|_| gone())?;
            answered.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

/// Our end.
async fn perform(call: Call) {
    let Call { request, timeouts, answer } = call;
    // The caller may have given up.
    let _ = answer.send(exchange(&request, timeouts).await);
}

async fn exchange(request: &HttpRequest, timeouts: Timeouts) -> Result<HttpResponse, ConnectorError> {
    let user = |text: String| ConnectorError::user(text.into());
    let method = Method::from_str(request.method()).map_err(|error| user(error.to_string()))?;
    let body = request.body().bytes().ok_or_else(|| user("a body that is not in memory".to_owned()))?;
    let mut call = http(request.uri(), timeouts)?.request(method, request.uri()).no_decompress();
    for header in request.headers() {
        call = call.append_header(header);
    }
    let sending = tokio::time::timeout(timeouts.read, call.send_body(body.to_vec()));
    let late = || ConnectorError::timeout(format!("no answer within {:?}", timeouts.read).into());
    let mut response = sending.await.map_err(|_| late())?.map_err(|error| unsent(&error))?;
    let reading = tokio::time::timeout(WITHIN, response.body().limit(LONGEST_BODY));
    let body = reading.await.map_err(|_| late())?;
    let body = body.map_err(|error| ConnectorError::io(error.to_string().into()))?;
    let status =
        response.status().as_u16().try_into().map_err(|_| user("a status that is none".to_owned()))?;
    let mut answer = HttpResponse::new(status, body.into());
    for (name, value) in response.headers() {
        // A header that is no text is none that the chain reads.
        let Ok(value) = value.to_str() else { continue };
        answer.headers_mut().append(name.to_string(), value.to_owned());
    }
    Ok(answer)
}

/// A client for one call: there are few calls, and each kind has timeouts of its own.
fn http(uri: &str, timeouts: Timeouts) -> Result<Client, ConnectorError> {
    let connector = Connector::new().timeout(timeouts.connect).handshake_timeout(timeouts.connect);
    let connector = match uri.starts_with("https:") {
        true => {
            let tls = send::tls().map_err(|error| ConnectorError::user(error.to_string().into()))?;
            connector.rustls_0_23(tls)
        }
        false => connector,
    };
    Ok(Client::builder().connector(connector).disable_timeout().disable_redirects().finish())
}

fn unsent(error: &SendRequestError) -> ConnectorError {
    let text = error.to_string().into();
    match error {
        SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => {
            ConnectorError::timeout(text)
        }
        SendRequestError::Url(_) => ConnectorError::user(text),
        _ => ConnectorError::io(text),
    }
}

#[cfg(test)]
mod tests {
    use dispatch_sim::stub::{Reply, Stub};

    use super::*;

    async fn called(uri: &str, read: Duration) -> Result<HttpResponse, ConnectorError> {
        let mut request = HttpRequest::get(uri).unwrap();
        request.headers_mut().insert("x-a-header", "its value");
        exchange(&request, Timeouts { connect: read, read }).await
    }

    #[actix_rt::test]
    async fn status_headers_and_body_come_back_whatever_they_say() {
        let stub = Stub::start(None).unwrap();
        let raw = "HTTP/1.1 418 Teapot\r\nX-Kind: short and stout\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
        stub.next("GET /tea", Reply::Raw(raw.to_owned()));
        let answer = called(&format!("{}/tea", stub.endpoint), WITHIN).await.unwrap();
        assert_eq!(answer.status().as_u16(), 418);
        assert_eq!(answer.headers().get("x-kind"), Some("short and stout"));
        assert_eq!(answer.body().bytes(), Some(b"abc".as_slice()));
    }

    #[actix_rt::test]
    async fn nobody_there_is_an_error_of_the_connection_and_silence_a_timeout() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        // It accepts, and says nothing.
        let silent = called(&format!("http://{address}/"), Duration::from_millis(200)).await.unwrap_err();
        assert!(silent.is_timeout(), "{silent}");
        drop(free);
        let refused = called(&format!("http://{address}/"), WITHIN).await.unwrap_err();
        assert!(refused.is_io(), "{refused}");
    }
}

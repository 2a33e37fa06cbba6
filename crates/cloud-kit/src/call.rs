//! One call over HTTP: sent once, and answered within a deadline and a limit, or not. No retries, no redirects, no proxy.
//!
//! ```text
//!   Outgoing ─ connect ─┬─ no connection ────────────────────────► Failure: Other, it was not sent
//!                       └─ sent ─┬─ an answer, good or not ──────► Answer
//!                                └─ none in time, cut, too long ─► Failure: Unknown, it may have taken effect
//! ```

use std::sync::Arc;
use std::time::Duration;

use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::header::{self, HeaderMap};
use awc::{Client, Connector};
use dispatch_core::ports::{CloudError, CloudErrorKind};
use rustls::ClientConfig;
use url::Url;

use crate::answer::Answer;
use crate::failure::{Failure, Meaning};

pub use awc::http::Method;

/// The code of a call that had no connection, or lost it. Of meaning `Other` it was never sent.
pub const NO_CONNECTION: &str = "connection";
/// Whether a call failed because it was not even sent: there was no connection to the cloud.
pub fn never_arrived(error: &CloudError) -> bool {
    error.kind == CloudErrorKind::Other && error.code == NO_CONNECTION
}

/// A page of a thousand instances with fifty tags each is 10 MB.
const LONGEST_BODY: usize = 64 << 20;
/// How long a connection may take; a call that has none was not sent.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A call to be sent.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// What is done there.
    pub method: Method,
    /// Where.
    pub url: &'a Url,
    /// All headers but those of the connection.
    pub headers: Vec<(String, String)>,
    /// What is told; empty = nothing.
    pub body: String,
}

/// Sends calls, each on its own.
pub struct Http {
    client: Client,
    deadline: Duration,
}

impl Http {
    /// Sends nothing yet. `deadline`: of each call, its connection and its whole answer. `tls`: whom to believe; without
    /// it, https is not spoken.
    pub fn new(deadline: Duration, tls: Option<Arc<ClientConfig>>) -> Self {
        let connector = Connector::new().timeout(CONNECT_WITHIN).handshake_timeout(CONNECT_WITHIN);
        let connector = match tls {
            Some(tls) => connector.rustls_0_23(tls),
            None => connector,
        };
        let client = Client::builder()
            .connector(connector)
            .timeout(deadline)
            .disable_redirects()
            // What is unpacked is longer than what was read: the limit is of the latter.
            .add_default_header((header::ACCEPT_ENCODING, "identity"))
            .finish();
        Self { client, deadline }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// If there is none: of meaning [`Meaning::Other`] the call was not sent.
    pub async fn send(&self, call: Outgoing<'_>) -> Result<Answer, Failure> {
        let host = call.url.host_str().unwrap_or_default().to_owned();
        let exchange = tokio::time::timeout(self.deadline, self.exchange(call, &host));
        exchange.await.unwrap_or_else(|_| Err(self.too_late()))
    }

    async fn exchange(&self, call: Outgoing<'_>, host: &str) -> Result<Answer, Failure> {
        // A question has no body, not even an empty one; of anything else servers want to know its length.
        let is_question = call.method == Method::GET && call.body.is_empty();
        let mut request = self.client.request(call.method, call.url.as_str());
        for header in call.headers {
            request = request.insert_header(header);
        }
        let sending = if is_question { request.send() } else { request.send_body(call.body) };
        let mut response = sending.await.map_err(|error| self.unsent(&error, host))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        match response.body().limit(LONGEST_BODY).await {
            Ok(body) if !is_cut(&headers, body.len()) => Ok(Answer { status, headers, body: body.to_vec() }),
            // The status of a refusal says enough; a good one without its body says nothing.
            _ if !response.status().is_success() => Ok(Answer { status, headers, body: Vec::new() }),
            Ok(_) => Err(broke_off("it is shorter than was announced")),
            Err(error) => Err(unread(&error)),
        }
    }

    fn too_late(&self) -> Failure {
        let text = format!("no answer within {} s", self.deadline.as_secs_f64());
        Failure::ours(Meaning::Unknown, "timeout", text)
    }

    /// Without a connection nothing was sent; after that nobody knows.
    fn unsent(&self, error: &SendRequestError, host: &str) -> Failure {
        let text = format!("{error} ({host})");
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

/// awc takes the end of a connection for the end of a body. Of a body without an announced length only its reader can
/// tell.
fn is_cut(headers: &HeaderMap, length: usize) -> bool {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let is_as_sent = !headers.contains_key(header::CONTENT_ENCODING);
    is_as_sent && announced.is_some_and(|announced: usize| announced != length)
}

fn broke_off(why: impl std::fmt::Display) -> Failure {
    Failure::ours(Meaning::Unknown, NO_CONNECTION, format!("the answer broke off: {why}"))
}

/// A body that could not be read to its end.
fn unread(error: &PayloadError) -> Failure {
    match error {
        PayloadError::Overflow => {
            let text = format!("the answer is longer than {} MiB", LONGEST_BODY >> 20);
            Failure::ours(Meaning::Unknown, "too_long", text)
        }
        _ => broke_off(error),
    }
}

#[cfg(test)]
mod tests {
    use dispatch_sim::stub::{Reply, Stub};

    use super::*;

    /// What became of a call to a path of that server.
    async fn called(endpoint: &str, within: Duration) -> Result<Answer, Failure> {
        let url = Url::parse(&format!("{endpoint}/x")).unwrap();
        let headers = vec![("x-a-header".to_owned(), "its value".to_owned())];
        let call = Outgoing { method: Method::GET, url: &url, headers, body: String::new() };
        Http::new(within, None).send(call).await
    }

    async fn after(reply: Reply) -> Result<Answer, Failure> {
        let stub = Stub::start(None).unwrap();
        stub.next("GET /x", reply);
        called(&stub.endpoint, Duration::from_millis(1500)).await
    }

    #[actix_rt::test]
    async fn every_whole_answer_comes_back_with_its_headers_and_no_redirect_is_followed() {
        let raw = |status: &str| {
            Reply::Raw(format!(
                "HTTP/1.1 {status}\r\nLocation: /y\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 2\r\n\r\nab"
            ))
        };
        for (status, number) in [("200 OK", 200), ("302 Found", 302), ("418 Teapot", 418), ("503 No", 503)] {
            let answer = after(raw(status)).await.unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (number, b"ab".as_slice()));
            assert_eq!(answer.header("location"), Some("/y"));
            assert_eq!(answer.retry_after(), Some(Duration::from_secs(3)));
        }
    }

    #[actix_rt::test]
    async fn what_was_sent_and_not_answered_as_a_whole_may_have_taken_effect() {
        let text = "a text that is long enough to be cut".to_owned();
        for reply in [Reply::HangUp, Reply::Cut(text), Reply::Silence, Reply::Endless] {
            let failure = after(reply.clone()).await.unwrap_err();
            assert_eq!(failure.meaning, Meaning::Unknown, "{reply:?}: {failure:?}");
        }
    }

    #[actix_rt::test]
    async fn without_a_connection_nothing_was_sent() {
        let closed = Stub::start(None).unwrap().endpoint.clone();
        let failure = called(&closed, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!((&failure.meaning, failure.code.as_str()), (&Meaning::Other, NO_CONNECTION));
        assert!(failure.message.contains("(127.0.0.1)"), "{}", failure.message);
        assert!(never_arrived(&failure.into_cloud_error()));
        let cut = after(Reply::HangUp).await.unwrap_err();
        assert!(cut.code == NO_CONNECTION && !never_arrived(&cut.into_cloud_error()));
    }
}

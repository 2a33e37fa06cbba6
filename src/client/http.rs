//! One request to the service: to the first of its addresses that works for the cluster.
//!
//! ```text
//!   place 1 ─ no connection ─► place 2 ─ stands by ─► place 3 ─ answers ─► remembered for the next request
//!           └ no answer in time, or a broken one: told, and nobody else is asked (it may have been done)
//! ```

use std::time::Duration;

use actix_http::encoding::Decoder;
use actix_http::{HttpMessage as _, Payload};
use awc::error::{ConnectError, SendRequestError};
use awc::http::StatusCode;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::place::{Place, Places};
use crate::cli::Options;
use crate::cli::service::At;

/// How long a connection may take: an address that is dead must not keep us from the next.
const CONNECT: Duration = Duration::from_secs(5);
/// A list of a hundred thousand containers has 160 MB.
const LARGEST: usize = 1 << 30;
/// An event has some thousand characters.
const LONGEST_LINE: usize = 1 << 20;
/// A stream on which nothing comes for that long is broken.
const SILENCE: Duration = Duration::from_secs(60);
/// How much of an error's text is shown.
const SHOWN: usize = 300;

/// An answer whose body is still to come.
type Response = awc::ClientResponse<Decoder<Payload>>;

/// The service, as a client sees it.
#[derive(Clone)]
pub(super) struct Client {
    places: Places,
    within: Duration,
    /// The place that answered last.
    works: usize,
}

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    /// As the API has it.
    pub(super) path: &'static str,
    /// An order, not a question.
    pub(super) is_order: bool,
    pub(super) parameters: &'a [(&'static str, &'a str)],
}

/// How an answer came out.
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Client {
    /// To the service of a command line.
    pub fn of(options: &Options, at: &At) -> Result<Self, Failure> {
        Ok(Self { places: Places::of(options, at)?, within: at.timeout, works: 0 })
    }

    /// The items of a list.
    pub async fn list(&mut self, path: &'static str) -> Result<Vec<Value>, Failure> {
        let answer = self.ask(Request { path, is_order: false, parameters: &[] }).await?;
        let Value::Object(mut fields) = answer else { return Err(self.strange("its answer is no list")) };
        match fields.remove("items") {
            Some(Value::Array(items)) if items.iter().all(Value::is_object) => Ok(items),
            _ => Err(self.strange("its answer is no list")),
        }
    }

    /// One thing.
    pub async fn show(
        &mut self,
        path: &'static str,
        parameters: &[(&'static str, &str)],
    ) -> Result<Value, Failure> {
        let answer = self.ask(Request { path, is_order: false, parameters }).await?;
        if answer.is_object() { Ok(answer) } else { Err(self.strange("its answer is no object")) }
    }

    /// Has something done, and takes what the service says to it.
    pub async fn order(
        &mut self,
        path: &'static str,
        parameters: &[(&'static str, &str)],
    ) -> Result<Value, Failure> {
        self.ask(Request { path, is_order: true, parameters }).await
    }

    /// What the service says of its own health, whether it is well or not.
    pub async fn health(&mut self) -> Result<Value, Failure> {
        let request = Request { path: "/_health/ready", is_order: false, parameters: &[] };
        let place = &self.places.places[self.works];
        let answer = self.send(place, request).await?;
        let health = serde_json::from_slice::<Value>(&answer.body).ok().filter(|it| it["ready"].is_boolean());
        health.map_or_else(|| self.judge(place, request, &answer), Ok)
    }

    /// The address that has answered last.
    pub fn url(&self) -> String {
        self.places.places.get(self.works).map(|place| place.url.to_string()).unwrap_or_default()
    }

    /// The JSON objects of a stream, one after another, each with its line, until it ends. `begun` is called when the
    /// service has begun to answer.
    pub async fn objects(
        &mut self,
        path: &'static str,
        parameters: &[(&'static str, &str)],
        begun: impl FnOnce(),
        mut take: impl FnMut(&str, &Map<String, Value>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let request = Request { path, is_order: false, parameters };
        let mut response = self.begin_anywhere(request).await?;
        let place = &self.places.places[self.works];
        if response.status() != StatusCode::OK {
            let body = self.body(place, &mut response).await?;
            return self.judge(place, request, &Answer { status: response.status(), body }).map(drop);
        }
        if response.content_type() != "application/x-ndjson" {
            return Err(self.strange("its answer is no stream of JSON objects"));
        }
        begun();
        let mut rest = BytesMut::new();
        // A service that lives gives a sign of life every fifteen seconds.
        while let Some(bytes) = tokio::time::timeout(SILENCE, response.next())
            .await
            .map_err(|_| Failure::Silent { url: place.url.to_string(), within: SILENCE })?
        {
            rest.extend_from_slice(&bytes.map_err(|error| broken_off(place, &error))?);
            if rest.len() > LONGEST_LINE && !rest.contains(&b'\n') {
                return Err(self.strange("a line of its answer does not end"));
            }
            while let Some(end) = rest.iter().position(|it| *it == b'\n') {
                let line = rest.split_to(end + 1);
                let line = String::from_utf8_lossy(&line);
                let line = line.trim();
                if !line.is_empty() {
                    let object = serde_json::from_str(line);
                    take(line, &object.map_err(|_| self.strange("a line of its answer is no JSON object"))?)?;
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(broken_off(place, &"the last line has no end")) }
    }

    /// The head of the answer of the first place that works, and does not stand by if another one works.
    async fn begin_anywhere(&mut self, request: Request<'_>) -> Result<Response, Failure> {
        let count = self.places.places.len();
        let mut last = None;
        for index in (self.works..count).chain(0..self.works) {
            let place = &self.places.places[index];
            if count > 1 && self.stands_by(place).await {
                last = Some(Failure::Standby { url: place.url.to_string() });
                continue;
            }
            let sent = tokio::time::timeout(self.within, self.begin(place, request)).await;
            let silent = || Err(Failure::Silent { url: place.url.to_string(), within: self.within });
            match sent.unwrap_or_else(|_| silent()) {
                Err(failure @ Failure::Unreachable { .. }) => last = last.or(Some(failure)),
                answered => {
                    self.works = index;
                    return answered;
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::Unusable("no URL of the service is configured".to_owned())))
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Value, Failure> {
        let count = self.places.places.len();
        let mut last = None;
        for index in (self.works..count).chain(0..self.works) {
            match self.ask_at(index, request).await {
                Err(failure @ (Failure::Unreachable { .. } | Failure::Standby { .. })) => {
                    // Who stands by says more than who is not there.
                    if !matches!(last, Some(Failure::Standby { .. })) {
                        last = Some(failure);
                    }
                }
                answered => {
                    self.works = index;
                    return answered;
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::Unusable("no URL of the service is configured".to_owned())))
    }

    async fn ask_at(&self, index: usize, request: Request<'_>) -> Result<Value, Failure> {
        let place = &self.places.places[index];
        let answer = self.send(place, request).await?;
        // On standby no container is found: the controller wants it so.
        if answer.status == StatusCode::NOT_FOUND && !request.is_order && self.stands_by(place).await {
            return Err(Failure::Standby { url: place.url.to_string() });
        }
        self.judge(place, request, &answer)
    }

    async fn stands_by(&self, place: &Place) -> bool {
        let ping = Request { path: "/_health/ping", is_order: false, parameters: &[] };
        let Ok(answer) = self.send(place, ping).await else { return false };
        serde_json::from_slice::<Value>(&answer.body).is_ok_and(|it| it["standby"] == true)
    }

    async fn send(&self, place: &Place, request: Request<'_>) -> Result<Answer, Failure> {
        let answer = tokio::time::timeout(self.within, self.exchange(place, request)).await;
        answer.unwrap_or_else(|_| Err(Failure::Silent { url: place.url.to_string(), within: self.within }))
    }

    async fn exchange(&self, place: &Place, request: Request<'_>) -> Result<Answer, Failure> {
        let mut response = self.begin(place, request).await?;
        let body = self.body(place, &mut response).await?;
        Ok(Answer { status: response.status(), body })
    }

    async fn body(&self, place: &Place, response: &mut Response) -> Result<Vec<u8>, Failure> {
        let body = response.body().limit(LARGEST).await.map_err(|error| broken_off(place, &error))?;
        Ok(body.to_vec())
    }

    /// Sends a request; the head of the answer has come.
    async fn begin(&self, place: &Place, request: Request<'_>) -> Result<Response, Failure> {
        let limit = CONNECT.min(self.within);
        let connector = awc::Connector::new().timeout(limit).handshake_timeout(limit);
        let connector = match &place.tls {
            Some(tls) => connector.rustls_0_23(tls.clone()),
            None => connector,
        };
        // The time is limited as a whole, above; the token follows no redirect.
        let http = awc::Client::builder().connector(connector).disable_timeout().disable_redirects().finish();
        let mut url = place.url.clone();
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), request.path));
        let bearer = format!("Bearer {}", self.places.token.expose());
        let sent = if request.is_order {
            let form: Vec<_> = request.parameters.to_vec();
            http.post(url.as_str()).insert_header(("Authorization", bearer)).send_form(&form).await
        } else {
            url.query_pairs_mut().extend_pairs(request.parameters);
            http.get(url.as_str()).insert_header(("Authorization", bearer)).send().await
        };
        match sent {
            Ok(response) => Ok(response),
            // That is how the client says that the other side has hung up before it had answered.
            Err(SendRequestError::Connect(ConnectError::Disconnected)) => {
                Err(broken_off(place, &"the connection was closed"))
            }
            Err(SendRequestError::Connect(error)) => {
                Err(Failure::Unreachable { url: place.url.to_string(), why: clean(&error.to_string()) })
            }
            Err(error) => Err(broken_off(place, &error)),
        }
    }

    fn judge(&self, place: &Place, request: Request<'_>, answer: &Answer) -> Result<Value, Failure> {
        let url = place.url.to_string();
        let said = answer.error();
        match answer.status {
            StatusCode::OK if request.is_order && answer.body.trim_ascii().is_empty() => Ok(Value::Null),
            StatusCode::OK => serde_json::from_slice(&answer.body).map_err(|error| {
                // What ends too early is not always told by HTTP.
                match error.is_eof() && !answer.body.is_empty() {
                    true => Failure::BrokenOff { url, why: "it is not whole".to_owned() },
                    false => Failure::Strange { url, what: format!("it sent {}", answer.kind()) },
                }
            }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::Token {
                url,
                said: said.unwrap_or_else(|| answer.status.to_string()),
                origin: self.places.origin,
            }),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => match said {
                Some(said) if !said.contains("page not found") && !said.contains("not allowed") => {
                    Err(Failure::Refused(said))
                }
                _ => Err(Failure::NoRoute { url, path: request.path }),
            },
            StatusCode::SERVICE_UNAVAILABLE if said.as_ref().is_some_and(|it| it.starts_with("standby")) => {
                Err(Failure::Standby { url })
            }
            status => match said {
                Some(said) => Err(Failure::Refused(format!("{said} ({status})"))),
                None => {
                    Err(Failure::Strange { url, what: format!("it answered {status} and {}", answer.kind()) })
                }
            },
        }
    }

    /// The service that answered last says what we do not understand.
    pub fn strange(&self, what: &str) -> Failure {
        Failure::Strange { url: self.places.places[self.works].url.to_string(), what: clean(what) }
    }
}

fn broken_off(place: &Place, error: &dyn std::fmt::Display) -> Failure {
    Failure::BrokenOff { url: place.url.to_string(), why: clean(&error.to_string()) }
}

impl Answer {
    /// The texts of `{"errors": […]}`.
    fn error(&self) -> Option<String> {
        let answer: Value = serde_json::from_slice(&self.body).ok()?;
        let errors = answer["errors"].as_array()?.iter().filter_map(Value::as_str);
        let errors = errors.collect::<Vec<_>>().join("; ");
        (!errors.is_empty()).then(|| clean(&errors))
    }

    /// What the body looks like.
    fn kind(&self) -> &'static str {
        let body = self.body.trim_ascii_start();
        let begins = |with: &[u8]| body.len() >= with.len() && body[..with.len()].eq_ignore_ascii_case(with);
        if body.is_empty() {
            "nothing"
        } else if begins(b"<!doctype html") || begins(b"<html") {
            "a web page (HTML), not JSON"
        } else {
            "something that is not JSON"
        }
    }
}

/// One line, fit for a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|it| if it.is_control() { ' ' } else { it }).take(SHOWN).collect()
}

//! Every request is given an id, counted and timed, whatever becomes of it. It is one line of the log if it has shown
//! the token.
//!
//! ```text
//!   request ──► Exchange begins: id ──► gate ─┬─ admitted: its log ──► routes ──► status known
//!                                             └─ refused: one line a minute for each status, with a count
//!   last byte handed over, or client gone ──► Exchange dropped, if admitted ─┬─ "response": it changes, or has failed
//!                                                                            ├─ "response to read": debug
//!                                                                            └─ "request": no status, nobody was there
//! ```
//! A client without the token could write as much into the log as it can send, and hide the real lines: hence the
//! count. What only reads, a scrape or a poll, is of interest to nobody as long as it succeeds: `debug`.
//!
//! Never does: logging a header that carries a token, or a token in a query.

use std::cell::{OnceCell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use bytes::Bytes;
use dispatch_actors::catalogue::Repeats;
use dispatch_actors::metrics::{ActiveRequest, RequestMetrics};
use dispatch_actors::{catalogue, clock, event};
use slog::{Logger, o};
use tokio::time::Instant;

use super::redact::Redact;
use super::request_id;
use super::state::ApiState;

/// How much of an error's body is logged.
const SHOWN_BODY: usize = 1000;

/// Refused requests that were logged lately; one such list a thread.
pub(super) type Refused = Rc<RefCell<Repeats>>;

/// Filled when the request has shown the token. The exchange has it too: of a request whose client goes away before it
/// is answered nothing else is left.
type Admission = Rc<OnceCell<Admitted>>;

/// The request has shown the token: this is its log.
struct Admitted {
    /// With all that is known of the request, for its own lines.
    log: Logger,
    orders: Orders,
}

/// How what a request orders is told.
#[derive(Clone)]
pub(super) struct Orders {
    /// The request's id, without the token, wherever that stands.
    pub id: String,
    /// With its id and its sender only.
    pub log: Logger,
}

/// The middleware.
pub(super) async fn exchange(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<Watched>, Error> {
    let state = request.app_data::<web::Data<ApiState>>().expect("every app is given its state");
    let id = request_id::of(request.headers());
    let mut exchange = Exchange::begin(&state.requests, request.method());
    {
        let mut extensions = request.extensions_mut();
        extensions.insert(RequestId(id.clone()));
        extensions.insert::<Admission>(exchange.admission.clone());
    }
    let mut response = next.call(request).await?;
    exchange.status_known(response.status());
    let is_refused = response.status().is_client_error() || response.status().is_server_error();
    if exchange.admission.get().is_none() && is_refused {
        count_refused(response.request(), response.status());
    }
    let id = HeaderValue::from_str(&id).expect("an id is letters, digits and a few signs");
    response.headers_mut().insert(request_id::HEADER, id);
    Ok(response.map_body(|_, body| Watched { body: body.boxed(), exchange }))
}

struct RequestId(String);

/// The request has shown the token: from now on it has a log.
pub(super) fn admit(request: &ServiceRequest) {
    let state = request.app_data::<web::Data<ApiState>>().expect("every app is given its state");
    let id = request.extensions().get::<RequestId>().map(|it| it.0.clone()).unwrap_or_default();
    let redact = Redact::new(&state.management_token);
    let headers = request.headers();
    let path = request.path();
    let id = redact.text(&id);
    let of_orders = state.log.new(o!(
        "RequestID" => id.clone(),
        "remoteAddr" => request.peer_addr().map_or_else(String::new, |it| it.to_string()),
    ));
    let orders = Orders { id, log: of_orders };
    let log = orders.log.new(o!(
        "reqBytes" => content_length(headers),
        "reqForwardedFor" => redact.text(text_of(headers, &X_FORWARDED_FOR)),
        "reqHost" => redact.text(text_of(headers, &HOST)),
        "reqMethod" => redact.text(request.method().as_str()),
        // Without the first slash, as the site's other services log it.
        "reqPath" => redact.text(path.strip_prefix('/').unwrap_or(path)),
        "reqQuery" => redact.query(request.query_string()),
    ));
    if let Some(admission) = request.extensions().get::<Admission>() {
        // A request passes the gate once.
        let _ = admission.set(Admitted { log, orders });
    }
}

/// How to tell what a request orders. A request that was not admitted orders nothing.
pub(super) fn orders(request: &HttpRequest) -> Option<Orders> {
    request.extensions().get::<Admission>().and_then(|it| it.get()).map(|it| it.orders.clone())
}

fn only_reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// A refused request is one of many, perhaps: a line a minute says how many.
fn count_refused(request: &HttpRequest, status: StatusCode) {
    let state = request.app_data::<web::Data<ApiState>>().expect("every app is given its state");
    let refused = request.app_data::<Refused>().expect("every app is given its list");
    let noted = refused.borrow_mut().note(&catalogue::REQUESTS_REFUSED, status.as_str(), clock::now());
    if let Some(n) = noted {
        event!(state.log, catalogue::REQUESTS_REFUSED,
            "remoteAddr" => request.peer_addr().map_or_else(String::new, |it| it.to_string()),
            "respStatusCode" => status.as_u16(), "Repeated" => n);
    }
}

/// A request and its answer.
struct Exchange {
    /// Only what was admitted is logged.
    admission: Admission,
    metrics: RequestMetrics,
    _active: ActiveRequest,
    method: &'static str,
    only_reads: bool,
    began: Instant,
    status: Option<(StatusCode, Instant)>,
    bytes: usize,
    /// The beginning of an error's body.
    body: Vec<u8>,
}

impl Exchange {
    fn begin(requests: &RequestMetrics, method: &Method) -> Self {
        Self {
            admission: Admission::default(),
            metrics: requests.clone(),
            _active: requests.begin(),
            method: method_name(method),
            only_reads: only_reads(method),
            began: Instant::now(),
            status: None,
            bytes: 0,
            body: Vec::new(),
        }
    }

    fn status_known(&mut self, status: StatusCode) {
        let now = Instant::now();
        self.status = Some((status, now));
        self.metrics.status_known(status.as_u16(), self.method, now - self.began);
    }

    fn sent(&mut self, chunk: &Bytes) {
        self.bytes += chunk.len();
        if self.status.is_some_and(|(status, _)| status.as_u16() >= 400) {
            let room = SHOWN_BODY.saturating_sub(self.body.len());
            self.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
    }
}

impl Drop for Exchange {
    /// Without a status the client has gone before there was one: nothing was answered.
    fn drop(&mut self) {
        let log = self.admission.get().map(|it| &it.log);
        let Some((status, known)) = self.status else {
            match log {
                Some(log) if self.only_reads => event!(log, catalogue::READ_REQUEST),
                Some(log) => event!(log, catalogue::REQUEST),
                None => {}
            }
            return;
        };
        let now = Instant::now();
        self.metrics.finished(status.as_u16(), self.method, now - self.began);
        let Some(log) = log else { return };
        let log = log.new(o!(
            "respStatusCode" => status.as_u16(),
            "respStatus" => status.canonical_reason().unwrap_or_default(),
            "respBytes" => self.bytes,
            "respBody" => String::from_utf8_lossy(&self.body).into_owned(),
            "timeToStatus" => (known - self.began).as_secs_f64(),
            "timeWriteBody" => (now - known).as_secs_f64(),
            "timeTotal" => (now - self.began).as_secs_f64(),
        ));
        if self.only_reads && !status.is_client_error() && !status.is_server_error() {
            event!(log, catalogue::READ_RESPONSE);
        } else {
            event!(log, catalogue::RESPONSE);
        }
    }
}

/// A body that tells when its last byte is handed over.
pub(super) struct Watched {
    body: BoxBody,
    exchange: Exchange,
}

impl MessageBody for Watched {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.exchange.sent(chunk);
        }
        polled
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn content_length(headers: &HeaderMap) -> u64 {
    text_of(headers, &CONTENT_LENGTH).parse().unwrap_or(0)
}

/// A label value: methods that a client invents must not become series.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "HEAD" => "head",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "OPTIONS" => "options",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use dispatch_actors::metrics::{KnownLabels, Metrics};
    use slog::{Drain, Level, OwnedKVList, Record};

    use super::*;

    struct Capture(Sender<(Level, String)>);

    impl Drain for Capture {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
            self.0.send((record.level(), record.msg().to_string())).unwrap();
            Ok(())
        }
    }

    #[test]
    fn every_admitted_request_is_one_line_whatever_becomes_of_it() {
        let (metrics, _) = Metrics::new(KnownLabels { types: &[], unlock_reasons: &[] });
        let (sender, lines) = channel();
        let log = Logger::root(Capture(sender).fuse(), o!());
        let exchange = |method: Method, is_admitted: bool, status: Option<StatusCode>| {
            let mut exchange = Exchange::begin(&metrics.requests(), &method);
            if is_admitted {
                let orders = Orders { id: String::new(), log: log.clone() };
                let _ = exchange.admission.set(Admitted { log: log.clone(), orders });
            }
            if let Some(status) = status {
                exchange.status_known(status);
            }
            drop(exchange);
            lines.try_iter().collect::<Vec<_>>()
        };
        let one = |level, message: &str| vec![(level, message.to_owned())];
        assert_eq!(exchange(Method::POST, true, Some(StatusCode::OK)), one(Level::Info, "response"));
        assert_eq!(exchange(Method::GET, true, Some(StatusCode::OK)), one(Level::Debug, "response to read"));
        assert_eq!(exchange(Method::GET, true, Some(StatusCode::NOT_FOUND)), one(Level::Info, "response"));
        assert_eq!(exchange(Method::POST, true, None), one(Level::Info, "request"));
        assert_eq!(exchange(Method::GET, true, None), one(Level::Debug, "request to read"));
        // What has not shown the token is one of a count.
        assert_eq!(exchange(Method::POST, false, Some(StatusCode::FORBIDDEN)), []);
        assert_eq!(exchange(Method::POST, false, None), []);
    }
}

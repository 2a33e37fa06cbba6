//! A test server in front of a cloud. It answers calls as the test orders, forwards all other calls to the
//! service behind it, and remembers every call.
//!
//! ```text
//!   driver ── HTTP ──► Stub ──┬─ `next(action, reply)` was said: that reply, once
//!                             ├─ a service behind it: its answer (moto)
//!                             └─ else: 500
//! ```
//! It understands as much HTTP as the tests need: a POST with a length, whose form has an `Action`. For other
//! calls the action is method and path: `GET /x`. Each connection carries one call.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::{cell::RefCell, net};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The parameters of a call, and its `Authorization` header under that name.
pub type Parameters = BTreeMap<String, String>;

/// A call as it came over the wire, for tests that check its signature.
#[derive(Debug, Clone)]
pub struct RawCall {
    /// The request line and the headers.
    pub head: String,
    /// The bytes after the headers.
    pub body: Vec<u8>,
    /// The parameters that were read from it.
    pub parameters: Parameters,
}

/// The answer to a call.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer: status and XML.
    Xml(u16, String),
    /// These bytes, and then the end of the connection.
    Raw(String),
    /// A whole answer of another kind: status, content type, body.
    Other(u16, &'static str, String),
    /// A good status and the announced length of the whole body, then only half of the body and the end of
    /// the connection.
    Cut(String),
    /// A good status and half of the body as one chunk, then the end of the connection without a last chunk.
    Truncated(String),
    /// No answer, while the connection stays open.
    Silence,
    /// A good status and chunks without end.
    Endless,
    /// The end of the connection before any status.
    HangUp,
}

impl Reply {
    /// A refusal in the format of EC2.
    pub fn refusal(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let id = "ea966190-f9aa-478e-9ede-example00001";
        let head = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
        Self::Xml(
            status,
            format!("{head}\n<Response><Errors>{error}</Errors><RequestID>{id}</RequestID></Response>"),
        )
    }
}

/// The test server. It closes when it is dropped.
pub struct Stub {
    /// The URL for `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    orders: mpsc::Sender<(String, Reply)>,
    calls: mpsc::Receiver<RawCall>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// Opens the server on a port of its own, in front of the service at that URL, if there is one.
    ///
    /// # Errors
    /// If the system does not let it listen, or the URL is not a plain HTTP one.
    pub fn start(behind: Option<&str>) -> io::Result<Self> {
        let behind = behind.map(address_of).transpose()?;
        let listener = net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (orders, ordered) = mpsc::channel();
        let (tell, calls) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let shared = SharedState { ordered, tell, behind, replies: RefCell::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.spawn_local(serve(listener, Rc::new(shared)));
            // The server ends when the handle sends the end or is dropped.
            let _ = local.block_on(&runtime, ended);
        });
        Ok(Self { endpoint, orders, calls, end: Some(end), thread: Some(thread) })
    }

    /// Orders this reply for the next call of that action for which no reply is ordered yet.
    pub fn next(&self, action: &str, reply: Reply) {
        // Sending fails only if the server has ended. Then no call succeeds either.
        let _ = self.orders.send((action.to_owned(), reply));
    }

    /// The calls since the last call of this function, in order.
    pub fn calls(&self) -> Vec<Parameters> {
        self.raw_calls().into_iter().map(|call| call.parameters).collect()
    }

    /// The same calls, as they came over the wire.
    pub fn raw_calls(&self) -> Vec<RawCall> {
        self.calls.try_iter().collect()
    }

    /// The actions of the calls since the last call of this function, in order.
    pub fn actions(&self) -> Vec<String> {
        self.calls().into_iter().filter_map(|mut call| call.remove("Action")).collect()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic in that thread has failed the test already.
            let _ = thread.join();
        }
    }
}

/// What all connections share.
struct SharedState {
    ordered: mpsc::Receiver<(String, Reply)>,
    tell: mpsc::Sender<RawCall>,
    behind: Option<SocketAddr>,
    replies: RefCell<BTreeMap<String, VecDeque<Reply>>>,
}

impl SharedState {
    /// The reply that was ordered for this call. Every order given before the call was sent counts.
    fn reply(&self, action: &str) -> Option<Reply> {
        let mut replies = self.replies.borrow_mut();
        for (action, reply) in self.ordered.try_iter() {
            replies.entry(action).or_default().push_back(reply);
        }
        replies.get_mut(action)?.pop_front()
    }
}

fn address_of(url: &str) -> io::Result<SocketAddr> {
    let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').parse());
    address.and_then(Result::ok).ok_or_else(|| io::Error::other(format!("{url} is not http://ADDRESS:PORT")))
}

async fn serve(listener: net::TcpListener, shared: Rc<SharedState>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((connection, _)) = listener.accept().await {
        let shared = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            // A client that closes its connection is no error of the server.
            let _ = answer(connection, &shared).await;
        });
    }
}

async fn answer(mut connection: TcpStream, shared: &SharedState) -> io::Result<()> {
    let (head, body) = read_call(&mut connection).await?;
    let mut parameters: Parameters = form_urlencoded::parse(&body).into_owned().collect();
    let authorization = header(&head, "authorization").unwrap_or_default();
    parameters.insert("Authorization".to_owned(), authorization.to_owned());
    let reply = match parameters.get("Action") {
        Some(action) => shared.reply(action),
        // Another service's call is known by its method and path.
        None => shared.reply(head.split(" HTTP/").next().unwrap_or_default()),
    };
    let _ = shared.tell.send(RawCall { head: head.clone(), body: body.clone(), parameters });
    match (reply, shared.behind) {
        (Some(reply), _) => write_reply(&mut connection, reply).await,
        (None, Some(behind)) => forward(&mut connection, behind, &head, &body).await,
        (None, None) => {
            let text = "no reply was ordered for this call".to_owned();
            write_reply(&mut connection, Reply::Other(500, "text/plain", text)).await
        }
    }
}

/// The head without its empty line, and the whole body.
pub(crate) async fn read_call(connection: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let split = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        read_more(connection, &mut bytes).await?;
    };
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while bytes.len() < split + 4 + length {
        read_more(connection, &mut bytes).await?;
    }
    Ok((head, bytes[split + 4..split + 4 + length].to_vec()))
}

async fn read_more(connection: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    match connection.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

pub(crate) fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
}

/// Sends the same call to the service behind, and its answer back to the client.
async fn forward(client: &mut TcpStream, behind: SocketAddr, head: &str, body: &[u8]) -> io::Result<()> {
    let mut service = TcpStream::connect(behind).await?;
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    service.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await?;
    service.write_all(body).await?;
    tokio::io::copy(&mut service, client).await?;
    client.shutdown().await
}

pub(crate) async fn write_reply(connection: &mut TcpStream, reply: Reply) -> io::Result<()> {
    let head = |status: u16, kind: &str| {
        format!("HTTP/1.1 {status} Whatever\r\nContent-Type: {kind}\r\nConnection: close\r\n")
    };
    const XML: &str = "text/xml;charset=UTF-8";
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
    let text = match reply {
        Reply::Xml(status, body) => {
            format!("{}Content-Length: {}\r\n\r\n{body}", head(status, XML), body.len())
        }
        Reply::Other(status, kind, body) => {
            format!("{}Content-Length: {}\r\n\r\n{body}", head(status, kind), body.len())
        }
        Reply::Cut(body) => {
            format!("{}Content-Length: {}\r\n\r\n{}", head(200, XML), body.len(), half(&body))
        }
        Reply::Truncated(body) => format!("{}{CHUNKED}{}", head(200, XML), chunk(half(&body))),
        Reply::Raw(text) => text,
        Reply::HangUp => return Ok(()),
        Reply::Silence => return std::future::pending().await,
        Reply::Endless => {
            connection.write_all(format!("{}{CHUNKED}", head(200, XML)).as_bytes()).await?;
            let spaces = chunk(&" ".repeat(1 << 16));
            loop {
                connection.write_all(spaces.as_bytes()).await?;
            }
        }
    };
    connection.write_all(text.as_bytes()).await?;
    connection.shutdown().await
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn half(body: &str) -> &str {
    body.get(..body.len() / 2).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn post(endpoint: &str, form: &'static str) -> Result<(u16, String), String> {
        let sent = awc::Client::default().post(endpoint).send_body(form).await;
        let mut response = sent.map_err(|error| error.to_string())?;
        let body = response.body().await.map_err(|error| error.to_string())?;
        Ok((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned()))
    }

    #[actix_rt::test]
    async fn ordered_replies_are_given_once_and_in_order_and_others_come_from_behind() {
        let behind = Stub::start(None).unwrap();
        behind.next("A", Reply::Xml(200, "<behind/>".to_owned()));
        let stub = Stub::start(Some(&behind.endpoint)).unwrap();
        stub.next("A", Reply::refusal(503, "RequestLimitExceeded", "slow"));
        let (status, body) = post(&stub.endpoint, "Action=A&X=1%2B1").await.unwrap();
        assert!(status == 503 && body.contains("<Code>RequestLimitExceeded</Code>"), "{status} {body}");
        assert_eq!(post(&stub.endpoint, "Action=A").await.unwrap(), (200, "<behind/>".to_owned()));
        let first = &stub.raw_calls()[0];
        assert_eq!(
            (first.parameters["X"].as_str(), first.body.as_slice()),
            ("1+1", &b"Action=A&X=1%2B1"[..])
        );
        assert!(first.head.starts_with("POST / HTTP/1.1\r\n"), "{}", first.head);
        assert_eq!(behind.actions(), ["A"]);
    }

    #[actix_rt::test]
    async fn the_stub_can_end_a_connection_before_or_within_an_answer() {
        let stub = Stub::start(None).unwrap();
        stub.next("A", Reply::HangUp);
        post(&stub.endpoint, "Action=A").await.unwrap_err();
        // awc takes a missing last chunk for the end of the body. Code that reads XML must not rely on that.
        stub.next("A", Reply::Truncated("<a></a>".to_owned()));
        assert_ne!(post(&stub.endpoint, "Action=A").await, Ok((200, "<a></a>".to_owned())));
    }
}

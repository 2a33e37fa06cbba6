//! A controller with one thread. It answers by a function, and reports each request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};

/// The uuid of the token that every request must carry.
pub const TOKEN_UUID: &str = "zzzzz-gj3su-000000000000000";
/// That token. The tests check that it is not found on disk.
pub const TOKEN: &str = "opensesame";

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub authorization: String,
    /// The decoded `container` parameter of a form.
    pub container: Value,
}

/// The controller. It stops when it is dropped.
pub struct FakeController {
    address: SocketAddr,
    requests: Receiver<Request>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeController {
    /// Answers each request with what `answer` returns: a status and a body.
    pub fn start(answer: impl FnMut(&Request) -> (u16, Value) + Send + 'static) -> Self {
        Self::listen(None, answer)
    }

    /// The same over TLS, with a certificate that no authority has signed.
    pub fn start_tls(answer: impl FnMut(&Request) -> (u16, Value) + Send + 'static) -> Self {
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
        let config =
            rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![pair.cert.der().clone()], key)
                .unwrap();
        Self::listen(Some(config.into()), answer)
    }

    fn listen(
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl FnMut(&Request) -> (u16, Value) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || serve(&listener, tls.as_ref(), &stopped, &sender, answer));
        Self { address, requests, stop, thread: Some(thread) }
    }

    /// Every container is locked by our token and has this command.
    pub fn with_command(command: &[&str]) -> Self {
        Self::with_record(json!({"command": command, "environment": {}, "cwd": ""}))
    }

    /// Every container is locked by our token and has this record.
    pub fn with_record(mut record: Value) -> Self {
        record["state"] = "Locked".into();
        record["locked_by_uuid"] = TOKEN_UUID.into();
        Self::start(move |request| well_behaved(request, &record))
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The next update that is asked for. The test fails if none comes.
    pub fn next_update(&self) -> Request {
        loop {
            let request =
                self.requests.recv_timeout(Duration::from_secs(60)).expect("an update within a minute");
            if request.method == "PUT" {
                return request;
            }
        }
    }

    /// The updates so far that were not taken yet.
    pub fn updates(&self) -> Vec<Value> {
        self.requests.try_iter().filter(|it| it.method == "PUT").map(|it| it.container).collect()
    }
}

/// The answers of a controller on which every call succeeds.
pub fn well_behaved(request: &Request, record: &Value) -> (u16, Value) {
    if request.path.contains("/api_client_authorizations/current") {
        (200, json!({"uuid": TOKEN_UUID}))
    } else if request.method == "PUT" {
        (200, json!({"state": request.container["state"]}))
    } else {
        (200, record.clone())
    }
}

impl Drop for FakeController {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(
    listener: &TcpListener,
    tls: Option<&Arc<rustls::ServerConfig>>,
    stop: &AtomicBool,
    requests: &Sender<Request>,
    mut answer: impl FnMut(&Request) -> (u16, Value),
) {
    for connection in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        connection.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        match tls {
            None => serve_one(connection, requests, &mut answer),
            Some(config) => {
                let session = rustls::ServerConnection::new(config.clone()).unwrap();
                serve_one(rustls::StreamOwned::new(session, connection), requests, &mut answer);
            }
        }
    }
}

fn serve_one(
    mut connection: impl Read + Write,
    requests: &Sender<Request>,
    answer: &mut impl FnMut(&Request) -> (u16, Value),
) {
    let Some(request) = read(&mut connection) else { return };
    let (status, body) = answer(&request);
    // The request is reported before the answer is sent, because the runner may end as soon as it has the
    // answer.
    let _ = requests.send(request);
    let body = body.to_string();
    let length = body.len();
    // 0 = the answer is lost on its way.
    if status != 0 {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let _ = connection.write_all((head + &body).as_bytes()).and_then(|()| connection.flush());
    }
}

fn read(connection: impl Read) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let container = form_urlencoded::parse(&body)
        .find(|(name, _)| name == "container")
        .map_or(Value::Null, |(_, value)| serde_json::from_str(&value).unwrap());
    Some(Request { method, path, authorization, container })
}

//! An HTTP server on a free port that gives the same answer to every request, and reports each request.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use dispatch_adapters::arvados::{Client, Options};
use dispatch_core::secret::Secret;

/// How long the tests wait for an answer that must come, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A request as the server received it, with decoded parameters.
#[derive(Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    pub form: BTreeMap<String, String>,
}

/// The answer.
#[derive(Clone)]
pub struct Canned {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Vec<u8>,
    pub delay: Duration,
}

impl Canned {
    pub fn json(status: u16, body: impl ToString) -> Self {
        let body = body.to_string().into_bytes();
        Self {
            status,
            content_type: "application/json; charset=utf-8",
            headers: vec![],
            body,
            delay: Duration::ZERO,
        }
    }
}

/// The server. It stops when it is dropped.
pub struct Server {
    pub url: String,
    handle: ServerHandle,
    seen: mpsc::Receiver<Seen>,
}

impl Server {
    pub fn start(canned: Canned) -> Self {
        let (sender, seen) = mpsc::channel();
        let factory = move || {
            let (canned, sender) = (canned.clone(), sender.clone());
            App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
                sender.send(see(&request, &body)).unwrap();
                answer(canned.clone())
            }))
        };
        let server = HttpServer::new(factory).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        actix_rt::spawn(server);
        Self { url, handle, seen }
    }

    pub fn client(&self, token: &str) -> Client {
        client(&self.url, token, PATIENCE)
    }

    pub fn seen(&self) -> Seen {
        self.seen.try_recv().expect("the server was asked")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        actix_rt::spawn(self.handle.stop(false));
    }
}

pub fn client(url: &str, token: &str, timeout: Duration) -> Client {
    let base_url = url.parse().unwrap();
    Client::new(Options { base_url, token: Secret::new(token), insecure: false, timeout }).unwrap()
}

async fn answer(canned: Canned) -> HttpResponse {
    tokio::time::sleep(canned.delay).await;
    let mut response = HttpResponse::build(StatusCode::from_u16(canned.status).unwrap());
    response.content_type(canned.content_type);
    for header in canned.headers {
        response.insert_header(header);
    }
    response.body(canned.body)
}

fn see(request: &HttpRequest, body: &[u8]) -> Seen {
    let pairs = |bytes: &[u8]| form_urlencoded::parse(bytes).into_owned().collect();
    let headers = request.headers().iter();
    Seen {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        query: pairs(request.query_string().as_bytes()),
        form: pairs(body),
    }
}

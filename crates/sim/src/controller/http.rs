//! The simulated controller over real HTTP, on 127.0.0.1 and a port of its own.
//!
//! ```text
//!   thread "sim-controller", its own actix system
//!     actor Controller ── owns FakeArvados
//!        ↑ Handle, With
//!     HTTP workers ── read requests, hold answers back, cut connections
//!        └─ /websocket ── feed
//! ```
//!
//! The handle may be used from any thread. Dropping it stops the server and waits for its thread.

use std::any::Any;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread::JoinHandle;

use actix::{Actor, Addr, Context, Handler, MailboxError, Message, MessageResult};
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use dispatch_core::time::Timestamp;
use serde_json::Value;

use super::FakeArvados;
use super::facts::Origin;
use super::feed::{Subscribers, websocket};
use super::wire::{Outcome, Reply, Request, params_of_json};

/// More than any client of ours sends in one request.
const LARGEST_BODY: usize = 32 << 20;

// ---------------------------------------------------------------- the actor

pub(super) struct Controller {
    pub(super) arvados: FakeArvados,
    pub(super) clock: fn() -> Timestamp,
    pub(super) feed: Subscribers,
}

impl Actor for Controller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(4096);
    }
}

/// One request that was read, and on whose behalf it seems to be.
struct Handle(Request, Origin);

impl Message for Handle {
    type Result = Reply;
}

impl Handler<Handle> for Controller {
    type Result = MessageResult<Handle>;

    fn handle(&mut self, Handle(request, origin): Handle, ctx: &mut Self::Context) -> Self::Result {
        let reply = self.arvados.handle(&request, origin, (self.clock)());
        self.tell_events(ctx);
        MessageResult(reply)
    }
}

type Visit = Box<dyn FnOnce(&mut FakeArvados, Timestamp) + Send>;

/// A function to run on the state, between two requests.
struct With(Visit);

impl Message for With {
    type Result = ();
}

impl Handler<With> for Controller {
    type Result = ();

    fn handle(&mut self, With(visit): With, ctx: &mut Self::Context) {
        visit(&mut self.arvados, (self.clock)());
        self.tell_events(ctx);
    }
}

// ---------------------------------------------------------------- the handle

/// A simulated controller that serves HTTP. It stops when it is dropped.
pub struct SimController {
    url: String,
    token: String,
    controller: Addr<Controller>,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// What the thread reports when it serves.
struct Serving {
    port: u16,
    controller: Addr<Controller>,
    server: ServerHandle,
}

impl SimController {
    /// Serves that state, with the time from `clock`. Returns when connections are accepted.
    ///
    /// # Errors
    /// If no port or no thread is available.
    pub fn start(arvados: FakeArvados, clock: fn() -> Timestamp) -> io::Result<Self> {
        let token = arvados.settings.root_token.clone();
        let (report, reported) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sim-controller".to_owned())
            .spawn(move || actix_rt::System::new().block_on(serve(arvados, clock, report)))?;
        let gone = |_| io::Error::other("the controller's thread ended before it served");
        let Serving { port, controller, server } = reported.recv().map_err(gone)??;
        let url = format!("http://127.0.0.1:{port}");
        Ok(Self { url, token, controller, server, thread: Some(thread) })
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the event feed is: `ws://127.0.0.1:PORT/websocket`.
    pub fn websocket_url(&self) -> String {
        format!("{}/websocket", self.url.replacen("http", "ws", 1))
    }

    /// The secret of the root token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Runs a function on the state, between two requests, and returns its result.
    ///
    /// # Errors
    /// If the controller has been stopped.
    pub async fn with<R: Send + 'static>(
        &self,
        visit: impl FnOnce(&mut FakeArvados, Timestamp) -> R + Send + 'static,
    ) -> Result<R, MailboxError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let visit: Visit = Box::new(move |arvados, now| {
            // The caller may have stopped waiting. The function was run all the same.
            let _ = answer.send(visit(arvados, now));
        });
        self.controller.send(With(visit)).await?;
        answered.await.map_err(|_| MailboxError::Closed)
    }

    /// Stops serving and cuts all connections.
    pub async fn shutdown(self) {
        self.server.stop(false).await;
    }
}

impl Drop for SimController {
    fn drop(&mut self) {
        // The command is sent by the call itself. The future need not be awaited, because the end of the
        // thread says more.
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

// ---------------------------------------------------------------- the server

async fn serve(arvados: FakeArvados, clock: fn() -> Timestamp, report: mpsc::Sender<io::Result<Serving>>) {
    let controller = Controller { arvados, clock, feed: Subscribers::default() }.start();
    let state = web::Data::new(controller.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(LARGEST_BODY))
            .route("/websocket", web::get().to(websocket))
            .default_service(web::to(answer))
    })
    .workers(2)
    .on_connect(keep_socket)
    .disable_signals()
    .shutdown_timeout(0)
    .bind(("127.0.0.1", 0));
    let server = match server {
        Ok(server) => server,
        Err(error) => return drop(report.send(Err(error))),
    };
    let port = server.addrs()[0].port();
    let server = server.run();
    let serving = Serving { port, controller, server: server.handle() };
    if report.send(Ok(serving)).is_ok() {
        // An error here comes from the accept loop. Clients see a dead server.
        let _ = server.await;
    }
}

/// A second handle of a connection's socket. The connection can be cut by it.
struct Socket(TcpStream);

fn keep_socket(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<actix_web::rt::net::TcpStream>() else { return };
    if let Ok(descriptor) = stream.as_fd().try_clone_to_owned() {
        data.insert(Socket(TcpStream::from(descriptor)));
    }
}

/// A handle of the socket of a request's connection.
pub(super) fn socket_of(http: &HttpRequest) -> Option<TcpStream> {
    http.conn_data::<Socket>().and_then(|Socket(socket)| socket.try_clone().ok())
}

async fn answer(
    http: HttpRequest,
    body: web::Bytes,
    controller: web::Data<Addr<Controller>>,
) -> HttpResponse {
    let request = read_request(&http, &body);
    let Ok(reply) = controller.send(Handle(request, origin_of(http.headers()))).await else {
        return HttpResponse::InternalServerError().finish();
    };
    actix_web::rt::time::sleep(reply.delay).await;
    match reply.outcome {
        Outcome::Answer { status, body } => respond(status, body.as_ref(), &reply.request_id),
        Outcome::Cut => {
            if let Some(Socket(socket)) = http.conn_data::<Socket>() {
                // This fails only if the client has closed the connection already.
                let _ = socket.shutdown(Shutdown::Both);
            }
            // The socket is shut down, so this answer is not sent. The client sees a broken connection.
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn respond(status: u16, body: Option<&Value>, request_id: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("the fake gives valid ones");
    let mut response = HttpResponse::build(status);
    response.insert_header(("x-request-id", request_id));
    match body {
        None => response.finish(),
        Some(body) => response
            .insert_header((header::CONTENT_TYPE, "application/json; charset=utf-8"))
            .body(body.to_string()),
    }
}

fn read_request(http: &HttpRequest, body: &[u8]) -> Request {
    let text = |name: &str| text_of(http.headers(), name);
    let method = match (http.method().as_str(), text("x-http-method-override")) {
        ("POST", Some(instead)) => instead.to_ascii_uppercase(),
        (method, _) => method.to_owned(),
    };
    let mut params = read_form(http.query_string().as_bytes());
    params.extend(read_body(http.headers(), body));
    Request {
        method,
        path: http.path().to_owned(),
        token: text("authorization").and_then(|it| it.strip_prefix("Bearer ").map(str::to_owned)),
        request_id: text("x-request-id"),
        params,
    }
}

/// The token does not tell a runner from its dispatcher, but a `User-Agent` that contains `crunch-run` does.
fn origin_of(headers: &HeaderMap) -> Origin {
    match text_of(headers, "user-agent") {
        Some(agent) if agent.contains("crunch-run") => Origin::Process,
        Some(_) | None => Origin::Http,
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn read_form(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).into_owned().collect()
}

fn read_body(headers: &HeaderMap, body: &[u8]) -> Vec<(String, String)> {
    let content_type = text_of(headers, "content-type").unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return read_form(body);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => params_of_json(&members),
        // A body that is not an object has no parameters. The call is then refused because they are missing.
        Ok(_) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;

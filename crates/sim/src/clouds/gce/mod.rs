//! A fake of Google Compute Engine over HTTP, on 127.0.0.1 and a port of its own: what a driver of it needs, and what
//! Google's own clients believe.
//!
//! ```text
//!   driver, Google's client ── /compute/v1/projects/… ──► calls ─► FakeGce ─┬─ Vms         (resources)
//!   driver ── /computeMetadata/v1/… ────────────────────► tokens ──┘        ├─ operations  (take as many looks as told)
//!   driver ── /token ───────────────────────────────────► tokens            └─ faults, knobs, the calls seen
//!   test ──── GceServer::with(|fake| …) ─────────────────────────────────────────▲
//! ```
//! Time passes with calls: each look at an operation and each listing is a step. It is as strict as Google's: names, labels,
//! metadata and fingerprints are checked, and a request without a token that it has given is refused.

mod calls;
mod operations;
mod resources;
mod state;
mod tokens;

use std::cell::RefCell;
use std::io;
use std::net;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc as tokio_mpsc;

pub use resources::Vm;
pub use state::{FakeGce, Knobs, SeenCall};

use crate::stub::{read_call, write_reply};

type Visit = Box<dyn FnOnce(&mut FakeGce) + Send>;

/// The running fake. It closes when it is dropped.
pub struct GceServer {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// `None` only while it ends.
    visits: Option<tokio_mpsc::UnboundedSender<Visit>>,
    thread: Option<JoinHandle<()>>,
}

impl GceServer {
    /// Serves an empty project `lab` with zones `us-central1-a`, `-b` and `-c`.
    ///
    /// # Errors
    /// If the system does not let it listen.
    pub fn start() -> io::Result<Self> {
        let listener = net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let fake = FakeGce::new(&url);
        let (visits, visited) = tokio_mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("sim-gce".to_owned()).spawn(move || {
            let fake = Rc::new(RefCell::new(fake));
            let local = tokio::task::LocalSet::new();
            local.spawn_local(serve(listener, Rc::clone(&fake)));
            local.block_on(&runtime, visit(visited, fake));
        })?;
        Ok(Self { url, visits: Some(visits), thread: Some(thread) })
    }

    /// Where Compute Engine's API is: what a driver is told instead of Google's endpoint.
    pub fn endpoint(&self) -> String {
        format!("{}/compute/v1/", self.url)
    }

    /// What `GCE_METADATA_HOST` is set to.
    pub fn metadata_host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Where a service account's key is shown.
    pub fn token_uri(&self) -> String {
        format!("{}/token", self.url)
    }

    /// Runs a function on the state, between two calls.
    ///
    /// # Panics
    /// If the server has ended, of a panic in a function before.
    pub fn with<R: Send + 'static>(&self, function: impl FnOnce(&mut FakeGce) -> R + Send + 'static) -> R {
        let (answer, answered) = mpsc::channel();
        let visit: Visit = Box::new(move |fake| {
            // The caller waits.
            let _ = answer.send(function(fake));
        });
        let visits = self.visits.as_ref().expect("it is taken only when the server is dropped");
        assert!(visits.send(visit).is_ok(), "the fake Compute Engine has ended");
        answered.recv().expect("the function has ended well")
    }
}

impl Drop for GceServer {
    fn drop(&mut self) {
        self.visits = None;
        if let Some(thread) = self.thread.take() {
            // A panic in that thread has failed the test already.
            let _ = thread.join();
        }
    }
}

/// Ends with the handle.
async fn visit(mut visits: tokio_mpsc::UnboundedReceiver<Visit>, fake: Rc<RefCell<FakeGce>>) {
    while let Some(visit) = visits.recv().await {
        visit(&mut fake.borrow_mut());
    }
}

async fn serve(listener: net::TcpListener, fake: Rc<RefCell<FakeGce>>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((connection, _)) = listener.accept().await {
        let fake = Rc::clone(&fake);
        tokio::task::spawn_local(async move {
            // A client that closes its connection is no error of the server.
            let _ = answer(connection, &fake).await;
        });
    }
}

async fn answer(mut connection: TcpStream, fake: &RefCell<FakeGce>) -> io::Result<()> {
    let (head, body) = read_call(&mut connection).await?;
    let reply = fake.borrow_mut().answer(&head, &body);
    write_reply(&mut connection, reply).await
}

#[cfg(test)]
mod tests;

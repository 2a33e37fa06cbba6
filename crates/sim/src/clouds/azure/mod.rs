//! A fake of Azure over HTTP: Resource Manager (ARM) with VMs, network interfaces (NICs), disks, tags and operations, and
//! those who give out tokens for it.
//!
//! ```text
//!   driver, or Microsoft's own client ── HTTP ──► server ─┬─ login     tokens: client secret, workload or managed identity
//!                                                         └─ Arm ─┬─ resources   what there is, and what becomes of it
//!   test ── with(|arm| …) ──────────────────────────────────┘     └─ rules       what is refused, and in which words
//! ```
//! It has no clock of its own: an operation takes some questions ([`Knobs::questions`]), and the time is the test's
//! ([`Knobs::now`]). What is odd in Azure is here on purpose: letters change their case in lists, a NIC of a VM that failed
//! is kept for three minutes, VMs that failed exist.

mod arm;
mod call;
mod knobs;
mod login;
mod operations;
mod resources;
mod rules;

use std::cell::RefCell;
use std::io;
use std::net;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub use arm::Arm;
pub use call::Call;
pub use knobs::Knobs;
pub use resources::{Disk, Interface, Machine};

use crate::stub::{Reply, read_call, write_reply};

/// The tenant that the fake knows.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The application that it knows.
pub const CLIENT: &str = "66666666-7777-8888-9999-000000000000";
/// That application's secret.
pub const CLIENT_SECRET: &str = "a-client-secret-of-azure";
/// The only subscription.
pub const SUBSCRIPTION: &str = "abcdef01-2345-6789-abcd-ef0123456789";

type Order = Box<dyn FnOnce(&mut Arm) + Send>;

/// The server. It closes when it is dropped.
pub struct FakeAzure {
    /// Its URL, for tokens and for calls.
    pub endpoint: String,
    orders: Option<UnboundedSender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeAzure {
    /// Opens it on a port of its own.
    ///
    /// # Errors
    /// If the system does not let it listen.
    pub fn start() -> io::Result<Self> {
        let listener = net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}/", listener.local_addr()?);
        let (orders, given) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            let local = tokio::task::LocalSet::new();
            let arm = Rc::new(RefCell::new(Arm::default()));
            local.spawn_local(serve(listener, Rc::clone(&arm)));
            local.block_on(&runtime, obey(given, &arm));
        });
        Ok(Self { endpoint, orders: Some(orders), thread: Some(thread) })
    }

    /// Looks at it, or changes it.
    ///
    /// # Panics
    /// If its thread has ended by a panic of its own.
    pub fn with<T: Send + 'static>(&self, look: impl FnOnce(&mut Arm) -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        let order = move |arm: &mut Arm| {
            // Whoever asks waits for it.
            let _ = tell.send(look(arm));
        };
        let orders = self.orders.as_ref().expect("it is there until it is dropped");
        orders.send(Box::new(order)).unwrap_or_else(|_| panic!("the fake has ended"));
        told.recv().expect("the fake has not panicked")
    }

    /// A file for `AZURE_ENVIRONMENT_FILEPATH` that names this server, in that directory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn environment_file(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join("azure-environment.json");
        let endpoint = &self.endpoint;
        let text = json!({
            "name": "AzureStackCloud", "resourceManagerEndpoint": endpoint, "activeDirectoryEndpoint": endpoint,
        });
        std::fs::write(&path, text.to_string())?;
        Ok(path)
    }
}

impl Drop for FakeAzure {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic in that thread has failed the test already.
            let _ = thread.join();
        }
    }
}

async fn obey(mut given: UnboundedReceiver<Order>, arm: &RefCell<Arm>) {
    while let Some(order) = given.recv().await {
        order(&mut arm.borrow_mut());
    }
}

async fn serve(listener: net::TcpListener, arm: Rc<RefCell<Arm>>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((connection, _)) = listener.accept().await {
        let arm = Rc::clone(&arm);
        tokio::task::spawn_local(async move {
            // A client that closes its connection is no error of the server.
            let _ = answer(connection, &arm).await;
        });
    }
}

async fn answer(mut connection: TcpStream, arm: &RefCell<Arm>) -> io::Result<()> {
    let (head, body) = read_call(&mut connection).await?;
    let Some(call) = Call::read(&head, &body) else {
        return write_reply(&mut connection, Reply::Other(400, "text/plain", "no request".to_owned())).await;
    };
    let fault = arm.borrow_mut().take_fault(&call);
    let reply = match fault {
        Some(reply) => {
            arm.borrow_mut().note(call);
            reply
        }
        None => arm.borrow_mut().answer(call).into_reply(),
    };
    write_reply(&mut connection, reply).await
}

/// An answer that is as Azure gives it.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Given {
    fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    fn refusal(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"error": {"code": code, "message": message, "details": []}}))
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn into_reply(self) -> Reply {
        let Self { status, headers, body } = self;
        let mut text = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str("Content-Type: application/json; charset=utf-8\r\n");
        }
        if status != 204 {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        Reply::Raw(format!("{text}\r\n{body}"))
    }
}

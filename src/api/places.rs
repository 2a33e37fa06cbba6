//! The connections of one HTTP thread: which have shown the token, and who goes first when there are too many.
//!
//! ```text
//!   accepted ──► unproven ── shows the token ──► proven ──► closed
//!                   │ after GRACE: there are more than UNPROVEN, or all PLACES are taken: the oldest go
//!                   ▼
//!                 closed
//! ```
//! Each connection costs the process a descriptor, and descriptors are what the fleet lives on. Whoever has not shown
//! the token holds few of them, and never one that a client with the token needs. A connection that has shown it is
//! not touched here. Each has some time to send its request: otherwise whoever connects fastest would shut the others
//! out. Who finds all places taken waits in the system's queue.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream as AsyncStream;
use tokio::time::Instant;

/// How long a connection is open at least, to show the token: time for a request to come from afar.
const GRACE: Duration = Duration::from_secs(1);

/// How long a client may take in nothing of what is sent, in milliseconds: then the system closes its connection. An answer
/// in work holds memory, and a place.
const UNREAD_MILLISECONDS: u32 = 30_000;

thread_local! {
    static PLACES: RefCell<Places> = const { RefCell::new(Places::new()) };
}

/// The connections of a thread.
struct Places {
    next: u64,
    open: usize,
    /// Those that have not shown the token, oldest first.
    unproven: VecDeque<Unproven>,
}

/// A connection that has not shown the token.
struct Unproven {
    id: u64,
    since: Instant,
    /// A handle of its own, by which it can be closed.
    stream: TcpStream,
}

/// A connection's place, from when it is accepted until it is closed.
pub(super) struct Place(u64);

/// How many connections a thread keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// All of them.
    pub connections: usize,
    /// Those that have not shown the token.
    pub unproven: usize,
}

impl Places {
    const fn new() -> Self {
        Self { next: 0, open: 0, unproven: VecDeque::new() }
    }

    fn admit(&mut self, stream: Option<TcpStream>) -> Place {
        let id = self.next;
        self.next += 1;
        self.open += 1;
        self.unproven.extend(stream.map(|stream| Unproven { id, since: Instant::now(), stream }));
        Place(id)
    }

    /// Closes the oldest of those that have had their time, if they are too many or in the way.
    fn sweep(&mut self, limits: Limits) {
        let is_full = self.open >= limits.connections;
        while is_full || self.unproven.len() > limits.unproven {
            let Some(oldest) = self.unproven.pop_front_if(|it| it.since.elapsed() >= GRACE) else { return };
            // It may have been closed already.
            let _ = oldest.stream.shutdown(Shutdown::Both);
        }
    }

    fn forget(&mut self, id: u64) {
        self.unproven.retain(|it| it.id != id);
    }
}

/// Gives a connection its place; called by the server for each that it has accepted.
pub(super) fn take(connection: &dyn Any, data: &mut Extensions, limits: Limits) {
    let plain = connection.downcast_ref::<AsyncStream>();
    let stream = plain.or_else(|| Some(connection.downcast_ref::<TlsStream<AsyncStream>>()?.get_ref().0));
    // Without a descriptor for the handle the connection can be closed by its own end only.
    let handle = stream.and_then(|it| it.as_fd().try_clone_to_owned().ok()).map(TcpStream::from);
    if let Some(stream) = stream {
        // A system without it closes a connection that takes in nothing when its own patience ends.
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, UNREAD_MILLISECONDS);
    }
    data.insert(PLACES.with_borrow_mut(|places| places.admit(handle)));
    actix_rt::spawn(async move {
        tokio::time::sleep(GRACE).await;
        PLACES.with_borrow_mut(|places| places.sweep(limits));
    });
}

impl Place {
    /// It has shown the token: it stays.
    pub(super) fn prove(&self) {
        PLACES.with_borrow_mut(|places| places.forget(self.0));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The thread may be ending.
        let _ = PLACES.try_with(|places| {
            let mut places = places.borrow_mut();
            places.forget(self.0);
            places.open = places.open.saturating_sub(1);
        });
    }
}

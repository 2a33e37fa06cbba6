//! Clients that say nothing, or little: they get a bounded number of connections, for a bounded time.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::site::bearer;
use crate::support::{DEADLINE, Site, eventually};

/// How many connections the server keeps.
const BOUND: usize = 256;
/// Linux's own numbers for the states of a socket.
const LISTENING: &str = "0A";

/// What is half of a request's head.
const HALF_A_HEAD: &[u8] = b"GET / HTTP/1.1\r\nX-Slow: ";

/// Clients that connect, say nothing, or little, and come again as soon as they are sent away.
pub struct Crowd {
    tasks: Vec<JoinHandle<()>>,
    sent_away: Rc<Cell<usize>>,
}

impl Crowd {
    /// Every second one says `little`.
    pub fn new(clients: usize, address: SocketAddr, little: &'static [u8]) -> Self {
        arvados_dispatch_cloud::descriptors::raise_limit();
        let sent_away = Rc::new(Cell::new(0));
        let client = |n: usize| {
            let sent_away = Rc::clone(&sent_away);
            let words = if n.is_multiple_of(2) { little } else { b"" };
            actix_rt::spawn(async move {
                loop {
                    say_and_wait(address, words).await;
                    sent_away.set(sent_away.get() + 1);
                }
            })
        };
        Self { tasks: (0..clients).map(client).collect(), sent_away }
    }

    /// How often one of them was sent away, or not let in.
    pub fn sent_away(&self) -> usize {
        self.sent_away.get()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Until the server has closed the connection.
async fn say_and_wait(address: SocketAddr, words: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    // The server may close at any time.
    if stream.write_all(words).await.is_ok() {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

pub fn address(site: &Site) -> SocketAddr {
    site.url.rsplit('/').next().unwrap().parse().unwrap()
}

/// The sockets of the system whose own port is that one: state, what is queued for reading, inode.
fn sockets(port: u16) -> Vec<(String, usize, u64)> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let own = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&own))
        .map(|row| {
            let (_, queued) = row[4].split_once(':').unwrap();
            (row[3].to_owned(), usize::from_str_radix(queued, 16).unwrap(), row[9].parse().unwrap())
        })
        .collect()
}

/// How many connections the server holds a descriptor for: those in the queue, and those it has closed, have no inode.
/// The table is not read in one moment, so it may show one that closes and its successor.
pub fn held(port: u16) -> usize {
    sockets(port).iter().filter(|(state, _, inode)| state != LISTENING && *inode != 0).count()
}

/// How many wait to be accepted.
fn queued(port: u16) -> usize {
    sockets(port).iter().filter(|(state, ..)| state == LISTENING).map(|(_, queued, _)| queued).sum()
}

/// Waits until the server has all the connections that it keeps.
pub async fn all_taken(address: SocketAddr) {
    eventually("all connections are taken", async || (held(address.port()) == BOUND).then_some(())).await;
}

/// What must happen within the deadline.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks for the health and reads the answer; the connection stays.
pub async fn ping(stream: &mut TcpStream) {
    let request = format!("GET /_health/ping HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n", bearer());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        let count = soon("an answer", stream.read_buf(&mut answer)).await.unwrap();
        assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
}

/// Whether the head is there, and as much of the body as it says.
pub fn is_whole(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.is_some_and(|length| body.len() >= length.trim().parse::<usize>().unwrap())
}

#[actix_web::test]
async fn a_thousand_silent_clients_that_come_again_and_again_shut_nobody_out() {
    let site = Site::start().await;
    let address = address(&site);
    let crowd = Crowd::new(1000, address, HALF_A_HEAD);
    all_taken(address).await;
    eventually("the others wait in the queue", async || (queued(address.port()) > BOUND).then_some(())).await;
    for _ in 0..3 {
        let seen = crowd.sent_away();
        // It has no connection yet.
        ping(&mut soon("a connection", TcpStream::connect(address)).await.unwrap()).await;
        let bounded = async || (held(address.port()) <= BOUND).then_some(());
        eventually("no more are held than the bound", bounded).await;
        let others = async || (crowd.sent_away() >= seen + BOUND).then_some(());
        eventually("as many as are held are sent away", others).await;
    }
}

#[actix_web::test]
async fn a_client_that_shows_the_token_keeps_its_connection_while_silent_ones_are_sent_away() {
    let site = Site::start().await;
    let mut prometheus = TcpStream::connect(address(&site)).await.unwrap();
    ping(&mut prometheus).await;
    for words in [b"", HALF_A_HEAD] {
        // It came later.
        soon("it is sent away", say_and_wait(address(&site), words)).await;
        ping(&mut prometheus).await;
    }
}

#[actix_web::test]
async fn a_client_that_is_refused_loses_its_connection_with_the_answer() {
    let site = Site::start().await;
    let wrong = "GET /_health/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n";
    let none = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let body_to_come =
        "POST /arvados/v1/dispatch/instances/kill HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nid";
    let half_of_another = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTT";
    for (request, status) in [(wrong, "403"), (none, "401"), (body_to_come, "401"), (half_of_another, "401")]
    {
        let mut stream = TcpStream::connect(address(&site)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Shorter than the time for which an idle connection is kept.
        let within = Duration::from_secs(30);
        timeout(within, stream.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
}

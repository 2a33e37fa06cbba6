//! Attacks by clients without a token: they hold few connections, cut nobody who has shown it, and fill no log.

use std::net::SocketAddr;
use std::time::Duration;

use awc::http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::silent::{address, held, ping};
use crate::support::site::Options;
use crate::support::{DEADLINE, Site, eventually};

/// How many connections without the token the server keeps.
pub const UNPROVEN: usize = 64;
/// Sooner than any of the server's times for silent clients.
const AT_ONCE: Duration = Duration::from_secs(8);

async fn connect(address: SocketAddr) -> TcpStream {
    timeout(DEADLINE, TcpStream::connect(address)).await.expect("it is accepted").unwrap()
}

/// Whether the server has closed that connection.
pub fn is_closed(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 4096]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[actix_web::test]
async fn of_silent_clients_a_few_are_kept_and_those_with_the_token_are_not_cut() {
    arvados_dispatch_cloud::descriptors::raise_limit();
    let site = Site::start().await;
    let address = address(&site);
    let mut proven = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(address).await;
        ping(&mut stream).await;
        proven.push(stream);
    }
    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(connect(address).await);
    }
    let few = async || (held(address.port()) <= proven.len() + UNPROVEN).then_some(());
    eventually("the older silent ones have gone", few).await;
    let oldest_have_gone = async || silent[..400 - 2 * UNPROVEN].iter().all(is_closed).then_some(());
    eventually("the oldest went first", oldest_have_gone).await;
    assert!(began.elapsed() < AT_ONCE, "not because they were silent for long: {:?}", began.elapsed());
    assert!(silent[399..].iter().all(|it| !is_closed(it)), "the newest is there");
    for stream in &mut proven {
        ping(stream).await;
    }
    ping(&mut connect(address).await).await;
}

#[actix_web::test]
async fn of_a_hundred_silent_clients_sixty_four_stay_although_there_is_room() {
    let site = Site::start().await;
    let address = address(&site);
    let began = Instant::now();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect(address).await);
    }
    let open = || silent.iter().filter(|it| !is_closed(it)).count();
    let few = async || (open() <= UNPROVEN && held(address.port()) <= UNPROVEN).then_some(());
    eventually("the others have gone", few).await;
    assert!(began.elapsed() < AT_ONCE, "not because they were silent for long: {:?}", began.elapsed());
    let open = open();
    assert!((UNPROVEN / 2..=UNPROVEN).contains(&open), "{open}");
}

#[actix_web::test]
async fn clients_that_are_refused_and_stay_hold_no_connection() {
    arvados_dispatch_cloud::descriptors::raise_limit();
    let site = Site::start().await;
    let address = address(&site);
    let mut crowd = Vec::new();
    for _ in 0..1300 {
        let mut stream = connect(address).await;
        // It may have been closed for a newer one.
        let _ = stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n\r\n")
            .await;
        crowd.push(stream);
    }
    eventually("all were closed", async || (held(address.port()) == 0).then_some(())).await;
    let mut answer = Vec::new();
    let last = crowd.last_mut().expect("there are many");
    timeout(DEADLINE, last.read_to_end(&mut answer)).await.expect("it is closed").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 403"), "{:?}", String::from_utf8_lossy(&answer));
    ping(&mut connect(address).await).await;
}

#[actix_web::test]
async fn a_client_that_is_silent_for_ten_seconds_goes() {
    let site = Site::start().await;
    let mut stream = connect(address(&site)).await;
    let read = timeout(DEADLINE, stream.read_to_end(&mut Vec::new())).await;
    assert!(read.is_ok(), "it is closed");
}

#[actix_web::test]
async fn refused_requests_fill_no_log() {
    let site = Site::with(Options::default()).await;
    let long = format!("/metrics?q={}", "x".repeat(4000));
    for n in 0..500 {
        let id = format!("req-flood-{n}");
        let headers = [("x-request-id", id.as_str()), ("authorization", "Bearer wrong")];
        site.ask(Method::GET, &long, &headers[..1 + n % 2], None)
            .await
            .assert_error(401 + 2 * (n as u16 % 2));
    }
    let told = eventually("it is told", async || {
        let told = site.logs.with_message("refused requests to the management API");
        (told.iter().any(|it| it["respStatusCode"] == 401)
            && told.iter().any(|it| it["respStatusCode"] == 403))
        .then_some(told)
    })
    .await;
    // Two threads and two statuses.
    assert!(told.len() <= 4, "{told:#?}");
    assert!(told[0]["remoteAddr"].as_str().is_some_and(|it| it.starts_with("127.0.0.1:")), "{told:#?}");
    let text = site.logs.text();
    assert!(!text.contains("req-flood") && !text.contains("xxxx"), "nothing of a refused request is logged");
}

#[actix_web::test]
async fn a_scrape_and_a_poll_are_no_info_lines() {
    let site = Site::start().await;
    for path in ["/metrics", "/arvados/v1/dispatch/instances", "/_health/ping"] {
        assert_eq!(site.get(path).await.status, 200);
    }
    let read = async || (site.logs.with_message("response to read").len() == 3).then_some(());
    eventually("they are debug lines", read).await;
    for line in site.logs.with_message("response to read") {
        assert_eq!(line["level"], "debug", "{line}");
    }
    for message in ["request", "request to read", "response"] {
        assert!(site.logs.with_message(message).is_empty(), "{message}: one line a request");
    }
    site.get("/nosuch").await.assert_error(404);
    let failed = async || site.logs.with_message("response").pop();
    assert_eq!(eventually("an error is more", failed).await["level"], "info");
}

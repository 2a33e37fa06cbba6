//! The same attacks over https, by clients that shake hands: they hold as few connections, and cut nobody either.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::join_all;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::flood::{UNPROVEN, is_closed};
use crate::silent::{address, held, is_whole};
use crate::support::site::bearer;
use crate::support::{DEADLINE, Site, eventually};
use crate::tls::{Files, served, trusting};

/// A connection whose handshake is over.
struct Client {
    stream: TcpStream,
    tls: ClientConnection,
}

impl Client {
    async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut client = Self { stream: TcpStream::connect(address).await?, tls };
        while client.tls.is_handshaking() {
            client.flush().await?;
            if client.tls.is_handshaking() && client.fetch().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        client.flush().await?;
        Ok(client)
    }

    /// Sends what is to be sent.
    async fn flush(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        self.stream.write_all(&bytes).await
    }

    /// Takes in what has come; 0: the server has closed the connection.
    async fn fetch(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).await?;
        let mut left = &bytes[..count];
        while !left.is_empty() {
            self.tls.read_tls(&mut left)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
        Ok(count)
    }

    async fn ask(&mut self, authorization: &str) -> io::Result<()> {
        let request =
            format!("GET /_health/ping HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n");
        self.tls.writer().write_all(request.as_bytes())?;
        self.flush().await
    }

    /// The whole answer, or what there is of it when the connection ends.
    async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        loop {
            // What there is now; then nothing, or the end.
            let _ = self.tls.reader().read_to_end(&mut answer);
            if is_whole(&answer) || !matches!(self.fetch().await, Ok(1..)) {
                return String::from_utf8(answer).unwrap();
            }
        }
    }

    async fn ping(&mut self) {
        self.ask(&bearer()).await.unwrap();
        let answer = timeout(DEADLINE, self.answer()).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
}

struct Target {
    site: Site,
    config: Arc<ClientConfig>,
    _files: Files,
}

impl Target {
    async fn start() -> Self {
        arvados_dispatch_cloud::descriptors::raise_limit();
        let files = Files::new();
        let certificate = files.renew();
        let site = served(&files.reloader()).await;
        Self { site, config: trusting(&certificate), _files: files }
    }

    async fn connect(&self) -> io::Result<Client> {
        let connecting = Client::connect(address(&self.site), Arc::clone(&self.config));
        timeout(DEADLINE, connecting).await.expect("it is let in or sent away")
    }

    fn held(&self) -> usize {
        held(address(&self.site).port())
    }
}

#[actix_web::test]
async fn over_tls_too_clients_that_are_refused_and_stay_hold_no_connection() {
    let target = Target::start().await;
    let attack = async || {
        let mut client = target.connect().await.ok()?;
        // It may have been closed for a newer one.
        client.ask("Bearer wrong").await.ok()?;
        Some(client)
    };
    let mut crowd = Vec::new();
    while crowd.len() < 1300 {
        crowd.extend(join_all((0..100).map(|_| attack())).await);
    }
    let came_in = crowd.iter().flatten().count();
    assert!(came_in > 1000, "{came_in} have shaken hands");
    eventually("all were closed", async || (target.held() == 0).then_some(())).await;
    let mut refused = 0;
    for client in crowd.iter_mut().flatten() {
        let answer = timeout(DEADLINE, client.answer()).await.expect("it is closed");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 403"), "{answer:?}");
        refused += usize::from(!answer.is_empty());
    }
    assert!(refused > 1000, "{refused}");
    target.connect().await.unwrap().ping().await;
}

#[actix_web::test]
async fn over_tls_too_of_silent_clients_a_few_are_kept_and_those_with_the_token_are_not_cut() {
    let target = Target::start().await;
    let mut proven = Vec::new();
    for _ in 0..100 {
        let mut client = target.connect().await.unwrap();
        client.ping().await;
        proven.push(client);
    }
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(target.connect().await.unwrap());
    }
    let few = async || (target.held() <= proven.len() + UNPROVEN).then_some(());
    eventually("the older silent ones have gone", few).await;
    let closed = |clients: &[Client]| clients.iter().all(|it| is_closed(&it.stream));
    let oldest_have_gone = async || closed(&silent[..300 - 2 * UNPROVEN]).then_some(());
    eventually("the oldest went first", oldest_have_gone).await;
    for client in &mut proven {
        client.ping().await;
    }
    target.connect().await.unwrap().ping().await;
}

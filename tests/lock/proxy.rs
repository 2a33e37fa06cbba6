//! Something between a dispatcher and its server that says things of its own on the dispatcher's session.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, channel};

use crate::support::{SOON, until};
use crate::{Postgres, Site};

/// How every complete answer ends but for the last byte: ready for the next question.
const READY: [u8; 5] = [b'Z', 0, 0, 0, 5];

/// Carries connections; ends with the process.
pub struct Proxy {
    opened: Receiver<Link>,
    latest: Option<Link>,
}

/// A connection's way to the server.
struct Link {
    server: TcpStream,
    talk: Arc<Talk>,
}

/// Where the conversation stands.
struct Talk {
    /// Questions of the dispatcher without a complete answer; logging in is the first.
    open: AtomicI64,
    /// What the server says now is not for the dispatcher.
    swallow: AtomicBool,
}

impl Proxy {
    /// From now on the site's dispatchers connect through it, and without TLS.
    pub fn before(postgres: &Postgres, site: &mut Site) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = &mut site.cluster()["PostgreSQL"]["Connection"];
        connection["port"] = listener.local_addr().unwrap().port().to_string().into();
        connection["sslmode"] = "disable".into();
        let (port, (sender, opened)) = (postgres.port, channel());
        std::thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let talk = Arc::new(Talk { open: AtomicI64::new(1), swallow: AtomicBool::new(false) });
                let link = Link { server: server.try_clone().unwrap(), talk: Arc::clone(&talk) };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let there = Arc::clone(&talk);
                std::thread::spawn(move || carry(from, to, &there));
                std::thread::spawn(move || carry_back(server, client, &talk));
                if sender.send(link).is_err() {
                    return;
                }
            }
        });
        Self { opened, latest: None }
    }

    /// Says this on the session that was opened last, as soon as no question of the dispatcher is open: the next
    /// one comes at least half a second later.
    pub async fn inject(&mut self, statement: &str) {
        while let Ok(later) = self.opened.try_recv() {
            self.latest = Some(later);
        }
        let link = self.latest.as_mut().expect("a dispatcher has connected");
        let answered = async || (link.talk.open.load(Ordering::SeqCst) == 0).then_some(());
        until("every question is answered", SOON, answered).await;
        link.talk.swallow.store(true, Ordering::SeqCst);
        let length = u32::try_from(statement.len() + 5).unwrap();
        let message = [b"Q", length.to_be_bytes().as_slice(), statement.as_bytes(), b"\0"].concat();
        link.server.write_all(&message).unwrap();
    }
}

fn carry(mut client: TcpStream, mut server: TcpStream, talk: &Talk) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        talk.open.fetch_add(i64::from(buffer[0] == b'Q'), Ordering::SeqCst);
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

fn carry_back(mut server: TcpStream, mut client: TcpStream, talk: &Talk) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        let chunk = &buffer[..count];
        let is_complete = count > READY.len() && chunk[count - 6..count - 1] == READY;
        if talk.swallow.load(Ordering::SeqCst) {
            talk.swallow.store(!is_complete, Ordering::SeqCst);
            continue;
        }
        talk.open.fetch_sub(i64::from(is_complete), Ordering::SeqCst);
        if client.write_all(chunk).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

//! Something between a dispatcher and its server that says things of its own on the dispatcher's session.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use crate::{Postgres, Site};

/// How every complete answer ends but for the last byte: ready for the next question.
const READY: [u8; 5] = [b'Z', 0, 0, 0, 5];

/// Carries connections; ends with the process.
pub struct Proxy {
    opened: Receiver<Link>,
    latest: RefCell<Option<Link>>,
}

/// A connection's way to the server.
struct Link {
    server: TcpStream,
    /// What the server says now is not for the dispatcher.
    swallow: Arc<AtomicBool>,
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
                let swallow = Arc::new(AtomicBool::new(false));
                let link = Link { server: server.try_clone().unwrap(), swallow: Arc::clone(&swallow) };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || carry(from, to));
                std::thread::spawn(move || carry_back(server, client, &swallow));
                if sender.send(link).is_err() {
                    return;
                }
            }
        });
        Self { opened, latest: RefCell::default() }
    }

    /// Says this on the session that was opened last. Between two questions of the dispatcher, which are seconds
    /// apart, if the answer to the last one has been seen.
    pub fn inject(&self, statement: &str) {
        let mut latest = self.latest.borrow_mut();
        while let Ok(later) = self.opened.try_recv() {
            *latest = Some(later);
        }
        let link = latest.as_mut().expect("a dispatcher has connected");
        link.swallow.store(true, Ordering::SeqCst);
        let length = u32::try_from(statement.len() + 5).unwrap();
        let message = [b"Q", length.to_be_bytes().as_slice(), statement.as_bytes(), b"\0"].concat();
        link.server.write_all(&message).unwrap();
    }
}

fn carry(mut client: TcpStream, mut server: TcpStream) {
    // Either side may end it.
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
}

fn carry_back(mut server: TcpStream, mut client: TcpStream, swallow: &AtomicBool) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        let chunk = &buffer[..count];
        if swallow.load(Ordering::SeqCst) {
            let is_last = count > READY.len() && chunk[count - 6..count - 1] == READY;
            swallow.store(!is_last, Ordering::SeqCst);
        } else if client.write_all(chunk).is_err() {
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

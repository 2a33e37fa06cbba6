//! Something between a dispatcher and its server that says things of its own on the dispatcher's session.

#![expect(clippy::disallowed_types, reason = "two threads carry bytes, and there is no actor")]

use std::io::{Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use crate::support::{SOON, until};
use crate::{Postgres, Site};

/// The server is ready for the next question: the end of every answer, and of logging in.
const READY: u8 = b'Z';

/// Carries connections; ends with the process.
pub struct Proxy {
    opened: Receiver<Link>,
    latest: Option<Link>,
}

/// A connection's way to the server.
struct Link {
    server: TcpStream,
    talk: Arc<Mutex<Talk>>,
}

/// Where the conversation stands. Whoever sends something to the server holds it meanwhile, so that answers come in
/// the order of what is noted here.
struct Talk {
    /// Questions of the dispatcher without a complete answer; logging in is the first.
    open: u32,
    /// What the server says up to its next `READY` is not for the dispatcher.
    swallow: bool,
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
                let talk = Arc::new(Mutex::new(Talk { open: 1, swallow: false }));
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

    /// Says this on the session that was opened last, as soon as no question of the dispatcher is open.
    pub async fn inject(&mut self, statement: &str) {
        while let Ok(later) = self.opened.try_recv() {
            self.latest = Some(later);
        }
        let Link { server, talk } = self.latest.as_mut().expect("a dispatcher has connected");
        let length = u32::try_from(statement.len() + 5).unwrap();
        let message = [b"Q", length.to_be_bytes().as_slice(), statement.as_bytes(), b"\0"].concat();
        let mut said = || {
            let mut talk = talk.lock().unwrap();
            (talk.open == 0 && !talk.swallow).then(|| {
                talk.swallow = true;
                server.write_all(&message).unwrap();
            })
        };
        until("every question is answered", SOON, async || said()).await;
    }
}

/// The next message: a letter unless it is the first of a client, its length with these four bytes, and so many.
fn message(from: &mut TcpStream, letter: bool) -> Result<Vec<u8>> {
    let head = 4 + usize::from(letter);
    let mut message = vec![0; head];
    from.read_exact(&mut message)?;
    let length = u32::from_be_bytes(message[head - 4..].try_into().unwrap());
    message.resize(head - 4 + length as usize, 0);
    from.read_exact(&mut message[head..])?;
    Ok(message)
}

fn carry(mut client: TcpStream, mut server: TcpStream, talk: &Mutex<Talk>) {
    let mut is_first = true;
    while let Ok(message) = message(&mut client, !is_first) {
        let mut talk = talk.lock().unwrap();
        talk.open += u32::from(!is_first && message[0] == b'Q');
        if server.write_all(&message).is_err() {
            break;
        }
        is_first = false;
    }
    let _ = server.shutdown(Shutdown::Both);
}

fn carry_back(mut server: TcpStream, mut client: TcpStream, talk: &Mutex<Talk>) {
    while let Ok(message) = message(&mut server, true) {
        {
            let mut talk = talk.lock().unwrap();
            let is_ready = message[0] == READY;
            // It was said while nothing was open: its answer comes before those to later questions.
            if talk.swallow {
                talk.swallow = !is_ready;
                continue;
            }
            talk.open -= u32::from(is_ready);
        }
        if client.write_all(&message).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

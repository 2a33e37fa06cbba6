//! A websocket service on a free port whose every byte is the test's.

use std::time::Duration;

use actix_codec::Framed;
use actix_http::ws::{Codec, Frame, Message, hash_key};
use dispatch_adapters::events::{Feed, Options};
use dispatch_core::ports::{EventFeed, Hint};
use dispatch_core::secret::Secret;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

/// How long the tests wait for what must come, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A token with characters that a query cannot have as they are.
pub const TOKEN: &str = "v2/zzzzz-gj3su-000000000000000/hush+hush/&=?#%20";

/// Where the service listens.
pub struct Listener {
    inner: TcpListener,
    pub url: Url,
}

impl Listener {
    pub async fn new() -> Self {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/websocket", inner.local_addr().unwrap()).parse().unwrap();
        Self { inner, url }
    }

    /// The next connection and the head of its request.
    pub async fn request(&self) -> (TcpStream, String) {
        let (mut stream, _) = timeout(PATIENCE, self.inner.accept()).await.expect("it connects").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.expect("it asks").unwrap());
        }
        (stream, String::from_utf8(head).unwrap())
    }

    /// The next connection, as a websocket, and the path and query that were asked for.
    pub async fn websocket(&self) -> (Peer, String) {
        let (mut stream, head) = self.request().await;
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let accept = String::from_utf8(hash_key(key.as_bytes()).to_vec()).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        (Peer(Framed::new(stream, Codec::new())), path)
    }

    /// The next connection, subscribed.
    pub async fn subscribed(&self) -> Peer {
        let (mut peer, _) = self.websocket().await;
        assert!(matches!(peer.next().await, Some(Frame::Text(_))), "it subscribes");
        peer.tell(r#"{"status":200}"#).await;
        peer
    }
}

/// A connection, as the service sees it.
pub struct Peer(pub Framed<TcpStream, Codec>);

impl Peer {
    pub async fn tell(&mut self, text: impl Into<String>) {
        self.0.send(Message::Text(text.into().into())).await.unwrap();
    }

    /// What our side has sent; `None`: it has ended the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.0.next()).await.expect("something comes").and_then(Result::ok)
    }
}

/// A feed from these URLs that tries again after half a second.
pub fn feed(urls: &[&Url], change: impl FnOnce(&mut Options)) -> Feed {
    let mut options = Options {
        urls: urls.iter().copied().cloned().collect(),
        token: Secret::new(TOKEN),
        cluster: "zzzzz".into(),
        insecure: false,
        timeout: PATIENCE,
        ping_interval: PATIENCE,
        chance: Box::new(|| 0.0),
    };
    change(&mut options);
    Feed::open(options).unwrap()
}

pub async fn hint(feed: &Feed) -> Hint {
    timeout(PATIENCE, feed.next()).await.expect("a hint comes")
}

/// The reason of the next hint, which must be that the connection is lost. It is for people, and keeps our secrets.
pub async fn reason(feed: &Feed) -> String {
    let hint = hint(feed).await;
    let Hint::Lost { reason } = hint else { panic!("{hint:?}") };
    for secret in ["hush", "api_token", "gj3su"] {
        assert!(!reason.contains(secret), "{reason}");
    }
    assert!(reason.len() < 300 && !reason.contains(char::is_control), "{reason}");
    reason
}

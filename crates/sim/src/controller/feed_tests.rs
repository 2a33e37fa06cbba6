//! Tests over real websockets.

use std::time::Duration;

use actix_codec::Framed;
use awc::error::WsClientError;
use awc::ws::{Codec, Frame};
use awc::{BoxedSocket, Client};
use dispatch_core::id::ContainerUuid;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::super::http::SimController;
use super::super::state::ContainerSpec;
use super::super::{ROOT_TOKEN, Settings, Submission, USER_TOKEN};
use super::*;
use crate::clock;

/// How long the tests wait for what must come, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SUBSCRIBE: &str = r#"{"method":"subscribe","filters":[["event_type","in",["create","update"]]]}"#;

fn site(change: impl FnOnce(&mut Settings)) -> SimController {
    let mut settings = Settings::default();
    change(&mut settings);
    SimController::start(FakeArvados::new(1, settings), clock::now).unwrap()
}

async fn submit(site: &SimController) -> ContainerUuid {
    let submit = |arvados: &mut FakeArvados, now: Timestamp| {
        arvados.submit(Submission::of(ContainerSpec::default()), now)
    };
    site.with(submit).await.unwrap()
}

async fn turn_knobs(site: &SimController, turn: fn(&mut super::super::events::Events)) {
    site.with(move |arvados, _| turn(&mut arvados.events)).await.unwrap();
}

/// A client of the feed.
struct Listener(Framed<BoxedSocket, Codec>);

impl Listener {
    async fn connect(site: &SimController, token: &str) -> Result<Self, WsClientError> {
        let url = format!("{}?api_token={token}", site.websocket_url());
        Ok(Self(Client::new().ws(url).connect().await?.1))
    }

    async fn subscribed(site: &SimController, token: &str) -> Self {
        let mut client = Self::connect(site, token).await.unwrap();
        assert_eq!(client.ask(SUBSCRIBE).await, r#"{"status":200}"#);
        client
    }

    async fn ask(&mut self, text: &str) -> String {
        self.0.send(awc::ws::Message::Text(text.to_owned().into())).await.unwrap();
        self.text().await.expect("an answer")
    }

    /// The next message; `None`: the connection has ended.
    async fn text(&mut self) -> Option<String> {
        match timeout(PATIENCE, self.0.next()).await.expect("something comes")? {
            Ok(Frame::Text(text)) => Some(String::from_utf8(text.to_vec()).unwrap()),
            Ok(frame) => panic!("{frame:?}"),
            Err(_) => None,
        }
    }

    /// The object and the number of the next event; signs of life are left out.
    async fn event(&mut self) -> Option<(String, u64)> {
        loop {
            let text = self.text().await?;
            if text != "{}" {
                let event: Value = serde_json::from_str(&text).unwrap();
                let object = event["object_uuid"].as_str().unwrap().to_owned();
                return Some((object, event["msgID"].as_u64().unwrap()));
            }
        }
    }
}

#[actix_web::test]
async fn subscribers_are_told_what_changes_and_number_what_they_are_told() {
    let site = site(|_| ());
    let mut first = Listener::subscribed(&site, ROOT_TOKEN).await;
    let mut second = Listener::subscribed(&site, ROOT_TOKEN).await;
    // Who has not subscribed is told nothing.
    let mut third = Listener::connect(&site, ROOT_TOKEN).await.unwrap();
    let uuid = submit(&site).await.to_string();
    for client in [&mut first, &mut second] {
        let (request, number) = client.event().await.unwrap();
        assert_eq!((&request[6..11], number), ("xvhdp", 1));
        assert_eq!(client.event().await, Some((uuid.clone(), 2)));
    }
    for bad in ["", "{}", r#"{"method":"dance"}"#] {
        assert_eq!(third.ask(bad).await, r#"{"status":400}"#);
    }
}

#[actix_web::test]
async fn with_a_wrong_token_there_are_signs_of_life_and_nothing_else() {
    let site = site(|settings| settings.ping_interval = Duration::from_millis(50));
    let mut right = Listener::subscribed(&site, ROOT_TOKEN).await;
    for token in ["", "wrong", USER_TOKEN] {
        let mut wrong = Listener::subscribed(&site, token).await;
        let uuid = submit(&site).await.to_string();
        while right.event().await.unwrap().0 != uuid {}
        for _ in 0..2 {
            assert_eq!(wrong.text().await.unwrap(), "{}");
        }
    }
    let mut pinging = Listener::subscribed(&site, ROOT_TOKEN).await;
    pinging.0.send(awc::ws::Message::Ping("there?".into())).await.unwrap();
    let pong = pinging.0.next().await.unwrap().unwrap();
    assert!(matches!(pong, Frame::Pong(_) | Frame::Text(_)), "{pong:?}");
}

#[actix_web::test]
async fn who_does_not_read_is_cut_off_and_who_reads_is_not() {
    let site = site(|_| ());
    let mut reader = Listener::subscribed(&site, ROOT_TOKEN).await;
    let mut sleeper = sleeper(&site).await;
    turn_knobs(&site, |events| events.knobs.others_per_second = 5_000).await;
    // The sleeper is cut off when what the system keeps for it is full, too.
    let clients = || site.with(|arvados, _| arvados.events.listeners());
    let began = Instant::now();
    while clients().await.unwrap() == 2 {
        assert!(reader.event().await.is_some());
        assert!(began.elapsed() < PATIENCE);
    }
    turn_knobs(&site, |events| events.knobs.others_per_second = 0).await;
    let uuid = submit(&site).await.to_string();
    while reader.event().await.expect("it is still connected").0 != uuid {}
    while let Some(Ok(_)) = timeout(PATIENCE, sleeper.next()).await.expect("it ends") {}
}

/// A client that has subscribed and for which the system keeps little.
async fn sleeper(site: &SimController) -> Framed<TcpStream, Codec> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = site.url().strip_prefix("http://").unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let head = format!(
        "GET /websocket?api_token={ROOT_TOKEN} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let mut client = Framed::new(stream, Codec::new().client_mode());
    client.send(awc::ws::Message::Text(SUBSCRIBE.into())).await.unwrap();
    let answer = client.next().await.unwrap().unwrap();
    assert_eq!(answer, Frame::Text(r#"{"status":200}"#.into()));
    client
}

#[actix_web::test]
async fn a_service_that_is_down_ends_connections_and_takes_none() {
    let site = site(|_| ());
    let mut client = Listener::subscribed(&site, ROOT_TOKEN).await;
    turn_knobs(&site, super::super::events::Events::cut).await;
    assert_eq!(client.text().await, None);
    let mut client = Listener::subscribed(&site, ROOT_TOKEN).await;
    turn_knobs(&site, |events| events.knobs.is_down = true).await;
    assert_eq!(client.text().await, None);
    let Err(WsClientError::InvalidResponseStatus(status)) = Listener::connect(&site, ROOT_TOKEN).await else {
        panic!("it is down");
    };
    assert_eq!(status, 502);
    turn_knobs(&site, |events| events.knobs.is_down = false).await;
    Listener::subscribed(&site, ROOT_TOKEN).await;
}

#[actix_web::test]
async fn late_events_come_after_others_and_all_come() {
    let site = site(|_| ());
    let mut client = Listener::subscribed(&site, ROOT_TOKEN).await;
    turn_knobs(&site, |events| events.knobs.late = 0.5).await;
    let mut wanted = Vec::new();
    for _ in 0..20 {
        wanted.push(submit(&site).await.to_string());
    }
    let mut told = Vec::new();
    while told.len() < 20 {
        let (object, _) = client.event().await.unwrap();
        if object[6..11] == *"dz642" {
            told.push(object);
        }
    }
    assert_ne!(told, wanted, "some are late");
    told.sort();
    wanted.sort();
    assert_eq!(told, wanted);
}

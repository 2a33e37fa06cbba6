//! Sessions over a pipe, in paused time. The peer is the same codec, as a server.

use std::time::Duration;

use actix_codec::{Framed, FramedParts};
use actix_http::ws::{CloseCode, Codec, Frame, Item, Message};
use bytes::{Bytes, BytesMut};
use dispatch_core::container::ContainerState;
use dispatch_core::ports::{FeedCounts, Hint};
use futures_util::future::join;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use super::frames::{Bounded, Frames, LONGEST};
use super::inbox::Inbox;
use super::session::{Ended, Session, Terms};

type Peer = Framed<DuplexStream, Codec>;

const ANSWER: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(125);
const HIDDEN: &str =
    r#"{"event_type":"create","object_uuid":"zzzzz-4zz18-000000000000001","properties":{"a":{"b":1}}}"#;

fn text(text: impl Into<String>) -> Message {
    Message::Text(text.into().into())
}

fn event(object: &str) -> Message {
    let state = if object.contains("-xvhdp-") { "Committed" } else { "Running" };
    text(format!(
        r#"{{"event_type":"update","object_uuid":"{object}","properties":{{"new_attributes":{{"state":"{state}"}}}}}}"#
    ))
}

/// Runs a session against what the peer does; the peer's end ends the connection.
async fn session<F>(room: usize, peer: impl FnOnce(Peer) -> F) -> (Inbox, Duration, Ended)
where
    F: Future<Output = ()>,
{
    let (ours, theirs) = tokio::io::duplex(room);
    let codec = Bounded(Codec::new().max_size(LONGEST).client_mode());
    let frames = Frames::new(Framed::new(ours, codec));
    let inbox = Inbox::default();
    let terms = Terms { cluster: "zzzzz".into(), answer: ANSWER, silence: SILENCE };
    let running = Session::new(frames, &inbox, &terms).run();
    let ((stood, ended), ()) = join(running, peer(Framed::new(theirs, Codec::new()))).await;
    (inbox, stood, ended)
}

/// Takes the subscription and accepts it.
async fn subscribed(mut peer: Peer) -> Peer {
    let subscription =
        r#"{"method":"subscribe","filters":[["event_type","in",["create","update","delete"]]]}"#;
    assert_eq!(peer.next().await.unwrap().unwrap(), Frame::Text(subscription.into()));
    peer.send(text(r#"{"status":200}"#)).await.unwrap();
    peer
}

fn hints(inbox: &Inbox) -> Vec<Hint> {
    std::iter::from_fn(|| inbox.take().now_or_never()).collect()
}

fn running(uuid: &str) -> Hint {
    Hint::Container { uuid: uuid.parse().unwrap(), state: Some(ContainerState::Running) }
}

#[tokio::test(start_paused = true)]
async fn it_subscribes_and_tells_what_happens() {
    let (inbox, stood, ended) = session(1 << 16, async |mut peer| {
        // Before the answer it is told as well.
        peer.send(event("zzzzz-dz642-000000000000002")).await.unwrap();
        let mut peer = subscribed(peer).await;
        for message in [
            text(HIDDEN),
            event("zzzzz-dz642-000000000000001"),
            event("zzzzz-xvhdp-000000000000001"),
            text("{}"),
            text("<html>"),
            text(r#"{"status":200}"#),
        ] {
            peer.send(message).await.unwrap();
        }
        sleep(Duration::from_secs(9)).await;
        peer.send(Message::Close(Some(CloseCode::Restart.into()))).await.unwrap();
    })
    .await;
    let containers = ["zzzzz-dz642-000000000000001", "zzzzz-dz642-000000000000002"].map(running);
    assert_eq!(hints(&inbox), [[Hint::Connected].as_slice(), &containers, &[Hint::Requests]].concat());
    let counts = FeedCounts { containers: 2, requests: 1, others: 1, pings: 1, malformed: 2 };
    assert_eq!(inbox.counts(), counts);
    assert_eq!(
        (ended.to_string().as_str(), stood),
        ("closed by the server (code 1012)", Duration::from_secs(9))
    );
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_connection_and_any_sign_of_life_keeps_it() {
    let began = Instant::now();
    let (inbox, stood, ended) = session(1 << 16, async |peer| {
        let mut peer = subscribed(peer).await;
        for message in [text("{}"), Message::Ping("are you there".into()), Message::Pong("".into())] {
            sleep(SILENCE - Duration::from_secs(1)).await;
            peer.send(message).await.unwrap();
        }
        assert_eq!(peer.next().await.unwrap().unwrap(), Frame::Pong("are you there".into()));
        assert!(peer.next().await.is_none(), "it ends the connection");
    })
    .await;
    let kept = 3 * (SILENCE - Duration::from_secs(1));
    assert_eq!((began.elapsed(), stood), (kept + SILENCE, kept + SILENCE));
    assert_eq!(ended.to_string(), "nothing heard for 125 s");
    assert_eq!(inbox.counts().pings, 3);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_not_accepted_ends_the_connection() {
    let answers = [
        (r#"{"status":400}"#, "the subscription was answered with status 400"),
        ("<html>secret</html>", "what answered the subscription is not the event service"),
    ];
    for (answer, reason) in answers {
        let (inbox, stood, ended) = session(1 << 16, async |mut peer| {
            peer.send(text(answer)).await.unwrap();
        })
        .await;
        assert_eq!((ended.to_string().as_str(), stood), (reason, Duration::ZERO));
        assert_eq!(hints(&inbox), []);
    }
    // Events are no answer.
    let began = Instant::now();
    let (inbox, stood, ended) = session(1 << 16, async |mut peer| {
        while peer.send(text(HIDDEN)).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert_eq!(ended.to_string(), "no answer to the subscription in 30 s");
    assert_eq!((stood, hints(&inbox)), (Duration::ZERO, vec![]));
    assert!(began.elapsed() < ANSWER + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_message_in_parts_is_put_together_up_to_the_longest() {
    let (inbox, _, ended) = session(1 << 16, async |peer| {
        let mut peer = subscribed(peer).await;
        let (first, rest) = HIDDEN.split_at(20);
        let (second, last) = rest.split_at(7);
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        peer.send(Message::Continuation(Item::FirstText(bytes(first)))).await.unwrap();
        peer.send(Message::Ping("".into())).await.unwrap();
        peer.send(Message::Continuation(Item::Continue(bytes(second)))).await.unwrap();
        peer.send(Message::Continuation(Item::Last(bytes(last)))).await.unwrap();
        let part = Bytes::from(vec![b' '; LONGEST / 2]);
        peer.send(Message::Continuation(Item::FirstText(part.clone()))).await.unwrap();
        while peer.send(Message::Continuation(Item::Continue(part.clone()))).await.is_ok() {}
    })
    .await;
    assert_eq!((inbox.counts().others, inbox.counts().malformed), (1, 0));
    assert_eq!(ended.to_string(), "message of more than 2 MiB");
}

/// Its end is never sent: who waits for it would take in all of it first.
#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_is_refused_when_its_length_is_known() {
    let lengths = [LONGEST as u64 + 1, 10 << 20, u64::from(u32::MAX) + 1, u64::MAX];
    for length in lengths {
        let (_, _, ended) = session(1 << 16, async |peer| {
            let peer = subscribed(peer).await;
            let head = [&[0x81, 127], length.to_be_bytes().as_slice()].concat();
            let FramedParts { io, .. } = peer.into_parts();
            let mut raw = Framed::new(io, actix_codec::BytesCodec);
            raw.send(Bytes::from(head)).await.unwrap();
            assert!(raw.next().await.is_none(), "it ends the connection");
        })
        .await;
        assert_eq!(ended.to_string(), "message of more than 2 MiB", "{length}");
    }
    let longest = "x".repeat(LONGEST);
    let (inbox, _, _) = session(1 << 16, async |peer| {
        let mut peer = subscribed(peer).await;
        peer.send(text(longest)).await.unwrap();
    })
    .await;
    assert_eq!(inbox.counts().malformed, 1, "the longest is read");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_pings_and_reads_nothing_is_read_all_the_same() {
    let (inbox, _, ended) = session(256, async |peer| {
        let mut peer = subscribed(peer).await;
        for _ in 0..10_000 {
            peer.send(Message::Ping(Bytes::from_static(&[b'x'; 100]))).await.unwrap();
        }
        peer.send(event("zzzzz-dz642-000000000000001")).await.unwrap();
    })
    .await;
    assert_eq!(ended.to_string(), "closed by the server");
    assert_eq!((inbox.counts().pings, inbox.counts().containers), (10_000, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_frame_ends_the_connection() {
    for bytes in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &[0x81, 0x81, 0, 0, 0, 0, b'x'], &[0x80, 0], &[0x83, 0]]
    {
        let (_, _, ended) = session(1 << 16, async |peer| {
            let FramedParts { io, .. } = subscribed(peer).await.into_parts();
            let mut raw = Framed::new(io, actix_codec::BytesCodec);
            raw.send(Bytes::from_static(bytes)).await.unwrap();
            assert!(raw.next().await.is_none(), "it ends the connection");
        })
        .await;
        assert!(matches!(ended, Ended::Broken(_)), "{ended}");
        assert!(!ended.to_string().contains("HTTP"), "{ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_counted_and_leaves_one_hint() {
    let (inbox, _, _) = session(1 << 16, async |peer| {
        let mut peer = subscribed(peer).await;
        for number in 0..10_000 {
            let kind = if number % 10 == 0 { "dz642" } else { "4zz18" };
            peer.feed(event(&format!("zzzzz-{kind}-{number:015}"))).await.unwrap();
        }
        peer.flush().await.unwrap();
    })
    .await;
    assert_eq!((inbox.counts().others, inbox.counts().containers), (9_000, 1_000));
    assert_eq!(hints(&inbox), [Hint::Connected, Hint::Everything]);
}

/// A frame's length is told in 7, 16 or 64 bits.
#[test]
fn frames_of_every_length_are_read_back() {
    use actix_codec::{Decoder, Encoder};
    for length in [0, 125, 126, 65_535, 65_536, LONGEST] {
        let mut bytes = BytesMut::new();
        let message = Message::Binary(Bytes::from(vec![7; length]));
        Codec::new().max_size(LONGEST).encode(message, &mut bytes).unwrap();
        let whole = bytes.clone();
        let mut codec = Bounded(Codec::new().max_size(LONGEST).client_mode());
        for cut in [0, 1, 2, 3, 9, whole.len() - 1] {
            let mut part = BytesMut::from(&whole[..cut.min(whole.len() - 1)]);
            assert_eq!(codec.decode(&mut part).unwrap(), None, "{length}, cut at {cut}");
        }
        let Some(Frame::Binary(read)) = codec.decode(&mut bytes).unwrap() else { panic!("{length}") };
        assert_eq!((read.len(), bytes.len()), (length, 0));
    }
}

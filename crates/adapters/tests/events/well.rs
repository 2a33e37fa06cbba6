//! A service as it should be.

use actix_http::ws::{Frame, Message};
use dispatch_core::container::ContainerState;
use dispatch_core::ports::{EventFeed, FeedCounts, Hint};
use futures_util::SinkExt;

use crate::peer::{Listener, TOKEN, feed, hint, reason};

const COMPLETE: &str = r#"{"event_at":"2026-01-01T00:00:00.123456789Z","event_type":"update","id":12345,"msgID":1,
"object_kind":"arvados#container","object_owner_uuid":"zzzzz-tpzed-000000000000000",
"object_uuid":"zzzzz-dz642-000000000000001","properties":{"new_attributes":{"state":"Complete"},
"old_attributes":{"state":"Running"}},"uuid":"zzzzz-57u5n-000000000000001"}"#;

fn complete() -> Hint {
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    Hint::Container { uuid, state: Some(ContainerState::Complete) }
}

#[actix_rt::test]
async fn the_token_goes_in_the_query_and_events_become_hints() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |_| ());
    let (mut peer, path) = service.websocket().await;
    let (path, query) = path.split_once('?').unwrap();
    assert_eq!(path, "/websocket");
    let query: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    assert_eq!(query, [("api_token".into(), TOKEN.into())]);
    peer.next().await.expect("it subscribes");
    peer.tell(r#"{"status":200}"#).await;
    peer.tell(COMPLETE).await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    assert_eq!(hint(&feed).await, complete());
    assert_eq!(feed.counts(), FeedCounts { containers: 1, ..FeedCounts::default() });
}

#[actix_rt::test]
async fn a_connection_that_ends_is_told_and_made_again() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |_| ());
    let peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    drop(peer);
    assert_eq!(reason(&feed).await, "closed by the server");
    let mut peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    peer.tell(COMPLETE).await;
    assert_eq!(hint(&feed).await, complete());
}

/// Nobody takes the hints meanwhile, and the connection is read all the same.
#[actix_rt::test]
async fn hints_wait_until_they_are_taken() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |_| ());
    let mut peer = service.subscribed().await;
    for _ in 0..20_000 {
        peer.tell(COMPLETE).await;
    }
    // It answers after it has read all that.
    peer.0.send(Message::Ping("".into())).await.unwrap();
    assert_eq!(peer.next().await, Some(Frame::Pong("".into())));
    assert_eq!(feed.counts().containers, 20_000);
    assert_eq!([hint(&feed).await, hint(&feed).await], [Hint::Connected, complete()]);
}

#[actix_rt::test]
async fn who_is_dropped_hangs_up() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |_| ());
    let mut peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    drop(feed);
    assert_eq!(peer.next().await, None);
}

#[actix_rt::test]
async fn a_url_that_does_not_answer_is_followed_by_the_next() {
    let service = Listener::new().await;
    let nobody = Listener::new().await.url;
    let feed = feed(&[&nobody, &service.url], |_| ());
    let peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    // If none answers, both are named.
    let port = service.url.port().unwrap().to_string();
    drop((peer, service));
    reason(&feed).await;
    let text = reason(&feed).await;
    assert!(text.contains(&nobody.port().unwrap().to_string()) && text.contains(&port), "{text}");
}

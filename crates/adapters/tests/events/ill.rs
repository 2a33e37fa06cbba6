//! Services that are not what they should be. Each is told in one line, and tried again.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::{Bytes, BytesMut};
use dispatch_adapters::events::{Feed, OpenError, Options};
use dispatch_core::ports::{EventFeed, Hint};
use dispatch_core::secret::Secret;
use futures_util::{SinkExt, StreamExt, stream};
use tokio::io::AsyncWriteExt;
use url::Url;

use crate::peer::{Listener, PATIENCE, TOKEN, feed, hint, reason};

#[actix_rt::test]
async fn who_answers_no_websocket_is_named_with_what_it_answered() {
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 20\r\n\r\n<html>hush-hush</html>";
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let wrong_key = format!("{accepted}Sec-WebSocket-Accept: hush\r\n\r\n");
    let no_key = format!("{accepted}\r\n");
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    for (answer, wanted) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404 Not Found, not as a websocket"),
        ("HTTP/1.1 502 hush\r\nContent-Length: 0\r\n\r\n", "answered 502 Bad Gateway, not as a websocket"),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "answered 302 Found",
        ),
        (html, "answered 200 OK, not as a websocket"),
        (&wrong_key, "answered, but not as a websocket"),
        (&no_key, "answered, but not as a websocket"),
        ("SSH-2.0-OpenSSH_10.0 hush\r\n", "answered no HTTP"),
        (&long, "answered no HTTP"),
        ("", "closed the connection without an answer"),
    ] {
        let service = Listener::new().await;
        let feed = feed(&[&service.url], |_| ());
        // The long one is not read to its end.
        let (mut stream, _) = service.request().await;
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        let text = reason(&feed).await;
        assert!(text.starts_with(&format!("{}: ", service.url)) && text.contains(wanted), "{wanted}: {text}");
        // It tries again by itself.
        let _peer = service.subscribed().await;
        assert_eq!(hint(&feed).await, Hint::Connected);
    }
}

#[actix_rt::test]
async fn who_does_not_answer_is_given_up() {
    let service = Listener::new().await;
    let brief = Duration::from_millis(50);
    let feed = feed(&[&service.url], |options| options.timeout = brief);
    let (_stream, _) = service.request().await;
    assert!(reason(&feed).await.ends_with("no answer in 0.05 s"));
}

#[actix_rt::test]
async fn nobody_there_is_told() {
    let url = Listener::new().await.url;
    let feed = feed(&[&url], |_| ());
    let text = reason(&feed).await;
    assert!(text.contains("Connection refused"), "{text}");
}

#[actix_rt::test]
async fn silence_is_told() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |options| options.ping_interval = Duration::from_millis(48));
    let mut peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    assert_eq!(reason(&feed).await, "nothing heard for 0.1 s");
    assert_eq!(peer.next().await, None);
}

#[actix_rt::test]
async fn a_frame_of_ten_megabytes_ends_the_connection() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |_| ());
    let mut peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
    // It ends while we are sending.
    let _ = peer.0.send(actix_http::ws::Message::Text("x".repeat(10 << 20).into())).await;
    assert_eq!(reason(&feed).await, "message of more than 2 MiB");
    let _peer = service.subscribed().await;
    assert_eq!(hint(&feed).await, Hint::Connected);
}

#[actix_rt::test]
async fn what_is_no_event_is_counted_and_the_rest_is_read() {
    let service = Listener::new().await;
    let feed = feed(&[&service.url], |_| ());
    let mut peer = service.subscribed().await;
    let event = |object: &str| format!(r#"{{"event_type":"update","object_uuid":"{object}"}}"#);
    for text in ["<html>".into(), "7".into(), event("nothing"), event("zzzzz-dz642-00000000000000A")] {
        peer.tell(text).await;
    }
    peer.tell(event("yyyyy-dz642-000000000000001")).await;
    peer.tell(event("zzzzz-xvhdp-000000000000001")).await;
    assert_eq!([hint(&feed).await, hint(&feed).await], [Hint::Connected, Hint::Requests]);
    assert_eq!((feed.counts().malformed, feed.counts().others), (4, 1));
}

/// A service with a certificate that no authority has signed; it accepts every subscription.
fn self_signed() -> (Url, actix_web::dev::ServerHandle) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
    let factory = move || App::new().default_service(web::to(accept));
    let server = HttpServer::new(factory).workers(1).disable_signals();
    let server = server.bind_rustls_0_23("127.0.0.1:0", config).unwrap();
    let url = format!("wss://localhost:{}/websocket", server.addrs()[0].port()).parse().unwrap();
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    (url, handle)
}

async fn accept(request: HttpRequest) -> HttpResponse {
    use actix_codec::Encoder;
    let mut answer = BytesMut::new();
    let message = actix_http::ws::Message::Text(r#"{"status":200}"#.into());
    actix_http::ws::Codec::new().encode(message, &mut answer).unwrap();
    let answer = stream::iter([Ok::<Bytes, actix_web::Error>(answer.freeze())]);
    let body = actix_web::body::BodyStream::new(answer.chain(stream::pending()));
    let answer = actix_http::ws::handshake(request.head()).unwrap().message_body(body).unwrap();
    answer.map_into_boxed_body().into()
}

#[actix_rt::test]
async fn a_certificate_that_is_not_trusted_is_refused_unless_the_site_says_so() {
    let (url, handle) = self_signed();
    let careful = feed(&[&url], |_| ());
    let text = reason(&careful).await;
    assert!(text.contains("invalid peer certificate"), "{text}");
    let careless = feed(&[&url], |options| options.insecure = true);
    assert_eq!(hint(&careless).await, Hint::Connected);
    drop((careful, careless));
    handle.stop(false).await;
}

#[test]
fn a_url_that_is_none_of_a_websocket_is_an_error() {
    let open = |urls: &[&str]| {
        Feed::open(Options {
            urls: urls.iter().map(|url| url.parse().unwrap()).collect(),
            token: Secret::new(TOKEN),
            cluster: "zzzzz".into(),
            insecure: false,
            timeout: PATIENCE,
            ping_interval: PATIENCE,
            chance: Box::new(|| 0.0),
        })
    };
    let Err(error) = open(&["http://user:hush@127.0.0.1:1/x?hush=hush"]) else { panic!("http") };
    assert_eq!(error.to_string(), "`http://127.0.0.1:1/x` is not a ws or wss URL");
    assert!(matches!(open(&[]), Err(OpenError::NoUrl)));
}

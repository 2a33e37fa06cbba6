//! Tests of answers that are late, broken, hostile, or unusual but valid.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use dispatch_adapters::arvados::{Client, Options};
use dispatch_core::container::{ContainerState, Record};
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{ApiError, ApiErrorKind, ArvadosApi, ListQuestion, Page};
use dispatch_core::secret::Secret;
use serde_json::{Value, json};

use crate::server::{Canned, PATIENCE, Server, client};

const UUID: &str = "zzzzz-dz642-000000000000001";

fn uuid() -> ContainerUuid {
    UUID.parse().unwrap()
}

async fn lock_answered_with(canned: Canned) -> ApiError {
    let server = Server::start(canned);
    server.client("t0ken").lock(uuid()).await.unwrap_err()
}

async fn page_of(body: impl ToString) -> Page<Record> {
    let server = Server::start(Canned::json(200, body));
    server.client("t0ken").list(&ListQuestion::Available { offset: 0 }).await.unwrap()
}

/// The URL of a server that sends these bytes to every client and closes the connection.
async fn raw(answer: &'static str) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    actix_rt::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Closing before the whole request is read would cause a reset, which may overtake the answer.
        stream.shutdown().await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    url
}

#[actix_rt::test]
async fn an_empty_503_is_overloaded() {
    let error = lock_answered_with(Canned::json(503, "")).await;
    assert_eq!((error.kind, error.status), (ApiErrorKind::Overloaded, Some(503)));
    let id = &error.request_id;
    assert_eq!(error.message, format!("POST /arvados/v1/containers/{UUID}/lock: status 503 ({id})"));
}

#[actix_rt::test]
async fn an_html_502_is_a_server_error() {
    let html = Canned { content_type: "text/html", ..Canned::json(502, "<html><h1>Bad Gateway</h1>") };
    let error = lock_answered_with(html).await;
    assert_eq!((error.kind, error.status), (ApiErrorKind::Server, Some(502)));
}

#[actix_rt::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Canned { headers: vec![("location", "http://127.0.0.1:1/")], ..Canned::json(302, "") };
    assert_eq!(lock_answered_with(elsewhere).await.kind, ApiErrorKind::Malformed);
}

#[actix_rt::test]
async fn an_error_names_the_call_and_the_servers_words_and_never_the_token() {
    let body = json!({"errors": [format!("t0ken is bad\n{}", "x".repeat(1000))], "error_token": "1+2"});
    let error = lock_answered_with(Canned::json(422, body)).await;
    assert_eq!(error.kind, ApiErrorKind::Refused);
    assert!(error.message.contains("status 422: (secret) is bad"), "{error}");
    assert!(error.message.contains(&error.request_id) && error.message.len() < 500, "{error}");
    assert!(!error.message.contains("t0ken") && !error.message.contains('\n'), "{error}");
}

#[actix_rt::test]
async fn each_call_has_a_request_id_of_its_own() {
    let server = Server::start(Canned::json(503, ""));
    let client = server.client("t");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let error = client.current_token().await.unwrap_err();
        let sent = server.seen().headers["x-request-id"].clone();
        assert_eq!(sent, error.request_id);
        let digits = sent.strip_prefix("req-").unwrap();
        assert!(
            digits.len() == 20 && digits.bytes().all(|it| it.is_ascii_digit() || it.is_ascii_lowercase())
        );
        ids.push(sent);
    }
    assert_ne!(ids[0], ids[1]);
}

#[actix_rt::test]
async fn a_body_cut_short_is_a_connection_error_and_a_cut_json_is_malformed() {
    let url = raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"uuid\":").await;
    let error = client(&url, "t", PATIENCE).lock(uuid()).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Connection, "{error}");
    assert_eq!(lock_answered_with(Canned::json(200, "{\"uuid\":")).await.kind, ApiErrorKind::Malformed);
    assert_eq!(lock_answered_with(Canned::json(200, "")).await.kind, ApiErrorKind::Malformed);
    assert_eq!(lock_answered_with(Canned::json(200, "[]")).await.kind, ApiErrorKind::Malformed);
}

#[actix_rt::test]
async fn an_answer_that_is_not_http_is_malformed_and_no_answer_is_a_connection_error() {
    let url = raw("SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
    let error = client(&url, "t", PATIENCE).lock(uuid()).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Malformed, "{error}");
    let url = raw("").await;
    let error = client(&url, "t", PATIENCE).lock(uuid()).await.unwrap_err();
    assert_eq!((error.kind, error.status), (ApiErrorKind::Connection, None), "{error}");
}

#[actix_rt::test]
async fn a_slow_answer_is_a_timeout() {
    let slow = Canned { delay: Duration::from_secs(30), ..Canned::json(200, "{}") };
    let server = Server::start(slow);
    let error = client(&server.url, "t", Duration::from_millis(200)).lock(uuid()).await.unwrap_err();
    assert_eq!((error.kind, error.status), (ApiErrorKind::Timeout, None), "{error}");
}

#[actix_rt::test]
async fn a_port_where_nothing_listens_is_a_connection_error() {
    // The port is bound, so that no other program gets it, but nothing listens there.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = bound.local_addr().unwrap();
    let error = client(&format!("http://{free}"), "t", PATIENCE).lock(uuid()).await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Connection, "{error}");
    assert!(error.message.contains(&error.request_id));
}

#[actix_rt::test]
async fn null_in_any_field_is_an_empty_value() {
    let body = json!({"items": [{
        "uuid": UUID, "state": "Queued", "priority": null, "locked_by_uuid": null, "container_image": null,
        "created_at": null, "scheduling_parameters": null,
        "runtime_constraints": {"API": null, "ram": null, "vcpus": null, "keep_cache_ram": null, "gpu": null},
    }, {"uuid": UUID, "state": "Locked", "runtime_constraints": {"gpu": {"stack": null, "hardware_target": null}}}]});
    let page = page_of(body).await;
    assert_eq!(page.undecodable, vec![]);
    for record in &page.items {
        assert_eq!((record.priority, record.created_at, record.locked_by), (0, None, None));
        assert_eq!(record.runtime_constraints, dispatch_core::container::RuntimeConstraints::default());
    }
}

#[actix_rt::test]
async fn priorities_are_exact_to_the_last_bit() {
    for priority in [562_948_158_081_952_253, i64::MAX, i64::MIN, -1, 0] {
        let text = format!(r#"{{"items":[{{"uuid":"{UUID}","state":"Queued","priority":{priority}}}]}}"#);
        assert_eq!(page_of(text).await.items[0].priority, priority);
    }
}

#[actix_rt::test]
async fn a_poisoned_record_hurts_only_itself_and_says_where() {
    let good = json!({"uuid": UUID, "state": "Queued", "priority": 1});
    let with = |field: &str, value: Value| {
        let mut item = good.clone();
        item[field] = value;
        item.to_string()
    };
    let poisons = [
        (with("state", json!("Sleeping")), "state: "),
        (with("state", json!(null)), "state: "),
        (with("priority", json!(1.5)), "priority: "),
        (with("runtime_constraints", json!({"ram": "many"})), "runtime_constraints.ram: "),
        (with("runtime_constraints", json!({"ram": -1})), "runtime_constraints.ram: "),
        (with("runtime_constraints", json!("x")), "runtime_constraints: "),
        (
            with("runtime_constraints", json!({"gpu": {"hardware_target": ["a", 1]}})),
            "runtime_constraints.gpu.hardware_target[1]: ",
        ),
        (with("scheduling_parameters", json!({"supervisor": "yes"})), "scheduling_parameters.supervisor: "),
        (with("created_at", json!("yesterday")), "created_at: "),
        (with("locked_by_uuid", json!("me")), "locked_by_uuid: "),
        (good.to_string().replace(":1}", ":99999999999999999999}"), "priority: "),
        (good.to_string().replace(":1}", ":1e999}"), "number out of range"),
    ];
    let items: Vec<_> = poisons.iter().map(|(text, _)| text.as_str()).chain(["7", "{}"]).collect();
    let page = page_of(format!(r#"{{"items":[{},{good}]}}"#, items.join(","))).await;
    assert_eq!(page.items.len(), 1, "only the last item can be decoded");
    assert_eq!(page.len(), poisons.len() + 3);
    for (found, (text, wanted)) in page.undecodable.iter().zip(&poisons) {
        assert_eq!(found.uuid, Some(uuid()), "{text}");
        assert!(found.reason.starts_with(wanted), "{} should start with {wanted}", found.reason);
    }
    assert!(page.undecodable[poisons.len()..].iter().all(|it| it.uuid.is_none()));
}

#[actix_rt::test]
async fn an_answer_without_items_is_malformed() {
    for body in ["{}", "null", "[]", "{\"items\":null}", "{\"items\":7}", "<html>"] {
        let server = Server::start(Canned::json(200, body));
        let error = server.client("t").list(&ListQuestion::Available { offset: 0 }).await.unwrap_err();
        assert_eq!((error.kind, error.status), (ApiErrorKind::Malformed, Some(200)), "{body}");
    }
}

#[actix_rt::test]
async fn an_answer_about_another_container_is_malformed() {
    let other = json!({"uuid": "zzzzz-dz642-000000000000002", "state": "Locked", "priority": 1});
    let server = Server::start(Canned::json(200, other));
    let client = server.client("t");
    for result in [
        client.lock(uuid()).await.map(|_| ()),
        client.unlock(uuid()).await.map(|_| ()),
        client.cancel(uuid(), None).await.map(|_| ()),
        client.get(uuid()).await.map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.kind, ApiErrorKind::Malformed);
        assert!(error.message.contains("000000000000002"), "{error}");
    }
}

#[actix_rt::test]
async fn mounts_that_cannot_be_decoded_affect_only_their_container() {
    let item = |mounts: Value| json!({"uuid": UUID, "mounts": mounts});
    let huge = u64::MAX;
    let body = json!({"items": [
        item(json!(null)),
        item(json!({"/tmp": {"kind": "tmp", "capacity": huge}, "/b": {"kind": "tmp", "capacity": 5}, "/c": null})),
        item(json!({"/tmp": {"kind": "tmp", "capacity": "big"}})),
        item(json!({"/json": {"kind": "json", "capacity": "not ours to read"}})),
    ]});
    let server = Server::start(Canned::json(200, body));
    let page = server.client("t").mounts(&[uuid()]).await.unwrap();
    let sizes: Vec<_> = page.items.iter().map(|(_, needs)| needs.tmp_bytes).collect();
    assert_eq!(sizes, [0, u64::MAX, 0]);
    assert_eq!(
        page.undecodable[0].reason,
        "mounts./tmp.capacity: expected a whole number, not negative, found \"big\""
    );
}

#[actix_rt::test]
async fn container_requests_are_asked_for_by_container_and_each_is_decoded_by_itself() {
    let request = "zzzzz-xvhdp-000000000000001";
    let body = json!({"items": [
        {"uuid": request, "container_uuid": UUID},
        {"uuid": request, "container_uuid": null},
        {"uuid": UUID, "container_uuid": UUID},
        {"container_uuid": UUID},
        7,
    ]});
    let server = Server::start(Canned::json(200, body));
    let page = server.client("t").requests_of(&[uuid()]).await.unwrap();
    assert_eq!(page.items, [(uuid(), request.parse().unwrap())]);
    let reasons: Vec<_> = page.undecodable.iter().map(|it| it.reason.as_str()).collect();
    for (reason, wanted) in
        reasons.iter().zip(["container_uuid: ", "uuid: ", "uuid: ", "(the whole): expected an object"])
    {
        assert!(reason.starts_with(wanted), "{reason}");
    }
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    let seen = server.seen();
    assert_eq!((&*seen.method, &*seen.path), ("GET", "/arvados/v1/container_requests"));
    let filters: Value = serde_json::from_str(&seen.query["filters"]).unwrap();
    assert_eq!(filters, json!([["container_uuid", "in", [UUID]], ["state", "=", "Committed"]]));
    assert_eq!((&*seen.query["select"], &*seen.query["order"]), (r#"["uuid","container_uuid"]"#, "uuid"));
    assert_eq!((&*seen.query["limit"], &*seen.query["count"]), ("1000", "none"));
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    gzip.wait_with_output().unwrap().stdout
}

#[actix_rt::test]
async fn a_compressed_answer_is_understood() {
    let body = gzipped(&format!(r#"{{"uuid":"{UUID}","state":"Locked","priority":9}}"#));
    let headers = vec![("content-encoding", "gzip")];
    let server = Server::start(Canned { headers, body, ..Canned::json(200, "") });
    let standing = server.client("t").lock(uuid()).await.unwrap();
    assert_eq!((standing.state, standing.priority), (ContainerState::Locked, 9));
    assert!(server.seen().headers["accept-encoding"].contains("gzip"));
}

#[actix_rt::test]
async fn the_next_page_of_our_containers_begins_after_the_last_uuid() {
    let server = Server::start(Canned::json(200, r#"{"items":[]}"#));
    let me = "zzzzz-gj3su-000000000000000".parse().unwrap();
    let page = server.client("t").list(&ListQuestion::Mine { me, after: Some(uuid()) }).await.unwrap();
    assert!(page.is_empty());
    let filters: Value = serde_json::from_str(&server.seen().query["filters"]).unwrap();
    assert_eq!(filters, json!([["locked_by_uuid", "=", me], ["uuid", ">", UUID]]));
}

#[actix_rt::test]
async fn a_base_url_with_a_path_is_kept() {
    let server = Server::start(Canned::json(200, r#"{"items":[]}"#));
    let client = client(&format!("{}/below/", server.url), "t", PATIENCE);
    client.list(&ListQuestion::Available { offset: 0 }).await.unwrap();
    assert_eq!(server.seen().path, "/below/arvados/v1/containers");
}

/// The URL of an https server with a certificate that no authority has signed.
fn self_signed_server() -> (String, actix_web::dev::ServerHandle) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let answer = || async { r#"{"uuid":"zzzzz-gj3su-000000000000000"}"# };
    let factory = move || actix_web::App::new().default_service(actix_web::web::to(answer));
    let server = actix_web::HttpServer::new(factory).workers(1).disable_signals();
    let server = server.bind_rustls_0_23("127.0.0.1:0", config).unwrap();
    let url = format!("https://localhost:{}", server.addrs()[0].port());
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    (url, handle)
}

#[actix_rt::test]
async fn an_unknown_certificate_is_refused_unless_the_site_wants_it_insecure() {
    let (url, handle) = self_signed_server();
    let client = |insecure| {
        let (base_url, token) = (url.parse().unwrap(), Secret::new("t"));
        Client::new(Options { base_url, token, insecure, timeout: PATIENCE }).unwrap()
    };
    let error = client(false).current_token().await.unwrap_err();
    assert_eq!(error.kind, ApiErrorKind::Connection);
    assert!(error.message.contains("certificate"), "{error}");
    assert_eq!(client(true).current_token().await.unwrap().as_str(), "zzzzz-gj3su-000000000000000");
    handle.stop(false).await;
}

#[test]
fn what_cannot_be_a_controller_is_refused_at_start() {
    for (url, token) in [("ftp://host/", "t"), ("unix:/run/x", "t"), ("http://host/", "a\nb")] {
        let (base_url, token) = (url.parse().unwrap(), Secret::new(token));
        assert!(
            Client::new(Options { base_url, token, insecure: false, timeout: Duration::MAX }).is_err(),
            "{url}"
        );
    }
}

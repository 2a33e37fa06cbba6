//! What every request has: an id, log lines, limits, errors of one form.

use std::collections::BTreeSet;

use awc::http::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::site::bearer;
use crate::support::{Site, TOKEN, eventually};

const HOLD: &str = "/arvados/v1/dispatch/instances/hold";

#[actix_web::test]
async fn a_request_id_is_echoed_if_it_is_fit_for_logs_and_made_if_not() {
    let site = Site::start().await;
    let longest = "x".repeat(64);
    for id in ["req-0123456789abcdefghij", "A.b_c:d-1", &longest] {
        let answer = site.ask(Method::GET, "/metrics", &[("x-request-id", id)], None).await;
        assert_eq!(answer.header("x-request-id"), id);
    }
    let too_long = "x".repeat(65);
    let mut made = BTreeSet::new();
    for id in ["", "a b", "a\"b", "é", &too_long] {
        let answer = site.ask(Method::GET, "/metrics", &[("x-request-id", id)], None).await;
        let new = answer.header("x-request-id").to_owned();
        assert!(new.starts_with("req-") && new.len() == 24, "{new}");
        assert!(made.insert(new), "ids are unique");
    }
}

#[actix_web::test]
async fn a_request_and_its_answer_are_one_line_with_the_keys_in_use() {
    let site = Site::start().await;
    let headers = [
        ("authorization", bearer()),
        ("x-request-id", "req-logged".to_owned()),
        ("x-forwarded-for", "203.0.113.9".to_owned()),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
    ];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = site.ask(Method::POST, &format!("{HOLD}?a=b"), &headers, Some("c=d".to_owned())).await;
    answer.assert_error(400);
    let request = site.logs.about("response", "req-logged").await;
    assert_eq!(request["level"], "info");
    assert_eq!(request["reqMethod"], "POST");
    assert_eq!(request["reqPath"], &HOLD[1..]);
    assert_eq!((&request["reqQuery"], &request["reqBytes"]), (&"a=b".into(), &3.into()));
    assert_eq!(request["reqForwardedFor"], "203.0.113.9");
    assert!(site.url.ends_with(request["reqHost"].as_str().unwrap()));
    assert!(request["remoteAddr"].as_str().unwrap().starts_with("127.0.0.1:"));
    let response = &request;
    assert_eq!((&response["respStatusCode"], &response["respStatus"]), (&400.into(), &"Bad Request".into()));
    assert_eq!(response["respBytes"], answer.body.len());
    assert_eq!(response["respBody"], answer.body);
    let times = ["timeToStatus", "timeWriteBody", "timeTotal"].map(|key| response[key].as_f64().unwrap());
    assert!(times[0] > 0.0 && times[2] >= times[0], "{times:?}");
    assert_eq!(lines_about(&site, "req-logged").len(), 1);
}

/// The lines about a request, whatever has become of it.
fn lines_about(site: &Site, id: &str) -> Vec<Value> {
    let messages = ["request", "response", "request to read", "response to read"];
    let lines = messages.map(|message| site.logs.with_message(message)).concat();
    lines.into_iter().filter(|line| line["RequestID"] == id).collect()
}

/// It sends the head of a request and goes away.
#[actix_web::test]
async fn a_request_whose_sender_goes_away_is_one_line_too() {
    let site = Site::start().await;
    for (id, method, path) in [("req-gone", "POST", HOLD), ("req-gone-read", "GET", "/metrics")] {
        let mut stream = TcpStream::connect(site.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: dispatcher\r\nAuthorization: Bearer {TOKEN}\r\nX-Request-Id: {id}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream);
        let lines = eventually("it is logged", async || {
            let lines = lines_about(&site, id);
            (!lines.is_empty()).then_some(lines)
        })
        .await;
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
}

#[actix_web::test]
async fn the_body_of_a_good_answer_is_not_logged() {
    let site = Site::start().await;
    let headers = [("authorization", bearer()), ("x-request-id", "req-quiet".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = site.ask(Method::GET, "/metrics", &headers, None).await;
    let response = site.logs.about("response to read", "req-quiet").await;
    assert_eq!(response["respBody"], "");
    assert_eq!(response["respBytes"], answer.body.len());
}

#[actix_web::test]
async fn tokens_are_never_logged_wherever_they_stand() {
    let site = Site::start().await;
    let percent: String = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let paths = [
        format!("/metrics?api_token={TOKEN}"),
        "/metrics?a=1&api%5Ftoken=othertoken&b=2".to_owned(),
        format!("/metrics?{TOKEN}"),
        format!("/metrics?x={percent}"),
        format!("/{TOKEN}/x"),
    ];
    let (bearer, basic) = (bearer(), "Basic b3RoZXJ0b2tlbg==");
    for (index, path) in paths.iter().enumerate() {
        let id = format!("req-{index}");
        let headers = [("authorization", bearer.as_str()), ("x-request-id", &id), ("x-forwarded-for", TOKEN)];
        let is_read = site.ask(Method::GET, path, &headers, None).await.status.is_success();
        site.logs.about(if is_read { "response to read" } else { "response" }, &id).await;
    }
    let headers = [("authorization", basic), ("x-request-id", "req-last")];
    site.ask(Method::GET, "/metrics", &headers, None).await.assert_error(401);
    let refused = async || site.logs.with_message("refused requests to the management API").pop();
    eventually("it is told", refused).await;
    let form = [("api_token", TOKEN), ("instance_id", "i-1")];
    site.post(HOLD, &form).await.assert_error(404);
    let text = site.logs.text();
    for secret in [TOKEN, "othertoken", percent.as_str(), "b3RoZXJ0b2tlbg", "Bearer"] {
        assert!(!text.contains(secret), "`{secret}` was logged");
    }
    assert!(text.contains("api_token=%28secret%29") && text.contains("b=2"), "the rest is");
}

#[actix_web::test]
async fn other_methods_and_paths_are_refused() {
    let site = Site::start().await;
    let right = [("authorization", bearer())];
    let right = right.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (name, path) in crate::access::ROUTES {
        let allowed = if name == "GET" { "GET, HEAD" } else { name };
        let others = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
        for method in others.into_iter().filter(|it| it.as_str() != name) {
            let answer = site.ask(method, path, &right, None).await;
            answer.assert_error(405);
            assert_eq!(answer.header("allow"), allowed);
            let told = format!("this method is not allowed here; allowed: {allowed}");
            assert_eq!(answer.json()["errors"][0], told.as_str());
        }
    }
    for path in ["/nosuch", "/_health/nosuch", "/arvados/v1/dispatch/nosuch", "/metrics/", "/metrics//"] {
        site.get(path).await.assert_error(404);
    }
}

#[actix_web::test]
async fn a_doubled_slash_is_as_a_plain_one() {
    let site = Site::start().await;
    for path in ["//arvados/v1/dispatch/instances", "/arvados//v1///dispatch/instances", "//metrics"] {
        assert_eq!(site.get(path).await.status, 200, "{path}");
        site.ask(Method::GET, path, &[], None).await.assert_error(401);
    }
    let closed = Site::with(crate::support::site::Options { token: "", ..Default::default() }).await;
    closed.ask(Method::GET, "//_health/ping", &[], None).await.assert_error(404);
    closed.ask(Method::GET, "//metrics", &[], None).await.assert_error(403);
}

/// The status of an answer to exactly these bytes: no client has put the path in order.
async fn raw(site: &Site, method: &str, path: &str, token: Option<&str>) -> u16 {
    let mut stream = TcpStream::connect(site.url.trim_start_matches("http://")).await.unwrap();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: dispatcher\r\n{authorization}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    status.unwrap_or_else(|| panic!("{method} {path}: {answer:?}"))
}

/// The client that is in use on sites asks for every path with two slashes before it.
#[actix_web::test]
async fn every_route_is_found_behind_a_doubled_slash_with_the_same_authentication() {
    let site = Site::start().await;
    for (method, path) in crate::access::ROUTES {
        let doubled = format!("/{path}");
        assert_eq!(raw(&site, method, &doubled, None).await, 401, "{doubled}");
        assert_eq!(raw(&site, method, &doubled, Some("wrong")).await, 403, "{doubled}");
        let plain = raw(&site, method, path, Some(TOKEN)).await;
        assert_eq!(raw(&site, method, &doubled, Some(TOKEN)).await, plain, "{doubled}");
        let wrong = if method == "GET" { "POST" } else { "GET" };
        assert_eq!(raw(&site, wrong, &doubled, Some(TOKEN)).await, 405, "{doubled}");
    }
}

#[actix_web::test]
async fn head_is_answered_where_get_is() {
    let site = Site::start().await;
    let right = [("authorization", bearer())];
    let right = right.each_ref().map(|(name, value)| (*name, value.as_str()));
    for (name, path) in crate::access::ROUTES {
        let answer = site.ask(Method::HEAD, path, &right, None).await;
        let expected = match (name, path) {
            ("POST", _) => 405,
            _ => site.get(path).await.status.as_u16(),
        };
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (expected, ""), "{path}");
    }
    assert_eq!(site.ask(Method::HEAD, "/metrics", &[], None).await.status, 401);
}

#[actix_web::test]
async fn parameters_may_be_the_members_of_a_json_object() {
    let site = Site::start().await;
    let headers =
        [("authorization", bearer()), ("content-type", "application/json; charset=utf-8".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let hold = |body: &'static str| site.ask(Method::POST, HOLD, &headers, Some(body.to_owned()));
    let unknown = hold(r#"{"instance_id": "i-1", "reason": null, "n": 1}"#).await;
    unknown.assert_error(404);
    assert!(unknown.body.contains("not found"), "{unknown:?}");
    for (body, words) in [
        ("", "instance_id parameter not provided"),
        ("{}", "instance_id parameter not provided"),
        ("[1]", "no JSON object"),
        ("{\"instance_id\": [\"i-1\"]}", "no JSON object"),
        ("{\"instance_id\": ", "no JSON object"),
    ] {
        let answer = hold(body).await;
        answer.assert_error(400);
        assert!(answer.body.contains(words), "{body}: {answer:?}");
    }
}

#[actix_web::test]
async fn a_body_beyond_any_form_is_refused() {
    let site = Site::start().await;
    let large = "x".repeat(70 * 1024);
    site.post(HOLD, &[("instance_id", &large)]).await.assert_error(413);
}

#[actix_web::test]
async fn a_body_that_is_not_a_form_has_no_parameters() {
    let site = Site::start().await;
    let headers = [("authorization", bearer()), ("content-type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let body = Some("instance_id=i-1".to_owned());
    site.ask(Method::POST, HOLD, &headers, body).await.assert_error(400);
}

#[actix_web::test]
async fn requests_side_by_side_are_all_answered() {
    let site = Site::start().await;
    let answers = (0..50).map(|_| site.get("/arvados/v1/dispatch/instances"));
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.status, 200);
    }
    eventually("all are logged", async || {
        (site.logs.with_message("response to read").len() >= 50).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_stopped_server_answers_nobody() {
    let site = Site::start().await;
    assert_eq!(site.get("/metrics").await.status, 200);
    site.stop().await;
    let address = site.url.trim_start_matches("http://");
    assert!(std::net::TcpStream::connect(address).is_err());
}

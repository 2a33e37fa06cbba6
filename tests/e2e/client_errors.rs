//! `instance` and `container` against what is no dispatcher, or not the right one: a stub that answers as it is told.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::json;

use crate::support::service::{command, finish};
use crate::support::{Ended, SOON, Site};

const TOKEN: &str = "topsecrettopsecrettopsecret";

/// Answers each connection with the next of these texts, and then is gone; without texts it is gone at once.
fn stub(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    if answers.is_empty() {
        return url;
    }
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The binary, without a configuration.
async fn ask(url: &str, arguments: &[&str]) -> Ended {
    let site = Site::new();
    // What it compares with.
    site.write_config();
    let arguments = [arguments, &["--url", url]].concat();
    finish(&mut command(&site, &arguments, &[("ARVADOS_MANAGEMENT_TOKEN", TOKEN)]), SOON).await
}

#[track_caller]
fn assert_told(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {ended:?}");
    }
    assert!(!ended.stderr.contains(TOKEN), "{ended:?}");
}

#[actix_rt::test]
async fn what_is_no_answer_of_the_dispatcher_is_told_and_never_an_empty_list() {
    const HTML: &str = "text/html";
    const JSON: &str = "application/json";
    let errors = |text: &str| json!({ "errors": [text] }).to_string();
    for (answer, words) in [
        (
            answer("200 OK", HTML, "<!DOCTYPE html><html>Welcome</html>"),
            ["a web page (HTML)", "check the URL"],
        ),
        (answer("200 OK", JSON, ""), ["it sent nothing", "check the URL"]),
        (answer("200 OK", JSON, "{\"items\": ["), ["broke off", "try again"]),
        (answer("200 OK", JSON, "[]"), ["no list", "check the URL"]),
        (answer("200 OK", JSON, "{}"), ["no list", "check the URL"]),
        (answer("200 OK", JSON, "{\"items\": null}"), ["no list", "check the URL"]),
        (answer("200 OK", JSON, "{\"items\": [1]}"), ["no list", "check the URL"]),
        (
            answer("200 OK", JSON, "{\"items\": [{\"instance\": 1}]}"),
            ["an instance of its list is none", "URL"],
        ),
        (answer("302 Found\r\nLocation: http://127.0.0.1:1/", HTML, ""), ["302", "check the URL"]),
        (answer("502 Bad Gateway", HTML, "<html>nginx</html>"), ["502 Bad Gateway", "a web page (HTML)"]),
        (
            answer("401 Unauthorized", JSON, &errors("authorization required")),
            ["refuses the token", "ARVADOS_MANAGEMENT_TOKEN"],
        ),
        (answer("403 Forbidden", "text/plain", "Forbidden\n"), ["refuses the token", "403"]),
        (
            answer("403 Forbidden", JSON, &errors("disabled: no ManagementToken is configured")),
            ["disabled", "refuses"],
        ),
        (
            answer("500 Oops", JSON, &errors("pool\u{1b}[2J does not answer")),
            ["pool [2J does not answer", "500"],
        ),
        (answer("503 Later", JSON, &errors("standby: no lock")), ["stands by", "--url"]),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"items\"".to_owned(), ["broke off", "try again"]),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"items\": [\r\n".to_owned(),
            ["broke off", "try again"],
        ),
        (String::new(), ["the answer of", "broke off"]),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), ["the answer of", "broke off"]),
    ] {
        let ended = ask(&stub(vec![answer.clone()]), &["instance", "list"]).await;
        assert_told(&ended, 1, &words);
    }
}

#[actix_rt::test]
async fn what_says_nothing_of_creates_types_or_events_is_never_taken_for_nothing() {
    const JSON: &str = "application/json";
    const LINES: &str = "application/x-ndjson";
    let endless = "x".repeat((1 << 20) + 1);
    for (arguments, kind, body, words) in [
        (&["creates", "status"][..], JSON, "{}", "does not say what may be created"),
        (&["creates", "status"], JSON, "[]", "its answer is no object"),
        (&["cost"], JSON, "{}", "does not say what was spent"),
        (&["plan"], JSON, "{}", "its answer is no planning round that this program can read"),
        (&["type", "list"], JSON, "{\"items\": [{}]}", "an item of its list is no instance type"),
        (&["events"], "text/html", "<html>Welcome</html>", "its answer is no stream of JSON objects"),
        (&["events"], LINES, "<html>Welcome</html>\n", "a line of its answer is no JSON object"),
        (&["events"], LINES, "[1]\n", "a line of its answer is no JSON object"),
        (&["events", "--follow"], LINES, "7\n", "a line of its answer is no JSON object"),
        (&["events"], LINES, &endless, "a line of its answer does not end"),
    ] {
        let ended = ask(&stub(vec![answer("200 OK", kind, body)]), arguments).await;
        assert_told(&ended, 1, &[words, "check the URL"]);
    }
    let cut = stub(vec![answer("200 OK", LINES, "{\"seq\":")]);
    assert_told(&ask(&cut, &["events"]).await, 1, &["broke off", "the last line has no end"]);
}

#[actix_rt::test]
async fn an_unknown_id_and_a_service_without_the_route_are_told_apart() {
    let not_found =
        |text: &str| answer("404 Not Found", "application/json", &json!({ "errors": [text] }).to_string());
    let older = answer("404 Not Found", "text/plain", "404 page not found\n");
    let ping = || answer("200 OK", "application/json", "{\"health\":\"OK\"}");
    let explain = ["container", "explain", "zzzzz-dz642-000000000000000"];
    let ended = ask(&stub(vec![not_found("container not found"), ping()]), &explain).await;
    assert_told(&ended, 1, &["zzzzz-dz642-000000000000000: container not found", "container list"]);
    for route in [older.clone(), not_found("page not found")] {
        let ended = ask(&stub(vec![route, ping()]), &explain).await;
        assert_told(&ended, 1, &["does not know /arvados/v1/dispatch/container:", "older"]);
    }
    let standby = answer("200 OK", "application/json", "{\"health\":\"OK\",\"standby\":true}");
    let ended = ask(&stub(vec![not_found("container not found"), standby]), &explain).await;
    assert_told(&ended, 1, &["stands by"]);
    let ended = ask(&stub(vec![older]), &["instance", "drain", "i-1"]).await;
    assert_told(
        &ended,
        1,
        &["i-1: the service at", "does not know /arvados/v1/dispatch/instances/drain", "older"],
    );
}

#[actix_rt::test]
async fn without_a_usable_place_or_token_it_is_told_what_to_give() {
    let mut site = Site::new();
    let ask = async |site: &Site, arguments: &[&str]| finish(&mut command(site, arguments, &[]), SOON).await;
    let nothing = ask(&site, &["instance", "list"]).await;
    assert_told(&nothing, 2, &["config.yml", "cannot read it", "--url", "ARVADOS_MANAGEMENT_TOKEN"]);
    let two = site.config["Clusters"]["zzzzz"].clone();
    site.config["Clusters"]["yyyyy"] = two;
    site.write_config();
    assert_told(&ask(&site, &["container", "list"]).await, 2, &["yyyyy", "zzzzz", "cluster-id"]);
    site.config["Clusters"].as_object_mut().unwrap().remove("yyyyy");
    site.cluster()["ManagementToken"] = "".into();
    site.write_config();
    assert_told(&ask(&site, &["instance", "list"]).await, 2, &["no ManagementToken is configured"]);
    let arguments = ["instance", "list", "--url", "http://127.0.0.1:9"];
    let two_lines = [("ARVADOS_MANAGEMENT_TOKEN", "one-of-the-tokens\nanother-token")];
    let ended = finish(&mut command(&site, &arguments, &two_lines), SOON).await;
    assert_told(&ended, 2, &["ManagementToken in ARVADOS_MANAGEMENT_TOKEN", "such as a line break"]);
    assert!(!ended.stderr.contains("another-token"), "{ended:?}");
    for wrong in [
        &["instance", "list", "--url", "localhost:9006"][..],
        &["instance", "list", "--url", "http://x:topsecrettopsecrettopsecret@127.0.0.1"],
        &["instance", "list", "--timeout", "30"],
        &["instance", "list", "--interval", "1s"],
        &["instance", "hold"],
        &["container", "explain"],
        &["instance", "list", "--token", "x"],
    ] {
        let ended = ask(&site, wrong).await;
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{ended:?}");
    }
}

#[actix_rt::test]
async fn of_several_addresses_the_first_that_works_for_the_cluster_is_asked_and_kept() {
    let mut site = Site::new();
    let errors = |text: &str| json!({ "errors": [text] }).to_string();
    let standby = || answer("503 Service Unavailable", "application/json", &errors("standby: no lock"));
    let done = || answer("200 OK", "text/plain", "");
    let gone = stub(Vec::new());
    // Were it asked for the second id, that would fail.
    let stands_by =
        stub(vec![standby(), answer("400 Bad Request", "application/json", &errors("asked again"))]);
    let works = stub(vec![done(), done()]);
    let urls = json!({ &gone: {}, &stands_by: {}, &works: {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
    let ended = finish(&mut command(&site, &["instance", "run", "i-1", "i-2"], &[]), SOON).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.stdout, "i-1: in use like any other\ni-2: in use like any other\n");

    let stands_by = stub(vec![standby()]);
    let urls = json!({ &stands_by: {}, &gone: {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
    let ended = finish(&mut command(&site, &["instance", "list"], &[]), SOON).await;
    assert_told(&ended, 1, &["stands by", &stands_by]);
}

//! The page: the one answer that needs no token, because it has no data. What it does is tried in a real browser
//! (`tests/browser`).

use awc::http::Method;

use crate::support::site::{Options, bearer};
use crate::support::{Site, TOKEN};

#[actix_web::test]
async fn the_page_is_answered_to_whoever_shows_no_token_and_keeps_no_connection() {
    let site = Site::start().await;
    let tokens = [None, Some("Bearer wrong".to_owned()), Some(bearer())];
    for shown in tokens {
        let headers: Vec<_> = shown.iter().map(|value| ("authorization", value.as_str())).collect();
        let answer = site.ask(Method::GET, "/", &headers, None).await;
        assert_eq!(answer.status, 200, "{shown:?}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.body.starts_with("<!DOCTYPE html>") && answer.body.contains("ManagementToken"));
        assert!(!answer.body.contains(TOKEN));
        let keeps = shown.as_deref() == Some(&bearer());
        assert_eq!(answer.header("connection") == "close", !keeps, "{shown:?}");
    }
    let refused = site.logs.with_message("refused requests to the management API");
    assert!(refused.is_empty(), "{refused:?}");
}

#[actix_web::test]
async fn the_page_may_run_nothing_but_its_own_script_and_ask_nobody_but_its_own_host() {
    let site = Site::start().await;
    let answer = site.ask(Method::GET, "/", &[], None).await;
    let policy = answer.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(policy.split("; ").any(|it| it == rule), "{rule}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
}

#[actix_web::test]
async fn a_browser_that_has_the_page_is_not_sent_it_again() {
    let site = Site::start().await;
    let first = site.ask(Method::GET, "/", &[], None).await;
    assert_eq!(first.header("cache-control"), "no-cache");
    let tag = first.header("etag").to_owned();
    let again = site.ask(Method::GET, "/", &[("if-none-match", &tag)], None).await;
    assert_eq!((again.status.as_u16(), again.body.as_str()), (304, ""));
    assert_eq!(again.header("content-security-policy"), first.header("content-security-policy"));
    let older = site.ask(Method::GET, "/", &[("if-none-match", "\"older\"")], None).await;
    assert_eq!((older.status.as_u16(), older.body.len()), (200, first.body.len()));
    let head = site.ask(Method::HEAD, "/", &[], None).await;
    assert_eq!((head.status.as_u16(), head.body.as_str()), (200, ""));
}

#[actix_web::test]
async fn nothing_but_reading_the_page_is_free() {
    let site = Site::start().await;
    for name in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let method = Method::from_bytes(name.as_bytes()).unwrap();
        site.ask(method.clone(), "/", &[], None).await.assert_error(401);
        site.ask(method, "/", &[("authorization", &bearer())], None).await.assert_error(405);
    }
    for path in ["/index.html", "/favicon.ico", "/?/metrics"] {
        let status = site.ask(Method::GET, path, &[], None).await.status.as_u16();
        assert_eq!(status, if path.starts_with("/?") { 200 } else { 401 }, "{path}");
    }
}

#[actix_web::test]
async fn without_a_configured_token_there_is_no_page_because_it_could_show_nothing() {
    let site = Site::with(Options { token: "", ..Options::default() }).await;
    site.ask(Method::GET, "/", &[], None).await.assert_error(403);
}

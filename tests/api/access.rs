//! Who may ask.

use awc::http::Method;

use crate::support::site::{Options, bearer};
use crate::support::{Site, TOKEN};

/// Every route with its method.
pub const ROUTES: [(&str, &str); 21] = [
    ("GET", "/arvados/v1/dispatch/containers"),
    ("GET", "/arvados/v1/dispatch/container"),
    ("POST", "/arvados/v1/dispatch/containers/kill"),
    ("GET", "/arvados/v1/dispatch/instances"),
    ("POST", "/arvados/v1/dispatch/instances/hold"),
    ("POST", "/arvados/v1/dispatch/instances/drain"),
    ("POST", "/arvados/v1/dispatch/instances/run"),
    ("POST", "/arvados/v1/dispatch/instances/kill"),
    ("GET", "/arvados/v1/dispatch/creates"),
    ("POST", "/arvados/v1/dispatch/creates/pause"),
    ("POST", "/arvados/v1/dispatch/creates/resume"),
    ("POST", "/arvados/v1/dispatch/types/drain"),
    ("POST", "/arvados/v1/dispatch/types/run"),
    ("GET", "/arvados/v1/dispatch/cost"),
    ("GET", "/arvados/v1/dispatch/events"),
    ("GET", "/arvados/v1/dispatch/debug/state"),
    ("GET", "/arvados/v1/dispatch/debug/round"),
    ("GET", "/metrics"),
    ("GET", "/metrics.json"),
    ("GET", "/_health/ping"),
    ("GET", "/_health/ready"),
];

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

fn basic(pair: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[actix_web::test]
async fn no_route_answers_without_the_right_token() {
    let site = Site::start().await;
    for (name, path) in ROUTES {
        site.ask(method(name), path, &[], None).await.assert_error(401);
        let wrong = [("authorization", "Bearer wrong")];
        site.ask(method(name), path, &wrong, None).await.assert_error(403);
        let right = [("authorization", bearer())];
        let right = right.each_ref().map(|(name, value)| (*name, value.as_str()));
        let status = site.ask(method(name), path, &right, None).await.status.as_u16();
        assert!(![401, 403, 405].contains(&status), "{name} {path}: {status}");
    }
}

#[actix_web::test]
async fn unknown_paths_and_wrong_methods_are_not_told_to_strangers() {
    let site = Site::start().await;
    site.ask(Method::GET, "/nosuch", &[], None).await.assert_error(401);
    site.ask(Method::DELETE, "/metrics", &[], None).await.assert_error(401);
}

#[actix_web::test]
async fn every_scheme_of_the_site_is_accepted() {
    let site = Site::start().await;
    let padded = basic(&format!("anyone:{TOKEN}"));
    let schemes = [
        format!("Bearer {TOKEN}"),
        format!("bearer {TOKEN}"),
        format!("OAuth2 {TOKEN}"),
        padded.trim_end_matches('=').to_owned(),
        padded,
        basic(&format!(":{TOKEN}")),
    ];
    for header in schemes {
        let answer = site.ask(Method::GET, "/metrics", &[("authorization", &header)], None).await;
        assert_eq!(answer.status, 200, "{header}");
    }
}

#[actix_web::test]
async fn what_shows_no_token_is_unauthorized_and_what_shows_another_is_forbidden() {
    let site = Site::start().await;
    let user = basic(&format!("{TOKEN}:"));
    let (longer, shorter) = (format!("Bearer {TOKEN}y"), format!("Bearer {}", &TOKEN[1..]));
    for (header, status) in [
        (TOKEN, 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Digest abc", 401),
        ("Basic !!!", 401),
        (&basic("no colon"), 401),
        (&user, 401),
        (&basic("anyone:wrong"), 403),
        ("OAuth2 wrong", 403),
        (&longer, 403),
        (&shorter, 403),
        ("Bearer é", 401),
    ] {
        let answer = site.ask(Method::GET, "/metrics", &[("authorization", header)], None).await;
        assert_eq!(answer.status.as_u16(), status, "{header}");
    }
}

#[actix_web::test]
async fn a_token_in_the_url_is_no_token() {
    let site = Site::start().await;
    let path = format!("/metrics?api_token={TOKEN}");
    site.ask(Method::GET, &path, &[], None).await.assert_error(401);
    let form = Some(format!("api_token={TOKEN}"));
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    let hold = "/arvados/v1/dispatch/instances/hold";
    site.ask(Method::POST, hold, &form_type, form).await.assert_error(401);
}

#[actix_web::test]
async fn without_a_configured_token_ping_is_not_there_and_all_else_is_closed() {
    let site = Site::with(Options { token: "", ..Options::default() }).await;
    for header in [None, Some("Bearer "), Some("Bearer x"), Some("Basic Og==")] {
        let headers: Vec<_> = header.into_iter().map(|value| ("authorization", value)).collect();
        for (name, path) in ROUTES {
            let status = if path == "/_health/ping" { 404 } else { 403 };
            site.ask(method(name), path, &headers, None).await.assert_error(status);
        }
        site.ask(Method::GET, "/nosuch", &headers, None).await.assert_error(403);
    }
}

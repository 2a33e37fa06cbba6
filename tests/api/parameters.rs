//! What is asked counts as it was meant, or is refused: found by schemathesis (`tests/e2e/schemathesis.rs`).

use awc::http::Method;
use serde_json::{Value, json};

use crate::support::site::{Answer, bearer};
use crate::support::{Site, eventually};

const CREATES: &str = "/arvados/v1/dispatch/creates";
const PAUSE: &str = "/arvados/v1/dispatch/creates/pause";
const EVENTS: &str = "/arvados/v1/dispatch/events";

async fn pause(site: &Site, query: &str, body: Value) -> Answer {
    let headers = [("authorization", bearer()), ("content-type", "application/json".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    site.ask(Method::POST, &format!("{PAUSE}{query}"), &headers, Some(body.to_string())).await
}

#[track_caller]
fn assert_refused(answer: &Answer, words: &str) {
    answer.assert_error(400);
    assert!(answer.body.contains(words), "{}", answer.body);
}

/// A pause without a scope is one of everything: whoever has named one must not get that.
#[actix_web::test]
async fn a_scope_that_is_misspelt_or_empty_pauses_nothing() {
    let site = Site::start().await;
    for (form, words) in [
        (("instance-type", "m4.large"), "known are for, instance_type, market, reason, by"),
        (("instance_type", ""), "the name of a type"),
        (("market", ""), "one of on-demand, spot"),
    ] {
        assert_refused(&site.post(PAUSE, &[("for", "1h"), form]).await, words);
    }
    assert_refused(
        &pause(&site, "?market=AAA", json!({ "for": "1h", "market": null })).await,
        "one of on-demand",
    );
    assert_refused(&pause(&site, "", json!({ "for": "1h", "Market": "spot" })).await, "unknown parameter");
    assert_eq!(site.get(CREATES).await.json()["pauses"], json!([]));
}

#[actix_web::test]
async fn what_is_empty_in_the_body_is_looked_for_in_the_query() {
    let site = Site::start().await;
    let paused = pause(&site, "?market=spot&for=2h", json!({ "for": "", "market": null })).await;
    assert_eq!((paused.status.as_u16(), &paused.json()["scope"]), (200, &json!("spot")));
    // What is in both counts as in the body.
    let paused =
        pause(&site, "?instance_type=huge", json!({ "for": "1h", "instance_type": "m4.large" })).await;
    assert_eq!((paused.status.as_u16(), &paused.json()["scope"]), (200, &json!("m4.large")));
    let paused =
        site.ask(Method::POST, &format!("{PAUSE}?for=1h"), &[("authorization", &bearer())], None).await;
    assert_eq!((paused.status.as_u16(), &paused.json()["scope"]), (200, &json!("all")));
}

#[actix_web::test]
async fn a_parameter_with_two_values_is_refused() {
    let site = Site::start().await;
    assert_refused(&site.get(&format!("{EVENTS}?last=1&last=2")).await, "given twice");
    assert_refused(
        &site.post(PAUSE, &[("for", "1h"), ("market", "spot"), ("market", "")]).await,
        "given twice",
    );
    assert_eq!(
        site.get(&format!("{EVENTS}?last=1&last=1")).await.status,
        200,
        "there is no doubt what is meant"
    );
}

#[actix_web::test]
async fn a_flag_that_says_neither_yes_nor_no_is_refused() {
    let site = Site::start().await;
    let drain = "/arvados/v1/dispatch/instances/drain";
    let id = ("instance_id", "i-none");
    assert_refused(&site.post(drain, &[id, ("if_held", "refuses")]).await, "wanted is refuse");
    assert_refused(&site.post(drain, &[id, ("if_held", "refuse"), ("force", "no!")]).await, "1, true or yes");
    site.post(drain, &[id, ("if_held", "refuse"), ("force", "no")]).await.assert_error(404);
    assert_refused(&site.get(&format!("{EVENTS}?follow=maybe")).await, "1, true or yes");
}

#[actix_web::test]
async fn a_wrong_number_is_refused_though_it_would_count_for_nothing() {
    let site = Site::start().await;
    let too_large = "18446744073709551616";
    assert_refused(&site.get(&format!("{EVENTS}?last=1&since={too_large}")).await, "the number of an event");
    assert_refused(&site.get(&format!("{EVENTS}?last={too_large}")).await, "how many events");
}

/// It is no id of this process: all events are told, as after a restart.
#[actix_web::test]
async fn an_id_that_is_none_of_ours_is_of_another_process() {
    let site = Site::start().await;
    for id in ["0", "x:y", "", ":"] {
        let headers = [("authorization", bearer()), ("last-event-id", id.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let told = eventually("something is told", async || {
            let answer = site.ask(Method::GET, EVENTS, &headers, None).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            (!answer.body.is_empty()).then_some(answer.body)
        })
        .await;
        let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
        assert_eq!(first["msg"], "events are missing", "{id}: {first}");
    }
}

//! What the instances cost.

use dispatch_core::time::Timestamp;
use serde_json::{Value, json};

use crate::support::site::{recorded, uuid};
use crate::support::{Site, eventually};

const COST: &str = "/arvados/v1/dispatch/cost";

async fn cost(site: &Site) -> Value {
    let answer = site.get(COST).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

fn date(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// An amount under a key, summed up over a list.
fn sum(list: &Value, key: &str) -> f64 {
    list.as_array().unwrap().iter().map(|it| it[key].as_f64().unwrap()).sum()
}

fn assert_about(is: f64, wanted: f64) {
    assert!((is - wanted).abs() < 1e-12, "{is}, not {wanted}");
}

#[actix_web::test]
async fn a_site_without_instances_has_spent_nothing_and_wasted_no_part_of_it() {
    let site = Site::start().await;
    let account = cost(&site).await;
    assert_eq!((&account["amount"], &account["per_hour"]), (&json!(0.0), &json!(0.0)));
    assert_eq!(account["wasted"], json!({ "amount": 0.0, "percent": null, "per_hour": 0.0 }));
    assert_eq!((&account["items"], &account["containers"]), (&json!([]), &json!([])));
    assert_eq!(account["earlier"], json!({ "amount": 0.0, "instances": 0, "of_unknown_age": 0 }));
    let hours = account["hours"].as_array().unwrap();
    assert_eq!(hours.last().unwrap()["items"], json!([]));
    assert!(date(&account["since"]) <= date(&account["at"]));
}

#[actix_web::test]
async fn what_an_instance_costs_is_told_by_what_it_does_by_hour_and_by_container() {
    let site = Site::start().await;
    site.world.add(recorded(uuid(1)));
    let id = site.running(uuid(1).as_str()).await;
    let account = eventually("its container has a share", async || {
        let account = cost(&site).await;
        account["containers"][0]["amount"].as_f64().filter(|amount| *amount > 0.0).map(|_| account)
    })
    .await;
    let container = &account["containers"][0];
    assert_eq!(
        (
            &container["container_uuid"],
            &container["instance"],
            &container["instance_type"],
            &container["until"]
        ),
        (&json!(uuid(1)), &json!(id), &json!("m4.large"), &Value::Null)
    );
    assert_about(account["per_hour"].as_f64().unwrap(), 0.1);
    let items = account["items"].as_array().unwrap();
    let of = |category: &str| items.iter().find(|it| it["category"] == category).cloned().unwrap_or_default();
    assert_about(of("inuse")["per_hour"].as_f64().unwrap(), 0.1);
    assert_eq!(of("booting")["per_hour"], 0.0);
    assert_about(account["amount"].as_f64().unwrap(), sum(&account["items"], "amount"));
    assert_about(account["amount"].as_f64().unwrap(), sum(&account["hours"], "amount"));
    assert_about(container["amount"].as_f64().unwrap(), of("inuse")["amount"].as_f64().unwrap());
    let wasted = of("booting")["amount"].as_f64().unwrap() + of("idle")["amount"].as_f64().unwrap_or(0.0);
    assert_about(account["wasted"]["amount"].as_f64().unwrap(), wasted);
}

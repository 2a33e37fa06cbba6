//! Tests of filters, order and select.

use serde_json::json;

use super::super::state::ContainerSpec;
use super::super::{FakeArvados, Settings, Submission};
use super::*;
use crate::clock::epoch;

fn site() -> FakeArvados {
    let mut arvados = FakeArvados::new(1, Settings::default());
    for priority in [5, i64::MAX - 1, 0, i64::MAX] {
        arvados.submit(Submission { priority, ..Submission::of(ContainerSpec::default()) }, epoch());
    }
    arvados
}

fn priorities(arvados: &FakeArvados, params: &[(&str, &str)]) -> Vec<i64> {
    let query = ListQuery::from_params(params.iter().copied()).unwrap();
    arvados.list(&query).items.iter().map(|it| it.priority).collect()
}

#[test]
fn priorities_are_compared_exactly_also_as_strings_and_far_above_2_to_the_53() {
    let arvados = site();
    let order = ("order", "priority desc");
    let all = priorities(&arvados, &[order, ("filters", r#"[["priority",">","0"]]"#)]);
    assert_eq!(all, [i64::MAX, i64::MAX - 1, 5]);
    let top = priorities(&arvados, &[order, ("filters", r#"[["priority",">",9223372036854775806]]"#)]);
    assert_eq!(top, [i64::MAX]);
}

#[test]
fn each_operator_does_what_it_says() {
    let mut arvados = site();
    let uuids: Vec<String> = arvados.containers().map(|it| it.uuid.to_string()).collect();
    let uuid = arvados.containers().next().unwrap().uuid;
    arvados.set_priority(uuid, 7, epoch());
    let count = |filter: Value| {
        let text = json!([filter]).to_string();
        let query = ListQuery::from_params([("filters", text.as_str())]).unwrap();
        arvados.list(&query).items.len()
    };
    assert_eq!(count(json!(["uuid", "=", uuids[0]])), 1);
    assert_eq!(count(json!(["uuid", "!=", uuids[0]])), 3);
    assert_eq!(count(json!(["uuid", "in", [uuids[0], uuids[1], "nobody"]])), 2);
    assert_eq!(count(json!(["uuid", "not in", [uuids[0]]])), 3);
    assert_eq!(count(json!(["uuid", ">", uuids[1]])), 2);
    assert_eq!(count(json!(["uuid", "<=", uuids[1]])), 2);
    assert_eq!(count(json!(["priority", "<", 7])), arvados.containers().filter(|it| it.priority < 7).count());
    assert_eq!(
        count(json!(["priority", ">=", 7])),
        arvados.containers().filter(|it| it.priority >= 7).count()
    );
    assert_eq!(count(json!(["locked_by_uuid", "=", null])), 4);
    assert_eq!(count(json!(["locked_by_uuid", "!=", null])), 0);
    assert_eq!(count(json!(["state", "like", "Que%"])), 4);
    assert_eq!(count(json!(["state", "like", "que%"])), 0);
    assert_eq!(count(json!(["state", "ilike", "qUE_ed"])), 4);
    assert_eq!(count(json!(["runtime_status.error", "exists", true])), 0);
    assert_eq!(count(json!(["runtime_status.error", "exists", false])), 4);
    assert_eq!(count(json!(["runtime_constraints", "exists", "vcpus"])), 4);
    assert_eq!(count(json!(["command", "contains", "true"])), 4);
    assert_eq!(count(json!(["created_at", ">=", "2026-01-01T00:00:00Z"])), 4);
    assert_eq!(count(json!(["created_at", ">", "2026-01-01T00:00:00.000Z"])), 0);
}

#[test]
fn bad_parameters_are_refused_with_422() {
    for (name, value) in [
        ("filters", r#"[["nosuch","=","x"]]"#),
        ("filters", r#"[["state","is","x"]]"#),
        ("filters", r#"[["uuid","in","x"]]"#),
        ("filters", r#"[["priority",">","many"]]"#),
        ("filters", r#"[["state","="]]"#),
        ("filters", r#"{"state":"Queued"}"#),
        ("filters", "["),
        ("order", "nosuch"),
        ("order", "uuid sideways"),
        ("select", r#"["nosuch"]"#),
        ("limit", "-1"),
        ("count", "some"),
    ] {
        let refusal = ListQuery::from_params([(name, value)]).unwrap_err();
        assert_eq!(refusal.status(), 422, "{name}={value}");
    }
}

#[test]
fn an_order_by_what_is_not_selected_is_silently_dropped() {
    let arvados = site();
    let ordered = priorities(&arvados, &[("order", "priority"), ("select", r#"["uuid","priority"]"#)]);
    assert_eq!(ordered, [0, 5, i64::MAX - 1, i64::MAX]);
    let query = ListQuery::from_params([("order", "priority"), ("select", r#"["uuid"]"#)]).unwrap();
    let uuids: Vec<_> = arvados.list(&query).items.iter().map(|it| it.uuid).collect();
    assert!(uuids.is_sorted_by(|a, b| a > b));
}

#[test]
fn like_knows_both_wildcards() {
    for (text, pattern, fits) in [
        ("abc", "a%", true),
        ("abc", "%c", true),
        ("abc", "a_c", true),
        ("abc", "a_", false),
        ("é", "_", true),
    ] {
        assert_eq!(like(text, pattern), fits, "{text} {pattern}");
    }
}

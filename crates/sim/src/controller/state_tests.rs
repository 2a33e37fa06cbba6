//! Tests of the transitions of one record.

use super::*;
use crate::clock::epoch;
use serde_json::json;

const HOLDER: &str = "zzzzz-gj3su-000000000000000";
const OTHER: &str = "zzzzz-gj3su-otherdispatcher";

fn container(state: ContainerState) -> Container {
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    let mut container = Container::new(uuid, "zzzzz-xvhdp-1".to_owned(), Default::default(), 500, epoch());
    container.state = state;
    if matches!(state, ContainerState::Locked | ContainerState::Running) {
        container.locked_by = Some(HOLDER.parse().unwrap());
        container.auth_uuid = container.locked_by;
        container.lock_count = 1;
    }
    container
}

fn put(container: &mut Container, by: &str, changes: Value) -> Result<(), Refusal> {
    let by: TokenUuid = by.parse().unwrap();
    let change = Change { by, auth: by, max_attempts: 10, now: epoch() };
    container.update(&Changes::from_json(&changes)?, &change)
}

const ALL: [ContainerState; 5] = [
    ContainerState::Queued,
    ContainerState::Locked,
    ContainerState::Running,
    ContainerState::Complete,
    ContainerState::Cancelled,
];

#[test]
fn exactly_the_legal_transitions_are_made() {
    let mut made = Vec::new();
    for from in ALL {
        for to in ALL {
            let mut it = container(from);
            let result = put(&mut it, HOLDER, json!({ "state": to.as_str() }));
            assert_eq!(it.state, if result.is_ok() { to } else { from });
            if result.is_ok() && from != to {
                made.push(format!("{from}→{to}"));
            }
        }
    }
    assert_eq!(
        made,
        [
            "Queued→Locked",
            "Queued→Cancelled",
            "Locked→Queued",
            "Locked→Running",
            "Locked→Cancelled",
            "Running→Complete",
            "Running→Cancelled",
            "Complete→Cancelled",
        ]
    );
}

#[test]
fn the_same_state_again_changes_nothing() {
    for state in ALL {
        let mut it = container(state);
        put(&mut it, OTHER, json!({ "state": state.as_str() })).unwrap();
        assert_eq!(it.state, state);
    }
}

#[test]
fn any_administrator_cancels() {
    for state in [ContainerState::Queued, ContainerState::Locked, ContainerState::Running] {
        let mut it = container(state);
        put(&mut it, OTHER, json!({ "state": "Cancelled" })).unwrap();
        assert_eq!((it.state, it.locked_by, it.auth_uuid), (ContainerState::Cancelled, None, None));
        assert_eq!(it.finished_at, Some(epoch()));
    }
}

#[test]
fn only_the_holder_sets_runtime_status_and_not_while_queued() {
    let status = || json!({ "runtime_status": { "warning": "w" } });
    put(&mut container(ContainerState::Queued), HOLDER, status()).unwrap_err();
    put(&mut container(ContainerState::Locked), OTHER, status()).unwrap_err();
    put(&mut container(ContainerState::Running), OTHER, status()).unwrap_err();
    put(&mut container(ContainerState::Cancelled), HOLDER, status()).unwrap_err();
    put(&mut container(ContainerState::Locked), HOLDER, status()).unwrap();
    put(&mut container(ContainerState::Running), HOLDER, status()).unwrap();
}

#[test]
fn a_cancel_may_set_an_error_when_queued_and_by_the_holder_when_locked() {
    let cancel = || json!({ "state": "Cancelled", "runtime_status": { "error": "e" } });
    for (state, by) in [(ContainerState::Queued, OTHER), (ContainerState::Locked, HOLDER)] {
        let mut it = container(state);
        put(&mut it, by, cancel()).unwrap();
        assert_eq!((it.state, &it.runtime_status["error"]), (ContainerState::Cancelled, &json!("e")));
    }
    let mut it = container(ContainerState::Locked);
    put(&mut it, OTHER, cancel()).unwrap_err();
    assert_eq!(it.state, ContainerState::Locked);
}

#[test]
fn hashes_are_replaced_whole_and_cleared_by_an_unlock() {
    let mut it = container(ContainerState::Locked);
    put(&mut it, HOLDER, json!({ "runtime_status": { "a": 1 } })).unwrap();
    put(&mut it, HOLDER, json!({ "runtime_status": { "b": 2 } })).unwrap();
    assert_eq!(json!(it.runtime_status), json!({ "b": 2 }));
    put(&mut it, HOLDER, json!({ "state": "Queued" })).unwrap();
    assert!(it.runtime_status.is_empty());
}

#[test]
fn only_the_holder_sets_running_and_complete() {
    put(&mut container(ContainerState::Locked), OTHER, json!({ "state": "Running" })).unwrap_err();
    put(&mut container(ContainerState::Running), OTHER, json!({ "state": "Complete" })).unwrap_err();
}

#[test]
fn a_lock_owner_is_never_given_and_unknown_attributes_are_refused() {
    put(&mut container(ContainerState::Locked), HOLDER, json!({ "locked_by_uuid": null })).unwrap_err();
    put(&mut container(ContainerState::Locked), HOLDER, json!({ "nonsense": 1 })).unwrap_err();
    put(&mut container(ContainerState::Locked), HOLDER, json!({ "state": "running" })).unwrap_err();
}

#[test]
fn complete_keeps_what_crunch_run_reports() {
    let mut it = container(ContainerState::Running);
    let report = json!({ "state": "Complete", "exit_code": 3, "cost": 0.25, "log": "abc+1" });
    put(&mut it, HOLDER, report).unwrap();
    assert_eq!((it.exit_code, it.cost, it.attributes["log"].as_str()), (Some(3), 0.25, Some("abc+1")));
}

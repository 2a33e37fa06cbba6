//! Tests without a socket: which changes are events, and what the knobs do to them.

use dispatch_core::container::ContainerState::{Cancelled, Complete, Locked, Running};
use serde_json::json;

use super::super::facts::Origin;
use super::super::state::{Changes, ContainerSpec};
use super::super::{Caller, FakeArvados, ROOT_TOKEN, Settings, Submission};
use super::*;
use crate::clock::epoch;

struct Site {
    arvados: FakeArvados,
    caller: Caller,
}

impl Site {
    /// With somebody who listens.
    fn new() -> Self {
        let mut arvados = FakeArvados::new(1, Settings::default());
        arvados.events.listen(1);
        let caller = arvados.authenticate(ROOT_TOKEN, Origin::Http).unwrap();
        Self { arvados, caller }
    }

    fn submit(&mut self, max_attempts: u32) -> ContainerUuid {
        let submission = Submission { max_attempts, ..Submission::of(ContainerSpec::default()) };
        self.arvados.submit(submission, epoch())
    }

    fn update(&mut self, uuid: ContainerUuid, changes: Value) {
        let changes = Changes::from_json(&changes).unwrap();
        self.arvados.update(uuid, &changes, self.caller, epoch()).unwrap();
    }

    /// What was told since: the kind of record, what was done, and the state before and after.
    fn told(&mut self) -> Vec<(String, &'static str, String)> {
        let state = |attributes: &Option<Attributes>| match attributes {
            Some(attributes) => attributes["state"].as_str().unwrap().to_owned(),
            None => "-".to_owned(),
        };
        let told = |event: &Event| {
            let states = format!("{}>{}", state(&event.old), state(&event.new));
            (event.object[6..11].to_owned(), event.deed.as_str(), states)
        };
        self.arvados.events.take().iter().map(told).collect()
    }
}

fn told(kind: &str, deed: &'static str, states: &str) -> (String, &'static str, String) {
    (kind.to_owned(), deed, states.to_owned())
}

#[test]
fn every_saved_change_is_told() {
    let mut site = Site::new();
    let uuid = site.submit(1);
    assert_eq!(site.told(), [told("xvhdp", "create", "->Committed"), told("dz642", "create", "->Queued")]);
    site.arvados.lock(uuid, site.caller, epoch()).unwrap();
    site.update(uuid, json!({"state": "Running"}));
    site.update(uuid, json!({"runtime_status": {"activity": "reads"}}));
    // Nothing is saved, so nothing is told.
    site.update(uuid, json!({"runtime_status": {"activity": "reads"}}));
    site.update(uuid, json!({"state": "Complete", "exit_code": 0}));
    site.arvados.delete(uuid, epoch());
    let changes = [
        told("dz642", "update", "Queued>Locked"),
        told("dz642", "update", "Locked>Running"),
        told("dz642", "update", "Running>Running"),
        told("dz642", "update", "Running>Complete"),
        told("xvhdp", "update", "Committed>Final"),
        told("dz642", "delete", "Complete>-"),
    ];
    assert_eq!(site.told(), changes);
    // A refused call changes nothing.
    site.arvados.lock(uuid, site.caller, epoch()).unwrap_err();
    assert_eq!(site.told(), []);
}

#[test]
fn a_priority_that_is_recomputed_is_told_of_the_request_only() {
    let mut site = Site::new();
    let uuid = site.submit(1);
    site.told();
    site.arvados.set_priority(uuid, 7, epoch());
    site.arvados.cancel_by_user(uuid, epoch());
    site.arvados.cancel_by_user(uuid, epoch());
    assert_eq!(site.told(), vec![told("xvhdp", "update", "Committed>Committed"); 2]);
}

#[test]
fn the_next_attempt_is_told_as_a_new_container() {
    let mut site = Site::new();
    let uuid = site.submit(2);
    site.told();
    site.update(uuid, json!({"state": "Cancelled"}));
    let changes = [
        told("dz642", "update", "Queued>Cancelled"),
        told("xvhdp", "update", "Committed>Committed"),
        told("dz642", "create", "->Queued"),
    ];
    assert_eq!(site.told(), changes);
}

#[test]
fn what_happens_while_nobody_listens_is_not_kept() {
    let mut site = Site::new();
    site.submit(1);
    site.arvados.events.listen(0);
    site.submit(1);
    site.arvados.events.stir("zzzzz", 3, epoch());
    site.arvados.events.listen(1);
    assert_eq!(site.told(), []);
}

#[test]
fn a_message_has_the_services_shape() {
    let mut site = Site::new();
    let uuid = site.submit(1);
    site.told();
    site.arvados.lock(uuid, site.caller, epoch()).unwrap();
    let message = site.arvados.events.take()[0].message(9);
    let wanted = format!(
        r#"{{"event_at":"2026-01-01T00:00:00.000000000Z","event_type":"update","id":12347,"msgID":9,"object_kind":"arvados#container","object_owner_uuid":"zzzzz-tpzed-000000000000000","object_uuid":"{uuid}","properties":{{"new_attributes":{{"owner_uuid":"zzzzz-tpzed-000000000000000","state":"Locked"}},"old_attributes":{{"owner_uuid":"zzzzz-tpzed-000000000000000","state":"Queued"}}}},"uuid":"zzzzz-57u5n-000000000012347"}}"#
    );
    assert_eq!(message, wanted);
    // A created record was nothing before: the service leaves it out.
    site.submit(1);
    let created = site.arvados.events.take()[1].message(10);
    assert!(created.contains("new_attributes") && !created.contains("old_attributes"), "{created}");
}

#[test]
fn events_are_lost_doubled_and_late_as_the_knobs_say() {
    let knobs = |change: fn(&mut Knobs)| {
        let mut site = Site::new();
        change(&mut site.arvados.events.knobs);
        for _ in 0..200 {
            site.submit(1);
        }
        site.arvados.events.take()
    };
    assert_eq!(knobs(|_| ()).len(), 400);
    let lost = knobs(|knobs| knobs.lost = 0.5).len();
    assert!((100..300).contains(&lost), "{lost}");
    let doubled = knobs(|knobs| knobs.doubled = 0.5);
    assert!((500..700).contains(&doubled.len()), "{}", doubled.len());
    let mut ids: Vec<_> = doubled.iter().map(|event| event.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 400, "the same event twice");
    let late = knobs(|knobs| (knobs.late, knobs.late_by) = (0.5, Span::millis(70)));
    let late = late.iter().filter(|event| event.delay == Duration::from_millis(70)).count();
    assert!((100..300).contains(&late), "{late}");
}

#[test]
fn a_false_event_tells_a_state_in_which_the_container_is_not() {
    let mut site = Site::new();
    site.arvados.events.knobs.lies = 1.0;
    let uuid = site.submit(1);
    site.told();
    for (state, lie) in [(Locked, Running), (Running, Complete), (Cancelled, Running)] {
        match state {
            Locked => drop(site.arvados.lock(uuid, site.caller, epoch()).unwrap()),
            _ => site.update(uuid, json!({"state": state.as_str()})),
        }
        let told = site.told();
        assert_eq!(told[1], ("dz642".to_owned(), "update", format!("{state}>{lie}")));
        assert_eq!(site.arvados.container(uuid).unwrap().state, state, "it is not so");
    }
}

#[test]
fn a_feed_that_is_heard_changes_nothing_else() {
    let history = |is_heard: bool| {
        let mut site = Site::new();
        site.arvados.events.listen(usize::from(is_heard));
        site.arvados.events.knobs =
            Knobs { lost: 0.3, doubled: 0.3, late: 0.3, lies: 0.3, ..Knobs::default() };
        let uuids: Vec<_> = (0..20).map(|_| site.submit(2)).collect();
        uuids.iter().for_each(|uuid| site.update(*uuid, json!({"state": "Cancelled"})));
        site.arvados.containers().map(|it| it.uuid).collect::<Vec<_>>()
    };
    assert_eq!(history(true), history(false));
}

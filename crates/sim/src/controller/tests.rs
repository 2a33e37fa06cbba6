//! Tests of the API's rules.

use dispatch_core::time::after;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

use super::facts::Suspicion;
use super::*;
use crate::clock::epoch;

/// A site with one submitted container.
struct Site {
    arvados: FakeArvados,
    uuid: ContainerUuid,
}

impl Site {
    fn new() -> Self {
        Self::with_attempts(1)
    }

    fn with_attempts(max_attempts: u32) -> Self {
        let mut arvados = FakeArvados::new(1, Settings::default());
        let submission = Submission { max_attempts, ..Submission::of(ContainerSpec::default()) };
        let uuid = arvados.submit(submission, epoch());
        Self { arvados, uuid }
    }

    fn caller(&self, token: &str) -> Caller {
        self.arvados.authenticate(token, Origin::Dispatcher).unwrap()
    }

    fn root(&self) -> Caller {
        self.caller(ROOT_TOKEN)
    }

    fn lock(&mut self) -> Result<(), Refusal> {
        let root = self.root();
        self.arvados.lock(self.uuid, root, epoch()).map(drop)
    }

    fn unlock(&mut self) -> Result<(), Refusal> {
        let root = self.root();
        self.arvados.unlock(self.uuid, root, epoch()).map(drop)
    }

    fn put(&mut self, token: &str, changes: Value) -> Result<(), Refusal> {
        let caller = self.caller(token);
        let changes = Changes::from_json(&changes)?;
        self.arvados.update(self.uuid, &changes, caller, epoch()).map(drop)
    }

    fn state(&self) -> ContainerState {
        self.arvados.container(self.uuid).unwrap().state
    }
}

#[test]
fn a_lock_is_not_idempotent() {
    let mut site = Site::new();
    site.lock().unwrap();
    assert_eq!(site.lock(), Err(Refusal::CannotLock(ContainerState::Locked)));
    assert_eq!(site.arvados.history().tally(site.uuid).locks, 1);
}

#[test]
fn a_container_without_priority_is_not_locked() {
    for priority in [0, -1] {
        let mut site = Site::new();
        site.arvados.set_priority(site.uuid, priority, epoch());
        assert_eq!(site.lock(), Err(Refusal::CannotLockPriority));
    }
}

#[test]
fn only_the_holder_unlocks() {
    let mut site = Site::new();
    site.lock().unwrap();
    let other = site.caller(OTHER_DISPATCHER_TOKEN);
    let refused = site.arvados.unlock(site.uuid, other, epoch()).map(drop);
    assert_eq!(refused, Err(Refusal::LockedByAnother));
    site.unlock().unwrap();
    assert_eq!(site.unlock(), Err(Refusal::CannotUnlock(ContainerState::Queued)));
}

#[test]
fn a_users_token_changes_nothing() {
    let mut site = Site::new();
    let user = site.caller(USER_TOKEN);
    assert_eq!(site.arvados.lock(site.uuid, user, epoch()).map(drop), Err(Refusal::NotAdmin));
    assert_eq!(site.put(USER_TOKEN, json!({ "state": "Cancelled" })), Err(Refusal::NotAdmin));
}

#[test]
fn the_tenth_unlock_cancels() {
    let mut site = Site::new();
    for _ in 0..9 {
        site.lock().unwrap();
        site.unlock().unwrap();
        assert_eq!(site.state(), ContainerState::Queued);
    }
    site.lock().unwrap();
    site.unlock().unwrap();
    let container = site.arvados.container(site.uuid).unwrap();
    assert_eq!(container.state, ContainerState::Cancelled);
    let error = container.runtime_status["error"].as_str().unwrap();
    assert!(error.contains("MaxDispatchAttempts") && error.contains("lock_count=10"), "{error}");
    let suspicions: Vec<_> = site.arvados.history().suspicions().map(|(_, it)| it).collect();
    assert_eq!(suspicions, [Suspicion::AttemptsUsedUp]);
    assert_eq!(site.arvados.history().tally(site.uuid).unlocks, 10);
}

#[test]
fn a_cancelled_container_is_followed_by_a_new_one_while_attempts_are_left() {
    let mut site = Site::with_attempts(2);
    site.put(ROOT_TOKEN, json!({ "state": "Cancelled" })).unwrap();
    let request = site.arvados.request_of(site.uuid).unwrap();
    let [first, second] = request.attempts[..] else { panic!("{:?}", request.attempts) };
    assert!(first == site.uuid && second != first);
    let next = site.arvados.container(second).unwrap();
    assert_eq!((next.state, next.attempt, next.priority), (ContainerState::Queued, 2, 500));
    site.uuid = second;
    site.put(ROOT_TOKEN, json!({ "state": "Cancelled" })).unwrap();
    assert_eq!(site.arvados.containers().count(), 2);
}

#[test]
fn a_request_that_its_user_has_cancelled_is_not_tried_again() {
    let mut site = Site::with_attempts(3);
    site.lock().unwrap();
    site.arvados.cancel_by_user(site.uuid, epoch());
    assert_eq!(site.state(), ContainerState::Locked);
    site.put(ROOT_TOKEN, json!({ "state": "Cancelled" })).unwrap();
    assert_eq!(site.arvados.containers().count(), 1);
}

#[test]
fn history_tells_locks_faults_and_refusals() {
    let mut site = Site::new();
    site.arvados.faults.strike_next(CallKind::Lock, faults::Fault::Overloaded);
    assert!(site.arvados.admit(CallKind::Lock, epoch()).fault.is_some());
    site.lock().unwrap();
    site.lock().unwrap_err();
    let history = site.arvados.history();
    assert_eq!(history.tally(site.uuid).refusals, 1);
    assert_eq!(history.faults()[&faults::Fault::Overloaded], 1);
    assert!(matches!(history.since(1)[0].fact, Fact::Struck { .. }));
    assert!(matches!(
        history.entries().last().unwrap().fact,
        Fact::Refused { status: 422, origin: Origin::Dispatcher, .. }
    ));
}

#[test]
fn tokens_are_known_by_secret_alone_or_with_their_uuid() {
    let site = Site::new();
    let v2 = format!("v2/{}/{ROOT_TOKEN}", site.arvados.root_uuid());
    assert_eq!(site.caller(&v2), site.root());
    for wrong in
        ["", "root-token", "v2/zzzzz-gj3su-000000000000000", "v2/zzzzz-gj3su-000000000000001/ROOT-TOKEN"]
    {
        assert_eq!(site.arvados.authenticate(wrong, Origin::Http), Err(Refusal::NotLoggedIn));
    }
}

fn site_of(containers: usize, settings: Settings) -> FakeArvados {
    let mut arvados = FakeArvados::new(1, settings);
    for n in 0..containers {
        let mut spec = ContainerSpec::default();
        spec.mounts.insert("/in".to_owned(), json!({ "kind": "text", "content": "x".repeat(1000) }));
        let submission = Submission { priority: 1 + n as i64, ..Submission::of(spec) };
        arvados.submit(submission, after(epoch(), Duration::from_secs(n as u64)));
    }
    arvados
}

#[test]
fn a_page_is_capped_whatever_its_limit() {
    let settings = Settings { max_items_per_response: 7, ..Settings::default() };
    let arvados = site_of(10, settings);
    let query = ListQuery { limit: 1000, ..ListQuery::default() };
    let listed = arvados.list(&query);
    assert_eq!((listed.items.len(), listed.available, listed.limit), (7, 10, 7));
}

#[test]
fn pages_may_be_short_but_only_the_last_is_empty() {
    let settings = Settings { page_items: Some(3), ..Settings::default() };
    let arvados = site_of(7, settings);
    let sizes: Vec<usize> = (0..4)
        .map(|page| arvados.list(&ListQuery { offset: 3 * page, ..ListQuery::default() }).items.len())
        .collect();
    assert_eq!(sizes, [3, 3, 1, 0]);
}

#[test]
fn a_byte_budget_shortens_pages_with_mounts_more_than_pages_without() {
    let settings = Settings { page_bytes: Some(5000), ..Settings::default() };
    let arvados = site_of(10, settings);
    let few = ListQuery { select: Some(vec!["uuid".to_owned()]), ..ListQuery::default() };
    let fewer = ListQuery { select: Some(vec!["mounts".to_owned()]), ..ListQuery::default() };
    assert_eq!(arvados.list(&few).items.len(), 8);
    assert_eq!(arvados.list(&fewer).items.len(), 3);
}

#[test]
fn one_item_is_sent_however_small_the_budget() {
    let settings = Settings { page_bytes: Some(1), ..Settings::default() };
    assert_eq!(site_of(3, settings).list(&ListQuery::default()).items.len(), 1);
}

#[test]
fn the_same_seed_makes_the_same_site() {
    let uuids = || site_of(5, Settings::default()).containers().map(|it| it.uuid).collect::<Vec<_>>();
    assert_eq!(uuids(), uuids());
}

#[test]
fn a_deleted_record_is_gone() {
    let mut site = Site::new();
    site.arvados.delete(site.uuid, epoch());
    assert_eq!(site.lock(), Err(Refusal::NotFound));
    assert!(site.arvados.all_final());
}

#[test]
fn running_containers_are_counted() {
    let mut site = Site::new();
    site.lock().unwrap();
    site.put(ROOT_TOKEN, json!({ "state": "Running" })).unwrap();
    assert_eq!(site.arvados.running(), 1);
    site.put(ROOT_TOKEN, json!({ "state": "Complete", "exit_code": 3 })).unwrap();
    assert_eq!(site.arvados.running(), 0);
    assert!(site.arvados.all_final());
}

// ---------------------------------------------------------------- any calls in any order

/// One call by any caller, on one of a few containers.
#[derive(Debug, Clone)]
enum Step {
    Lock,
    Unlock,
    Put(ContainerState),
    Prioritise(i64),
    Delete,
}

fn step() -> impl Strategy<Value = Step> {
    use ContainerState::{Cancelled, Complete, Locked, Queued, Running};
    let states = proptest::sample::select(vec![Queued, Locked, Running, Complete, Cancelled]);
    prop_oneof![
        6 => Just(Step::Lock),
        5 => Just(Step::Unlock),
        6 => states.prop_map(Step::Put),
        1 => (-1..3i64).prop_map(Step::Prioritise),
        1 => Just(Step::Delete),
    ]
}

fn take_step(arvados: &mut FakeArvados, which: usize, token: &str, step: Step) {
    let caller = arvados.authenticate(token, Origin::Dispatcher).unwrap();
    let Some(uuid) = arvados.containers().map(|it| it.uuid).nth(which) else { return };
    // Refused calls are part of the test.
    match step {
        Step::Lock => drop(arvados.lock(uuid, caller, epoch())),
        Step::Unlock => drop(arvados.unlock(uuid, caller, epoch())),
        Step::Put(state) => {
            let changes = Changes { state: Some(state), ..Changes::default() };
            drop(arvados.update(uuid, &changes, caller, epoch()));
        }
        Step::Prioritise(priority) => arvados.set_priority(uuid, priority, epoch()),
        Step::Delete => arvados.delete(uuid, epoch()),
    }
}

fn check_record(arvados: &FakeArvados, it: &Container) {
    let owned = matches!(it.state, ContainerState::Locked | ContainerState::Running);
    assert_eq!(it.locked_by.is_some(), owned, "{it:?}");
    assert_eq!(it.auth_uuid.is_some(), owned, "{it:?}");
    assert_eq!(it.finished_at.is_some(), it.state.is_final(), "{it:?}");
    assert_eq!(it.lock_count, arvados.history().tally(it.uuid).locks, "{it:?}");
    assert!(it.lock_count <= arvados.settings.max_dispatch_attempts, "{it:?}");
    let request = arvados.request_of(it.uuid).unwrap();
    assert!(request.attempts.len() <= request.max_attempts as usize);
}

proptest! {
    #[test]
    fn records_stay_consistent_whatever_is_called(
        steps in proptest::collection::vec((0..5usize, 0..3usize, step()), 0..120),
    ) {
        let settings = Settings { max_dispatch_attempts: 3, ..Settings::default() };
        let mut arvados = FakeArvados::new(1, settings);
        for _ in 0..3 {
            let submission = Submission { max_attempts: 2, ..Submission::of(ContainerSpec::default()) };
            arvados.submit(submission, epoch());
        }
        for (which, token, step) in steps {
            take_step(&mut arvados, which, [ROOT_TOKEN, OTHER_DISPATCHER_TOKEN, USER_TOKEN][token], step);
            for it in arvados.containers() {
                check_record(&arvados, it);
            }
            let running = arvados.containers().filter(|it| it.state == ContainerState::Running).count();
            assert_eq!(arvados.running(), running);
        }
    }
}

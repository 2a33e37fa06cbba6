//! Tests of the controller behind the port, in virtual time.

use dispatch_core::container::ContainerState;

use super::super::state::ContainerSpec;
use super::super::{OTHER_DISPATCHER_TOKEN, ROOT_TOKEN, Settings, Submission, USER_TOKEN};
use super::*;

/// A site with that many containers, its client, and the containers' uuids by falling priority.
fn site(containers: usize) -> (SimApi, Vec<ContainerUuid>) {
    clock::begin();
    let mut arvados = FakeArvados::new(1, Settings::default());
    let mut submit = |n: usize| {
        let submission = Submission { priority: 1000 - n as i64, ..Submission::of(ContainerSpec::default()) };
        arvados.submit(submission, clock::now())
    };
    let uuids = (0..containers).map(&mut submit).collect();
    let arvados = Rc::new(RefCell::new(arvados));
    (SimApi::new(arvados, ROOT_TOKEN, Origin::Dispatcher, 1), uuids)
}

fn strike(api: &SimApi, kind: CallKind, fault: Fault) {
    api.arvados().borrow_mut().faults.strike_next(kind, fault);
}

fn state(api: &SimApi, uuid: ContainerUuid) -> ContainerState {
    api.arvados().borrow().container(uuid).unwrap().state
}

#[tokio::test(start_paused = true)]
async fn the_polls_questions_are_answered() {
    let (api, uuids) = site(3);
    let me = api.current_token().await.unwrap();
    let locked = api.lock(uuids[1]).await.unwrap();
    assert_eq!(locked.locked_by, Some(me));
    let list = async |question| {
        let page = api.list(&question).await.unwrap();
        page.items.iter().map(|record| record.uuid).collect::<Vec<_>>()
    };
    assert_eq!(list(ListQuestion::Mine { me, after: None }).await, [uuids[1]]);
    assert!(list(ListQuestion::Mine { me, after: Some(uuids[1]) }).await.is_empty());
    assert_eq!(list(ListQuestion::Available { offset: 0 }).await, [uuids[0], uuids[2]]);
    assert_eq!(list(ListQuestion::Available { offset: 1 }).await, [uuids[2]]);
    assert_eq!(list(ListQuestion::Known { uuids: vec![uuids[2]] }).await, [uuids[2]]);
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_its_latency() {
    let (api, _) = site(0);
    api.set_latency(Span::millis(50));
    let began = tokio::time::Instant::now();
    api.current_token().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn faults_become_kinds() {
    let (api, uuids) = site(1);
    for (fault, kind, status) in [
        (Fault::Unauthorized, ApiErrorKind::Unauthorized, Some(401)),
        (Fault::Overloaded, ApiErrorKind::Overloaded, Some(503)),
        (Fault::BadGateway, ApiErrorKind::Server, Some(502)),
        (Fault::LostCall, ApiErrorKind::Connection, None),
    ] {
        strike(&api, CallKind::Lock, fault);
        let error = api.lock(uuids[0]).await.unwrap_err();
        assert_eq!((error.kind, error.status), (kind, status));
        assert!(error.message.contains(&error.request_id));
        assert_eq!(state(&api, uuids[0]), ContainerState::Queued);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_may_have_taken_effect_although_it_failed() {
    for (fault, kind) in [
        (Fault::LostAnswer, ApiErrorKind::Connection),
        (Fault::ServerError, ApiErrorKind::Server),
        (Fault::WrongUuid, ApiErrorKind::Malformed),
    ] {
        let (api, uuids) = site(1);
        strike(&api, CallKind::Lock, fault);
        assert_eq!(api.lock(uuids[0]).await.unwrap_err().kind, kind);
        assert_eq!(api.get(uuids[0]).await.unwrap().state, ContainerState::Locked);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_slower_than_the_deadline_is_a_timeout_and_took_effect() {
    let (api, uuids) = site(1);
    api.set_deadline(Duration::from_secs(10));
    {
        let mut arvados = api.arvados().borrow_mut();
        arvados.faults.slow_rate = 1.0;
        arvados.faults.slow_by = Some(Span::seconds(60));
    }
    let began = tokio::time::Instant::now();
    assert_eq!(api.lock(uuids[0]).await.unwrap_err().kind, ApiErrorKind::Timeout);
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    assert_eq!(state(&api, uuids[0]), ContainerState::Locked);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_record_does_not_affect_the_others() {
    let (api, uuids) = site(3);
    api.arvados().borrow_mut().poison(uuids[1], "runtime_constraints", json!("everything"));
    let page = api.list(&ListQuestion::Available { offset: 0 }).await.unwrap();
    assert_eq!((page.len(), page.items.len()), (3, 2));
    assert_eq!(page.undecodable[0].uuid, Some(uuids[1]));
    assert!(page.undecodable[0].reason.contains("runtime_constraints"));
    assert_eq!(api.get(uuids[1]).await.unwrap_err().kind, ApiErrorKind::Malformed);
    assert_eq!(api.mounts(&uuids).await.unwrap().items.len(), 3);
    api.arvados().borrow_mut().cure(uuids[1]);
    assert_eq!(api.get(uuids[1]).await.unwrap().uuid, uuids[1]);
}

#[tokio::test(start_paused = true)]
async fn null_is_decoded_as_an_empty_value() {
    let (api, uuids) = site(1);
    for attribute in ["priority", "runtime_constraints", "scheduling_parameters", "container_image", "mounts"]
    {
        api.arvados().borrow_mut().poison(uuids[0], attribute, Value::Null);
    }
    let record = api.get(uuids[0]).await.unwrap();
    assert_eq!((record.priority, record.container_image.as_str()), (0, ""));
    assert_eq!(api.mounts(&uuids).await.unwrap().items, [(uuids[0], MountNeeds::default())]);
    api.arvados().borrow_mut().poison(uuids[0], "state", Value::Null);
    assert_eq!(api.get(uuids[0]).await.unwrap_err().kind, ApiErrorKind::Malformed);
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_latest_of_their_containers_until_it_has_ended() {
    let (api, uuids) = site(2);
    let first = api.requests_of(&uuids).await.unwrap().items;
    assert_eq!(first.iter().map(|(uuid, _)| *uuid).collect::<Vec<_>>(), uuids);
    let again = Submission { max_attempts: 2, ..Submission::of(ContainerSpec::default()) };
    let third = api.arvados().borrow_mut().submit(again, clock::now());
    let request = api.requests_of(&[third]).await.unwrap().items[0].1;
    api.cancel(third, None).await.unwrap();
    let next =
        api.arvados().borrow().containers().map(|it| it.uuid).find(|it| *it != third && !uuids.contains(it));
    let next = next.expect("it is tried again");
    assert_eq!(api.requests_of(&[third, next]).await.unwrap().items, [(next, request)]);
    api.cancel(next, None).await.unwrap();
    assert_eq!(api.requests_of(&[third, next]).await.unwrap().items, []);
    let server =
        api.arvados().borrow().requests_json(r#"[["container_uuid","in",["X"]],["owner","=","me"]]"#, 10);
    assert!(server.unwrap_err().to_string().contains("'owner'"));
}

#[tokio::test(start_paused = true)]
async fn a_list_may_speak_of_a_container_that_was_not_asked_for() {
    let (api, uuids) = site(1);
    strike(&api, CallKind::List, Fault::WrongUuid);
    let page = api.list(&ListQuestion::Known { uuids: uuids.clone() }).await.unwrap();
    assert_ne!(page.items[0].uuid, uuids[0]);
}

#[tokio::test(start_paused = true)]
async fn cancelling_is_idempotent_and_leaves_the_error_for_the_user() {
    let (api, uuids) = site(1);
    let cancelled = api.cancel(uuids[0], Some("too big")).await.unwrap();
    assert_eq!(cancelled.state, ContainerState::Cancelled);
    api.cancel(uuids[0], None).await.unwrap();
    api.cancel(uuids[0], Some("too big")).await.unwrap();
    let arvados = api.arvados().borrow();
    assert_eq!(arvados.container(uuids[0]).unwrap().runtime_status["error"], "too big");
}

#[tokio::test(start_paused = true)]
async fn foreign_locks_are_respected() {
    let (api, uuids) = site(1);
    let other = SimApi::new(api.arvados().clone(), OTHER_DISPATCHER_TOKEN, Origin::Dispatcher, 2);
    other.lock(uuids[0]).await.unwrap();
    assert_eq!(api.lock(uuids[0]).await.unwrap_err().kind, ApiErrorKind::Refused);
    assert_eq!(api.unlock(uuids[0]).await.unwrap_err().kind, ApiErrorKind::Forbidden);
    let user = SimApi::new(api.arvados().clone(), USER_TOKEN, Origin::User, 3);
    assert_eq!(user.unlock(uuids[0]).await.unwrap_err().kind, ApiErrorKind::Forbidden);
    other.unlock(uuids[0]).await.unwrap();
}

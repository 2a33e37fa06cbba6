//! The active one loses its session: it stops acting at once, and exits 1.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_actors::lease;
use dispatch_core::container::ContainerState;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::proxy::Proxy;
use crate::support::containers::Record;
use crate::support::{SOON, Service, Site, processes, until};
use crate::{assert_no_password, calls, postgres, site};

/// It has said why, as its last word.
fn assert_lost(service: &Service, error: &str) {
    let last = service.log().pop().unwrap();
    assert_eq!((&last["msg"], &last["level"]), (&"lock lost, exiting".into(), &"error".into()), "{last}");
    assert!(last["error"].as_str().unwrap().contains(error), "{last}");
    assert_no_password(&[service]);
}

/// Nobody was given up on the way out, the same processes go on, and none of its own is left that could act for it.
async fn assert_left_alone(site: &Site, runners: &BTreeMap<String, i32>) {
    for Record { state, lock_count, started, cancels, uuid } in site.records().await {
        let told = (state, lock_count, started, cancels);
        assert_eq!(told, (ContainerState::Running, 1, 1, 0), "{uuid}");
    }
    assert_eq!(processes::runners(&site.state_directory()), *runners);
    until("its ssh clients have ended with it", SOON, async || (ssh_clients(site) == 0).then_some(())).await;
}

/// The processes that it reaches its instances by: their sockets are below its temporary directory.
fn ssh_clients(site: &Site) -> usize {
    let directory = site.path("tmp").display().to_string();
    processes::all().filter(|pid| processes::command_line(*pid).contains(&directory)).count()
}

#[actix_rt::test]
async fn a_session_that_is_cut_at_the_server_ends_the_process_at_once() {
    let (mut site, postgres) = site().await;
    // So often that it would be noticed.
    site.cloud()["PollInterval"] = "20ms".into();
    site.submit(2).await;
    let mut service = site.start().await;
    site.reached(2, ContainerState::Running, SOON).await;
    site.begun(2).await;
    let runners = processes::runners(&site.state_directory());
    assert!(runners.len() == 2 && ssh_clients(&site) > 0, "{runners:?}");
    let superuser = postgres.superuser().await;
    let pid = postgres::holder(&superuser).await.unwrap();
    let (began, asked_before) = (Instant::now(), calls(&site).await);
    superuser.simple_query(&format!("SELECT pg_terminate_backend({pid})")).await.unwrap();
    assert_eq!(service.exit_code(SOON).await, 1);
    println!("ended {:?} after its session", began.elapsed());
    let asked = calls(&site).await;
    // Fifty a second while it works: what goes on for five seconds more is seen.
    assert!(asked - asked_before < 250, "{asked_before} calls, then {asked}");
    assert_lost(&service, "terminating connection due to administrator command");
    // The server says so to the service a moment before it lets go of the lock.
    let released = async || postgres::holder(&superuser).await.is_none().then_some(());
    until("the server has no holder", SOON, released).await;
    assert_left_alone(&site, &runners).await;

    // What a service manager does next.
    let mut next = site.start().await;
    next.logged("lock acquired", SOON).await;
    site.runs.open_gate();
    site.reached(2, ContainerState::Complete, SOON).await;
    site.assert_all_ran_once(2).await;
    assert_eq!(next.stop().await, 0);
}

/// Its session looks open, and nothing comes from it: as when the way to the server is cut.
#[actix_rt::test]
async fn a_server_that_does_not_answer_counts_as_lost() {
    let (site, postgres) = site().await;
    let mut service = site.start().await;
    service.logged("ready", SOON).await;
    let superuser = postgres.superuser().await;
    let backend = Pid::from_raw(postgres::holder(&superuser).await.unwrap()).unwrap();
    let began = Instant::now();
    kill_process(backend, Signal::STOP).unwrap();
    let code = service.exit_code(SOON).await;
    kill_process(backend, Signal::CONT).unwrap();
    assert_eq!(code, 1);
    println!("ended {:?} after the server fell silent", began.elapsed());
    assert_lost(&service, "has not answered within 5 s");
}

/// It had the lock when it was stopped. What it does in the moment before it notices is done without a lease.
#[actix_rt::test]
async fn a_process_that_was_stopped_for_longer_than_its_lease_changes_nothing_when_it_goes_on() {
    let (mut site, postgres) = site().await;
    // So often that a lock would be asked for before the loss is noticed.
    site.cloud()["PollInterval"] = "20ms".into();
    let mut service = site.start().await;
    service.logged("ready", SOON).await;
    let superuser = postgres.superuser().await;
    let backend = Pid::from_raw(postgres::holder(&superuser).await.unwrap()).unwrap();
    kill_process(backend, Signal::STOP).unwrap();
    service.signal(Signal::STOP);
    tokio::time::sleep(lease::LASTS + Duration::from_secs(1)).await;
    site.submit(1).await;
    service.signal(Signal::CONT);
    let code = service.exit_code(SOON).await;
    kill_process(backend, Signal::CONT).unwrap();
    assert_eq!(code, 1);
    assert_lost(&service, "has not answered within 5 s");
    // On a busy machine it has no time even to see what it could lock; mostly it has.
    println!("seen: {}", service.lines("adding container to queue").len());
    let records = site.records().await;
    let told: Vec<_> = records.iter().map(|it| (it.state, it.lock_count)).collect();
    assert_eq!(told, [(ContainerState::Queued, 0)]);
}

/// As by a pooler that shares sessions, or resets them.
#[actix_rt::test]
async fn a_session_that_lives_on_without_the_lock_counts_as_lost() {
    let (mut site, postgres) = site().await;
    let mut proxy = Proxy::before(&postgres, &mut site);
    let mut service = site.start().await;
    service.logged("lock acquired", SOON).await;
    proxy.inject("SELECT pg_advisory_unlock_all()").await;
    assert_eq!(service.exit_code(SOON).await, 1);
    assert_lost(&service, "does not hold the lock any more");
}

/// A question that is refused says nothing about the lock, as long as the next one is answered.
#[actix_rt::test]
async fn a_refused_question_is_asked_again_before_the_lock_counts_as_lost() {
    let (mut site, postgres) = site().await;
    let mut proxy = Proxy::before(&postgres, &mut site);
    let mut service = site.start().await;
    service.logged("lock acquired", SOON).await;
    let refusals = || postgres.log().matches("current transaction is aborted").count();
    proxy.inject("BEGIN; SELECT 1/0").await;
    until("a question is refused", SOON, async || (refusals() > 0).then_some(())).await;
    proxy.inject("ROLLBACK").await;
    let superuser = postgres.superuser().await;
    let answered = "SELECT query FROM pg_stat_activity WHERE state = 'idle' \
         AND application_name LIKE 'arvados-dispatch-cloud %' AND query LIKE '%pg_locks%'";
    until("questions are answered again", SOON, async || postgres::value(&superuser, answered).await).await;
    assert_eq!(service.get(&site, "/_health/ping").await.1["health"], "OK");

    proxy.inject("BEGIN; SELECT 1/0").await;
    assert_eq!(service.exit_code(SOON).await, 1);
    assert_lost(&service, "current transaction is aborted");
}

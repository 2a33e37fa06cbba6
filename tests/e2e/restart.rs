//! Killed with twenty containers running, and started again: recovery is the normal start.

use dispatch_core::container::ContainerState;

use crate::support::{RESUMED, SOON, Site, processes, until};

const CONTAINERS: usize = 20;

#[actix_rt::test]
async fn a_killed_dispatcher_that_is_started_again_adopts_every_process_and_starts_none_twice() {
    is_killed_and_started_again("openssh").await;
}

#[actix_rt::test]
async fn so_does_one_whose_ssh_client_is_inside_it() {
    is_killed_and_started_again("russh").await;
}

async fn is_killed_and_started_again(ssh_client: &str) {
    let mut site = Site::new();
    site.cloud()["SSHClient"] = ssh_client.into();
    site.submit(CONTAINERS).await;
    let mut first = site.start().await;
    site.reached(CONTAINERS, ContainerState::Running, SOON).await;
    site.begun(CONTAINERS).await;
    let state = site.state_directory();
    let runners = processes::runners(&state);
    assert_eq!(runners.len(), CONTAINERS);
    assert_eq!(processes::instances(&state), 2, "ten share an instance");
    let shells = site.runs.begun();

    first.kill().await;
    // Its ssh clients go with it, and nothing else does.
    until("the killed dispatcher's children are gone", SOON, async || {
        let ssh = processes::all().map(processes::command_line);
        let runtime = site.path("tmp").display().to_string();
        ssh.into_iter().all(|line| !line.contains(&runtime)).then_some(())
    })
    .await;
    assert_eq!(processes::runners(&state), runners, "they live on");

    let second = site.start().await;
    until("every process is detected", SOON, async || {
        (second.lines("crunch-run process detected").len() >= CONTAINERS).then_some(())
    })
    .await;
    assert_eq!(processes::runners(&state), runners, "the same processes");
    let counts = processes::runner_counts(&state);
    assert!(counts.len() == CONTAINERS && counts.values().all(|count| *count == 1), "{counts:?}");

    site.runs.open_gate();
    site.reached(CONTAINERS, ContainerState::Complete, SOON).await;
    site.emptied(RESUMED).await;
    assert_eq!(second.lines("crunch-run process detected").len(), CONTAINERS);
    assert_eq!(second.lines("crunch-run process started").len(), 0);
    assert_eq!(second.lines("creating new instance").len(), 0);
    assert_eq!(site.runs.begun(), shells);
    site.assert_all_ran_once(CONTAINERS).await;
    let mut second = second;
    assert_eq!(second.stop().await, 0);
    assert!(std::fs::read_dir(site.path("tmp")).unwrap().next().is_none(), "no temporary file is left");
}

#[actix_rt::test]
async fn a_restart_without_anything_running_is_just_a_start() {
    let site = Site::new();
    let mut first = site.start().await;
    first.logged("ready", SOON).await;
    first.kill().await;
    site.submit(1).await;
    site.runs.open_gate();
    let mut second = site.start().await;
    site.reached(1, ContainerState::Complete, SOON).await;
    site.assert_all_ran_once(1).await;
    assert_eq!(second.stop().await, 0);
    // The instance is left to the next dispatcher: it has not been idle for long enough.
    let mut third = site.start().await;
    site.emptied(RESUMED).await;
    assert_eq!(third.stop().await, 0);
}

//! Ending.

use std::fs::File;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::site::{Site, UUID, ends, kill_hard, stderr};

#[test]
fn an_unknown_container_is_ended_already() {
    let site = Site::running(&["true"]);
    assert_eq!(site.kill("15", UUID).status.code(), Some(0));
    assert!(!site.lock_file(UUID).exists());
}

#[test]
fn a_dead_runner_is_ended_already_and_its_old_process_id_is_not_signalled() {
    let site = Site::running(&["true"]);
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let text = format!(r#"{{"UUID":"{UUID}","PID":{}}}"#, stranger.id());
    std::fs::write(site.lock_file(UUID), &text).unwrap();
    assert_eq!(site.kill("15", UUID).status.code(), Some(0));
    // Not even if something holds the lock.
    let held = File::open(site.lock_file(UUID)).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(site.kill("15", UUID).status.code(), Some(0));
    assert_eq!(site.list(), [format!("{UUID} stale")]);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_running_container_ends_on_sigterm() {
    let site = Site::running(&["sleep", "60"]);
    let pid = site.start(UUID);
    assert_eq!(site.controller.next_update().container["state"], "Running");
    let kill = site.kill("15", UUID);
    assert_eq!(kill.status.code(), Some(0), "{kill:?}");
    assert!(ends(pid, Duration::ZERO));
    assert_eq!(site.list(), [""; 0]);
}

#[test]
fn a_runner_that_outlives_the_signal_is_told_as_such() {
    let site = Site::running(&["sleep", "60"]);
    let pid = site.start(UUID);
    // 12 = SIGUSR2, which no runner dies of.
    let kill = site.kill("12", UUID);
    assert_eq!(kill.status.code(), Some(1));
    assert!(stderr(&kill).contains(&format!("signal 12 to process {pid} of container {UUID}")), "{kill:?}");
    assert!(!ends(pid, Duration::ZERO));
}

#[test]
fn a_lock_that_names_nobody_cannot_be_killed() {
    let site = Site::running(&["true"]);
    for text in ["", "rubbish"] {
        std::fs::write(site.lock_file(UUID), text).unwrap();
        let held = File::open(site.lock_file(UUID)).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let kill = site.kill("15", UUID);
        assert_eq!(kill.status.code(), Some(1), "{kill:?}");
    }
}

#[test]
fn a_runner_that_was_killed_hard_leaves_a_lock_that_the_next_list_removes() {
    let site = Site::running(&["true"]);
    let pid = site.start(UUID);
    while site.controller.next_update().container["state"] != "Complete" {}
    if !ends(pid, Duration::from_secs(20)) {
        kill_hard(pid);
    }
    assert!(site.lock_file(UUID).exists());
    assert_eq!(site.list(), [""; 0]);
    assert!(!site.lock_file(UUID).exists());
}

//! Tests of `--kill`.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::site::{PATIENCE, Site, UUID, child_of, ends, kill_hard, stderr};

#[test]
fn a_kill_of_an_unknown_container_succeeds() {
    let site = Site::running(&["true"]);
    assert_eq!(site.kill("15", UUID).status.code(), Some(0));
    assert!(!site.lock_file(UUID).exists());
}

/// A process that is not ours. It is killed when dropped, so that a failing test leaves no process behind.
struct OtherProcess(Child);

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_kill_of_a_dead_runner_succeeds_and_its_old_process_id_is_not_signalled() {
    let site = Site::running(&["true"]);
    let mut other = OtherProcess(Command::new("sleep").arg("600").spawn().unwrap());
    let text = format!(r#"{{"UUID":"{UUID}","PID":{}}}"#, other.0.id());
    std::fs::write(site.lock_file(UUID), &text).unwrap();
    assert_eq!(site.kill("15", UUID).status.code(), Some(0));
    // It is not signalled even if something holds the lock.
    let held = File::open(site.lock_file(UUID)).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(site.kill("15", UUID).status.code(), Some(0));
    assert_eq!(site.list(), [format!("{UUID} stale")]);
    assert!(other.0.try_wait().unwrap().is_none(), "the other process lives");
}

#[test]
fn a_running_container_ends_on_sigterm() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    child_of(pid);
    site.kill_until_ended(UUID);
    assert!(ends(pid, Duration::ZERO));
    assert_eq!(site.list(), [""; 0]);
}

#[test]
fn a_runner_that_outlives_the_signal_is_reported() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    // 12 is SIGUSR2, which ends no runner.
    let kill = site.kill("12", UUID);
    assert_eq!(kill.status.code(), Some(1));
    assert!(stderr(&kill).contains(&format!("signal 12 to process {pid} of container {UUID}")), "{kill:?}");
    assert!(!ends(pid, Duration::ZERO));
}

#[test]
fn a_kill_fails_if_the_lock_file_names_no_process() {
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
    if !ends(pid, PATIENCE) {
        kill_hard(pid);
    }
    assert!(site.lock_file(UUID).exists());
    assert_eq!(site.list(), [""; 0]);
    assert!(!site.lock_file(UUID).exists());
}

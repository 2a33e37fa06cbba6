//! Tests of `--list`.

use std::fs::File;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::site::{PATIENCE, Site, UUID, child_of, ends, kill_hard, lines, stderr, until_ended, with_stdin};

#[test]
fn a_running_container_is_listed_and_goes_on_running() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    for _ in 0..5 {
        assert_eq!(site.list(), [UUID]);
    }
    assert!(!ends(pid, Duration::from_millis(50)));
}

#[test]
fn a_dead_runner_whose_helper_holds_the_lock_is_stale() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    assert_eq!(site.controller.next_update().container["state"], "Running");
    let helper = child_of(pid);
    kill_hard(pid);
    assert_eq!(site.list(), [format!("{UUID} stale")]);
    let again = site.detach(UUID);
    assert_eq!(again.status.code(), Some(1), "no process is started beside the helper");
    assert_eq!(site.kill("15", UUID).status.code(), Some(0), "the runner itself has ended");
    kill_hard(helper);
    assert_eq!(site.list(), [""; 0]);
    assert!(!site.lock_file(UUID).exists());
}

#[test]
fn leftovers_are_removed() {
    let site = Site::running(&["true"]);
    let leftover = site.lock_file(UUID);
    std::fs::write(&leftover, format!(r#"{{"UUID":"{UUID}","PID":1}}"#)).unwrap();
    assert_eq!(site.list(), [""; 0]);
    assert!(!leftover.exists());
}

#[test]
fn an_empty_lock_file_is_being_started_and_left_alone() {
    let site = Site::running(&["true"]);
    File::create(site.lock_file(UUID)).unwrap();
    assert_eq!(site.list(), [""; 0]);
    assert!(site.lock_file(UUID).exists());
}

#[test]
fn a_held_lock_that_names_no_process_counts_as_running() {
    let site = Site::running(&["true"]);
    let other = format!(r#"{{"UUID":"zzzzz-dz642-000000000000009","PID":{}}}"#, std::process::id());
    for text in ["rubbish", "{\"UUID\":", other.as_str()] {
        std::fs::write(site.lock_file(UUID), text).unwrap();
        let held = File::open(site.lock_file(UUID)).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let output = site.runner(&["--list"]).output().unwrap();
        assert_eq!(lines(&output.stdout), [UUID], "{text}");
        assert!(stderr(&output).contains("does not tell"), "{output:?}");
    }
}

#[test]
fn a_broken_instance_says_so() {
    let site = Site::running(&["true"]);
    File::create(site.path("crunch-run-broken")).unwrap();
    assert_eq!(site.list(), ["broken"]);
}

#[test]
fn other_files_are_not_taken_for_locks() {
    let site = Site::running(&["true"]);
    for name in ["crunch-run-all.lock", "crunch-run-x.lock", "crunch-run-.lock", "other.lock"] {
        std::fs::write(site.path(name), "x").unwrap();
    }
    assert_eq!(site.list(), [""; 0]);
    assert!(site.path("crunch-run-x.lock").exists() && site.path("other.lock").exists());
}

#[test]
fn a_symlinked_lock_directory_works() {
    let site = Site::running(&["sleep", "600"]);
    let link = site.path("link");
    symlink(site.path("."), &link).unwrap();
    site.start(UUID);
    let through_link = site.runner(&["--list"]).env("CRUNCH_RUN_LOCKDIR", &link).output().unwrap();
    assert_eq!(lines(&through_link.stdout), [UUID]);
    let kill = || site.runner(&["--kill", "15", UUID]).env("CRUNCH_RUN_LOCKDIR", &link).output().unwrap();
    until_ended(kill);
}

#[test]
fn a_symlink_in_the_place_of_a_lock_file_is_not_followed() {
    let site = Site::running(&["true"]);
    let victim = site.path("victim");
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, site.lock_file(UUID)).unwrap();
    assert_eq!(site.detach(UUID).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
}

/// Everything that another user of the VM can put into `/var/lock` under the name of a lock file.
#[test]
fn what_is_no_lock_file_of_ours_is_skipped_and_told_and_nothing_waits_for_it() {
    let site = Site::running(&["sleep", "600"]);
    let other = "zzzzz-dz642-000000000000002";
    let (trap, victim) = (site.lock_file(UUID), site.path("victim"));
    std::fs::write(&victim, r#"{"UUID":"zzzzz-dz642-000000000000001","PID":1}"#).unwrap();
    site.start(other);
    let lay: [(&str, &dyn Fn()); 6] = [
        ("a FIFO", &|| assert!(Command::new("mkfifo").arg(&trap).status().unwrap().success())),
        ("a symbolic link", &|| symlink(&victim, &trap).unwrap()),
        ("a directory", &|| std::fs::create_dir(&trap).unwrap()),
        ("a socket", &|| drop(UnixListener::bind(&trap).unwrap())),
        ("a file with another name", &|| std::fs::hard_link(&victim, &trap).unwrap()),
        ("of user 1", &|| {
            std::fs::write(&trap, "").unwrap();
            chown(&trap, Some(1), None).unwrap();
        }),
    ];
    for (what, lay) in lay {
        if what == "of user 1" && !rustix::process::geteuid().is_root() {
            eprintln!("only root can give files to other users: not tried");
            continue;
        }
        lay();
        // The one who laid it holds it, if it can be held.
        let held = (!matches!(what, "a FIFO" | "a directory")).then(|| File::open(&trap).ok()).flatten();
        held.iter().for_each(|file| flock(file, FlockOperation::LockExclusive).unwrap());
        let list = site.runner(&["--list"]).output().unwrap();
        assert_eq!(lines(&list.stdout), [other], "{what}: {list:?}");
        assert!(stderr(&list).contains("skipped") && stderr(&list).contains(what), "{what}: {list:?}");
        let kill = site.kill("15", UUID);
        assert!(kill.status.success() && stderr(&kill).contains(what), "{kill:?}");
        let start = site.detach(UUID);
        assert_eq!(start.status.code(), Some(1), "{what}");
        assert!(stderr(&start).contains("not a lock file of ours"), "{start:?}");
        assert!(std::fs::symlink_metadata(&trap).is_ok(), "{what}: somebody else's is not removed");
        if std::fs::remove_file(&trap).is_err() {
            std::fs::remove_dir(&trap).unwrap();
        }
    }
    assert!(std::fs::read_to_string(victim).unwrap().contains("PID"), "nothing was cut");
}

#[test]
fn a_directory_lock_that_is_not_ours_is_told_at_once() {
    let site = Site::running(&["true"]);
    let all = site.path("crunch-run-all.lock");
    assert!(Command::new("mkfifo").arg(&all).status().unwrap().success());
    for output in [site.runner(&["--list"]).output().unwrap(), site.kill("15", UUID), site.detach(UUID)] {
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("a FIFO"), "{output:?}");
    }
    // The site looks into every file at its end, and would wait there.
    std::fs::remove_file(all).unwrap();
}

#[test]
fn stdin_is_not_read_without_prices() {
    let site = Site::running(&["true"]);
    // This pipe is never closed and never written to.
    let mut child = site.runner(&["--list"]).stdin(Stdio::piped()).spawn().unwrap();
    assert!(ends(child.id().cast_signed(), PATIENCE));
    assert!(child.wait().unwrap().success());
}

#[test]
fn prices_replace_the_old_ones_at_once_and_leave_nothing_else() {
    let site = Site::running(&["true"]);
    let stored = site.path("crunch-run-prices.json");
    for prices in [r#"[{"StartTime":"2026-01-02T03:04:05Z","Price":0.1}]"#, "[]"] {
        let output = with_stdin(site.runner(&["--list", "--stdin-prices"]), prices.as_bytes());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read_to_string(&stored).unwrap(), prices);
    }
    assert_eq!(std::fs::read_dir(site.path(".")).unwrap().count(), 2, "prices and the directory's lock");
}

#[test]
fn wrong_prices_are_refused_and_the_list_is_made_all_the_same() {
    let site = Site::running(&["sleep", "600"]);
    site.start(UUID);
    let output = with_stdin(site.runner(&["--list", "--stdin-prices"]), b"free beer");
    assert!(output.status.success());
    assert_eq!(lines(&output.stdout), [UUID]);
    assert!(stderr(&output).contains("prices"));
    assert!(!site.path("crunch-run-prices.json").exists());
}

#[test]
fn a_list_during_a_start_never_makes_the_start_fail() {
    let site = Site::running(&["sleep", "600"]);
    for n in 0..10 {
        let lists: Vec<_> = (0..4).map(|_| site.runner(&["--list"]).spawn().unwrap()).collect();
        site.start(&format!("zzzzz-dz642-{n:015}"));
        for list in lists {
            assert!(list.wait_with_output().unwrap().status.success());
        }
    }
    assert_eq!(site.list().len(), 10);
}

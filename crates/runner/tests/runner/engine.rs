//! Tests of the engine `process`: what the controller is told.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::controller::{FakeController, TOKEN, TOKEN_UUID, well_behaved};
use crate::site::{PATIENCE, Site, UUID, ends, eventually};

#[test]
fn exit_codes_are_recorded() {
    for (command, code) in [
        (["true"].as_slice(), 0),
        (&["sh", "-c", "exit 1"], 1),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -9 $$"], 137),
    ] {
        let site = Site::running(command);
        site.start(UUID);
        let running = site.controller.next_update();
        assert_eq!(running.container, json!({"state": "Running", "gateway_address": "127.0.0.1:0"}));
        assert_eq!(running.authorization, format!("Bearer {TOKEN}"));
        assert_eq!(site.controller.next_update().container, json!({"state": "Complete", "exit_code": code}));
    }
}

#[test]
fn the_command_runs_as_its_record_says_and_gets_no_secret_of_ours() {
    let directory = tempfile::tempdir().unwrap();
    let record = json!({
        "command": ["sh", "-c", "env > out; printf '%s' \"$1\" > argument", "sh", "a 'b' \"$HOME\" ü\n"],
        "environment": {"GREETING": "good day; $(reboot)", "N": null},
        "cwd": directory.path(),
    });
    let site = Site::new(FakeController::with_record(record));
    site.start(UUID);
    while site.controller.next_update().container["state"] != "Complete" {}
    let environment = std::fs::read_to_string(directory.path().join("out")).unwrap();
    assert!(environment.contains("GREETING=good day; $(reboot)\n"), "{environment}");
    assert!(!environment.contains(TOKEN) && !environment.contains("ARVADOS"), "{environment}");
    assert!(
        environment.contains("CRUNCH_RUN_LOCKDIR="),
        "the loopback cloud finds the process by this variable: {environment}"
    );
    let argument = std::fs::read_to_string(directory.path().join("argument")).unwrap();
    assert_eq!(argument, "a 'b' \"$HOME\" ü\n");
}

#[test]
fn sigterm_ends_the_command_with_all_its_children_and_cancels_the_container() {
    let directory = tempfile::tempdir().unwrap();
    let record = json!({"command": ["sh", "-c", "sleep 600 & echo $! > pid; wait"], "cwd": directory.path()});
    let site = Site::new(FakeController::with_record(record));
    let pid = site.start(UUID);
    assert_eq!(site.controller.next_update().container["state"], "Running");
    let background = read_pid(&directory.path().join("pid"));
    site.kill_until_ended(UUID);
    assert_eq!(site.controller.next_update().container, json!({"state": "Cancelled"}));
    assert!(ends(pid, PATIENCE) && ends(background, PATIENCE));
}

fn read_pid(path: &std::path::Path) -> i32 {
    eventually("the command writes its process id", || {
        std::fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok()
    })
}

#[test]
fn a_command_that_ignores_sigterm_is_killed_after_a_grace() {
    let directory = tempfile::tempdir().unwrap();
    let record = json!({
        "command": ["sh", "-c", "trap '' TERM; echo $$ > pid; while :; do sleep 600; done"],
        "cwd": directory.path(),
    });
    let site = Site::new(FakeController::with_record(record));
    let pid = site.start(UUID);
    let command = read_pid(&directory.path().join("pid"));
    let asked = Instant::now();
    site.kill_until_ended(UUID);
    assert!(asked.elapsed() > Duration::from_secs(1), "it takes longer than the wait of one kill");
    assert!(ends(command, PATIENCE) && ends(pid, PATIENCE));
    assert_eq!(site.controller.updates().last(), Some(&json!({"state": "Cancelled"})));
}

#[test]
fn what_the_command_left_in_the_background_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let record = json!({"command": ["sh", "-c", "sleep 600 & echo $! > pid"], "cwd": directory.path()});
    let site = Site::new(FakeController::with_record(record));
    let pid = site.start(UUID);
    while site.controller.next_update().container["state"] != "Complete" {}
    assert!(ends(pid, PATIENCE));
    assert!(ends(read_pid(&directory.path().join("pid")), PATIENCE));
    assert_eq!(site.list(), [""; 0], "nothing holds the lock");
}

#[test]
fn a_command_that_cannot_be_executed_cancels_the_container_with_the_reason() {
    for (record, reason) in [
        (json!({"command": ["/no/such/program"]}), "cannot execute `/no/such/program`"),
        (json!({"command": ["true"], "cwd": "/no/such/directory"}), "`/no/such/directory` does not exist"),
        (json!({"command": []}), "has no command"),
        (json!({"command": null, "environment": null, "cwd": null}), "has no command"),
        (json!({"command": ["nul\u{0}"]}), "cannot execute"),
    ] {
        let site = Site::new(FakeController::with_record(record));
        site.start(UUID);
        assert_eq!(site.controller.next_update().container["state"], "Running");
        let update = site.controller.next_update().container;
        assert_eq!(update["state"], "Cancelled");
        let error = update["runtime_status"]["error"].as_str().unwrap();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_container_that_is_not_ours_is_not_touched() {
    for (state, owner) in [
        ("Queued", Value::Null),
        ("Locked", json!("zzzzz-gj3su-999999999999999")),
        ("Running", json!(TOKEN_UUID)),
        ("Complete", json!(TOKEN_UUID)),
        ("Cancelled", Value::Null),
    ] {
        let marker = tempfile::tempdir().unwrap();
        let record = json!({"state": state, "locked_by_uuid": owner, "command": ["touch", "ran"], "cwd": marker.path()});
        let site = Site::new(FakeController::start(move |request| well_behaved(request, &record)));
        let pid = site.start(UUID);
        assert!(ends(pid, PATIENCE), "{state}");
        assert_eq!(site.controller.updates(), [Value::Null; 0], "{state}");
        assert!(!marker.path().join("ran").exists(), "{state}");
    }
}

#[test]
fn calls_that_fail_for_a_while_are_repeated() {
    let record = json!({"state": "Locked", "locked_by_uuid": TOKEN_UUID, "command": ["true"]});
    let mut faults = [401, 500, 503, 0].iter().cycle();
    let mut failed_last = false;
    // Every other request fails, each time in another way. A lost answer is one of the ways.
    let site = Site::new(FakeController::start(move |request| {
        failed_last = !failed_last;
        let fault = if failed_last { *faults.next().unwrap() } else { 200 };
        if fault == 200 { well_behaved(request, &record) } else { (fault, Value::Null) }
    }));
    let pid = site.start(UUID);
    assert!(ends(pid, 2 * PATIENCE));
    assert_eq!(site.controller.updates().last(), Some(&json!({"state": "Complete", "exit_code": 0})));
}

#[test]
fn a_start_that_the_controller_refuses_runs_nothing() {
    let marker = tempfile::tempdir().unwrap();
    let record = json!({
        "state": "Locked", "locked_by_uuid": TOKEN_UUID, "command": ["touch", "ran"], "cwd": marker.path(),
    });
    let site = Site::new(FakeController::start(move |request| match request.method.as_str() {
        "PUT" => (422, json!({"errors": ["no"]})),
        _ => well_behaved(request, &record),
    }));
    let pid = site.start(UUID);
    assert!(ends(pid, PATIENCE));
    assert_eq!(site.controller.updates().len(), 1, "a refused call is not repeated");
    assert!(!marker.path().join("ran").exists());
}

#[test]
fn sigterm_before_the_start_leaves_the_record_alone() {
    let site = Site::new(FakeController::start(|_| (503, Value::Null)));
    let pid = site.start(UUID);
    site.kill_until_ended(UUID);
    assert!(ends(pid, PATIENCE));
    assert_eq!(site.controller.updates(), [Value::Null; 0]);
}

#[test]
fn in_the_foreground_it_runs_without_a_lock() {
    let site = Site::running(&["sh", "-c", "echo hello"]);
    let args = ["--runtime-engine=process", "--stdin-config", UUID];
    let output = crate::site::with_stdin(site.runner(&args), site.config().to_string().as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"hello\n");
    assert!(crate::site::stderr(&output).contains("no isolation"));
    assert!(!site.lock_file(UUID).exists());
}

#[test]
fn over_https_any_certificate_will_do_if_the_site_says_so() {
    let record = json!({"state": "Locked", "locked_by_uuid": TOKEN_UUID, "command": ["true"]});
    let site = Site::new(FakeController::start_tls(move |request| well_behaved(request, &record)));
    let output = site.detach_with(UUID, site.config_by_host("1").to_string().as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(site.controller.next_update().container, json!({"state": "Running"}));
    assert_eq!(site.controller.next_update().container["state"], "Complete");
}

#[test]
fn over_https_an_unknown_certificate_is_refused_otherwise() {
    let site = Site::new(FakeController::start_tls(|_| (200, Value::Null)));
    let args = ["--runtime-engine=process", "--stdin-config", UUID];
    let mut child = site.runner(&args).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(site.config_by_host("").to_string().as_bytes()).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let refused = lines.find(|line| line.as_ref().unwrap().contains("certificate"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(refused.is_some(), "the log says why the call is repeated");
}

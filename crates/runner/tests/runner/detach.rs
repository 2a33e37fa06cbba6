//! Tests of `--detach`.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::controller::TOKEN;
use crate::site::{PATIENCE, RUNNER, Site, UUID, ends, stderr, with_stdin};

#[test]
fn a_second_start_of_a_running_container_is_refused_with_the_reason() {
    let site = Site::running(&["sleep", "600"]);
    site.start(UUID);
    let second = site.detach(UUID);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("is running already"), "{second:?}");
    assert_eq!(site.list(), [UUID], "the refused start did no harm");
}

#[test]
fn the_lock_file_names_the_process_when_the_start_returns() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    let text = std::fs::read(site.lock_file(UUID)).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), json!({"UUID": UUID, "PID": pid}));
    assert!(!ends(pid, Duration::from_millis(50)));
}

#[test]
fn the_container_can_be_started_again_after_its_end() {
    let site = Site::running(&["true"]);
    for _ in 0..2 {
        let pid = site.start(UUID);
        assert_eq!(site.controller.next_update().container["state"], "Running");
        assert_eq!(site.controller.next_update().container["state"], "Complete");
        assert!(ends(pid, PATIENCE));
    }
}

#[test]
fn fifty_starts_at_once_all_run() {
    let site = Site::running(&["sleep", "600"]);
    let uuids: Vec<String> = (0..50).map(|n| format!("zzzzz-dz642-{n:015}")).collect();
    for output in site.detach_at_once(&uuids) {
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(site.list(), uuids);
}

#[test]
fn of_twenty_starts_of_one_container_at_once_exactly_one_succeeds() {
    let site = Site::running(&["sleep", "600"]);
    let outputs = site.detach_at_once(&vec![UUID.to_owned(); 20]);
    let successes = outputs.iter().filter(|output| output.status.success()).count();
    assert_eq!(successes, 1);
}

#[test]
fn three_megabytes_of_configuration_arrive() {
    let site = Site::running(&["true"]);
    let mut config = site.config();
    config["Cluster"]["Volumes"] = Value::from("x".repeat(3 << 20));
    let output = site.detach_with(UUID, config.to_string().as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(site.controller.next_update().container["gateway_address"], "127.0.0.1:0");
    assert_eq!(site.controller.next_update().container["state"], "Complete");
}

#[test]
fn a_configuration_that_cannot_be_decoded_fails_the_start() {
    let site = Site::running(&["true"]);
    for stdin in [&b"{\"Env\":"[..], b"", b"[]x"] {
        let output = site.detach_with(UUID, stdin);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("ended before it was ready"), "{output:?}");
        assert!(stderr(&output).contains(": crunch-run: cannot decode"), "its last line is told: {output:?}");
        assert!(output.stdout.is_empty());
    }
    assert_eq!(site.list(), [""; 0], "no process runs");
}

#[test]
fn flags_are_taken_in_all_spellings() {
    let site = Site::running(&["true"]);
    for flags in [
        ["-detach", "-stdin-config", "-runtime-engine=process", "-enable-network=always"].as_slice(),
        &["--detach", "--stdin-config", "--runtime-engine", "process", "--cgroup-parent-subsystem=memory"],
        &["-runtime-engine", "process", "--stdin-config=true", "--detach=true"],
    ] {
        let args: Vec<&str> = flags.iter().copied().chain([UUID]).collect();
        let output = with_stdin(site.runner(&args), site.config().to_string().as_bytes());
        assert!(output.status.success(), "{flags:?} {output:?}");
        let pid = serde_json::from_slice::<Value>(&output.stdout).unwrap()["PID"].as_i64().unwrap();
        assert!(ends(pid.try_into().unwrap(), PATIENCE));
    }
}

#[test]
fn what_is_no_uuid_is_refused_before_anything_is_touched() {
    let site = Site::running(&["true"]);
    let output = site.detach("../../../tmp/x");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is not a container uuid"));
    assert_eq!(std::fs::read_dir(site.path(".")).unwrap().count(), 0);
}

#[test]
fn the_token_is_on_no_command_line_and_in_no_file() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    for place in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{pid}/{place}")).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains(TOKEN), "{place}");
    }
    for entry in std::fs::read_dir(site.path(".")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        assert!(!String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(TOKEN));
    }
}

#[test]
fn a_start_does_not_keep_its_callers_streams_open() {
    // If the container kept the two streams open, reading them to the end would last as long as the
    // container, and so would an ssh session.
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    assert!(
        !ends(pid, Duration::ZERO),
        "the start returned, and its streams ended, while the container runs"
    );
}

#[test]
fn the_process_leads_a_group_of_its_own() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(pid)).unwrap();
    assert_eq!(group.as_raw_nonzero().get(), pid);
}

#[test]
fn a_client_that_stalls_on_stdin_does_not_block_others() {
    let site = Site::running(&["sleep", "600"]);
    let args = ["--detach", "--stdin-config", "--runtime-engine=process", "zzzzz-dz642-000000000000002"];
    let mut stalled = site.runner(&args).stdin(Stdio::piped()).spawn().unwrap();
    site.start(UUID);
    assert_eq!(site.list(), [UUID]);
    stalled.kill().unwrap();
    stalled.wait().unwrap();
}

#[test]
fn a_runner_under_a_versioned_name_starts_itself() {
    let site = Site::running(&["true"]);
    let deployed = site.path("crunch-run~0123456789abcdef");
    std::os::unix::fs::symlink(RUNNER, &deployed).unwrap();
    let args = ["--detach", "--stdin-config", "--runtime-engine=process", UUID];
    let output = with_stdin(site.program(&deployed, &args), site.config().to_string().as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(site.controller.next_update().container["state"], "Running");
    assert_eq!(site.controller.next_update().container["state"], "Complete");
}

#[test]
fn a_process_that_a_lock_file_names_handles_its_signals() {
    let site = Site::running(&["sleep", "600"]);
    let pid = site.start(UUID);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    let caught = u64::from_str_radix(caught, 16).unwrap();
    for signal in [12, 15] {
        assert_ne!(caught & (1 << (signal - 1)), 0, "signal {signal} is not handled: {caught:x}");
    }
}

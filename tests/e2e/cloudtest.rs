//! `cloudtest` against the loopback cloud: real SSH servers, the real ssh client, no account.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::support::service::{command, finish};
use crate::support::{Ended, SOON, Site, processes, until};

const LONG: Duration = Duration::from_secs(180);

/// A site whose cloud is the trial's own; what it leaves is seen in that cloud's directory.
fn site() -> Site {
    let mut site = Site::new();
    site.cloud()["ProbeInterval"] = json!("100ms");
    site
}

fn cloud_of_trials(site: &Site) -> PathBuf {
    site.path("cloud-cloudtest")
}

fn cloudtest(site: &Site, arguments: &[&str]) -> Command {
    site.write_config();
    let arguments: Vec<_> = ["cloudtest"].into_iter().chain(arguments.iter().copied()).collect();
    command(site, &arguments, &[("USER", "tester")])
}

async fn run(site: &Site, arguments: &[&str]) -> Ended {
    finish(&mut cloudtest(site, arguments), LONG).await
}

fn instances(site: &Site) -> usize {
    processes::instances(&cloud_of_trials(site))
}

/// Nothing of what must not be shown is in what it said.
#[track_caller]
fn assert_discreet(site: &Site, ended: &Ended) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for secret in [&site.management_token, &site.root_token, &site.private_key] {
        assert!(!said.contains(secret.as_str()), "{said}");
    }
}

#[actix_rt::test]
async fn a_cloud_that_works_passes_step_by_step() {
    let site = site();
    let ended = run(&site, &["--command", "echo out; echo err >&2; cat arvados-instance-secret"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for step in [
        "list: 0 instances in all",
        "create: instance ",
        "listed with its tags: 4 tags",
        "set tags: ",
        "address: ssh -i DISPATCH_PRIVATE_KEY_FILE -p ",
        "log in: as ",
        "boot probe: true",
        "command: status 0",
        "destroy: instance ",
        "all is well",
    ] {
        assert!(ended.stdout.contains(step), "no `{step}` in {}", ended.stdout);
    }
    assert!(
        ended.stdout.contains("--- stdout\nout\n(secret)\n---\n--- stderr\nerr\n---"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stderr, "");
    assert_discreet(&site, &ended);
    assert_eq!(instances(&site), 0);
}

#[actix_rt::test]
async fn programs_get_one_json_object() {
    let mut site = site();
    let key = site.path("dispatch-key");
    std::fs::write(&key, &site.private_key).unwrap();
    site.cluster()["Containers"]["DispatchPrivateKey"] = json!(format!("file://{}", key.display()));
    let ended = run(&site, &["--json", "--instance-set-id", "trial-1"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["ok"], &report["driver"]), (&json!(true), &json!("loopback")), "{report}");
    assert_eq!((&report["instance_set_id"], &report["instance_type"]), (&json!("trial-1"), &json!("shared")));
    let steps = report["trials"][0]["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
    let expected = "list, list with a filter, create, listed with its tags, set tags, address, log in, boot probe, destroy";
    assert_eq!(names.join(", "), expected);
    assert!(steps.iter().all(|step| step["ok"] == true && step["seconds"].is_number()), "{report}");
    let log_in = report["trials"][0]["ssh"].as_str().unwrap();
    assert!(log_in.starts_with(&format!("ssh -i {} -p ", key.display())), "{report}");
    assert!(log_in.contains("@127.0.0.1"), "{report}");
}

#[actix_rt::test]
async fn an_instance_that_does_not_boot_is_destroyed_and_says_what_to_check() {
    let mut site = site();
    site.cloud()["BootProbeCommand"] = json!("echo starting; exit 3");
    site.cloud()["TimeoutBooting"] = json!("3s");
    let ended = run(&site, &["--json"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let steps = report["trials"][0]["steps"].as_array().unwrap();
    let [.., probe, destroy] = steps.as_slice() else { panic!("{report}") };
    let error = probe["error"].as_str().unwrap();
    assert!(error.starts_with("not within 3 s: ") && error.ends_with("status 3: starting"), "{error}");
    assert!(probe["check"].as_str().unwrap().contains("--pause-before-destroy"), "{probe}");
    assert_eq!((&destroy["step"], &destroy["ok"]), (&json!("destroy"), &json!(true)), "{report}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("boot probe: not within") && ended.stderr.contains("; check: "));
    assert_discreet(&site, &ended);
    assert_eq!(instances(&site), 0);
}

#[actix_rt::test]
async fn a_failing_command_fails_the_trial() {
    let site = site();
    let ended = run(&site, &["--command", "exit 7"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("command: ended with status 7; check: "), "{}", ended.stderr);
    assert_eq!(instances(&site), 0);
}

#[actix_rt::test]
async fn what_an_earlier_trial_left_is_an_error_or_is_destroyed() {
    let site = site();
    let mut first = cloudtest(&site, &["--command", "exec sleep 1000"]);
    let mut first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("an instance", SOON, async || (instances(&site) == 1).then_some(())).await;
    // SIGKILL is the one end after which nobody cleans up.
    first.kill().await.unwrap();
    let ended = run(&site, &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("has instances already: ") && ended.stderr.contains("--destroy-existing"));
    assert_eq!(instances(&site), 1, "it is not ours to destroy unasked");
    let ended = run(&site, &["--destroy-existing"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("destroy what was left: instance "), "{}", ended.stdout);
    assert_eq!(instances(&site), 0);
}

/// Never ends by itself.
const ENDLESS: [&str; 2] = ["--command", "echo > begun; exec sleep 1000"];

async fn endless_command_runs(site: &Site) {
    let begun = || {
        let entries = std::fs::read_dir(cloud_of_trials(site)).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().join("begun").exists()).count()
    };
    until("the command runs", SOON, async || (begun() == 1).then_some(())).await;
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), signal).unwrap();
}

#[actix_rt::test]
async fn ctrl_c_destroys_what_was_made() {
    let site = site();
    let mut trial = cloudtest(&site, &ENDLESS);
    let child = trial.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    endless_command_runs(&site).await;
    send(&child, Signal::INT);
    let output = tokio::time::timeout(LONG, child.wait_with_output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("SIGINT: destroying what was made") && text.contains("interrupted"), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("destroy: instance "));
    assert_eq!(instances(&site), 0);
}

/// As when a terminal or an ssh connection goes away with the pipes behind it.
#[actix_rt::test]
async fn what_was_made_is_destroyed_also_if_nobody_hears_of_it() {
    for signals in [[Signal::INT, Signal::HUP], [Signal::HUP, Signal::INT]] {
        let site = site();
        let mut trial = cloudtest(&site, &ENDLESS);
        let mut child = trial.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        endless_command_runs(&site).await;
        for signal in signals {
            send(&child, signal);
        }
        let status = tokio::time::timeout(LONG, child.wait()).await.unwrap().unwrap();
        assert_eq!((status.code(), instances(&site)), (Some(1), 0), "{signals:?}: {status}");
    }
}

#[actix_rt::test]
async fn a_pause_keeps_the_instance_until_enter_is_pressed() {
    let site = site();
    let (said, wrote) = (site.path("said"), std::fs::File::create(site.path("said")).unwrap());
    let mut trial = cloudtest(&site, &["--pause-before-destroy", "--json"]);
    let mut child = trial.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(wrote).spawn().unwrap();
    let asked = async || std::fs::read_to_string(&said).unwrap().contains("press Enter").then_some(());
    until("it asks for Enter", SOON, asked).await;
    assert_eq!(instances(&site), 1);
    child.stdin.take().unwrap().write_all(b"\n").await.unwrap();
    let status = tokio::time::timeout(LONG, child.wait()).await.unwrap().unwrap();
    assert_eq!((status.code(), instances(&site)), (Some(0), 0));
}

#[actix_rt::test]
async fn wrong_options_are_refused_before_anything_is_made() {
    let mut site = site();
    site.cluster()["SystemRootToken"] = json!("v2/zzzzz-gj3su-000000000000001/0123456789abcdef0123");
    for (arguments, expected) in [
        (["--instance-type", "huge"], "no instance type huge: InstanceTypes has shared"),
        (["--instance-set-id", "zzzzz-gj3su-000000000000001"], "is the dispatcher's own"),
        (["--instance-set-id", ""], "--instance-set-id"),
    ] {
        let ended = run(&site, &arguments).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(expected) && ended.stdout.is_empty(), "{ended:?}");
    }
    assert!(!cloud_of_trials(&site).exists());
}

//! `demo`, as a person or a script runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::service::finish;
use crate::support::{DISPATCHER, Ended, SOON, processes, until};

/// A temporary directory of its own: what is left is seen there, and killed when the test is over.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("e2e-").tempdir().unwrap())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(DISPATCHER);
        command.arg("demo").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TMPDIR", self.0.path());
        command
    }

    pub async fn run(&self, arguments: &[&str], within: Duration) -> Ended {
        finish(&mut self.command(arguments), within).await
    }

    /// Processes that have to do with this place.
    fn processes(&self) -> Vec<i32> {
        let text = self.0.path().display().to_string();
        let mentions = |file: &Path| {
            let bytes = std::fs::read(file).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(&text)
        };
        let of_place = |pid: &i32| {
            let directory = format!("/proc/{pid}");
            let directory = Path::new(&directory);
            mentions(&directory.join("cmdline")) || mentions(&directory.join("environ"))
        };
        processes::all().filter(of_place).collect()
    }

    #[track_caller]
    pub fn assert_empty(&self) {
        // Its ssh clients are killed, not waited for.
        let deadline = tokio::time::Instant::now() + SOON;
        while !self.processes().is_empty() && tokio::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(self.processes().into_iter().map(processes::command_line).collect::<Vec<_>>(), [""; 0]);
        let left: Vec<_> = std::fs::read_dir(self.0.path()).unwrap().flatten().map(|it| it.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The one JSON object on stdout.
#[track_caller]
fn object(ended: &Ended) -> Value {
    assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(report.is_object(), "{report}");
    report
}

#[actix_rt::test]
async fn a_demo_completes_and_reports_one_json_object() {
    let place = Place::new();
    let ended = place.run(&["--containers", "6", "--instances", "2", "--json"], 2 * SOON).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let report = object(&ended);
    for (field, wanted) in
        [("containers", 6), ("complete", 6), ("leftover_instances", 0), ("leftover_processes", 0)]
    {
        assert_eq!(report[field], wanted, "{field} of {report}");
    }
    let created = report["instances_created"].as_u64().unwrap();
    assert!((1..=6).contains(&created), "{report}");
    for (group, quantiles) in [
        ("wait_seconds", ["p50", "p95", "max"].as_slice()),
        ("start_latency_seconds", &["p50", "p95"]),
        ("vm_idle_gap_seconds", &["p50", "p95"]),
        ("boot_seconds", &["p50", "max"]),
    ] {
        for quantile in quantiles {
            let seconds = report[group][quantile].as_f64();
            assert!(seconds.is_some_and(|it| it > 0.0), "{group}.{quantile} of {report}");
        }
    }
    place.assert_empty();
}

#[actix_rt::test]
async fn a_demo_for_people_prints_a_table_and_is_quiet_in_a_pipe() {
    let place = Place::new();
    let ended = place.run(&["--containers", "2", "--instances", "1"], 2 * SOON).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    for words in ["containers complete", "2 of 2", "container wait", "boot time", "instance-hours", "cost"] {
        assert!(ended.stdout.contains(words), "{words:?} is not in:\n{}", ended.stdout);
    }
    place.assert_empty();
}

#[actix_rt::test]
async fn a_demo_with_faults_ends_with_every_container_final_and_nothing_left() {
    let place = Place::new();
    let arguments = ["--containers", "12", "--instances", "4", "--faults", "--json"];
    let ended = place.run(&arguments, Duration::from_secs(300)).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let report = object(&ended);
    for field in ["not_final", "leftover_instances", "leftover_processes"] {
        assert_eq!(report[field], 0, "{field} of {report}");
    }
    let count = |field: &str| report[field].as_u64().unwrap();
    assert!(count("containers") >= 12, "a cancelled one may be followed by another attempt: {report}");
    assert_eq!(count("complete") + count("cancelled"), count("containers"), "{report}");
    assert!(count("complete") >= 12, "each request has attempts to spare: {report}");
    assert_eq!(report["faults"].as_array().unwrap().len(), 5, "each has struck: {report}");
    place.assert_empty();
}

#[actix_rt::test]
async fn wrong_options_are_told_in_one_line() {
    let place = Place::new();
    for (arguments, word) in [
        (["--containers", "many"], "--containers"),
        (["--containers", "-1"], "-1"),
        (["--instances", "0"], "--instances"),
        (["--instances", "1.5"], "--instances"),
        (["--json", "--colour"], "--colour"),
    ] {
        let ended = place.run(&arguments, SOON).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(word), "{arguments:?}: {ended:?}");
    }
    place.assert_empty();
}

#[actix_rt::test]
async fn an_interrupted_demo_cleans_up_and_says_that_it_did_not_complete() {
    let place = Place::new();
    let mut command = place.command(&["--containers", "500", "--instances", "2", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id().unwrap().cast_signed();
    until("a container runs", 2 * SOON, async || {
        let lines = place.processes().into_iter().map(processes::command_line);
        lines.into_iter().any(|line| line.contains("--detached")).then_some(())
    })
    .await;
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let output = tokio::time::timeout(SOON, child.wait_with_output()).await.expect("it ends soon").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended =
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report = object(&ended);
    assert_eq!(
        (&report["interrupted"], &report["leftover_processes"]),
        (&true.into(), &0.into()),
        "{report}"
    );
    place.assert_empty();
}

/// The lines of stderr until one has those words.
async fn line_with(
    lines: &mut tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStderr>>,
    words: &str,
) -> String {
    loop {
        let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("it comes").unwrap();
        let line = line.unwrap_or_else(|| panic!("`{words}` was not said"));
        if line.contains(words) {
            return line;
        }
    }
}

#[actix_rt::test]
async fn kept_running_in_a_pipe_it_tells_its_address_and_a_second_ctrl_c_ends_the_clean_up() {
    use tokio::io::AsyncBufReadExt as _;
    let place = Place::new();
    let mut command = place.command(&["--containers", "2", "--instances", "1", "--keep-running"]);
    let mut demo = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(demo.stderr.take().unwrap()).lines();
    let address = line_with(&mut lines, "management API: http://127.0.0.1:").await;
    assert!(
        line_with(&mut lines, "Authorization: Bearer").await.contains("/arvados/v1/dispatch/instances"),
        "{address}"
    );
    let pid = Pid::from_raw(i32::try_from(demo.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    line_with(&mut lines, "the next Ctrl-C ends that").await;
    kill_process(pid, Signal::INT).unwrap();
    line_with(&mut lines, "SIGINT again: the clean-up is not finished").await;
    let ended = tokio::time::timeout(SOON, demo.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(1));
}

#[actix_rt::test]
async fn it_hears_the_controllers_events_unless_it_is_not_to() {
    use tokio::io::AsyncBufReadExt as _;
    for (more, hears) in [(&[][..], true), (&["--no-events"], false)] {
        let place = Place::new();
        let arguments = [&["--containers", "0", "--instances", "1", "--keep-running"], more].concat();
        let mut demo =
            place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = tokio::io::BufReader::new(demo.stderr.take().unwrap()).lines();
        let address = line_with(&mut lines, "management API: ").await;
        let token = line_with(&mut lines, "Authorization: Bearer ").await;
        let token = token.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
        let url = format!("{}/_health/ready", address.split("API: ").nth(1).unwrap().trim());
        until("health shows the feed, or that there is none", SOON, async || {
            let mut answer = awc::Client::default().get(&url).bearer_auth(token).send().await.unwrap();
            let health: Value = serde_json::from_slice(&answer.body().await.unwrap()).unwrap();
            let feed = &health["checks"]["event_feed"];
            (if hears { feed["connected"] == true } else { health["ready"] == true && feed.is_null() })
                .then_some(())
        })
        .await;
        let pid = Pid::from_raw(i32::try_from(demo.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        tokio::time::timeout(SOON, demo.wait()).await.expect("it ends").unwrap();
        place.assert_empty();
    }
}

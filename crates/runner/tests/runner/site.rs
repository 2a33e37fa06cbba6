//! An instance with its lock directory, and a controller.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::controller::{FakeController, TOKEN};

pub const RUNNER: &str = env!("CARGO_BIN_EXE_crunch-run");
pub const UUID: &str = "zzzzz-dz642-000000000000001";
/// How long the tests wait for anything that must happen, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An instance. When it is dropped, the processes that are left in it are ended.
pub struct Site {
    directory: TempDir,
    pub controller: FakeController,
}

impl Site {
    pub fn new(controller: FakeController) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), controller }
    }

    /// A site whose containers all run this command.
    pub fn running(command: &[&str]) -> Self {
        Self::new(FakeController::with_command(command))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn lock_file(&self, uuid: &str) -> PathBuf {
        self.path(&format!("crunch-run-{uuid}.lock"))
    }

    pub fn runner(&self, args: &[&str]) -> Command {
        self.program(Path::new(RUNNER), args)
    }

    pub fn program(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env("CRUNCH_RUN_LOCKDIR", self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The stdin of a start command without a cluster, so that the controller is asked over https.
    pub fn config_by_host(&self, insecure: &str) -> Value {
        let host = self.controller.host();
        json!({"Env": {
            "ARVADOS_API_HOST": host, "ARVADOS_API_TOKEN": TOKEN, "ARVADOS_API_HOST_INSECURE": insecure,
        }, "Cluster": null})
    }

    /// The stdin of a start command.
    pub fn config(&self) -> Value {
        json!({
            "Env": {"ARVADOS_API_HOST": "unused.invalid", "ARVADOS_API_TOKEN": TOKEN, "GatewayAddress": "127.0.0.1:0"},
            "Cluster": {"Services": {"Controller": {"ExternalURL": self.controller.url()}}},
            "KeepBuffers": 2,
        })
    }

    pub fn detach(&self, uuid: &str) -> Output {
        self.detach_with(uuid, self.config().to_string().as_bytes())
    }

    pub fn detach_with(&self, uuid: &str, stdin: &[u8]) -> Output {
        with_stdin(self.runner(&["--detach", "--stdin-config", "--runtime-engine=process", uuid]), stdin)
    }

    /// Starts all these containers at the same time. Returns their outputs in the same order.
    pub fn detach_at_once(&self, uuids: &[String]) -> Vec<Output> {
        let config = self.config().to_string();
        let begin = |uuid: &String| {
            let mut command = self.runner(&["--detach", "--stdin-config", "--runtime-engine=process", uuid]);
            command.stdin(Stdio::piped()).spawn().unwrap()
        };
        let mut children: Vec<_> = uuids.iter().map(begin).collect();
        for child in &mut children {
            child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
        }
        children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
    }

    /// Starts a container, which must succeed. Returns the process id of its runner.
    pub fn start(&self, uuid: &str) -> i32 {
        let output = self.detach(uuid);
        assert!(output.status.success(), "{output:?}");
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(line["UUID"], uuid);
        line["PID"].as_i64().unwrap().try_into().unwrap()
    }

    pub fn list(&self) -> Vec<String> {
        let output = self.runner(&["--list"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        lines(&output.stdout)
    }

    pub fn kill(&self, signal: &str, uuid: &str) -> Output {
        self.runner(&["--kill", signal, uuid]).output().unwrap()
    }

    /// Kills as a dispatcher does, and waits until the container's process has ended.
    pub fn kill_until_ended(&self, uuid: &str) {
        until_ended(|| self.kill("15", uuid));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for entry in self.directory.path().read_dir().unwrap().map_while(Result::ok) {
            let owner = std::fs::read(entry.path()).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let owner: Value = owner.unwrap_or_default();
            if let (Some(uuid), Some(_)) = (owner["UUID"].as_str(), owner["PID"].as_i64()) {
                let _ = self.kill("15", uuid);
            }
        }
    }
}

/// Kills again and again: one kill waits for a second only, which may be too short on a busy machine.
pub fn until_ended(kill: impl Fn() -> Output) {
    eventually("the process ends", || {
        let kill = kill();
        match kill.status.code() {
            Some(0) => Some(()),
            Some(1) if stderr(&kill).contains("is still alive") => None,
            _ => panic!("{kill:?}"),
        }
    });
}

/// Waits until `condition` returns a value. The test fails if it does not within the deadline.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// The container's command, which is a child of the runner. It may not exist yet when its record is Running.
pub fn child_of(runner: i32) -> i32 {
    let path = format!("/proc/{runner}/task/{runner}/children");
    eventually("the command was started", || {
        let children = std::fs::read_to_string(&path).unwrap();
        children.split_whitespace().next().map(|it| it.parse().unwrap())
    })
}

/// Runs a command with that text on its stdin.
pub fn with_stdin(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // A command need not read its input. Its exit status shows whether that was right.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    child.wait_with_output().unwrap()
}

pub fn lines(text: &[u8]) -> Vec<String> {
    String::from_utf8(text.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Sends SIGKILL to a process and waits until it is gone.
pub fn kill_hard(pid: i32) {
    let pid = Pid::from_raw(pid).unwrap();
    let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience)), Ok(1), "it did not end");
}

/// Whether a process ends by itself within that time.
pub fn ends(pid: i32, within: Duration) -> bool {
    let Ok(handle) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) else { return true };
    let patience = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience)) == Ok(1)
}

/// Writes a shell script to that path.
pub fn script(path: &Path, text: &str) {
    // Another process writes the file. If we wrote it, a child that a test beside this one forks could hold
    // our descriptor, and a file that is open for writing cannot be executed.
    let mut writer = Command::new("sh");
    writer.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path);
    assert!(with_stdin(writer, format!("#!/bin/sh\n{text}\n").as_bytes()).status.success());
}

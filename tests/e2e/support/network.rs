//! Networks of a test's own: namespaces, and tests that run inside one as this binary started again. They need root.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Set to 1: what needs root is left out.
const SKIP: &str = "DISPATCH_SKIP_ROOT_TESTS";

/// Whether a test that needs namespaces of its own can be made; false without root, if it is known that there is none.
///
/// # Panics
/// Without root, if that is not known.
#[track_caller]
pub fn is_root(name: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let is_known = std::env::var_os(SKIP).is_some_and(|it| it == "1");
    assert!(is_root || is_known, "{name}: a namespace of its own needs root; {SKIP}=1 leaves this test out");
    is_root
}

/// A network namespace with a loopback of its own; with it go all its processes.
pub struct Network(String);

impl Network {
    /// `None` without root, if it is known that there is none.
    ///
    /// # Panics
    /// Without root, if that is not known.
    #[track_caller]
    pub fn new(name: &str) -> Option<Self> {
        if !is_root(name) {
            return None;
        }
        let network = Self(format!("e2e-{}-{name}", std::process::id()));
        ip(&["netns", "add", &network.0]);
        network.ip(&["link", "set", "lo", "up"]);
        Some(network)
    }

    /// For `ip netns exec`.
    #[allow(dead_code, reason = "the tests of the lock share this")]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// `ip` inside it.
    #[track_caller]
    pub fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.0], arguments].concat());
    }

    /// Runs an ignored test of this binary inside it, with these variables; fails if that fails.
    #[track_caller]
    pub fn run(&self, test: &str, environment: &[(&str, &str)]) {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.0])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture"])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"), "{}:\n{said}", output.status);
        println!("{said}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let pids = Command::new("ip").args(["netns", "pids", &self.0]).output();
        let pids = pids.map(|output| output.stdout).unwrap_or_default();
        for pid in String::from_utf8_lossy(&pids).lines().filter_map(|line| Pid::from_raw(line.parse().ok()?))
        {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[track_caller]
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("the package iproute2 is installed");
    assert!(status.success(), "ip {}: {status}", arguments.join(" "));
}

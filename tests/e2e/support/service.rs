//! The dispatcher as a child process: started, watched, signalled, killed at the latest when dropped.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::{SOON, Site, dispatcher, until};

/// A running dispatcher.
pub struct Service {
    child: Child,
    pid: i32,
    log: PathBuf,
    pub url: String,
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary with a clean environment, its temporary files below the site.
pub fn command(site: &Site, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    command_by(&[], site, arguments, environment)
}

/// The same by another program, such as `ip netns exec NAME`, in whose place it is run.
fn command_by(prefix: &[&str], site: &Site, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let dispatcher = dispatcher();
    let mut words = prefix.iter().copied().chain([dispatcher.as_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg("--config").arg(site.path("config.yml")).args(arguments);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TMPDIR", site.path("tmp"));
    command.envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end, which must come within that time.
#[track_caller]
pub fn finish(command: &mut Command, within: Duration) -> impl Future<Output = Ended> {
    let caller = std::panic::Location::caller();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    async move {
        let output = tokio::time::timeout(within, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{caller}: not ended within {within:?}")).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Service {
    /// Starts it with the configuration as it was written, and waits until it serves.
    pub async fn start(site: &Site, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_by(&[], site, arguments, environment).await
    }

    /// The same by another program, such as `ip netns exec NAME`, in whose place it is run.
    pub async fn start_by(
        prefix: &[&str],
        site: &Site,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let number = (1..).find(|number| !site.path(&format!("log-{number}")).exists()).unwrap();
        let log = site.path(&format!("log-{number}"));
        let mut command = command_by(prefix, site, arguments, environment);
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let pid = child.id().unwrap().cast_signed();
        let mut service = Self { child, pid, log, url: String::new() };
        service.url = service.logged("listening", SOON).await["URL"].as_str().unwrap().to_owned();
        service
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What it has logged so far, as text.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What it has logged so far. A line that is not JSON fails the test.
    pub fn log(&self) -> Vec<Value> {
        let text = self.log_text();
        // The last line may not be whole yet.
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        whole.lines().map(parse).collect()
    }

    /// The lines with that message.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        self.log().into_iter().filter(|line| line["msg"] == message).collect()
    }

    /// Waits for the first line with that message.
    pub async fn logged(&mut self, message: &str, within: Duration) -> Value {
        let (child, log) = (&mut self.child, &self.log);
        let what = format!("`{message}` in the log");
        until(&what, within, async || {
            let text = std::fs::read_to_string(log).unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the dispatcher has ended ({status}) without `{message}`:\n{text}");
            }
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.into_iter().find(|line| line["msg"] == message)
        })
        .await
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid).unwrap(), signal).unwrap();
    }

    /// SIGKILL, and it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and its exit code.
    pub async fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.exit_code(SOON).await
    }

    /// Waits for its end.
    pub async fn exit_code(&mut self, within: Duration) -> i32 {
        let status =
            tokio::time::timeout(within, self.child.wait()).await.expect("it has not ended").unwrap();
        status.code().unwrap_or_else(|| panic!("{status}"))
    }

    /// Asks the management API: status and JSON.
    pub async fn get(&self, site: &Site, path: &str) -> (u16, Value) {
        self.ask(
            awc::Client::builder().timeout(SOON).finish().get(format!("{}{path}", self.url)),
            &site.management_token,
        )
        .await
    }

    /// Tells the management API to do something: status and JSON.
    pub async fn post(&self, site: &Site, path: &str) -> (u16, Value) {
        self.ask(awc::Client::default().post(format!("{}{path}", self.url)), &site.management_token).await
    }

    /// Asks the management API with some token: the status.
    pub async fn get_as(&self, token: &str, path: &str) -> u16 {
        self.ask(awc::Client::builder().timeout(SOON).finish().get(format!("{}{path}", self.url)), token)
            .await
            .0
    }

    async fn ask(&self, request: awc::ClientRequest, token: &str) -> (u16, Value) {
        let mut answer = request.bearer_auth(token).send().await.unwrap();
        let body = answer.body().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }
}

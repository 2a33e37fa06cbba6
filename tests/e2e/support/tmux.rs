//! A pseudo-terminal: a tmux server of a test's own, which ends with the test.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::Site;

/// What the shell says when it waits for a command.
const PROMPT: &str = "shell-waits>";

/// A terminal with a shell.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Of that size, with a shell in a clean environment but for this.
    pub async fn start(site: &Site, (width, height): (u16, u16), environment: &[(&str, &str)]) -> Self {
        let number = (1..).find(|number| !site.path(&format!("tmux-{number}")).exists()).unwrap();
        let terminal = Self { socket: site.path(&format!("tmux-{number}")) };
        let (width, height) = (width.to_string(), height.to_string());
        let mut command = terminal.command(&["new-session", "-d", "-x", &width, "-y", &height, "sh"]);
        command.env("TMPDIR", site.path("tmp")).envs(environment.iter().copied());
        let started = command.stdin(Stdio::null()).output().expect("tmux is there (scripts/prerequisites)");
        assert!(started.status.success(), "{started:?}");
        // From its environment a shell of root's takes no prompt.
        terminal.write(&format!("PS1='{PROMPT} '; clear"));
        terminal.press(&["Enter"]);
        terminal.becomes("a shell".to_owned(), super::SOON, |screen| screen.trim() == PROMPT).await;
        terminal
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null", "-u"]).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Types letters.
    pub fn write(&self, text: &str) {
        assert!(self.run(&["send-keys", "-l", text]).status.success(), "{text}");
    }

    /// Presses keys, by tmux's names.
    pub fn press(&self, keys: &[&str]) {
        assert!(self.run(&[&["send-keys"], keys].concat()).status.success(), "{keys:?}");
    }

    /// What is to be seen.
    pub fn screen(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// The same with the sequences that make it look so.
    pub fn screen_with_looks(&self) -> String {
        String::from_utf8(self.run(&["capture-pane", "-p", "-e"]).stdout).unwrap()
    }

    /// Whether a program has the screen to itself.
    pub fn has_other_screen(&self) -> bool {
        self.run(&["display-message", "-p", "#{alternate_on}"]).stdout.starts_with(b"1")
    }

    /// The programs that the shell runs.
    pub fn children(&self) -> Vec<Pid> {
        let shell = String::from_utf8(self.run(&["display-message", "-p", "#{pane_pid}"]).stdout).unwrap();
        let shell = shell.trim();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    /// Signals the one program that the shell runs.
    pub fn signal(&self, signal: Signal) {
        let [child] = self.children()[..] else { panic!("{}", self.screen()) };
        kill_process(child, signal).unwrap();
    }

    /// Waits until that is to be seen; the screen then.
    #[track_caller]
    pub fn shows(&self, words: &str, within: Duration) -> impl Future<Output = String> {
        self.becomes(format!("`{words}` is shown"), within, move |screen| screen.contains(words))
    }

    /// Waits until that is not to be seen any more.
    #[track_caller]
    pub fn hides(&self, words: &str, within: Duration) -> impl Future<Output = String> {
        self.becomes(format!("`{words}` is not shown"), within, move |screen| !screen.contains(words))
    }

    /// Waits until the shell has its screen again; what is on it.
    #[track_caller]
    pub fn is_left(&self, within: Duration) -> impl Future<Output = String> {
        let is_left = |screen: &str| screen.trim_end().ends_with(PROMPT) && !self.has_other_screen();
        self.becomes("the shell has its screen again".to_owned(), within, is_left)
    }

    #[track_caller]
    fn becomes(
        &self,
        what: String,
        within: Duration,
        look: impl Fn(&str) -> bool,
    ) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let deadline = Instant::now() + within;
            loop {
                let screen = self.screen();
                if look(&screen) {
                    return screen;
                }
                assert!(Instant::now() < deadline, "{caller}: not within {within:?}: {what}:\n{screen}");
                tokio::time::sleep(super::LOOK).await;
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

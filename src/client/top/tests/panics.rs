//! A panic gives the terminal back before it is told. The test runs itself again on a pseudo-terminal of tmux.

use std::process::{Command, Output};
use std::time::Duration;

use dispatch_actors::clock;
use dispatch_core::time::since;

use crate::client::top::terminal::Stage;

/// Set where the panic is wanted.
const WANTED: &str = "DISPATCH_TOP_PANICS";
const NAME: &str = "client::top::tests::panics::a_panic_gives_the_terminal_back_and_is_read_there";

/// A tmux of its own, which ends with the test.
struct Tmux(String);

impl Tmux {
    fn run(&self, arguments: &[&str]) -> Output {
        let own = ["-L", &self.0, "-f", "/dev/null"];
        Command::new("tmux")
            .args(own)
            .args(arguments)
            .output()
            .expect("tmux is there (scripts/prerequisites)")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_there() {
    if std::env::var_os(WANTED).is_some() {
        let _stage = Stage::enter().unwrap();
        panic!("of the test");
    }
    let tmux = Tmux(format!("top-panic-{}", std::process::id()));
    let own = std::env::current_exe().unwrap();
    let command =
        format!("{WANTED}=1 '{}' --exact --nocapture {NAME}; stty -a; echo =over=; sleep 60", own.display());
    let started = tmux.run(&["new-session", "-d", "-x", "200", "-y", "40", &command]);
    assert!(started.status.success(), "{started:?}");
    let (began, mut screen) = (clock::now(), String::new());
    while !screen.contains("=over=") {
        assert!(since(clock::now(), began) < Duration::from_secs(120), "{screen}");
        screen = String::from_utf8(tmux.run(&["capture-pane", "-p"]).stdout).unwrap();
    }
    // On the screen that was there before, in lines that begin at the left.
    assert!(screen.contains("panicked at") && screen.contains("\nof the test"), "{screen}");
    let modes: Vec<_> = screen.split_whitespace().collect();
    for mode in ["icanon", "echo", "isig", "opost"] {
        assert!(modes.contains(&mode), "{mode} is not on: {screen}");
    }
    assert!(tmux.run(&["display-message", "-p", "#{alternate_on}"]).stdout.starts_with(b"0"), "{screen}");
}

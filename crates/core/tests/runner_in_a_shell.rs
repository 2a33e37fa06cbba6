//! What a worker is sent, given to a real shell: the copy of the runner is whole or it is not there.
#![allow(clippy::unwrap_used, reason = "a test whose helper fails has failed")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};

use bytes::Bytes;
use dispatch_core::policy::Policy;
use dispatch_core::ports::ShellCommand;
use dispatch_core::worker::runner::{Binary, Commands};

/// A directory of its own, gone with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("runner-in-a-shell-{}-{name}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    /// Where it is deployed: a name that only quoting survives, and that does not exist yet.
    fn directory(&self) -> PathBuf {
        self.0.join("it's a $(false) place")
    }

    fn commands(&self, content: &str) -> Commands {
        let mut runner = Policy::with_defaults().runner;
        runner.deploy_directory = Some(self.directory().display().to_string());
        let binary = Binary { md5: md5(content), content: Bytes::from(content.to_owned()) };
        Commands::new(runner, Some(binary))
    }

    /// All files that lie there.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.directory()) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn md5(content: &str) -> String {
    let output = shell("md5sum", content.as_bytes());
    String::from_utf8(output.stdout).unwrap()[..32].to_owned()
}

fn shell(text: &str, stdin: &[u8]) -> Output {
    let mut child = Process::new("sh")
        .args(["-c", text])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap()
}

fn run(command: &ShellCommand) -> Output {
    shell(&command.shell, &command.stdin)
}

fn path_of(commands: &Commands) -> PathBuf {
    PathBuf::from(commands.deployed().unwrap().0)
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o755
}

const RUNNER: &str = "#!/bin/sh\necho I am \"$@\"\n";

#[test]
fn a_runner_is_deployed_whole_and_executable_and_found_again() {
    let place = Place::new("whole");
    let commands = place.commands(RUNNER);
    assert!(!run(&commands.md5sum().unwrap()).status.success(), "it is not there yet");
    let installed = run(&commands.install().unwrap());
    assert!(installed.status.success(), "{installed:?}");
    assert!(is_executable(&path_of(&commands)));
    let sum = run(&commands.md5sum().unwrap());
    assert!(commands.md5_matches(&sum.stdout), "{sum:?}");
    assert_eq!(run(&commands.list(None)).stdout, b"I am --list\n");
    assert_eq!(place.files().len(), 1, "nothing beside it: {:?}", place.files());
}

#[test]
fn a_runner_that_arrives_damaged_is_refused_and_leaves_nothing() {
    let place = Place::new("damaged");
    let commands = place.commands(RUNNER);
    let install = commands.install().unwrap();
    let half = &install.stdin[..install.stdin.len() / 2];
    for arrives in [half, b"", b"something else"] {
        let refused = shell(&install.shell, arrives);
        assert!(!refused.status.success());
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains("damaged"), "{words}");
        assert_eq!(place.files(), [""; 0]);
    }
}

#[test]
fn a_damaged_copy_does_not_touch_the_runner_that_is_there() {
    let place = Place::new("kept");
    let commands = place.commands(RUNNER);
    run(&commands.install().unwrap());
    let refused = shell(&commands.install().unwrap().shell, b"half of");
    assert!(!refused.status.success());
    assert_eq!(fs::read_to_string(path_of(&commands)).unwrap(), RUNNER);
    assert_eq!(place.files().len(), 1);
}

#[test]
fn a_runner_in_use_is_replaced_and_never_written_to() {
    let place = Place::new("in-use");
    let commands = place.commands(RUNNER);
    let path = path_of(&commands);
    fs::create_dir_all(place.directory()).unwrap();
    fs::write(&path, "what an earlier copy left").unwrap();
    // As the kernel has it while it is executed.
    let mut in_use = File::open(&path).unwrap();
    let before = in_use.metadata().unwrap().ino();
    assert!(run(&commands.install().unwrap()).status.success());
    let mut text = String::new();
    in_use.read_to_string(&mut text).unwrap();
    assert_eq!(text, "what an earlier copy left");
    assert_ne!(fs::metadata(&path).unwrap().ino(), before, "another file");
    assert_eq!(fs::read_to_string(&path).unwrap(), RUNNER);
}

#[test]
fn each_command_has_its_deadline() {
    let commands = Place::new("deadlines").commands(RUNNER);
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    let seconds = |command: ShellCommand| command.deadline.as_secs();
    assert_eq!(seconds(commands.boot_probe()), 60);
    assert_eq!(seconds(commands.list(None)), 30);
    assert_eq!(seconds(commands.kill(uuid)), 30);
    assert_eq!(seconds(commands.start(uuid, Bytes::new())), 60);
    assert_eq!(seconds(commands.md5sum().unwrap()), 30);
    assert_eq!(seconds(commands.install().unwrap()), 300);
}

#[test]
fn no_command_sends_another_signal_than_15() {
    let place = Place::new("signal");
    let commands = place.commands("#!/bin/sh\necho \"$@\"\n");
    run(&commands.install().unwrap());
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    let words = String::from_utf8(run(&commands.kill(uuid)).stdout).unwrap();
    assert_eq!(words, format!("--kill 15 {uuid}\n"));
}

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

/// A program in the place of the runner that leaves a trace if anybody runs it.
fn lay_trap(path: &Path, trace: &Path) {
    fs::write(path, format!("#!/bin/sh\n: >'{}'\n", trace.display())).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Nothing of what lies there is run, copied over or taken for ours, and the copy says why.
fn assert_refused(commands: &Commands, trace: &Path, how: &str) {
    let sum = run(&commands.md5sum().unwrap());
    assert!(!sum.status.success(), "{how}: {sum:?}");
    let install = run(&commands.install().unwrap());
    let words = String::from_utf8_lossy(&install.stderr).into_owned();
    assert!(!install.status.success() && words.contains("runner directory is refused"), "{how}: {install:?}");
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    for command in [commands.list(None), commands.kill(uuid), commands.start(uuid, Bytes::new())] {
        let called = run(&command);
        assert_eq!(called.status.code(), Some(127), "{how}: {called:?}");
    }
    assert!(!trace.exists(), "{how}: somebody else's program was run");
}

#[test]
fn a_directory_that_others_may_write_or_that_is_a_link_is_refused() {
    let place = Place::new("theirs");
    let (commands, trace) = (place.commands(RUNNER), place.0.join("trace"));
    let directory = place.directory();
    fs::create_dir(&directory).unwrap();
    lay_trap(&path_of(&commands), &trace);
    for mode in [0o777, 0o1777, 0o775, 0o757] {
        chmod(&directory, mode);
        assert_refused(&commands, &trace, &format!("mode {mode:o}"));
    }
    let elsewhere = place.0.join("elsewhere");
    fs::rename(&directory, &elsewhere).unwrap();
    chmod(&elsewhere, 0o755);
    std::os::unix::fs::symlink(&elsewhere, &directory).unwrap();
    assert_refused(&commands, &trace, "a link");
    fs::remove_file(&directory).unwrap();
    std::os::unix::fs::symlink("/nonexistent/place", &directory).unwrap();
    let install = run(&commands.install().unwrap());
    assert!(!install.status.success(), "a link that leads nowhere: {install:?}");
}

#[test]
fn a_directory_above_it_that_others_may_write_is_refused_unless_it_is_sticky() {
    let place = Place::new("above");
    let directory = place.0.join("open/its");
    let mut runner = Policy::with_defaults().runner;
    runner.deploy_directory = Some(format!("{}/", directory.display()));
    let binary = Binary { md5: md5(RUNNER), content: Bytes::from(RUNNER) };
    let commands = Commands::new(runner, Some(binary));
    let trace = place.0.join("trace");
    fs::create_dir_all(&directory).unwrap();
    chmod(&place.0.join("open"), 0o777);
    let install = run(&commands.install().unwrap());
    assert!(String::from_utf8_lossy(&install.stderr).contains("refused"), "{install:?}");
    assert!(!run(&commands.md5sum().unwrap()).status.success() && !trace.exists());
    chmod(&place.0.join("open"), 0o1777);
    assert!(run(&commands.install().unwrap()).status.success(), "as /tmp");
    assert_eq!(run(&commands.list(None)).stdout, b"I am --list\n");
    // A link on the way: whoever may change what it leads to may change what is run.
    let link = place.0.join("link");
    std::os::unix::fs::symlink(place.0.join("open"), &link).unwrap();
    let mut runner = Policy::with_defaults().runner;
    runner.deploy_directory = Some(link.join("its").display().to_string());
    let binary = Binary { md5: md5(RUNNER), content: Bytes::from(RUNNER) };
    let through_link = Commands::new(runner, Some(binary));
    assert!(run(&through_link.md5sum().unwrap()).status.success());
    chmod(&place.0.join("open"), 0o777);
    assert!(!run(&through_link.md5sum().unwrap()).status.success());
}

#[test]
fn what_another_user_has_made_beforehand_is_refused() {
    let place = Place::new("owner");
    if fs::metadata(&place.0).unwrap().uid() != 0 {
        eprintln!("only root can give files to other users: not tried");
        return;
    }
    let (commands, trace) = (place.commands(RUNNER), place.0.join("trace"));
    let directory = place.directory();
    let (path, theirs) =
        (path_of(&commands), |path: &Path| std::os::unix::fs::chown(path, Some(1), None).unwrap());
    fs::create_dir(&directory).unwrap();
    lay_trap(&path, &trace);
    theirs(&directory);
    assert_refused(&commands, &trace, "another user's directory");
    std::os::unix::fs::chown(&directory, Some(0), None).unwrap();
    // The file alone is theirs: it is not run, and a copy of ours takes its place.
    theirs(&path);
    assert_eq!(run(&commands.list(None)).status.code(), Some(127));
    assert!(!run(&commands.md5sum().unwrap()).status.success() && !trace.exists());
    assert!(run(&commands.install().unwrap()).status.success());
    assert_eq!(run(&commands.list(None)).stdout, b"I am --list\n");
    theirs(&place.0);
    let install = run(&commands.install().unwrap());
    assert!(String::from_utf8_lossy(&install.stderr).contains("of user"), "a directory above: {install:?}");
    assert!(!install.status.success() && !run(&commands.md5sum().unwrap()).status.success());
}

#[test]
fn a_directory_that_was_removed_and_made_again_by_others_is_not_called() {
    let place = Place::new("again");
    let (commands, trace) = (place.commands(RUNNER), place.0.join("trace"));
    assert!(run(&commands.install().unwrap()).status.success());
    fs::remove_dir_all(place.directory()).unwrap();
    assert_eq!(run(&commands.list(None)).status.code(), Some(127), "a cleaner has taken it");
    fs::create_dir(place.directory()).unwrap();
    chmod(&place.directory(), 0o777);
    lay_trap(&path_of(&commands), &trace);
    assert_refused(&commands, &trace, "made again");
}

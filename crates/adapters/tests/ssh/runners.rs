//! Which runners a real shell calls, where ours cannot be copied: only those that nobody else can have put there.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use dispatch_adapters::ssh::SshClient;
use dispatch_core::policy::Policy;
use dispatch_core::worker::runner::{Binary, Commands};

use crate::sshd::Sshd;
use crate::support::World;

/// A program that says its name.
fn lay(path: &Path, mode: u32) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    fs::write(path, format!("#!/bin/sh\necho \"{name} $*\"\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

async fn only_a_runner_that_nobody_else_can_have_put_there_is_called(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let directory = world.dir.path().join("it's runners");
    let mut runner = Policy::with_defaults().runner;
    runner.deploy_directory = Some(directory.display().to_string());
    runner.command = "echo configured".to_owned();
    let ours = Binary { md5: "f".repeat(32), content: Bytes::new() };
    let commands = Commands::new(runner, Some(ours));
    let called = async || {
        let output = executor.run(commands.list_without_ours()).await.unwrap();
        assert_eq!(output.status, 0, "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(called().await, "configured --list", "there is no directory");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(called().await, "configured --list", "it is empty");
    lay(&directory.join("crunch-run~a"), 0o775);
    lay(&directory.join("crunch-run~b"), 0o757);
    lay(&directory.join("crunch-run~c"), 0o644);
    lay(&world.dir.path().join("elsewhere"), 0o755);
    symlink(world.dir.path().join("elsewhere"), directory.join("crunch-run~d")).unwrap();
    lay(&directory.join("crunch-run~e"), 0o755);
    if rustix::process::getuid().is_root() {
        std::os::unix::fs::chown(directory.join("crunch-run~e"), Some(1), None).unwrap();
        assert_eq!(called().await, "configured --list", "it is another user's");
        std::os::unix::fs::chown(directory.join("crunch-run~e"), Some(0), None).unwrap();
    }
    assert_eq!(called().await, "crunch-run~e --list");
    for mode in [0o775, 0o757, 0o1777] {
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        assert_eq!(called().await, "configured --list", "others may write the directory: {mode:o}");
    }
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let kill = commands.kill_without_ours("zzzzz-dz642-000000000000001".parse().unwrap());
    let output = executor.run(kill).await.unwrap();
    assert_eq!(output.stdout, b"crunch-run~e --kill 15 zzzzz-dz642-000000000000001\n");
}

for_both_clients!(only_a_runner_that_nobody_else_can_have_put_there_is_called,);

//! Tests that no command runs on a VM that has not proven itself.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use dispatch_adapters::ssh::{SshClient, SshExecutors};
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{
    CloudError, ExecErrorKind, ExecutorFactory, HostKey, HostKeyVerdict, HostKeyVerifier, Target,
};
use dispatch_core::secret::Secret;
use rustix::fs::OFlags;

use crate::sshd::Sshd;
use crate::support::{PATIENCE, World, run, stdout};

/// The file that a command would leave behind if it ran.
fn trace(world: &World) -> PathBuf {
    world.dir.path().join("it-ran")
}

async fn refused_with(world: &World, target: Target) -> ExecErrorKind {
    let executor = SshExecutors::new(world.options()).unwrap().open(target);
    let error = run(&executor, &format!("touch {}", trace(world).display())).await.unwrap_err();
    assert!(!trace(world).exists(), "{error}");
    error.kind
}

async fn the_driver_is_asked_about_the_very_key_that_the_server_showed(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    stdout(&world.open(&sshd.address()), "true").await;
    let asked = world.verifier.asked.borrow();
    assert_eq!(format!("{} {}", asked[0].algorithm, asked[0].base64), sshd.host_key());
}

async fn a_forged_key_is_refused(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::Forged);
    let sshd = Sshd::start(&world.public);
    assert_eq!(refused_with(&world, world.target(&sshd.address())).await, ExecErrorKind::Verification);
}

async fn the_right_secret_is_proof_enough_whatever_white_space_is_around_it(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let sshd = Sshd::start(&world.public);
    std::fs::write(world.dir.path().join("secret"), "xyzzy\n").unwrap();
    assert_eq!(stdout(&world.open(&sshd.address()), "echo in").await, "in\n");
}

/// As a login shell does whose start-up file prints a line: `timeout` stands for it.
async fn a_login_shell_that_prints_a_line_before_every_command_is_told_as_that(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let sshd = Sshd::start(&world.public);
    sshd.replace_command("timeout", "echo welcome; exec /usr/bin/timeout \"$@\"");
    for (secret, told) in [("xyzzy\n", "login shell prints"), ("another\n", "secret is a wrong one")] {
        std::fs::write(world.dir.path().join("secret"), secret).unwrap();
        let error = run(&world.open(&sshd.address()), "true").await.unwrap_err();
        assert_eq!(error.kind, ExecErrorKind::Verification);
        assert!(error.message.contains(told), "{error}");
    }
}

async fn a_wrong_secret_is_refused(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let sshd = Sshd::start(&world.public);
    for secret in ["xyzz", "xyzzyy", "", "XYZZY"] {
        std::fs::write(world.dir.path().join("secret"), secret).unwrap();
        assert_eq!(refused_with(&world, world.target(&sshd.address())).await, ExecErrorKind::Verification);
    }
}

async fn no_secret_or_an_empty_one_is_refused_even_if_the_file_is_empty(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let sshd = Sshd::start(&world.public);
    std::fs::write(world.dir.path().join("secret"), "").unwrap();
    for secret in [None, Some(Secret::new("")), Some(Secret::new(" \n"))] {
        let target = Target { secret, ..world.target(&sshd.address()) };
        assert_eq!(refused_with(&world, target).await, ExecErrorKind::Verification);
    }
}

async fn a_missing_secret_file_is_unreadable_and_is_tried_again(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let error = run(&executor, "true").await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::SecretUnreadable);
    assert!(error.message.contains("No such file"), "{error}");
    std::fs::write(world.dir.path().join("secret"), "xyzzy").unwrap();
    assert_eq!(stdout(&executor, "echo in").await, "in\n");
}

/// Never answers.
struct Silent;

#[async_trait(?Send)]
impl HostKeyVerifier for Silent {
    async fn verify(&self, _: &InstanceId, _: &HostKey) -> Result<HostKeyVerdict, CloudError> {
        std::future::pending().await
    }
}

async fn a_cloud_that_does_not_answer_about_a_host_key_is_given_up(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let mut options = world.options();
    options.verifier = Rc::new(Silent);
    options.deadlines.secret = Duration::from_millis(500);
    let executor = SshExecutors::new(options).unwrap().open(world.target(&sshd.address()));
    let given_up = tokio::time::timeout(PATIENCE, run(&executor, "true")).await;
    let error = given_up.expect("it is given up here").unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::VerifierFailed);
    assert!(error.message.ends_with("the cloud does not answer"), "{error}");
}

/// When dropped, opens the fifo for writing: a process that still waits for a writer then ends, although no
/// session can end it any more.
struct Fifo(PathBuf);

impl Drop for Fifo {
    fn drop(&mut self) {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        // An error means that no process waits.
        let _ = OpenOptions::new().write(true).custom_flags(flags).open(&self.0);
    }
}

async fn a_secret_file_that_hangs_is_unreadable_even_if_the_vm_keeps_no_deadline(client: SshClient) {
    let world = World::new(client);
    world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let sshd = Sshd::start(&world.public);
    // The arguments are: timeout -k 1 SECONDS COMMAND…
    sshd.replace_command("timeout", "shift 3; exec \"$@\"");
    let fifo = Fifo(world.dir.path().join("secret"));
    assert!(std::process::Command::new("mkfifo").arg(&fifo.0).status().unwrap().success());
    let mut options = world.options();
    options.deadlines.secret = Duration::from_millis(500);
    let executor = SshExecutors::new(options).unwrap().open(world.target(&sshd.address()));
    let given_up = tokio::time::timeout(PATIENCE, run(&executor, "true")).await;
    let error = given_up.expect("it is given up here").unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::SecretUnreadable);
    assert!(error.message.ends_with("no answer in 0.5 s"), "{error}");
}

async fn a_changed_host_key_is_verified_anew_and_an_unchanged_one_is_not(client: SshClient) {
    let world = World::new(client);
    let mut sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    stdout(&executor, "true").await;
    sshd.change_host_key();
    executor.retarget(world.target(&format!("localhost:{}", sshd.port)));
    assert_eq!(stdout(&executor, "echo again").await, "again\n");
    assert_eq!(world.verifier.asked.borrow().len(), 2);
    executor.retarget(world.target(&sshd.address()));
    assert_eq!(stdout(&executor, "echo again").await, "again\n");
    assert_eq!(world.verifier.asked.borrow().len(), 2, "a key is known by the VM, not by its address");
}

async fn a_changed_host_key_that_is_forged_is_refused(client: SshClient) {
    let world = World::new(client);
    let mut sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    stdout(&executor, "true").await;
    world.verifier.verdict.set(HostKeyVerdict::Forged);
    futures_util::join!(executor.broken(), async { sshd.change_host_key() });
    let error = run(&executor, &format!("touch {}", trace(&world).display())).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Verification);
    assert!(!trace(&world).exists());
}

for_both_clients!(
    the_driver_is_asked_about_the_very_key_that_the_server_showed,
    a_forged_key_is_refused,
    the_right_secret_is_proof_enough_whatever_white_space_is_around_it,
    a_login_shell_that_prints_a_line_before_every_command_is_told_as_that,
    a_wrong_secret_is_refused,
    no_secret_or_an_empty_one_is_refused_even_if_the_file_is_empty,
    a_missing_secret_file_is_unreadable_and_is_tried_again,
    a_cloud_that_does_not_answer_about_a_host_key_is_given_up,
    a_secret_file_that_hangs_is_unreadable_even_if_the_vm_keeps_no_deadline,
    a_changed_host_key_is_verified_anew_and_an_unchanged_one_is_not,
    a_changed_host_key_that_is_forged_is_refused,
);

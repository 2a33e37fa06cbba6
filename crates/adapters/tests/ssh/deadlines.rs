//! Tests of deadlines that hold even if neither the ssh client nor the VM keeps its own.

use std::time::{Duration, Instant};

use dispatch_adapters::ssh::{Deadlines, SshClient, SshExecutors};
use dispatch_core::ports::{ExecErrorKind, ExecutorFactory};

use crate::support::{PATIENCE, World, eventually, processes_with, run, script};

/// The client's own ConnectTimeout does not help, because this client never begins to connect.
#[actix_rt::test]
async fn an_ssh_client_that_hangs_is_given_up() {
    let world = World::new(SshClient::OpenSsh);
    let program = world.dir.path().join("hanging-ssh");
    let word = program.display().to_string();
    // Whatever the arguments, the program stays, under this name.
    script(&program, "[ \"$1\" = -V ] && exec ssh -V\nread -r _ <\"$0.fifo\"");
    assert!(std::process::Command::new("mkfifo").arg(format!("{word}.fifo")).status().unwrap().success());
    let mut options = world.options_with(program);
    options.deadlines.connect = Duration::from_millis(500);
    let executor = SshExecutors::new(options).unwrap().open(world.target("127.0.0.1:22"));
    let started = Instant::now();
    let given_up = tokio::time::timeout(PATIENCE, run(&executor, "true")).await;
    let error = given_up.expect("it is given up here").unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::ConnectTimeout, "{error}");
    assert!(started.elapsed() < PATIENCE / 2);
    eventually("the client is gone", || processes_with(&word).is_empty()).await;
}

#[test]
fn connecting_and_the_proof_of_identity_have_thirty_seconds_each() {
    let Deadlines { connect, secret, grace: _ } = Deadlines::default();
    assert_eq!((connect.as_secs(), secret.as_secs()), (30, 30));
}

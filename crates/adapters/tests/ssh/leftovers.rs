//! Tests that nothing is left behind, however an executor ends.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use dispatch_adapters::ssh::{ClientSetup, Options, SshClient, SshExecutors};
use dispatch_core::ports::ExecutorFactory;

use crate::sshd::Sshd;
use crate::support::{World, eventually, processes_with, run, stdout, until};

#[actix_rt::test]
async fn a_dropped_executor_leaves_no_client_and_no_file() {
    let world = World::new(SshClient::OpenSsh);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    stdout(&executor, "true").await;
    assert_eq!((world.clients().len(), world.leftovers().len()), (1, 1));
    drop(executor);
    assert_eq!(world.leftovers(), Vec::<String>::new());
    eventually("the client is gone", || world.clients().is_empty()).await;
}

#[actix_rt::test]
async fn the_key_is_in_a_private_file_and_on_no_command_line() {
    let world = World::new(SshClient::OpenSsh);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    stdout(&executor, "true").await;
    let secret_line = world.private.lines().nth(2).unwrap();
    assert_eq!(processes_with(secret_line), Vec::<i32>::new());
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(world.runtime_dir()).unwrap() {
        let dir = entry.unwrap().path();
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(dir.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Runs in a process of its own, which the test below kills: it connects, reports that, and waits.
#[test]
#[ignore = "helper of the test below, which runs it in a process of its own"]
fn owner_of_an_executor() {
    actix_rt::System::new().block_on(async {
        let address = std::env::var("OWNER_ADDRESS").unwrap();
        let mut world = World::new(SshClient::OpenSsh);
        world.private = std::env::var("OWNER_KEY").unwrap();
        let runtime_dir = std::env::var("OWNER_RUNTIME_DIR").unwrap().into();
        let client = ClientSetup::OpenSsh { program: "ssh".into(), runtime_dir };
        let factory = SshExecutors::new(Options { client, ..world.options() }).unwrap();
        let executor = factory.open(world.target(&address));
        stdout(&executor, "true").await;
        eprintln!("connected");
        std::future::pending::<()>().await;
    });
}

#[actix_rt::test]
async fn after_a_sigkill_of_the_owner_the_client_dies_and_the_next_start_cleans_up() {
    let world = World::new(SshClient::OpenSsh);
    let sshd = Sshd::start(&world.public);
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "leftovers::owner_of_an_executor", "--nocapture"])
        .env("OWNER_ADDRESS", sshd.address())
        .env("OWNER_KEY", &world.private)
        .env("OWNER_RUNTIME_DIR", world.runtime_dir())
        // Its temporary files are in our directory, because it is killed before it can remove them.
        .env("TMPDIR", world.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stderr.take().unwrap()).lines();
    let connected = lines.map_while(Result::ok).any(|line| line.contains("connected"));
    let clients = world.clients();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(connected);
    assert_eq!(clients.len(), 1);
    until("the client is gone", || world.clients().is_empty());
    assert_eq!(world.leftovers().len(), 1);
    drop(world.open(&sshd.address()));
    assert_eq!(world.leftovers(), Vec::<String>::new());
}

/// As a cleaner of old files does. One command may fail for it; the VM is reached again with the next.
#[actix_rt::test]
async fn a_runtime_directory_that_is_removed_is_made_again_and_every_vm_is_reached_again() {
    for vms in [1, 2, 4] {
        let world = World::new(SshClient::OpenSsh);
        let factory = SshExecutors::new(world.options()).unwrap();
        let sshds: Vec<_> = (0..vms).map(|_| Sshd::start(&world.public)).collect();
        let executors: Vec<_> =
            sshds.iter().map(|sshd| factory.open(world.target(&sshd.address()))).collect();
        for executor in &executors {
            assert_eq!(stdout(executor, "echo before").await, "before\n");
        }
        std::fs::remove_dir_all(world.runtime_dir()).unwrap();
        for executor in &executors {
            let first = run(executor, "echo after").await;
            let second = run(executor, "echo after").await;
            assert!(first.is_ok() || second.is_ok(), "{first:?}, then {second:?}");
        }
        drop((factory, executors));
        assert_eq!(world.leftovers(), Vec::<String>::new());
    }
}

//! Tests that only our own system calls say that our own side has failed, and that they do.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use dispatch_adapters::ssh::{OwnTrouble, Prepared, SshClient, SshExecutors};
use dispatch_core::ports::{ExecErrorKind, Executor, ExecutorFactory};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::sshd::Sshd;
use crate::support::{World, eventually, run, script, stdout};

/// Executors, and what they tell of our own side.
pub fn watched(world: &World, program: PathBuf) -> (SshExecutors, OwnTrouble) {
    let options = world.options_with(program);
    let prepared = Prepared::new(&options.private_key, options.client, options.key_exchange).unwrap();
    let trouble = prepared.trouble();
    (prepared.into_executors(options.verifier, 22, options.deadlines, options.log), trouble)
}

pub async fn kind(executor: &Rc<dyn Executor>) -> ExecErrorKind {
    run(executor, "true").await.unwrap_err().kind
}

/// SSH_MSG_DISCONNECT with that text, before any keys are agreed on.
fn disconnect(text: &str) -> Vec<u8> {
    let string = |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let payload = [vec![1], 2_u32.to_be_bytes().to_vec(), string(text), string("")].concat();
    let padding = 8 - (5 + payload.len()) % 8 + 8;
    let length = u32::try_from(1 + payload.len() + padding).unwrap().to_be_bytes();
    [&length[..], &[u8::try_from(padding).unwrap()], &payload, &vec![0; padding]].concat()
}

async fn what_a_peer_says_is_never_a_failure_of_our_own_side(client: SshClient) {
    let world = World::new(client);
    let (executors, trouble) = watched(&world, "ssh".into());
    for text in [
        "Too many open files",
        "No user exists for uid 0",
        "Bad configuration option: x",
        "Bad permissions",
        "No space left on device",
        "terminating, 1 bad configuration options",
        "unix_listener: cannot bind to path",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let executor = executors.open(world.target(&listener.local_addr().unwrap().to_string()));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"SSH-2.0-Peer\r\n").await.unwrap();
            // The client's own first words, and a part of its proposals.
            let mut words = [0; 512];
            stream.read_exact(&mut words).await.unwrap();
            stream.write_all(&disconnect(text)).await.unwrap();
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        };
        let (failure, ()) = tokio::join!(run(&executor, "true"), server);
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind, ExecErrorKind::Refused, "{failure}");
        assert_eq!(*trouble.borrow(), None);
    }
}

#[actix_rt::test]
async fn a_runtime_directory_that_cannot_be_made_is_our_own_trouble_until_it_can() {
    let world = World::new(SshClient::OpenSsh);
    let (executors, trouble) = watched(&world, "ssh".into());
    let sshd = Sshd::start(&world.public);
    let executor = executors.open(world.target(&sshd.address()));
    std::fs::remove_dir_all(world.runtime_dir()).unwrap();
    std::fs::write(world.runtime_dir(), "a file is in the way").unwrap();
    assert_eq!(kind(&executor).await, ExecErrorKind::Local);
    assert!(trouble.borrow().as_ref().unwrap().contains("ssh runtime directory"), "{trouble:?}");
    std::fs::remove_file(world.runtime_dir()).unwrap();
    assert_eq!(stdout(&executor, "echo well").await, "well\n");
    eventually("the trouble is over", || trouble.borrow().is_none()).await;
}

#[actix_rt::test]
async fn a_client_that_is_gone_or_does_not_work_here_is_our_own_trouble() {
    let world = World::new(SshClient::OpenSsh);
    let program = world.dir.path().join("client");
    // Like the client of a user who does not exist: it says `-V`, and nothing else works.
    script(&program, "[ \"$1\" = -V ] && exec ssh -V\necho 'No user exists for uid 7' >&2; exit 255");
    let (executors, trouble) = watched(&world, program.clone());
    let executor = executors.open(world.target("127.0.0.1:22"));
    assert_eq!(kind(&executor).await, ExecErrorKind::Local);
    assert!(trouble.borrow().as_ref().unwrap().contains("No user exists"), "{trouble:?}");
    std::fs::remove_file(program).unwrap();
    assert_eq!(kind(&executor).await, ExecErrorKind::Local);
}

/// Runs in a process of its own, whose descriptors are used up.
#[test]
#[ignore = "helper of the test below, which runs it in a process of its own"]
fn owner_without_descriptors() {
    actix_rt::System::new().block_on(async {
        let mut world = World::new(crate::support::inherited_client());
        world.private = std::env::var("OWNER_KEY").unwrap();
        let (executors, trouble) = watched(&world, "ssh".into());
        let address = std::env::var("OWNER_ADDRESS").unwrap();
        let connected = executors.open(world.target(&address));
        let new = executors.open(world.target(&address));
        assert_eq!(stdout(&connected, "echo before").await, "before\n");
        let before = getrlimit(Resource::Nofile);
        // The lowest number that is free: none can be opened.
        let free = std::fs::File::open("/dev/null").unwrap().as_raw_fd() as u64;
        setrlimit(Resource::Nofile, Rlimit { current: Some(free), ..before }).unwrap();
        assert_eq!(kind(&new).await, ExecErrorKind::Local, "no connection can be opened");
        match world.client {
            SshClient::OpenSsh => {
                assert_eq!(kind(&connected).await, ExecErrorKind::Local, "no session can be opened");
            }
            SshClient::Russh => {
                let still = stdout(&connected, "echo still").await;
                assert_eq!(still, "still\n", "a session needs no descriptor");
            }
        }
        assert!(trouble.borrow().is_some());
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(stdout(&connected, "echo after").await, "after\n");
        eventually("the trouble is over", || trouble.borrow().is_none()).await;
    });
}

async fn descriptors_that_are_used_up_are_our_own_trouble_until_there_are_some(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "own_side::owner_without_descriptors", "--nocapture"])
        .env("OWNER_ADDRESS", sshd.address())
        .env("OWNER_KEY", &world.private)
        .env("OWNER_CLIENT", format!("{client:?}"))
        .env("TMPDIR", world.dir.path())
        .output()
        .unwrap();
    assert!(owner.status.success(), "{}", String::from_utf8_lossy(&owner.stderr));
}

for_both_clients!(
    what_a_peer_says_is_never_a_failure_of_our_own_side,
    descriptors_that_are_used_up_are_our_own_trouble_until_there_are_some,
);

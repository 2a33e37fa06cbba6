//! Servers that attack the client, and what the client is given to be attacked with.

use std::borrow::Cow;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use dispatch_adapters::ssh::{KeyExchange, Options, Prepared, SshClient, SshExecutors};
use dispatch_core::ports::{ExecError, ExecErrorKind, ExecutorFactory, HostKeyVerdict};
use russh::{Preferred, kex};

use crate::peers::{Peer, Whim};
use crate::sshd::Sshd;
use crate::support::{PATIENCE, World, command, eventually, run, script, stdout};

const LONGEST_LOG: u64 = 1 << 20;

/// The greatest log of any connection below that directory.
fn greatest_log(runtime_dir: &Path) -> u64 {
    let below = |path: &Path| {
        let entries = std::fs::read_dir(path).map(|it| it.flatten().map(|it| it.path()).collect::<Vec<_>>());
        entries.unwrap_or_default()
    };
    let connections = below(runtime_dir).into_iter().flat_map(|dir| below(&dir));
    connections.filter_map(|dir| Some(std::fs::metadata(dir.join("log")).ok()?.len())).max().unwrap_or(0)
}

/// What a command comes to, and how long the client's log was meanwhile.
async fn attacked(world: &World, address: &str) -> (ExecError, u64) {
    let options = world.options();
    let prepared = Prepared::new(&options.private_key, options.client, options.key_exchange).unwrap();
    let trouble = prepared.trouble();
    let executors = prepared.into_executors(options.verifier, 22, options.deadlines, options.log);
    let executor = executors.open(world.target(address));
    let (failed, greatest) = (Rc::new(std::cell::Cell::new(false)), std::cell::Cell::new(0));
    let watching = async {
        while !failed.get() {
            greatest.set(greatest_log(&world.runtime_dir()).max(greatest.get()));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let asking = async {
        let answer = run(&executor, "true").await;
        failed.set(true);
        answer.unwrap_err()
    };
    let (failure, ()) = futures_util::join!(asking, watching);
    assert_eq!(*trouble.borrow(), None, "it is not our own side's: {failure}");
    eventually("the client has ended", || world.clients().is_empty()).await;
    (failure, greatest.get())
}

async fn a_server_that_floods_us_loses_its_connection_and_is_told(client: SshClient) {
    let whims = match client {
        SshClient::OpenSsh => &[Whim::AgentChannelsAfterLogin, Whim::AgentChannelsAtCommand][..],
        SshClient::Russh => {
            let agents = [Whim::AgentChannelsAfterLogin, Whim::AgentChannelsAtCommand];
            &[agents[0], agents[1], Whim::Requests, Whim::DebugMessages]
        }
    };
    for whim in whims {
        for verdict in [HostKeyVerdict::Genuine, HostKeyVerdict::NotSupported] {
            let world = World::new(client);
            world.verifier.verdict.set(verdict);
            let address = Peer::start(*whim).await;
            let (failure, greatest) = attacked(&world, &address).await;
            assert!(failure.message.contains("flooded"), "{whim:?}: {failure}");
            let kinds = [ExecErrorKind::Refused, ExecErrorKind::ConnectionLost];
            assert!(kinds.contains(&failure.kind), "{failure:?}");
            assert!(greatest <= LONGEST_LOG, "{greatest} bytes were written");
        }
    }
}

async fn whatever_channel_a_server_asks_for_is_refused_and_commands_go_on(client: SshClient) {
    let world = World::new(client);
    let executor = world.open(&Peer::start(Whim::EachChannel).await);
    assert_eq!(stdout(&executor, "true").await, "7 refused");
    assert_eq!(stdout(&executor, "true").await, "7 refused", "the connection is as good as before");
}

/// A list that is cut must not look whole.
async fn a_status_before_the_output_has_come_to_its_end_is_none(client: SshClient) {
    let world = World::new(client);
    let failure = run(&world.open(&Peer::start(Whim::HalfAnAnswer).await), "true").await.unwrap_err();
    assert_eq!(failure.kind, ExecErrorKind::ConnectionLost);
    assert!(["that is all", "Disconnected"].iter().any(|it| failure.message.contains(it)), "{failure}");
}

async fn a_server_that_says_nothing_any_more_is_noticed_without_a_command(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    assert_eq!(stdout(&executor, "true").await, "");
    sshd.freeze_connections();
    tokio::time::timeout(PATIENCE, executor.broken()).await.expect("it is noticed");
}

async fn keys_that_are_exchanged_again_in_the_midst_of_commands_disturb_none(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start_with_lines(&world.public, "RekeyLimit 100K 1s\n");
    let executor = world.open(&sshd.address());
    let stdin = bytes::Bytes::from(vec![b'x'; 3_000_000]);
    let there_and_back = (0..3).map(|_| {
        let command = dispatch_core::ports::ShellCommand { stdin: stdin.clone(), ..command("cat") };
        executor.run(command)
    });
    let slow = run(&executor, "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done");
    let (outputs, slow) = futures_util::join!(futures_util::future::join_all(there_and_back), slow);
    for output in outputs {
        assert!(output.unwrap().stdout == stdin, "something is missing");
    }
    assert_eq!(slow.unwrap().stdout, b"1\n2\n3\n4\n5\n6\n");
    assert_eq!(sshd.connections(), 1);
}

/// A client that leaves a note of its environment and its limits.
fn noting_client(world: &World) -> (std::path::PathBuf, std::path::PathBuf) {
    let (program, note) = (world.dir.path().join("noting-ssh"), world.dir.path().join("note"));
    let text = format!(
        "for word; do [ \"$word\" = -M ] && {{ env; ulimit -a; cat /proc/self/limits; }} >'{}'; done; exec ssh \"$@\"",
        note.display()
    );
    script(&program, &text);
    (program, note)
}

#[actix_rt::test]
async fn the_client_has_an_environment_of_its_own_and_writes_no_core_file() {
    let world = World::new(SshClient::OpenSsh);
    let sshd = Sshd::start(&world.public);
    let (program, note) = noting_client(&world);
    // Cargo gives us this one.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let factory = SshExecutors::new(world.options_with(program)).unwrap();
    assert_eq!(stdout(&factory.open(world.target(&sshd.address())), "echo in").await, "in\n");
    let note = std::fs::read_to_string(note).unwrap();
    let names: Vec<_> = note.lines().take_while(|line| line.contains('=')).collect();
    let ours = |line: &&str| {
        ["PATH=", "LC_ALL=", "PWD=", "_=", "SHLVL=", "OLDPWD="].iter().any(|it| line.starts_with(it))
    };
    assert!(names.iter().all(ours), "{names:?}");
    let limit = |name: &str| note.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(limit("Max core file size").contains(" 0 "), "{note}");
    assert!(limit("Max file size").contains(&format!(" {LONGEST_LOG} ")), "{note}");
}

#[actix_rt::test]
async fn the_key_exchange_withstands_quantum_computers_unless_a_fast_one_is_wanted() {
    for (wanted, agreed) in
        [(KeyExchange::PostQuantum, "sntrup761x25519-sha512"), (KeyExchange::Fast, "curve25519-sha256")]
    {
        let world = World::new(SshClient::OpenSsh);
        let sshd = Sshd::start(&world.public);
        let (program, note) = (world.dir.path().join("wordy-ssh"), world.dir.path().join("words"));
        // What the client says with -v goes into its log, which is gone with the connection.
        let text = format!(
            "for word; do shift; case $word in */log) word={} ;; esac; set -- \"$@\" \"$word\"; done; \
             exec ssh -v \"$@\"",
            note.display()
        );
        script(&program, &text);
        let options = Options { key_exchange: wanted, ..world.options_with(program) };
        let factory = SshExecutors::new(options).unwrap();
        assert_eq!(stdout(&factory.open(world.target(&sshd.address())), "echo in").await, "in\n");
        let words = std::fs::read_to_string(&note).unwrap();
        let line = words.lines().find(|line| line.contains("kex: algorithm:")).unwrap();
        let has = |name: &str| line.contains(&format!("kex: algorithm: {name}"));
        assert!(
            has(agreed) || (wanted == KeyExchange::PostQuantum && has("mlkem768x25519-sha256")),
            "{line}"
        );
    }
}

/// Which one is preferred is tested beside the list that a server is shown.
#[actix_rt::test]
async fn a_server_that_has_one_key_exchange_alone_is_reached_whatever_is_preferred() {
    for has in [kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::ECDH_SHA2_NISTP256] {
        let preferred = Preferred { kex: Cow::Owned(vec![has]), ..Preferred::DEFAULT };
        let address = Peer::start_with(Whim::None, preferred).await;
        for key_exchange in [KeyExchange::PostQuantum, KeyExchange::Fast] {
            let world = World::new(SshClient::Russh);
            let factory = SshExecutors::new(Options { key_exchange, ..world.options() }).unwrap();
            assert_eq!(stdout(&factory.open(world.target(&address)), "true").await, "in\n", "{has:?}");
        }
    }
}

#[actix_rt::test]
async fn a_server_that_has_only_slow_key_exchanges_is_refused_with_the_reason() {
    let preferred = Preferred { kex: Cow::Borrowed(&[kex::DH_G18_SHA512]), ..Preferred::DEFAULT };
    let world = World::new(SshClient::Russh);
    let executor = world.open(&Peer::start_with(Whim::None, preferred).await);
    let failure = run(&executor, "true").await.unwrap_err();
    assert_eq!(failure.kind, ExecErrorKind::Refused);
    assert!(failure.message.ends_with("its server offers no algorithm that we have (Kex)"), "{failure}");
}

for_both_clients!(
    a_server_that_floods_us_loses_its_connection_and_is_told,
    a_status_before_the_output_has_come_to_its_end_is_none,
    whatever_channel_a_server_asks_for_is_refused_and_commands_go_on,
    a_server_that_says_nothing_any_more_is_noticed_without_a_command,
    keys_that_are_exchanged_again_in_the_midst_of_commands_disturb_none,
);

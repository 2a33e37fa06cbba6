//! Servers that attack the client, and what the client is given to be attacked with.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_adapters::ssh::{KeyExchange, Options, Prepared, SshExecutors};
use dispatch_core::ports::{ExecError, ExecErrorKind, ExecutorFactory, HostKeyVerdict};
use dispatch_core::secret::Secret;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream};
use russh::{Channel, ChannelId};

use crate::sshd::Sshd;
use crate::support::{World, eventually, run, script, stdout};

const LONGEST_LOG: u64 = 1 << 20;

/// When a server begins with its flood.
#[derive(Clone, Copy, PartialEq)]
enum Flood {
    AfterLogin,
    AtCommand,
}

/// A server that lets everybody in, and then asks for agent channels without end. The client logs two lines each time.
struct Flooder(Flood);

impl Flooder {
    /// Its address. It serves until the runtime of the test ends.
    async fn start(flood: Flood) -> String {
        let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
        let config = Arc::new(Config { keys: vec![key], ..Config::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        actix_rt::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let config = Arc::clone(&config);
                actix_rt::spawn(async move {
                    let Ok(session) = run_stream(config, stream, Self(flood)).await else { return };
                    // It ends when the client does.
                    let _ = session.await;
                });
            }
        });
        address
    }

    fn flood(session: &mut Session) -> Result<(), russh::Error> {
        (0..30_000).try_for_each(|_| session.channel_open_agent().map(drop))
    }
}

impl Handler for Flooder {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        if self.0 == Flood::AfterLogin { Self::flood(session) } else { Ok(()) }
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)?;
        Self::flood(session)
    }
}

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
    let prepared = Prepared::new(&Secret::new(&*world.private), "ssh".into(), &world.runtime_dir()).unwrap();
    let trouble = prepared.trouble();
    let options = world.options();
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

#[actix_rt::test]
async fn a_server_that_floods_the_clients_log_loses_its_connection_and_is_told() {
    for flood in [Flood::AfterLogin, Flood::AtCommand] {
        for verdict in [HostKeyVerdict::Genuine, HostKeyVerdict::NotSupported] {
            let world = World::new();
            world.verifier.verdict.set(verdict);
            let address = Flooder::start(flood).await;
            let (failure, greatest) = attacked(&world, &address).await;
            assert!(failure.message.contains("flooded"), "{failure}");
            let kinds = [ExecErrorKind::Refused, ExecErrorKind::ConnectionLost];
            assert!(kinds.contains(&failure.kind), "{failure:?}");
            assert!(greatest <= LONGEST_LOG, "{greatest} bytes were written");
        }
    }
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
    let world = World::new();
    let sshd = Sshd::start(&world.public);
    let (program, note) = noting_client(&world);
    // Cargo gives us this one.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let factory = SshExecutors::new(Options { ssh_program: program, ..world.options() }).unwrap();
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
        let world = World::new();
        let sshd = Sshd::start(&world.public);
        let (program, note) = (world.dir.path().join("wordy-ssh"), world.dir.path().join("words"));
        // What the client says with -v goes into its log, which is gone with the connection.
        let text = format!(
            "for word; do shift; case $word in */log) word={} ;; esac; set -- \"$@\" \"$word\"; done; \
             exec ssh -v \"$@\"",
            note.display()
        );
        script(&program, &text);
        let options = Options { ssh_program: program, key_exchange: wanted, ..world.options() };
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

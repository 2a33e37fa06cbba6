//! Tests of opening a connection to an address, and of the ways in which that fails.

use std::time::{Duration, Instant};

use dispatch_adapters::ssh::{Options, SshClient, SshExecutors};
use dispatch_core::ports::{ExecErrorKind, ExecutorFactory, ShellCommand, Target};
use dispatch_core::secret::Secret;
use tokio::io::AsyncWriteExt;

use crate::sshd::Sshd;
use crate::support::{PATIENCE, Reserved, World, command, eventually, random_key, run, stdout};

async fn without_an_address_it_is_not_ready(client: SshClient) {
    let world = World::new(client);
    let executor = world.open("");
    assert_eq!(run(&executor, "true").await.unwrap_err().kind, ExecErrorKind::NotReady);
    let sshd = Sshd::start(&world.public);
    executor.retarget(world.target(&sshd.address()));
    assert_eq!(stdout(&executor, "echo ready").await, "ready\n");
}

async fn an_address_without_a_port_takes_the_default(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let factory = SshExecutors::new(Options { default_port: sshd.port, ..world.options() }).unwrap();
    let executor = factory.open(world.target("127.0.0.1"));
    assert_eq!(stdout(&executor, "echo hello").await, "hello\n");
}

async fn an_ipv6_address_works_with_and_without_a_port(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start_on(std::net::Ipv6Addr::LOCALHOST.into(), &world.public);
    let with_port = world.open(&sshd.address());
    assert_eq!(stdout(&with_port, "echo $SSH_CONNECTION | cut -d' ' -f3").await, "::1\n");
    let factory = SshExecutors::new(Options { default_port: sshd.port, ..world.options() }).unwrap();
    let without = factory.open(world.target("::1"));
    assert_eq!(stdout(&without, "echo hello").await, "hello\n");
}

async fn an_address_where_nothing_listens_is_refused(client: SshClient) {
    let world = World::new(client);
    let nobody = Reserved::on_loopback();
    let executor = world.open(&nobody.address.to_string());
    let error = run(&executor, "true").await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Refused);
    assert!(error.message.contains("Connection refused"), "{error}");
}

async fn a_wrong_key_is_an_authentication_error(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&random_key().1);
    let error = run(&world.open(&sshd.address()), "true").await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Authentication);
    assert!(error.message.contains("Permission denied"), "{error}");
}

async fn a_wrong_user_is_an_authentication_error_and_a_strange_one_never_reaches_the_client(
    client: SshClient,
) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let kind_for = async |user: &str| {
        let target = Target { user: user.to_owned(), ..world.target(&sshd.address()) };
        let executor = SshExecutors::new(world.options()).unwrap().open(target);
        run(&executor, "true").await.unwrap_err().kind
    };
    assert_eq!(kind_for("nobody-of-that-name").await, ExecErrorKind::Authentication);
    assert_eq!(kind_for("x\"\nProxyCommand touch /tmp/x").await, ExecErrorKind::Authentication);
}

async fn a_server_that_hangs_in_key_exchange_is_given_up(client: SshClient) {
    let world = World::new(client);
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = world.options();
    options.deadlines.connect = Duration::from_millis(500);
    let factory = SshExecutors::new(options).unwrap();
    let executor = factory.open(world.target(&silent.local_addr().unwrap().to_string()));
    let started = Instant::now();
    let error = run(&executor, "true").await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::ConnectTimeout);
    assert!(started.elapsed() < PATIENCE / 2);
    let (mut stream, _) = silent.accept().await.unwrap();
    let mut sink = tokio::io::sink();
    let closed = tokio::io::copy(&mut stream, &mut sink);
    tokio::time::timeout(PATIENCE, closed).await.expect("the connection is closed").unwrap();
}

async fn a_server_that_talks_nonsense_is_refused(client: SshClient) {
    let world = World::new(client);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    actix_rt::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        // Closing before the client's first line is read would cause a reset, which may overtake our answer.
        stream.shutdown().await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    });
    let error = run(&world.open(&address), "true").await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Refused, "{error}");
}

async fn a_command_afresh_has_a_connection_opened_for_it_and_what_runs_over_the_old_one_goes_on(
    client: SshClient,
) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let file = world.dir.path().join("end");
    let running =
        executor.run(command(format!("until [ -e {} ]; do sleep 0.05; done; echo over", file.display())));
    let asked = async {
        let begun = || sshd.connections() == 1;
        eventually("the first connection is there", begun).await;
        // It stands, or it is being opened: neither is what is asked for.
        let afresh = ShellCommand { afresh: true, ..command("echo $SSH_CONNECTION") };
        let first = executor.run(afresh.clone()).await.unwrap().stdout;
        assert_eq!(
            stdout(&executor, "echo $SSH_CONNECTION").await.into_bytes(),
            first,
            "later commands use it"
        );
        assert_ne!(executor.run(afresh).await.unwrap().stdout, first);
        std::fs::write(&file, "").unwrap();
    };
    let (output, ()) = futures_util::join!(running, asked);
    assert_eq!(output.unwrap().stdout, b"over\n");
}

async fn commands_that_start_together_share_one_connection(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let ports = (0..5).map(|_| stdout(&executor, "echo $SSH_CONNECTION"));
    let ports = futures_util::future::join_all(ports).await;
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    assert_eq!(world.verifier.asked.borrow().len(), 1);
}

async fn a_caller_that_stops_waiting_for_a_connection_does_not_stop_the_others(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let impatient = tokio::time::timeout(Duration::from_millis(1), run(&executor, "true"));
    let patient = stdout(&executor, "echo here");
    let (impatient, patient) = futures_util::join!(impatient, patient);
    assert!(impatient.is_err());
    assert_eq!(patient, "here\n");
}

async fn the_private_key_may_be_of_any_supported_kind(client: SshClient) {
    for arguments in [vec!["-t", "rsa", "-b", "2048"], vec!["-t", "ecdsa"], vec!["-t", "rsa", "-m", "PEM"]] {
        let mut world = World::new(client);
        let file = world.dir.path().join("key");
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen.args(&arguments).args(["-q", "-N", "", "-f"]).arg(&file);
        assert!(keygen.status().unwrap().success());
        world.private = std::fs::read_to_string(&file).unwrap();
        let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        let sshd = Sshd::start(public.trim());
        let executor = world.open(&sshd.address());
        assert_eq!(stdout(&executor, "echo in").await, "in\n", "{arguments:?}");
    }
}

async fn an_empty_key_is_refused(client: SshClient) {
    let world = World::new(client);
    let options = Options { private_key: Secret::default(), ..world.options() };
    let error = SshExecutors::new(options).err().unwrap();
    assert_eq!(error.to_string(), "private key is empty");
}

for_both_clients!(
    without_an_address_it_is_not_ready,
    an_address_without_a_port_takes_the_default,
    an_ipv6_address_works_with_and_without_a_port,
    an_address_where_nothing_listens_is_refused,
    a_wrong_key_is_an_authentication_error,
    a_wrong_user_is_an_authentication_error_and_a_strange_one_never_reaches_the_client,
    a_server_that_hangs_in_key_exchange_is_given_up,
    a_server_that_talks_nonsense_is_refused,
    a_command_afresh_has_a_connection_opened_for_it_and_what_runs_over_the_old_one_goes_on,
    commands_that_start_together_share_one_connection,
    a_caller_that_stops_waiting_for_a_connection_does_not_stop_the_others,
    the_private_key_may_be_of_any_supported_kind,
    an_empty_key_is_refused,
);

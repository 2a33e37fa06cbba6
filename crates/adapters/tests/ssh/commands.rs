//! Tests of commands on an open connection: what is transferred, and how commands end.

use std::time::Duration;

use bytes::Bytes;
use dispatch_adapters::boot_time;
use dispatch_adapters::ssh::{SshClient, SshExecutors};
use dispatch_core::ports::{BootTime, ExecErrorKind, ExecutorFactory, ShellCommand};

use crate::sshd::Sshd;
use crate::support::{PATIENCE, Wire, World, command, eventually, processes_with, run, stdout};

async fn every_exit_status_arrives_with_both_streams(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    for status in [0, 1, 124, 126, 127, 137, 255] {
        let output = run(&executor, &format!("echo out; echo err >&2; exit {status}")).await.unwrap();
        assert_eq!(output.status, status);
        assert_eq!(output.stdout, b"out\n", "{status}");
        assert!(output.stderr.ends_with(b"err\n"), "{status}");
    }
    let output = run(&executor, "/nonexistent").await.unwrap();
    assert_eq!(output.status, 127);
    assert!(String::from_utf8(output.stderr).unwrap().contains("not found"));
    assert_eq!(sshd.connections(), 1, "all commands share one connection");
}

async fn a_command_killed_by_a_signal_ends_without_ending_the_connection(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    // First the shell itself is killed, then the timeout above it. Neither leaves an exit status of its own.
    for victim in ["$$", "$PPID"] {
        let output = run(&executor, &format!("kill -9 {victim}")).await.unwrap();
        assert_eq!(output.status, 255, "{victim}");
    }
    assert_eq!(stdout(&executor, "echo still here").await, "still here\n");
    assert_eq!(sshd.connections(), 1);
}

async fn the_shell_receives_unicode_quotes_and_expansions_unchanged(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let text = "it's \"quoted\" `id` $HOME \\ \u{1f980} ünïcödé ; & | > < * ~ # \t end";
    let quoted = text.replace('\'', r"'\''");
    assert_eq!(stdout(&executor, &format!("printf %s '{quoted}'")).await, text);
    assert_eq!(stdout(&executor, "for i in a b\ndo echo $i; done | cat").await, "a\nb\n");
}

async fn three_megabytes_of_stdin_arrive(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let stdin = Bytes::from(vec![b'x'; 3_000_000]);
    let output = executor.run(ShellCommand { stdin: stdin.clone(), ..command("wc -c") }).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "3000000");
    let output = executor.run(ShellCommand { stdin, ..command("exit 3") }).await.unwrap();
    assert_eq!(output.status, 3, "a command need not read its stdin");
    assert_eq!(stdout(&executor, "cat").await, "", "a command without stdin reads an empty one");
}

async fn twenty_megabytes_of_stdout_arrive_and_more_than_32_mib_are_refused(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    // This is done several times, because the exit status only sometimes overtakes the last megabytes of the
    // streams.
    for _ in 0..5 {
        let output = run(&executor, "head -c 20000000 /dev/zero").await.unwrap();
        assert_eq!(output.stdout.len(), 20_000_000);
    }
    for stream in ["", ">&2"] {
        let result = run(&executor, &format!("head -c 33554433 /dev/zero {stream}")).await;
        let lengths = result.map(|output| (output.stdout.len(), output.stderr.len()));
        assert_eq!(lengths.map_err(|error| error.kind), Err(ExecErrorKind::OutputTooLarge));
    }
    let output = run(&executor, "head -c 33554432 /dev/zero").await.unwrap();
    assert_eq!((output.status, output.stdout.len()), (0, 32 << 20));
}

async fn a_hanging_command_is_ended_on_the_vm_and_the_connection_stays(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let before = stdout(&executor, "echo $SSH_CONNECTION").await;
    let marker = format!("sleep 1{}", std::process::id());
    let hanging = ShellCommand { deadline: Duration::from_secs(1), ..command(format!("{marker}; true")) };
    let error = executor.run(hanging).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::CommandTimeout);
    eventually("it is gone on the VM", || processes_with(&marker).is_empty()).await;
    assert_eq!(stdout(&executor, "echo $SSH_CONNECTION").await, before);
}

async fn a_command_that_outlives_its_timeout_costs_the_connection(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let mut options = world.options();
    options.deadlines.grace = Duration::from_millis(100);
    let executor = SshExecutors::new(options).unwrap().open(world.target(&sshd.address()));
    let before = stdout(&executor, "echo $SSH_CONNECTION").await;
    // Nothing on the VM ends this command: it has left timeout's process group and keeps stdout open.
    sshd.replace_command("timeout", "shift 3; exec \"$@\"");
    let for_as_long_as_the_test = format!("while [ -e {} ]; do sleep 0.1; done", world.dir.path().display());
    let deadline = Duration::from_secs(1);
    let running = executor.run(ShellCommand { deadline, ..command(for_as_long_as_the_test) });
    let given_up = tokio::time::timeout(PATIENCE, running).await.expect("it is given up here");
    assert_eq!(given_up.unwrap_err().kind, ExecErrorKind::CommandTimeout);
    eventually("the connection is closed", || sshd.connections() == 0).await;
    assert_ne!(stdout(&executor, "echo $SSH_CONNECTION").await, before);
}

async fn a_connection_cut_in_the_middle_of_a_command_is_lost_and_then_reopened(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let wire = Wire::to(sshd.address()).await;
    let executor = world.open(&wire.address);
    let started = world.dir.path().join("started");
    let shell = format!("touch {}; sleep 20", started.display());
    let running = run(&executor, &shell);
    let cutting = async {
        eventually("the command runs", || started.exists()).await;
        wire.cut();
    };
    let (result, (), ()) = futures_util::join!(running, cutting, executor.broken());
    assert_eq!(result.unwrap_err().kind, ExecErrorKind::ConnectionLost);
    assert_eq!(run(&executor, "true").await.unwrap_err().kind, ExecErrorKind::Refused);
    executor.retarget(world.target(&sshd.address()));
    assert_eq!(stdout(&executor, "echo again").await, "again\n");
    assert_eq!(world.verifier.asked.borrow().len(), 1, "the key is the same, so it is not verified again");
}

async fn many_commands_at_once_stay_within_the_servers_ten_sessions(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let running = (0..30).map(|number| {
        let executor = executor.clone();
        async move { stdout(&executor, &format!("sleep 0.2; echo {number}")).await }
    });
    let outputs = futures_util::future::join_all(running).await;
    let wanted: Vec<_> = (0..30).map(|number| format!("{number}\n")).collect();
    assert_eq!(outputs, wanted);
    assert_eq!(sshd.connections(), 1);
}

async fn a_server_that_allows_fewer_sessions_still_runs_all_commands(client: SshClient) {
    let world = World::new(client);
    for allowed in [1, 2] {
        let sshd = Sshd::start_with(std::net::Ipv4Addr::LOCALHOST.into(), &world.public, allowed);
        let executor = world.open(&sshd.address());
        let running = (0..9).map(|_| stdout(&executor, "sleep 0.1; echo $SSH_CONNECTION"));
        let ports = futures_util::future::join_all(running).await;
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }
}

async fn a_server_without_sessions_is_an_error(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start_with(std::net::Ipv4Addr::LOCALHOST.into(), &world.public, 0);
    let error = run(&world.open(&sshd.address()), "true").await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::ConnectionLost, "{error}");
}

async fn a_caller_that_stops_waiting_leaves_no_connection_with_a_busy_session(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    stdout(&executor, "true").await;
    let waited = tokio::time::timeout(Duration::from_millis(200), run(&executor, "sleep 20")).await;
    assert!(waited.is_err());
    eventually("the connection is closed", || sshd.connections() == 0).await;
    assert_eq!(stdout(&executor, "echo again").await, "again\n");
}

/// A command that may be handed over within that time, and leaves a file.
fn within(time: Duration, file: &std::path::Path) -> ShellCommand {
    let not_after = Some(BootTime(boot_time::now().0 + time));
    ShellCommand { not_after, ..command(format!("touch {}", file.display())) }
}

async fn a_command_whose_time_is_over_is_not_sent_over_an_open_connection_either(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let file = world.dir.path().join("touched");
    assert_eq!(stdout(&executor, "echo open").await, "open\n");
    let error = executor.run(within(Duration::ZERO, &file)).await.unwrap_err();
    assert_eq!((error.kind, file.exists()), (ExecErrorKind::NotSent, false), "{error}");
    executor.run(within(PATIENCE, &file)).await.unwrap();
    assert!(file.exists());
    assert_eq!(sshd.connections(), 1, "the connection is as good as before");
}

async fn a_command_that_waits_for_a_connection_or_a_session_is_not_sent_later_than_it_may_be(
    client: SshClient,
) {
    let world = World::new(client);
    let file = world.dir.path().join("touched");
    let soon = Duration::from_millis(300);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let executor = world.open(&silent.local_addr().unwrap().to_string());
    let error = executor.run(within(soon, &file)).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::NotSent, "no connection: {error}");

    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    assert_eq!(stdout(&executor, "echo open").await, "open\n");
    // Eight commands may run at a time.
    stdout(&executor, "true").await;
    let _watch = executor.watch(command("cat")).await.unwrap();
    let busy = futures_util::future::join_all((0..8).map(|_| executor.run(command("sleep 2"))));
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        executor.run(within(soon, &file)).await.unwrap_err()
    };
    let (_, error) = futures_util::join!(busy, late);
    assert_eq!((error.kind, file.exists()), (ExecErrorKind::NotSent, false), "no session: {error}");
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many descriptors of this process belong to a VM while eight commands run there.
async fn descriptors_of_a_busy_vm(client: SshClient) -> usize {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    let before = open_descriptors();
    let file = |name: &str| world.dir.path().join(name).display().to_string();
    let (began, end) = (file("began"), file("end"));
    let shell = |n| format!("touch {began}-{n}; while [ ! -e {end} ]; do sleep 0.05; done");
    stdout(&executor, "true").await;
    let _watch = executor.watch(command("cat")).await.unwrap();
    let busy = futures_util::future::join_all((0..8).map(|n| executor.run(command(shell(n)))));
    let counted = async {
        let all_run = || (0..8).all(|n| std::path::Path::new(&format!("{began}-{n}")).exists());
        eventually("eight commands run", all_run).await;
        let count = open_descriptors().saturating_sub(before);
        std::fs::write(&end, "").unwrap();
        count
    };
    futures_util::join!(busy, counted).1
}

/// Descriptors belong to the whole process, so this is counted in one that runs no other test.
async fn a_vm_with_as_many_commands_as_may_run_at_a_time_has_no_more_descriptors_than_we_say(
    client: SshClient,
) {
    const ALONE: &str = "DISPATCH_TEST_RUNS_ALONE";
    let thread = std::thread::current();
    let name = thread.name().expect("a test's thread has its name");
    if std::env::var_os(ALONE).is_none() {
        let this = std::env::current_exe().unwrap();
        let output = std::process::Command::new(this)
            .args(["--exact", name, "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}{output:?}");
        return;
    }
    let count = descriptors_of_a_busy_vm(client).await as u64;
    println!("descriptors of one VM: {count}");
    let fewest = match client {
        // Each command has at least one.
        SshClient::OpenSsh => 8,
        SshClient::Russh => 1,
    };
    assert!((fewest..=client.descriptors_of_a_vm()).contains(&count), "{count}");
}

for_both_clients!(
    every_exit_status_arrives_with_both_streams,
    a_command_killed_by_a_signal_ends_without_ending_the_connection,
    the_shell_receives_unicode_quotes_and_expansions_unchanged,
    three_megabytes_of_stdin_arrive,
    twenty_megabytes_of_stdout_arrive_and_more_than_32_mib_are_refused,
    a_hanging_command_is_ended_on_the_vm_and_the_connection_stays,
    a_command_that_outlives_its_timeout_costs_the_connection,
    a_connection_cut_in_the_middle_of_a_command_is_lost_and_then_reopened,
    many_commands_at_once_stay_within_the_servers_ten_sessions,
    a_server_that_allows_fewer_sessions_still_runs_all_commands,
    a_server_without_sessions_is_an_error,
    a_caller_that_stops_waiting_leaves_no_connection_with_a_busy_session,
    a_command_whose_time_is_over_is_not_sent_over_an_open_connection_either,
    a_command_that_waits_for_a_connection_or_a_session_is_not_sent_later_than_it_may_be,
    a_vm_with_as_many_commands_as_may_run_at_a_time_has_no_more_descriptors_than_we_say,
);

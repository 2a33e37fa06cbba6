//! Tests with both ssh clients, our executor, and the loopback cloud's servers.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use dispatch_adapters::loopback::{LoopbackCloud, Params, processes_below};
use dispatch_adapters::ssh::SshClient;
use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver, CreateOrder, ExecErrorKind, ShellCommand};
use dispatch_core::worker::watch_script;
use futures_util::future::{Either, select};

use crate::support::{PATIENCE, World, command, eventually, is_alive, log, order, run, start_daemon, stdout};

async fn the_host_key_is_verified_by_the_driver(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    let executor = world.executor(&cloud, &made, true);
    let directory = world.state_directory().join("vm-t1.tiny");
    let wanted = format!("{0}\n{0}\n{0}/lock\n", directory.display());
    assert_eq!(stdout(&executor, "pwd; echo $HOME; echo $CRUNCH_RUN_LOCKDIR").await, wanted);
    assert!(directory.join("booted").exists(), "the init command ran there");
}

async fn the_host_key_is_verified_by_the_secret(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(2);
    let made = cloud.create(&order("a")).await.unwrap();
    assert_eq!(
        stdout(&world.executor(&cloud, &made, false), "stat -c %a arvados-instance-secret").await,
        "600\n"
    );

    let with_another_secret = CreateOrder { tags: order("b").tags, secret: order("b").secret, ..order("a") };
    let forged = cloud.create(&with_another_secret).await.unwrap();
    let executor = world.executor(&cloud, &forged, false);
    let started = std::time::Instant::now();
    let error = loop {
        let error = executor.run(command("touch it-ran")).await.unwrap_err();
        if error.kind != ExecErrorKind::Refused || started.elapsed() > PATIENCE {
            break error;
        }
    };
    assert_eq!(error.kind, ExecErrorKind::Verification, "{error}");
    assert!(!world.state_directory().join(format!("vm-{}/it-ran", forged.id)).exists());
}

async fn statuses_streams_and_stdin_arrive_as_from_a_real_server(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    let executor = world.executor(&cloud, &made, true);
    for status in [0, 1, 126, 127, 255] {
        let output = run(&executor, &format!("echo out; echo err >&2; exit {status}")).await;
        assert_eq!((output.status, &*output.stdout, &*output.stderr), (status, &b"out\n"[..], &b"err\n"[..]));
    }
    let output = executor
        .run(ShellCommand { stdin: Bytes::from(vec![7; 3_000_000]), ..command("wc -c") })
        .await
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "3000000");
    for _ in 0..3 {
        assert_eq!(run(&executor, "head -c 20000000 /dev/zero").await.stdout.len(), 20_000_000);
    }
    let error = executor.run(command("head -c 33554433 /dev/zero")).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::OutputTooLarge);
    let text = "it's \"quoted\" $HOME `id` \u{1f980}";
    assert_eq!(stdout(&executor, &format!("printf %s '{}'", text.replace('\'', r"'\''"))).await, text);
}

async fn a_key_that_came_with_the_order_gets_in_and_no_other(client: SshClient) {
    let world = World::new(client);
    let stranger = World::new(client);
    let params = Params { authorized_key: None, ..world.params(2) };
    let cloud = std::rc::Rc::new(LoopbackCloud::open(params, log()).unwrap());
    let made =
        cloud.create(&CreateOrder { public_key: Some(world.public.clone()), ..order("a") }).await.unwrap();
    assert_eq!(stdout(&world.executor(&cloud, &made, true), "echo in").await, "in\n");
    let error = stranger.executor(&cloud, &made, true).run(command("true")).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Authentication);
}

/// An order whose instance finishes its boot when `let_go_on` is called.
fn order_that_waits() -> CreateOrder {
    let order = order("a");
    let init_command = format!(
        "tr '\\0' ' ' </proc/$$/cmdline >command-line\nuntil [ -e go ]; do sleep 0.05; done\n{}",
        order.init_command
    );
    CreateOrder { init_command, ..order }
}

fn let_go_on(world: &World) {
    std::fs::write(world.state_directory().join("vm-t1.tiny/go"), "").unwrap();
}

async fn connections_are_refused_until_the_instance_has_booted(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order_that_waits()).await.unwrap();
    let executor = world.executor(&cloud, &made, true);
    assert_eq!(executor.run(command("true")).await.unwrap_err().kind, ExecErrorKind::Refused);
    let_go_on(&world);
    assert_eq!(stdout(&executor, "ls booted").await, "booted\n");
    // Every user of a machine may read the command lines of its processes.
    let line = stdout(&executor, "cat command-line").await;
    assert!(line.starts_with("/bin/sh -c") && !line.contains("secret"), "the boot ran as {line}");
}

async fn a_detached_process_outlives_connection_and_cloud_and_ends_with_its_instance(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(2);
    let made = cloud.create(&order("a")).await.unwrap();
    let other = cloud.create(&order("b")).await.unwrap();
    let daemon = start_daemon(&world.executor(&cloud, &made, true)).await;
    let others = start_daemon(&world.executor(&cloud, &other, true)).await;
    assert!(is_alive(daemon));
    drop(cloud);
    assert!(is_alive(daemon), "it outlives the cloud, as when the dispatcher is killed");

    let cloud = world.cloud(2);
    let listed = cloud.list(&made.tags).await.unwrap().remove(0);
    assert_eq!(listed, made);
    let seen = stdout(&world.executor(&cloud, &listed, true), "cat pid").await;
    assert_eq!(seen.trim(), daemon.to_string(), "the instance was not booted again");
    assert!(processes_below(&world.state_directory()).contains(&daemon));
    cloud.destroy(&made.id).await.unwrap();
    assert!(!is_alive(daemon) && is_alive(others));
    cloud.destroy(&other.id).await.unwrap();
    assert_eq!(processes_below(&world.state_directory()), Vec::<i32>::new());
}

async fn a_command_ends_with_its_connection(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    let executor = world.executor(&cloud, &made, true);
    stdout(&executor, "true").await;
    let file = world.state_directory().join("vm-t1.tiny/pid");
    let has_begun = || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
    let running = executor.run(command("echo $$ >pid; sleep 600"));
    match select(running, pin!(eventually("the command runs", has_begun))).await {
        Either::Left((ended, _)) => panic!("it ended: {ended:?}"),
        Either::Right(((), running)) => drop(running),
    }
    let pid = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    drop(executor);
    eventually("the command is gone", || !is_alive(pid)).await;
}

async fn an_instance_is_watched_like_any_other_and_nothing_is_left_when_that_ends(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    let executor = world.executor(&cloud, &made, true);
    let uuid = "zzzzz-dz642-000000000000001".parse().unwrap();
    let lock = format!("$CRUNCH_RUN_LOCKDIR/crunch-run-{uuid}.lock");
    let holder = format!(
        "mkdir -p $CRUNCH_RUN_LOCKDIR; \
         setsid flock -x -F {lock} sh -c 'echo $$ >pid; exec sleep 600' >/dev/null 2>&1 </dev/null & \
         while ! [ -s pid ]; do sleep 0.01; done; cat pid"
    );
    let pid = stdout(&executor, &holder).await.trim().parse().unwrap();
    let idle = processes_below(&world.state_directory()).len();
    let watch = executor.watch(watch_script::command(&[uuid])).await.unwrap();
    eventually("it waits", || processes_below(&world.state_directory()).len() > idle + 2).await;
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let line = tokio::time::timeout(PATIENCE, watch.next()).await.expect("its end is told");
    assert_eq!(line, Ok(uuid.to_string()));
    drop(watch);
    eventually("nothing is left", || processes_below(&world.state_directory()).is_empty()).await;
    cloud.destroy(&made.id).await.unwrap();
}

async fn a_power_cut_breaks_the_connection_and_ends_the_instance(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order_that_waits()).await.unwrap();
    // While its server does not listen, its port can be bound once more. Then no other program gets it
    // afterwards.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind(made.address.parse().unwrap()).unwrap();
    let_go_on(&world);
    let executor = world.executor(&cloud, &made, true);
    let daemon = start_daemon(&executor).await;
    let running = executor.run(command("sleep 20"));
    let faults = cloud.faults();
    let (lost, killed, ()) = futures_util::join!(running, faults.kill(&made.id), executor.broken());
    killed.unwrap();
    assert_eq!(lost.unwrap_err().kind, ExecErrorKind::ConnectionLost);
    assert!(!is_alive(daemon));
    assert_eq!(cloud.list(&Tags::default()).await.unwrap(), vec![]);
    assert_eq!(executor.run(command("true")).await.unwrap_err().kind, ExecErrorKind::Refused);
}

async fn commands_hang_for_as_long_as_they_are_told_to(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(1);
    let made = cloud.create(&order("a")).await.unwrap();
    let executor = world.executor(&cloud, &made, true);
    stdout(&executor, "true").await;
    cloud.faults().hang_commands(&made.id, true).await.unwrap();
    let hanging = ShellCommand { deadline: Duration::from_millis(200), ..command("true") };
    assert_eq!(executor.run(hanging).await.unwrap_err().kind, ExecErrorKind::CommandTimeout);
    cloud.faults().hang_commands(&made.id, false).await.unwrap();
    assert_eq!(stdout(&executor, "echo again").await, "again\n");
}

async fn an_instance_that_is_not_to_boot_never_listens_and_others_do(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(3);
    cloud.faults().limit_boots(Some(1)).await.unwrap();
    let first = cloud.create(&order("a")).await.unwrap();
    let dead = cloud.create(&order("b")).await.unwrap();
    cloud.faults().limit_boots(None).await.unwrap();
    let last = cloud.create(&order("c")).await.unwrap();
    for made in [&first, &last] {
        stdout(&world.executor(&cloud, made, true), "true").await;
    }
    let executor = world.executor(&cloud, &dead, true);
    assert_eq!(executor.run(command("true")).await.unwrap_err().kind, ExecErrorKind::Refused);
}

async fn twenty_instances_with_commands_side_by_side(client: SshClient) {
    let world = World::new(client);
    let cloud = world.cloud(20);
    let mut executors = Vec::new();
    for number in 0..20 {
        let made = cloud.create(&order(&number.to_string())).await.unwrap();
        executors.push(world.executor(&cloud, &made, true));
    }
    let outputs = executors.iter().map(|executor| stdout(executor, "basename $PWD"));
    let mut names = futures_util::future::join_all(outputs).await;
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 20, "each instance has a directory of its own");
}

for_both_clients!(
    the_host_key_is_verified_by_the_driver,
    the_host_key_is_verified_by_the_secret,
    statuses_streams_and_stdin_arrive_as_from_a_real_server,
    a_key_that_came_with_the_order_gets_in_and_no_other,
    connections_are_refused_until_the_instance_has_booted,
    a_detached_process_outlives_connection_and_cloud_and_ends_with_its_instance,
    a_command_ends_with_its_connection,
    an_instance_is_watched_like_any_other_and_nothing_is_left_when_that_ends,
    a_power_cut_breaks_the_connection_and_ends_the_instance,
    commands_hang_for_as_long_as_they_are_told_to,
    an_instance_that_is_not_to_boot_never_listens_and_others_do,
    twenty_instances_with_commands_side_by_side,
);

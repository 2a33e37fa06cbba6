//! Tests of the watch on Debian's sshd, flock and shell: what it tells, and that it is in nobody's way.

use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use dispatch_adapters::ssh::SshClient;
use dispatch_core::id::ContainerUuid;
use dispatch_core::ports::{Executor, LONGEST_WATCH_LINE, ShellCommand, Watch, WatchEnd};
use dispatch_core::worker::watch_script;

use crate::fence_vm::Vm;
use crate::sshd::Sshd;
use crate::support::{PATIENCE, Wire, World, command, eventually, processes_with, run, stdout, until};

fn uuid(n: u64) -> ContainerUuid {
    format!("zzzzz-dz642-{n:015}").parse().unwrap()
}

/// A runner's process, as far as its lock tells: it ends when this is dropped.
struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Vm {
    fn lock_of(&self, n: u64) -> std::path::PathBuf {
        self.path("locks").join(format!("crunch-run-{}.lock", uuid(n)))
    }

    /// Somebody who holds the run lock of that container.
    fn runner(&self, n: u64) -> Runner {
        std::fs::create_dir_all(self.path("locks")).unwrap();
        let held = self.path(&format!("held {n}"));
        let mut command = Command::new("flock");
        command.args(["-x", "-F"]).arg(self.lock_of(n));
        command.args(["sh", "-c", ": >\"$0\"; exec sleep 1000"]).arg(&held).stdin(Stdio::null());
        let runner = Runner(command.spawn().unwrap());
        until("the lock is held", || held.exists());
        runner
    }

    /// The watch's own command, for the run locks of this VM.
    fn order(&self, containers: &[u64]) -> ShellCommand {
        let uuids: Vec<_> = containers.iter().map(|n| uuid(*n)).collect();
        let order = watch_script::command(&uuids);
        let locks = self.path("locks").display().to_string();
        ShellCommand { shell: format!("export CRUNCH_RUN_LOCKDIR='{locks}'; {}", order.shell), ..order }
    }

    async fn watch(&self, containers: &[u64]) -> Rc<dyn Watch> {
        stdout(&self.executor, "true").await;
        self.executor.watch(self.order(containers)).await.unwrap()
    }

    /// The processes of watches there.
    fn watchers(&self) -> Vec<i32> {
        let mark = format!("CRUNCH_RUN_LOCKDIR={}", self.path("locks").display());
        let ids = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|it| it.unwrap().file_name().to_str()?.parse().ok());
        let of_watch = |pid: &i32| {
            let read = |name| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let is_marked = read("environ").split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes());
            // The shell has the variable from its own text.
            is_marked || String::from_utf8_lossy(&read("cmdline")).contains(&mark.replace('=', "='"))
        };
        ids.filter(|pid| *pid != std::process::id() as i32).filter(of_watch).collect()
    }
}

/// Any command, as a watch.
fn printing(shell: &str) -> ShellCommand {
    ShellCommand { stdin: "first\n".into(), ..command(shell) }
}

async fn next(watch: &Rc<dyn Watch>) -> Result<String, WatchEnd> {
    tokio::time::timeout(PATIENCE, watch.next()).await.expect("there is a next line or an end")
}

async fn refused(executor: &Rc<dyn Executor>, order: ShellCommand) -> WatchEnd {
    executor.watch(order).await.map(|_| "a watch").unwrap_err()
}

async fn the_end_of_a_process_is_told_within_a_second_and_no_sooner(client: SshClient) {
    let vm = Vm::new(client);
    let runners: Vec<_> = (1..=6).map(|n| vm.runner(n)).collect();
    let watch = vm.watch(&[1, 2, 3]).await;
    for n in 4..=6 {
        watch.add(&watch_script::line_for(uuid(n)));
    }
    // A container without a lock is told at once, and after all that were given before.
    watch.add(&watch_script::line_for(uuid(9)));
    assert_eq!(next(&watch).await, Ok(uuid(9).to_string()), "the others live");
    assert!(!vm.lock_of(9).exists(), "a watch makes no files");
    let mut took = Vec::new();
    for (n, runner) in (1..).zip(runners) {
        drop(runner);
        let ended = Instant::now();
        assert_eq!(next(&watch).await, Ok(uuid(n).to_string()));
        took.push(ended.elapsed());
    }
    // This machine may be busy: it is the median that counts.
    took.sort();
    assert!(took[3] < Duration::from_secs(1), "{took:?}");
    eprintln!("told after {took:?}");
}

async fn a_watch_that_is_dropped_leaves_nothing_on_the_vm_and_the_connection_as_it_was(client: SshClient) {
    let vm = Vm::new(client);
    let _runners = [vm.runner(1), vm.runner(2)];
    let before = stdout(&vm.executor, "echo $SSH_CONNECTION").await;
    for _ in 0..3 {
        let watch = vm.watch(&[1, 2]).await;
        watch.add(&watch_script::line_for(uuid(9)));
        next(&watch).await.unwrap();
        // timeout, the shell, and a subshell with its flock for each of the two.
        eventually("all wait", || vm.watchers().len() >= 6).await;
        drop(watch);
        eventually("nothing is left", || vm.watchers().is_empty()).await;
    }
    assert_eq!(stdout(&vm.executor, "echo $SSH_CONNECTION").await, before);
}

#[actix_rt::test]
async fn a_client_that_is_killed_leaves_nothing_on_the_vm() {
    let vm = Vm::new(SshClient::OpenSsh);
    let _runner = vm.runner(1);
    let watch = vm.watch(&[1]).await;
    eventually("it waits", || vm.watchers().len() >= 4).await;
    let client = rustix::process::Pid::from_raw(vm.world.clients()[0]).unwrap();
    rustix::process::kill_process(client, rustix::process::Signal::KILL).unwrap();
    assert_eq!(next(&watch).await, Err(WatchEnd::ConnectionLost));
    assert_eq!(next(&watch).await, Err(WatchEnd::ConnectionLost), "for ever");
    eventually("nothing is left", || vm.watchers().is_empty()).await;
}

async fn a_cut_connection_ends_it(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let wire = Wire::to(sshd.address()).await;
    let executor = world.open(&wire.address);
    stdout(&executor, "true").await;
    let watch = executor.watch(printing("cat")).await.unwrap();
    assert_eq!(next(&watch).await, Ok("first".to_owned()));
    wire.cut();
    assert_eq!(next(&watch).await, Err(WatchEnd::ConnectionLost));
    let end = refused(&executor, printing("cat")).await;
    assert!(matches!(end, WatchEnd::NoConnection | WatchEnd::ConnectionLost), "{end:?}");
}

async fn it_opens_no_connection_of_its_own_and_goes_with_the_one_it_uses(client: SshClient) {
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let executor = world.open(&sshd.address());
    assert_eq!(refused(&executor, printing("cat")).await, WatchEnd::NoConnection);
    assert_eq!(sshd.connections(), 0);
    stdout(&executor, "true").await;
    let watch = executor.watch(printing("cat")).await.unwrap();
    assert_eq!(next(&watch).await, Ok("first".to_owned()));
    executor.forget_connection();
    assert_eq!(next(&watch).await, Err(WatchEnd::ConnectionLost));
    eventually("the connection is not kept open for it", || sshd.connections() == 0).await;
    stdout(&executor, "true").await;
    let watch = executor.watch(printing("cat")).await.unwrap();
    assert_eq!(next(&watch).await, Ok("first".to_owned()));
    drop(executor);
    assert_eq!(next(&watch).await, Err(WatchEnd::ConnectionLost));
    eventually("nor for a watch alone", || sshd.connections() == 0).await;
}

async fn a_server_of_few_sessions_has_them_for_commands(client: SshClient) {
    for sessions in [1, 2] {
        let world = World::new(client);
        let sshd = Sshd::start_with(std::net::Ipv4Addr::LOCALHOST.into(), &world.public, sessions);
        let executor = world.open(&sshd.address());
        let before = stdout(&executor, "echo $SSH_CONNECTION").await;
        // The first command's session may not be free yet; if it is the only one, the watch is refused for it.
        let watch = match executor.watch(printing("cat")).await {
            Ok(watch) => Some(watch),
            Err(end) => {
                assert_eq!((end, sessions), (WatchEnd::FewSessions, 1));
                None
            }
        };
        let commands = (0..sessions).map(|_| run(&executor, "echo $SSH_CONNECTION; sleep 0.1"));
        for output in futures_util::future::join_all(commands).await {
            assert_eq!(String::from_utf8(output.unwrap().stdout).unwrap(), before, "{sessions} sessions");
        }
        if let Some(watch) = watch {
            let mut last = next(&watch).await;
            while last.is_ok() {
                last = next(&watch).await;
            }
            assert_eq!(last, Err(WatchEnd::FewSessions));
        }
        assert_eq!(refused(&executor, printing("cat")).await, WatchEnd::FewSessions, "it is not tried again");
    }
}

async fn beside_it_eight_commands_run_at_a_time(client: SshClient) {
    let vm = Vm::new(client);
    let _runner = vm.runner(1);
    let watch = vm.watch(&[1]).await;
    let commands = (0..24).map(|_| run(&vm.executor, "sleep 0.1; echo $SSH_CONNECTION"));
    let mut connections: Vec<_> =
        futures_util::future::join_all(commands).await.into_iter().map(|it| it.unwrap().stdout).collect();
    connections.dedup();
    assert_eq!(connections.len(), 1, "over one connection");
    watch.add(&watch_script::line_for(uuid(9)));
    assert_eq!(next(&watch).await, Ok(uuid(9).to_string()), "and it goes on");
}

async fn garbage_comes_as_lines_within_bounds_and_the_exit_status_last(client: SshClient) {
    let vm = Vm::new(client);
    stdout(&vm.executor, "true").await;
    let long = LONGEST_WATCH_LINE + 1;
    let shell =
        format!("printf 'a b\\n\\377\\n'; head -c {long} /dev/zero; printf '\\nend\\nunfinished'; exit 7");
    let watch = vm.executor.watch(printing(&shell)).await.unwrap();
    for line in ["a b", "\u{fffd}", "end"] {
        assert_eq!(next(&watch).await.as_deref(), Ok(line));
    }
    assert_eq!(next(&watch).await, Err(WatchEnd::Exited(Some(7))));
    let killed = vm.executor.watch(printing("kill -9 $PPID")).await.unwrap();
    assert_eq!(next(&killed).await, Err(WatchEnd::Exited(None)));
}

async fn a_flood_ends_it_and_there_is_no_other_over_that_connection(client: SshClient) {
    for shell in ["yes", "cat /dev/zero", "yes ''"] {
        let vm = Vm::new(client);
        let before = stdout(&vm.executor, "echo $SSH_CONNECTION").await;
        let mark = format!("# {}", vm.world.dir.path().display());
        let watch = vm.executor.watch(printing(&format!("{shell}; {mark}"))).await.unwrap();
        let mut printed = 0;
        let end = loop {
            match next(&watch).await {
                Ok(line) => printed += line.len() + 1,
                Err(end) => break end,
            }
        };
        assert_eq!(end, WatchEnd::TooMuch, "{shell}");
        assert!(printed <= 64 << 10, "{printed}");
        assert_eq!(refused(&vm.executor, printing("cat")).await, WatchEnd::Lingering, "who knows?");
        eventually("it is gone on the VM", || processes_with(&mark).is_empty()).await;
        assert_eq!(stdout(&vm.executor, "echo $SSH_CONNECTION").await, before);
    }
}

/// It does not care that its stdin is closed.
async fn one_that_does_not_end_on_the_vm_is_the_only_one_until_its_time_is_over(client: SshClient) {
    let vm = Vm::new(client);
    let before = stdout(&vm.executor, "echo $SSH_CONNECTION").await;
    let alive = vm.path("alive");
    std::fs::write(&alive, "").unwrap();
    let hangs = format!("echo hanging; while [ -e '{}' ]; do sleep 0.1; done", alive.display());
    let watch = vm.executor.watch(printing(&hangs)).await.unwrap();
    assert_eq!(next(&watch).await, Ok("hanging".to_owned()));
    drop(watch);
    assert_eq!(refused(&vm.executor, printing("cat")).await, WatchEnd::Lingering);
    assert_eq!(refused(&vm.executor, printing("cat")).await, WatchEnd::Lingering);
    assert_eq!(
        stdout(&vm.executor, "echo $SSH_CONNECTION").await,
        before,
        "commands are none the worse for it"
    );
    std::fs::remove_file(alive).unwrap();
}

async fn its_time_is_limited_there(client: SshClient) {
    let vm = Vm::new(client);
    let _runner = vm.runner(1);
    stdout(&vm.executor, "true").await;
    let order = ShellCommand { deadline: Duration::from_secs(1), ..vm.order(&[1]) };
    let watch = vm.executor.watch(order).await.unwrap();
    assert_eq!(next(&watch).await, Err(WatchEnd::Exited(Some(124))));
    eventually("nothing is left", || vm.watchers().is_empty()).await;
}

async fn one_that_never_reads_is_ended(client: SshClient) {
    let vm = Vm::new(client);
    stdout(&vm.executor, "true").await;
    let deaf = format!("echo deaf; while [ -e '{}' ]; do sleep 0.1; done", vm.world.dir.path().display());
    let watch = vm.executor.watch(printing(&deaf)).await.unwrap();
    assert_eq!(next(&watch).await, Ok("deaf".to_owned()));
    let flood = async {
        let line = "x".repeat(200);
        loop {
            watch.add(&line);
            tokio::task::yield_now().await;
        }
    };
    let (end, flood) = (std::pin::pin!(next(&watch)), std::pin::pin!(flood));
    match futures_util::future::select(end, flood).await {
        futures_util::future::Either::Left((end, _)) => assert_eq!(end, Err(WatchEnd::Hangs)),
        futures_util::future::Either::Right((never, _)) => never,
    }
}

async fn without_flock_it_ends_at_once_and_prints_nothing(client: SshClient) {
    let vm = Vm::new(client);
    let _runner = vm.runner(1);
    stdout(&vm.executor, "true").await;
    let order = vm.order(&[1]);
    let order = ShellCommand { shell: format!("PATH=/nowhere; {}", order.shell), ..order };
    let watch = vm.executor.watch(order).await.unwrap();
    assert_eq!(next(&watch).await, Err(WatchEnd::Exited(Some(92))));
}

/// Anybody may make files in `/var/lock`: none of them is opened that the runner would not trust.
async fn lock_files_that_are_no_runners_are_not_waited_for(client: SshClient) {
    let vm = Vm::new(client);
    let _held = vm.runner(1);
    std::os::unix::fs::symlink(vm.lock_of(1), vm.lock_of(2)).unwrap();
    assert!(Command::new("mkfifo").arg(vm.lock_of(3)).status().unwrap().success());
    std::fs::create_dir(vm.lock_of(4)).unwrap();
    let watch = vm.watch(&[2, 3, 4]).await;
    watch.add("../../etc/passwd");
    watch.add("$(touch it-ran) `touch it-ran` ; touch it-ran");
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(next(&watch).await.unwrap());
    }
    told.sort();
    let uuids: Vec<_> = told.iter().filter_map(|line| watch_script::told_by(line)).collect();
    assert_eq!(uuids, [uuid(2), uuid(3), uuid(4)], "{told:?}");
    drop(watch);
    eventually("nothing is left", || vm.watchers().is_empty()).await;
    let ran = stdout(&vm.executor, "ls it-ran 2>/dev/null || true").await;
    assert_eq!(ran, "", "what it is given is no shell text");
}

for_both_clients!(
    the_end_of_a_process_is_told_within_a_second_and_no_sooner,
    a_watch_that_is_dropped_leaves_nothing_on_the_vm_and_the_connection_as_it_was,
    a_cut_connection_ends_it,
    it_opens_no_connection_of_its_own_and_goes_with_the_one_it_uses,
    a_server_of_few_sessions_has_them_for_commands,
    beside_it_eight_commands_run_at_a_time,
    garbage_comes_as_lines_within_bounds_and_the_exit_status_last,
    a_flood_ends_it_and_there_is_no_other_over_that_connection,
    one_that_does_not_end_on_the_vm_is_the_only_one_until_its_time_is_over,
    its_time_is_limited_there,
    one_that_never_reads_is_ended,
    without_flock_it_ends_at_once_and_prints_nothing,
    lock_files_that_are_no_runners_are_not_waited_for,
);

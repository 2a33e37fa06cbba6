//! Tests of the fence with Debian's sshd, flock and shell: who may start, and what an old start comes to.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use dispatch_adapters::ssh::SshClient;
use dispatch_adapters::ssh::SshExecutors;
use dispatch_core::ports::{ExecErrorKind, ExecutorFactory, HostKeyVerdict, ShellCommand, Target};
use dispatch_core::secret::Secret;
use dispatch_core::worker::fence::{ClaimOutcome, NotRun};
use dispatch_core::worker::{KillOutcome, StartOutcome};

use crate::fence_vm::Vm;
use crate::support::{Wire, eventually, until};

fn not_run(outcome: StartOutcome) -> NotRun {
    match outcome {
        StartOutcome::NotRun(reason, _) => reason,
        other => panic!("{other:?}"),
    }
}

async fn the_fence_is_private_and_a_claim_may_be_repeated(client: SshClient) {
    let vm = Vm::new(client);
    let first = vm.claim(100).await;
    assert_eq!((first.mark.to_string().as_str(), first.is_settled), ("100 100", true));
    assert_eq!(first.unfenced_for, Duration::from_secs(62), "nobody knows who was here before");
    let mode = |name: &str| std::fs::metadata(vm.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("fence dir"), mode("fence dir/set-set"), mode("fence dir/set-set.lock")),
        (0o700, 0o600, 0o600)
    );
    let again = vm.claim(100).await;
    assert_eq!(again.mark, first.mark, "its answer may have been lost");
    assert!(again.unfenced_for <= first.unfenced_for);
}

async fn only_the_last_one_who_has_claimed_it_starts_anything(client: SshClient) {
    let vm = Vm::new(client);
    let old = vm.claim(100).await.mark;
    assert_eq!(vm.outcome(vm.start(old, "one")).await, StartOutcome::Started);
    assert_eq!(vm.text("started"), "one");
    let new = vm.claim(200).await.mark;
    assert_eq!(not_run(vm.outcome(vm.start(old, "two")).await), NotRun::Taken);
    assert_eq!(vm.text("started"), "one");
    assert_eq!(vm.outcome(vm.start(new, "three")).await, StartOutcome::Started);
    assert_eq!(vm.text("started"), "three");
    // A claim of the dead one that comes late changes nothing; a clock that was set back is no obstacle.
    assert_eq!(vm.try_claim(100, None).await, ClaimOutcome::Greater(200));
    let ClaimOutcome::Claimed(next) = vm.try_claim(150, Some(200)).await else { panic!("not claimed") };
    assert_eq!(next.mark.to_string(), "201 150");
    assert_eq!(vm.try_claim(100, Some(200)).await, ClaimOutcome::Greater(201), "the same number of another");
}

async fn an_old_start_has_happened_before_the_claim_or_never_will(client: SshClient) {
    let vm = Vm::new(client);
    let old = vm.claim(100).await.mark;
    let (under_way, ended) =
        (vm.path("under way").display().to_string(), vm.path("ended").display().to_string());
    // One has the lock when the claim comes, and the other one waits for it.
    let slow = vm.guarded(old, &format!(": >'{under_way}'; sleep 1; : >'{ended}'"), "{}");
    let wire = Wire::to(vm.sshd.address()).await;
    let other = vm.world.open(&wire.address);
    let slow = actix_rt::spawn(async move { other.run(slow).await });
    eventually("it has the lock", || vm.path("under way").exists()).await;
    // Its dispatcher ends in the middle.
    wire.cut();
    assert!(slow.await.unwrap().is_err());
    let claimed = vm.claim(200).await;
    assert!(vm.path("ended").exists(), "the claim has waited for it");
    assert_eq!(not_run(vm.outcome(vm.start(old, "late")).await), NotRun::Taken);
    assert_eq!(claimed.mark.to_string(), "200 200");
}

async fn a_start_that_waits_for_the_lock_while_it_is_claimed_is_not_run(client: SshClient) {
    let vm = Vm::new(client);
    let old = vm.claim(100).await.mark;
    let holder = vm.holder("-x");
    let start = vm.start(old, "late");
    let (waits, writes) = (vm.outcome(start), async {
        // The new line is written by who has the lock, as a claim does.
        let waiting = || !crate::support::processes_with("flock -s -o").is_empty();
        eventually("the start waits", waiting).await;
        std::fs::write(vm.path("fence dir/set-set"), "200 200 0\n").unwrap();
        drop(holder);
    });
    let (outcome, ()) = futures_util::join!(waits, writes);
    assert_eq!(not_run(outcome), NotRun::Taken);
    assert!(!vm.path("started").exists());
}

async fn half_of_a_configuration_starts_nothing(client: SshClient) {
    let vm = Vm::new(client);
    let mark = vm.claim(100).await.mark;
    let whole = vm.start(mark, "0123456789");
    let cut = ShellCommand { stdin: Bytes::from_static(b"01234"), ..whole.clone() };
    assert_eq!(not_run(vm.outcome(cut).await), NotRun::CutInput);
    assert!(!vm.path("started").exists());
    assert_eq!(vm.outcome(whole).await, StartOutcome::Started);
    let left: Vec<_> =
        std::fs::read_dir(vm.path("fence dir")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "copies of the configuration are not left: {left:?}");
}

async fn what_was_started_holds_no_lock_and_obeys_signals(client: SshClient) {
    let vm = Vm::new(client);
    let mark = vm.claim(100).await.mark;
    let pid_file = vm.path("pid").display().to_string();
    let job = format!(
        "setsid sh -c 'echo $$ >\"$0\"; exec sleep 1000' '{pid_file}' >/dev/null 2>&1 </dev/null & :"
    );
    assert_eq!(vm.outcome(vm.guarded(mark, &job, "{}")).await, StartOutcome::Started);
    until("it has begun", || vm.text("pid").ends_with('\n'));
    let pid = vm.text("pid").trim().to_owned();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let held = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    let held: Vec<_> = held.filter(|file| file.starts_with(vm.path("fence dir"))).collect();
    assert_eq!(held, Vec::<PathBuf>::new());
    assert_eq!(vm.claim(200).await.mark.to_string(), "200 200", "nothing has to be waited for");
    let ends = vm.run(ShellCommand::new(format!("kill -TERM {pid}"), Duration::from_secs(10))).await;
    assert_eq!(ends.status, 0);
    until("it has ended", || !PathBuf::from(format!("/proc/{pid}/exe")).exists());
}

/// crunch-run makes files for the container's user to read.
async fn what_was_started_makes_files_as_it_would_without_a_fence(client: SshClient) {
    let vm = Vm::new(client);
    let plain = vm.run(ShellCommand::new("umask", Duration::from_secs(10))).await;
    let mark = vm.claim(100).await.mark;
    let file = vm.path("mask").display().to_string();
    assert_eq!(vm.outcome(vm.guarded(mark, &format!("umask >'{file}'"), "{}")).await, StartOutcome::Started);
    assert_eq!(vm.text("mask").as_bytes(), plain.stdout);
    assert_ne!(vm.text("mask").trim(), "0077", "else this says nothing");
    let kill = vm.fence(0).guard_kill(mark, ShellCommand::new("umask", Duration::from_secs(30)));
    assert_eq!(vm.run(kill).await.stdout, plain.stdout);
}

/// A site's own wrapper around crunch-run ends as it likes, and was called.
async fn the_statuses_of_the_fence_are_a_commands_own_once_it_was_called(client: SshClient) {
    let vm = Vm::new(client);
    let mark = vm.claim(100).await.mark;
    for status in [66, 91, 92, 93, 94, 95, 96] {
        let command = format!("echo why not >&2; exit {status}");
        match vm.outcome(vm.guarded(mark, &command, "{}")).await {
            StartOutcome::Failed(failure) => {
                assert_eq!(failure.error, format!("exit status {status}"));
                assert!(
                    failure.stderr.ends_with("why not") && !failure.stderr.contains("fence-"),
                    "{failure:?}"
                );
            }
            other => panic!("{status}: {other:?}"),
        }
        let kill = vm.fence(0).guard_kill(mark, ShellCommand::new(command, Duration::from_secs(30)));
        let output = vm.run(kill.clone()).await;
        let outcome = KillOutcome::of(&kill, Ok(output), true);
        assert!(matches!(outcome, KillOutcome::Failed(_)), "{status}: {outcome:?}");
    }
}

/// A slow path is not the instance's fault.
async fn a_configuration_that_does_not_come_in_time_is_cut_and_no_full_disk(client: SshClient) {
    let vm = Vm::new(client);
    let mark = vm.claim(100).await.mark;
    // The one that waits for the configuration, and no other.
    vm.sshd.replace_command("timeout", "[ \"$1\" = 10 ] && exit 124; exec /usr/bin/timeout \"$@\"");
    assert_eq!(not_run(vm.outcome(vm.start(mark, "x")).await), NotRun::CutInput);
}

async fn kills_obey_the_fence_and_lists_do_not_ask_it(client: SshClient) {
    let vm = Vm::new(client);
    let (old, new) = (vm.claim(100).await.mark, vm.claim(200).await.mark);
    let kill = |mark| vm.fence(0).guard_kill(mark, ShellCommand::new("echo killed", Duration::from_secs(30)));
    assert_eq!(vm.run(kill(old)).await.status, 91);
    assert_eq!(vm.run(kill(new)).await.stdout, b"killed\n");
    let _holder = vm.holder("-x");
    let list = vm.fence(0).touch(ShellCommand::new("echo listed", Duration::from_secs(30)));
    assert_eq!(vm.run(list).await.stdout, b"listed\n");
}

async fn without_flock_or_room_or_a_file_it_says_so_and_nothing_is_run(client: SshClient) {
    let vm = Vm::new(client);
    let mark = vm.claim(100).await.mark;
    let failed = |outcome| match outcome {
        ClaimOutcome::Failed(failure) => failure.error,
        other => panic!("{other:?}"),
    };
    std::fs::write(vm.path("fence dir/set-set"), "nonsense\n").unwrap();
    assert_eq!(not_run(vm.outcome(vm.start(mark, "x")).await), NotRun::Unreadable);
    assert_eq!(failed(vm.try_claim(200, None).await), NotRun::Unreadable.as_str());
    std::fs::remove_file(vm.path("fence dir/set-set")).unwrap();
    assert_eq!(not_run(vm.outcome(vm.start(mark, "x")).await), NotRun::Unreadable);
    std::fs::write(vm.path("fence dir/set-set"), "150 150 0\n").unwrap();
    // As on a disk that is full: nothing can be made, whoever tries.
    vm.sshd.replace_command("mktemp", "exit 1");
    assert_eq!(not_run(vm.outcome(vm.start(mark, "x")).await), NotRun::NotWritten);
    vm.sshd.replace_command("mv", "exit 1");
    assert_eq!(failed(vm.try_claim(300, None).await), NotRun::NotWritten.as_str());
    assert_eq!(vm.text("fence dir/set-set"), "150 150 0\n", "what was there before stays");
    let bare = |command: ShellCommand| {
        let shell = format!("export PATH=/nonexistent; {}", command.shell);
        ShellCommand { shell, ..command }
    };
    let fence = vm.fence(400);
    for (command, status) in [(fence.claim(None, false), 92), (vm.start(mark, "x"), 92)] {
        let output = vm.executor.run(bare(command)).await.unwrap();
        assert_eq!((output.status, output.stdout), (status, Vec::new()));
    }
    assert!(!vm.path("started").exists());
}

async fn a_run_lock_without_a_name_is_told(client: SshClient) {
    let vm = Vm::new(client);
    std::fs::create_dir_all(vm.path("locks")).unwrap();
    for (name, content, settled) in [("all", "", true), ("one", "{}", true), ("two", "", false)] {
        let lock = format!("locks/crunch-run-{name}.lock");
        std::fs::write(vm.path(&lock), content).unwrap();
        let _holder = vm.holder_of("-x", &lock);
        assert_eq!(vm.claim(100).await.is_settled, settled, "{name}");
    }
    assert!(vm.claim(100).await.is_settled, "nobody holds the lock any more");
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can give files to other users: not tried");
        return;
    }
    // Any user may put a file there and hold it for ever. No runner has to do with that.
    let theirs = vm.path("locks/crunch-run-three.lock");
    std::fs::write(&theirs, "").unwrap();
    std::os::unix::fs::chown(&theirs, Some(1), None).unwrap();
    let _holder = vm.holder_of("-x", "locks/crunch-run-three.lock");
    assert!(vm.claim(100).await.is_settled, "it is another user's");
}

/// The other program may have come next, however fresh the file looks.
async fn a_released_fence_says_nothing_about_who_came_last_and_keeps_its_mark(client: SshClient) {
    let vm = Vm::new(client);
    let old = vm.claim(100).await.mark;
    std::fs::write(vm.path("fence dir/set-set"), "100 100 0\n").unwrap();
    let foreign = vm.fence(0).release(vm.claim(100).await.mark);
    assert_eq!(vm.run(foreign).await.status, 0);
    assert_eq!(vm.text("fence dir/set-set"), "100 100 released\n");
    // Its last list may touch the file after that.
    vm.run(vm.fence(0).touch(ShellCommand::new("true", Duration::from_secs(30)))).await;
    let next = vm.claim(200).await;
    assert_eq!((next.mark.to_string().as_str(), next.unfenced_for), ("200 200", Duration::from_secs(62)));
    assert_eq!(not_run(vm.outcome(vm.start(old, "late")).await), NotRun::Taken);
    assert_eq!(vm.run(vm.fence(0).release(old)).await.status, 91, "it is the next one's by now");
    assert!(!vm.text("fence dir/set-set").contains("released"));
}

async fn how_long_an_unfenced_start_may_come_follows_from_when_the_file_was_touched_and_what_it_says(
    client: SshClient,
) {
    let vm = Vm::new(client);
    let file = vm.path("fence dir/set-set");
    vm.claim(100).await;
    let ago = |seconds: u64| std::time::SystemTime::now() - Duration::from_secs(seconds);
    let secs =
        |moment: std::time::SystemTime| moment.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    // When it was touched, what it says of when all is quiet, and what the next one is told.
    let cases = [(50, secs(ago(1)), 0..=0), (50, secs(ago(0)) + 30, 25..=30), (70, secs(ago(1)), 62..=62)];
    for (epoch, (touched, quiet, told)) in (200..).zip(cases) {
        std::fs::write(&file, format!("150 150 {quiet}\n")).unwrap();
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(ago(touched)).unwrap();
        let seconds = vm.claim(epoch).await.unfenced_for.as_secs();
        assert!(told.contains(&seconds), "{touched} {seconds} not in {told:?}");
    }
    // A list touches it.
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(ago(500)).unwrap();
    vm.run(vm.fence(0).touch(ShellCommand::new("true", Duration::from_secs(30)))).await;
    assert!(std::fs::metadata(&file).unwrap().modified().unwrap() > ago(60));
}

/// `/var/run` is emptied by a reboot or by a cleaner: what the claim has kept proves the VM all the same.
async fn a_vm_whose_secret_was_lost_proves_itself_with_the_copy_beside_its_fence(client: SshClient) {
    let vm = Vm::new(client);
    vm.world.verifier.verdict.set(HostKeyVerdict::NotSupported);
    let secret = vm.path("secret");
    std::fs::write(&secret, "xyzzy").unwrap();
    let fence = vm.fence(7);
    let claim = fence.keep_secret(fence.claim(None, false), &Secret::new("xyzzy"));
    let claimed = async || ClaimOutcome::read(&fence, &claim, Ok(vm.run(claim.clone()).await));
    assert!(matches!(claimed().await, ClaimOutcome::Claimed(_)));
    let copy = PathBuf::from(fence.secret_copy());
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&copy), mode(copy.parent().unwrap())), (0o600, 0o700));
    let target = Target { secret_copy: Some(fence.secret_copy()), ..vm.world.target(&vm.sshd.address()) };
    let trusts = async |target: &Target| {
        let shell = ShellCommand::new("true", Duration::from_secs(10));
        let executor = SshExecutors::new(vm.world.options()).unwrap().open(target.clone());
        executor.run(shell).await.map_err(|error| error.kind)
    };
    let without_copy = Target { secret_copy: None, ..target.clone() };
    std::fs::write(&secret, "somebody's").unwrap();
    assert_eq!(trusts(&without_copy).await, Err(ExecErrorKind::Verification));
    assert!(trusts(&target).await.is_ok());
    assert!(matches!(claimed().await, ClaimOutcome::Claimed(_)), "whatever lies there, our copy stays right");
    assert!(trusts(&target).await.is_ok());
    std::fs::remove_file(&secret).unwrap();
    assert!(trusts(&target).await.is_ok());
    assert_eq!(trusts(&without_copy).await, Err(ExecErrorKind::SecretUnreadable));
    std::fs::write(&copy, "another").unwrap();
    assert_eq!(trusts(&target).await, Err(ExecErrorKind::SecretUnreadable));
}

for_both_clients!(
    the_fence_is_private_and_a_claim_may_be_repeated,
    only_the_last_one_who_has_claimed_it_starts_anything,
    an_old_start_has_happened_before_the_claim_or_never_will,
    a_start_that_waits_for_the_lock_while_it_is_claimed_is_not_run,
    half_of_a_configuration_starts_nothing,
    what_was_started_holds_no_lock_and_obeys_signals,
    what_was_started_makes_files_as_it_would_without_a_fence,
    the_statuses_of_the_fence_are_a_commands_own_once_it_was_called,
    a_configuration_that_does_not_come_in_time_is_cut_and_no_full_disk,
    kills_obey_the_fence_and_lists_do_not_ask_it,
    without_flock_or_room_or_a_file_it_says_so_and_nothing_is_run,
    a_run_lock_without_a_name_is_told,
    a_released_fence_says_nothing_about_who_came_last_and_keeps_its_mark,
    how_long_an_unfenced_start_may_come_follows_from_when_the_file_was_touched_and_what_it_says,
    a_vm_whose_secret_was_lost_proves_itself_with_the_copy_beside_its_fence,
);

//! Tests that what this machine lacks (room on its disk, processes) is our own side's trouble, and never a VM's fault.
//! Each runs in a process of its own, and only root can make such processes.

use std::fs::File;
use std::io::Write;
use std::process::Command;

use dispatch_adapters::ssh::SshClient;
use dispatch_core::ports::{ExecErrorKind, ExecutorFactory, Target};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::own_side::{kind, watched};
use crate::sshd::Sshd;
use crate::support::{World, eventually, inherited_client, run, stdout};

const PAGE: u64 = 4096;

/// This world's key and server are those of the process that has started this one.
fn inherited() -> (World, Target) {
    let mut world = World::new(inherited_client());
    world.private = std::env::var("OWNER_KEY").unwrap();
    let target = world.target(&std::env::var("OWNER_ADDRESS").unwrap());
    (world, Target { user: "root".to_owned(), ..target })
}

/// Runs that test of this file with those words before it, in a directory that everybody may enter.
fn in_a_process(client: SshClient, words: &[&str], test: &str) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can make such a process: not tried");
        return;
    }
    let world = World::new(client);
    let sshd = Sshd::start(&world.public);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(world.dir.path(), mode).unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(program).args(["--ignored", "--exact", test, "--nocapture"]);
    command.env("OWNER_ADDRESS", sshd.address()).env("OWNER_KEY", &world.private);
    command.env("OWNER_CLIENT", format!("{client:?}"));
    let output = command.env("TMPDIR", world.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(ran, "{output:?}");
}

#[test]
#[ignore = "helper of the test below, which runs it in a process of its own"]
fn owner_on_a_small_disk() {
    actix_rt::System::new().block_on(async {
        let (world, target) = inherited();
        let (executors, trouble) = watched(&world, "ssh".into());
        let connected = executors.open(target.clone());
        assert_eq!(stdout(&connected, "echo before").await, "before\n");
        let path = world.dir.path().join("filling");
        let mut filling = File::create(&path).unwrap();
        while filling.write_all(&[1; PAGE as usize]).is_ok() {}
        let full = filling.metadata().unwrap().len();
        let mut outcomes = Vec::new();
        // Room for a part of what a connection needs: whatever cannot be written, it is our disk.
        for pages in 0..12 {
            filling.set_len(full - pages * PAGE).unwrap();
            let outcome = run(&executors.open(target.clone()), "true").await;
            outcomes.push(outcome.map(|output| output.status).map_err(|error| (error.kind, error.message)));
        }
        let is_ours = |outcome: &Result<i32, (ExecErrorKind, String)>| match outcome {
            Ok(status) => *status == 0,
            Err((kind, _)) => *kind == ExecErrorKind::Local,
        };
        assert!(outcomes.iter().all(is_ours), "{outcomes:#?}");
        match world.client {
            SshClient::OpenSsh => {
                assert!(outcomes[0].is_err() && outcomes[11].is_ok(), "{outcomes:#?}");
            }
            SshClient::Russh => {
                assert!(outcomes.iter().all(Result::is_ok), "no file is needed: {outcomes:#?}")
            }
        }
        assert_eq!(
            stdout(&connected, "echo after").await,
            "after\n",
            "a connection that stands needs no room"
        );
        drop(filling);
        std::fs::remove_file(path).unwrap();
        eventually("the trouble is over", || trouble.borrow().is_none()).await;
    });
}

async fn a_full_disk_is_our_own_trouble_until_there_is_room(client: SshClient) {
    let mount = "mount -t tmpfs -o size=512k,mode=1777 room \"$TMPDIR\" && exec \"$@\"";
    in_a_process(client, &["unshare", "-m", "sh", "-c", mount, "sh"], "shortage::owner_on_a_small_disk");
}

#[test]
#[ignore = "helper of the test below, which runs it in a process of its own"]
fn owner_without_processes() {
    actix_rt::System::new().block_on(async {
        let (world, target) = inherited();
        let (executors, trouble) = watched(&world, "ssh".into());
        let connected = executors.open(target.clone());
        assert_eq!(stdout(&connected, "echo before").await, "before\n");
        let before = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..before }).unwrap();
        assert!(Command::new("true").spawn().is_err(), "else this shows nothing");
        let new = executors.open(target.clone());
        match world.client {
            SshClient::OpenSsh => {
                assert_eq!(kind(&new).await, ExecErrorKind::Local);
                assert!(trouble.borrow().as_ref().unwrap().contains("cannot run ssh"), "{trouble:?}");
            }
            SshClient::Russh => {
                assert_eq!(stdout(&new, "echo new").await, "new\n", "a connection needs no process");
                let by_name = target.address.replace("127.0.0.1", "localhost");
                let by_name = executors.open(Target { address: by_name, ..target.clone() });
                assert_eq!(kind(&by_name).await, ExecErrorKind::Local, "a look-up needs a thread");
                assert!(trouble.borrow().as_ref().unwrap().contains("to look a name up"), "{trouble:?}");
            }
        }
        assert_eq!(
            stdout(&connected, "echo still").await,
            "still\n",
            "a connection that stands needs no process"
        );
        setrlimit(Resource::Nproc, before).unwrap();
        assert_eq!(stdout(&executors.open(target), "echo after").await, "after\n");
        eventually("the trouble is over", || trouble.borrow().is_none()).await;
    });
}

/// The limit of processes does not bind root.
async fn processes_that_are_used_up_are_our_own_trouble_until_there_are_some(client: SshClient) {
    let nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];
    in_a_process(client, &nobody, "shortage::owner_without_processes");
}

for_both_clients!(
    a_full_disk_is_our_own_trouble_until_there_is_room,
    processes_that_are_used_up_are_our_own_trouble_until_there_are_some,
);

//! A VM with a fence, for the tests of the fence.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use dispatch_adapters::ssh::SshClient;
use dispatch_core::id::InstanceSetId;
use dispatch_core::ports::{Executor, Output, ShellCommand};
use dispatch_core::worker::StartOutcome;
use dispatch_core::worker::fence::{ClaimOutcome, Claimed, Epoch, Fence, Mark};

use crate::sshd::Sshd;
use crate::support::{World, until};

/// A VM with a fence, and a dispatcher that reaches it.
pub struct Vm {
    pub world: World,
    pub sshd: Sshd,
    pub executor: Rc<dyn Executor>,
}

impl Vm {
    pub fn new(client: SshClient) -> Self {
        let world = World::new(client);
        let sshd = Sshd::start(&world.public);
        let executor = world.open(&sshd.address());
        Self { world, sshd, executor }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.world.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn fence(&self, epoch: u64) -> Fence {
        let directory = self.path("fence dir").display().to_string();
        Fence::new(&directory, &InstanceSetId::new("set").unwrap(), Epoch::from_micros(epoch))
    }

    /// With the run locks of this VM alone.
    pub async fn run(&self, command: ShellCommand) -> Output {
        let locks = self.path("locks");
        std::fs::create_dir_all(&locks).unwrap();
        let shell = format!("export CRUNCH_RUN_LOCKDIR='{}'; {}", locks.display(), command.shell);
        self.executor.run(ShellCommand { shell, ..command }).await.unwrap()
    }

    pub async fn try_claim(&self, epoch: u64, above: Option<u64>) -> ClaimOutcome {
        let fence = self.fence(epoch);
        let claim = fence.claim(above, false);
        ClaimOutcome::read(&fence, &claim, Ok(self.run(claim.clone()).await))
    }

    pub async fn claim(&self, epoch: u64) -> Claimed {
        match self.try_claim(epoch, None).await {
            ClaimOutcome::Claimed(claimed) => claimed,
            other => panic!("{other:?}"),
        }
    }

    /// A start that writes its stdin into a file and goes on for long.
    pub fn start(&self, mark: Mark, stdin: &'static str) -> ShellCommand {
        let file = self.path("started").display().to_string();
        let shell = format!("cat >'{file}.new'; mv '{file}.new' '{file}'");
        self.guarded(mark, &shell, stdin)
    }

    pub fn guarded(&self, mark: Mark, shell: &str, stdin: &'static str) -> ShellCommand {
        let start = ShellCommand::new(shell, Duration::from_secs(60));
        let stdin = Bytes::from_static(stdin.as_bytes());
        self.fence(0).guard_start(mark, ShellCommand { stdin, privileged: true, acts: true, ..start })
    }

    pub async fn outcome(&self, start: ShellCommand) -> StartOutcome {
        let output = self.run(start.clone()).await;
        StartOutcome::of(&start, Ok(output))
    }

    /// Somebody who holds the fence's lock until it is killed.
    pub fn holder(&self, how: &str) -> Holder {
        self.holder_of(how, "fence dir/set-set.lock")
    }

    /// Somebody who holds the lock of that file until it is killed.
    pub fn holder_of(&self, how: &str, file: &str) -> Holder {
        let mark = self.path(&format!("held {}", file.replace('/', " ")));
        let mut command = Command::new("flock");
        command.args([how, "-F"]).arg(self.path(file));
        command.args(["sh", "-c", ": >\"$0\"; exec sleep 1000"]).arg(&mark);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        until("the lock is held", || mark.exists());
        Holder(child)
    }
}

pub struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

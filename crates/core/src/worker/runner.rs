//! The commands that a worker is sent, as shell text (docs/behaviour.md, "Commands on instances").
//!
//! `CrunchRunCommand` and `BootProbeCommand` are shell text as the site wrote them; every other argument
//! is quoted here, and nothing from a container record is ever interpreted by a shell.

use std::time::Duration;

use bytes::Bytes;

use super::runner_place;
use crate::id::ContainerUuid;
use crate::policy;
use crate::ports::ShellCommand;

const BOOT_PROBE: Duration = Duration::from_secs(60);
const LIST: Duration = Duration::from_secs(30);
const KILL: Duration = Duration::from_secs(30);
const MD5SUM: Duration = Duration::from_secs(30);
const COPY: Duration = Duration::from_secs(300);
/// How long a start command may take, here and on the VM.
pub const START: Duration = Duration::from_secs(60);
/// How long after the death of a dispatcher a start that it had sent may still be without a process that is
/// listed: the command's deadline on the VM, and a moment.
pub const INHERITED_START_WINDOW: Duration = START.saturating_add(Duration::from_secs(2));

/// The runner binary that is deployed: its content and the MD5 that names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Binary {
    /// 32 hex digits.
    pub md5: String,
    /// The whole file.
    pub content: Bytes,
}

impl std::fmt::Debug for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Binary({}, {} bytes)", self.md5, self.content.len())
    }
}

/// How the runner is called on a worker.
#[derive(Debug, Clone)]
pub struct Commands {
    policy: policy::Runner,
    deployed: Option<(String, Binary)>,
    /// Where the runner would be deployed, if it could be read: the ones that an earlier dispatcher has
    /// left there answer for their processes meanwhile.
    unreadable: Option<String>,
}

impl Commands {
    /// With the binary to deploy, if the site deploys one.
    pub fn new(policy: policy::Runner, binary: Option<Binary>) -> Self {
        let deployed = policy.deploy_directory.clone().zip(binary);
        Self { policy, deployed, unreadable: None }
    }

    /// While the binary to deploy cannot be read: nothing is started, and what runs is asked for with
    /// whatever runner there is. A VM must not look dead for a file that is missing here.
    pub fn without_binary(policy: policy::Runner) -> Self {
        let unreadable = policy.deploy_directory.clone();
        Self { policy, deployed: None, unreadable }
    }

    /// Whether a binary has to be on the worker before anything is run there.
    pub fn deploys(&self) -> bool {
        self.deployed.is_some()
    }

    /// The runner, as shell text. One that was deployed is called only if nobody else can have put it there.
    fn runner(&self) -> String {
        match &self.deployed {
            Some((directory, binary)) => {
                let path = path_in(directory, binary);
                format!("{}{}", runner_place::before_call(plain(directory), &path), quote(&path))
            }
            None => self.policy.command.clone(),
        }
    }

    /// The path of the deployed runner, and the MD5 of its content.
    pub fn deployed(&self) -> Option<(String, &str)> {
        self.deployed.as_ref().map(|(directory, binary)| (path_in(directory, binary), binary.md5.as_str()))
    }

    /// The runner with these arguments, as shell text.
    fn call(&self, arguments: &str) -> String {
        match &self.unreadable {
            None => format!("{} {arguments}", self.runner()),
            Some(directory) => self.call_any(directory, arguments),
        }
    }

    /// A runner that lies in that directory, ours or an older one, with these arguments; if there is none, the one that
    /// the site has configured. It is run only if nobody but the user that commands run as (root, where VMs have one)
    /// could have put it there: file and directory are that user's, no links, and nobody else may write them.
    fn call_any(&self, directory: &str, arguments: &str) -> String {
        let directory = quote(plain(directory));
        let otherwise = &self.policy.command;
        format!(
            "own() {{ [ -n \"$(find \"$1\" -prune -type \"$2\" -user \"$(id -u)\" ! -perm -020 ! -perm -002)\" ]; }}; \
             if own {directory} d; then for r in {directory}/crunch-run~*; do \
             if [ -x \"$r\" ] && own \"$r\" f; then exec \"$r\" {arguments}; fi; done; fi; {otherwise} {arguments}"
        )
    }

    /// The same call, if the runner to deploy could not be copied: by another one.
    fn call_without_ours(&self, arguments: &str) -> String {
        match &self.deployed {
            Some((directory, _)) => self.call_any(directory, arguments),
            None => self.call(arguments),
        }
    }

    /// Succeeds when the VM has booted.
    pub fn boot_probe(&self) -> ShellCommand {
        let text = self.policy.boot_probe_command.trim();
        let shell = if text.is_empty() { "true" } else { text };
        ShellCommand::new(shell, BOOT_PROBE)
    }

    /// Prints the MD5 of the deployed runner, and fails unless nobody else can have put it there. `None` if nothing is
    /// deployed. It runs as the user that the runner runs as, because it looks for what belongs to that user.
    pub fn md5sum(&self) -> Option<ShellCommand> {
        let (directory, binary) = self.deployed.as_ref()?;
        let path = path_in(directory, binary);
        let shell = format!("md5sum {} && {}", quote(&path), runner_place::check(plain(directory), &[&path]));
        Some(ShellCommand { privileged: true, ..ShellCommand::new(shell, MD5SUM) })
    }

    /// Whether what [`Commands::md5sum`] printed is the deployed binary's.
    pub fn md5_matches(&self, stdout: &[u8]) -> bool {
        self.deployed.as_ref().is_some_and(|(_, binary)| stdout.starts_with(binary.md5.as_bytes()))
    }

    /// Copies the runner: to a fresh name beside it, checked there, then moved. A half-written runner is
    /// never executed, and one in use never truncated. Nothing is copied into a directory that others can change.
    pub fn install(&self) -> Option<ShellCommand> {
        let (directory, binary) = self.deployed.as_ref()?;
        let (dir, path, md5) = (quote(plain(directory)), quote(&path_in(directory, binary)), &binary.md5);
        let check = runner_place::check(plain(directory), &[]);
        let shell = format!(
            "set -e; umask 022; mkdir -p {dir}; {check}; tmp=$(mktemp {dir}/.crunch-run.XXXXXXXXXX); trap 'rm -f \"$tmp\"' EXIT; \
             cat >\"$tmp\"; chmod 0755 \"$tmp\"; sum=$(md5sum <\"$tmp\"); \
             case \"$sum\" in {md5}*) ;; *) echo \"runner arrived damaged: md5 $sum, not {md5}\" >&2; exit 1;; esac; \
             mv -f \"$tmp\" {path}"
        );
        let stdin = binary.content.clone();
        Some(ShellCommand { privileged: true, stdin, ..ShellCommand::new(shell, COPY) })
    }

    /// Lists the processes on the worker; with a price history on stdin if there is one.
    pub fn list(&self, prices: Option<Bytes>) -> ShellCommand {
        let flag = if prices.is_some() { " --stdin-prices" } else { "" };
        let shell = self.call(&format!("--list{flag}"));
        let stdin = prices.unwrap_or_default();
        ShellCommand { privileged: true, stdin, ..ShellCommand::new(shell, LIST) }
    }

    /// The same, where ours cannot be copied: what runs there must not be hidden by a step that is for new work. No
    /// prices: an older runner may not know of them.
    pub fn list_without_ours(&self) -> ShellCommand {
        ShellCommand { privileged: true, ..ShellCommand::new(self.call_without_ours("--list"), LIST) }
    }

    /// Starts a process that outlives the command.
    pub fn start(&self, uuid: ContainerUuid, stdin: Bytes) -> ShellCommand {
        let mut shell = format!("{} --detach --stdin-config", self.runner());
        let engine = format!("--runtime-engine={}", self.policy.engine);
        let arguments = std::iter::once(engine.as_str())
            .chain(self.policy.arguments.iter().map(String::as_str))
            .chain(std::iter::once(uuid.as_str()));
        for argument in arguments {
            shell.push(' ');
            shell.push_str(&quote(argument));
        }
        ShellCommand { privileged: true, stdin, acts: true, ..ShellCommand::new(shell, START) }
    }

    /// Asks a process to end. Signal 15, never 9: that would orphan the container itself.
    pub fn kill(&self, uuid: ContainerUuid) -> ShellCommand {
        let shell = self.call(&format!("--kill 15 {uuid}"));
        ShellCommand { privileged: true, acts: true, ..ShellCommand::new(shell, KILL) }
    }

    /// The same, where ours cannot be copied.
    pub fn kill_without_ours(&self, uuid: ContainerUuid) -> ShellCommand {
        ShellCommand { shell: self.call_without_ours(&format!("--kill 15 {uuid}")), ..self.kill(uuid) }
    }
}

/// Without a slash at its end, which would make a link's target of the link.
fn plain(directory: &str) -> &str {
    directory.trim_end_matches('/')
}

fn path_in(directory: &str, binary: &Binary) -> String {
    format!("{}/crunch-run~{}", plain(directory), binary.md5)
}

/// `text` as one word of a POSIX shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn commands(deploy: bool) -> Commands {
        let mut runner = Policy::with_defaults().runner;
        runner.arguments = vec!["--cgroup-parent-subsystem=memory".into(), "-enable-network=always".into()];
        let binary =
            Binary { md5: "0123456789abcdef0123456789abcdef".into(), content: Bytes::from_static(b"#!") };
        Commands::new(runner, deploy.then_some(binary))
    }

    fn uuid() -> ContainerUuid {
        "zzzzz-dz642-4ur9hgns31ufr0g".parse().unwrap()
    }

    #[test]
    fn starts_and_kills_act_and_nothing_else_does() {
        let commands = commands(true);
        let acts = |command: &ShellCommand| command.acts;
        assert!(acts(&commands.start(uuid(), Bytes::new())) && acts(&commands.kill(uuid())));
        assert!(!acts(&commands.list(None)) && !acts(&commands.boot_probe()));
    }

    #[test]
    fn a_start_command_is_what_the_reference_sends() {
        assert_eq!(
            commands(false).start(uuid(), Bytes::new()).shell,
            "crunch-run --detach --stdin-config '--runtime-engine=docker' '--cgroup-parent-subsystem=memory' \
             '-enable-network=always' 'zzzzz-dz642-4ur9hgns31ufr0g'"
        );
    }

    #[test]
    fn a_kill_command_has_its_signal_number() {
        assert_eq!(commands(false).kill(uuid()).shell, "crunch-run --kill 15 zzzzz-dz642-4ur9hgns31ufr0g");
    }

    #[test]
    fn the_deployed_runner_is_named_by_its_md5() {
        let commands = commands(true);
        let path = "'/tmp/arvados-crunch-run/crunch-run~0123456789abcdef0123456789abcdef'";
        assert!(commands.list(None).shell.ends_with(&format!("; {path} --list")));
        assert!(commands.md5sum().unwrap().shell.starts_with(&format!("md5sum {path} && ")));
        assert!(commands.install().unwrap().shell.ends_with(&format!("mv -f \"$tmp\" {path}")));
    }

    #[test]
    fn stdin_is_read_only_when_the_flag_says_so() {
        let commands = commands(false);
        assert!(commands.list(None).stdin.is_empty() && !commands.list(None).shell.contains("stdin"));
        let with_prices = commands.list(Some(Bytes::from_static(b"[]")));
        assert_eq!(with_prices.shell, "crunch-run --list --stdin-prices");
    }

    #[test]
    fn without_a_binary_the_runners_that_are_there_are_asked() {
        let commands = Commands::without_binary(Policy::with_defaults().runner);
        assert!(!commands.deploys());
        assert_eq!(
            commands.list(None).shell,
            "own() { [ -n \"$(find \"$1\" -prune -type \"$2\" -user \"$(id -u)\" ! -perm -020 ! -perm -002)\" ]; }; \
             if own '/tmp/arvados-crunch-run' d; then for r in '/tmp/arvados-crunch-run'/crunch-run~*; do \
             if [ -x \"$r\" ] && own \"$r\" f; then exec \"$r\" --list; fi; done; fi; crunch-run --list"
        );
    }

    #[test]
    fn where_ours_cannot_be_copied_the_same_ones_are_asked() {
        let (copied, unreadable) = (commands(true), Commands::without_binary(Policy::with_defaults().runner));
        assert_eq!(copied.list_without_ours(), unreadable.list(None));
        assert_eq!(copied.kill_without_ours(uuid()), unreadable.kill(uuid()));
        assert_eq!(commands(false).list_without_ours().shell, "crunch-run --list");
    }

    #[test]
    fn an_empty_boot_probe_is_true() {
        let mut runner = Policy::with_defaults().runner;
        runner.boot_probe_command = "  ".into();
        assert_eq!(Commands::new(runner, None).boot_probe().shell, "true");
    }

    #[test]
    fn quotes_survive_quoting() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
    }
}

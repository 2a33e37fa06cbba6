//! The fence: a file on each VM that says which dispatcher may start and end processes there
//! (docs/behaviour.md, "Fences").
//!
//! ```text
//!   claim    exclusive lock ─► no file, or a smaller number ─► our mark is written      (once for each VM and life)
//!                           └► a number that is not smaller ─► 91, with that number: claimed again with the next
//!   start    stdin whole ─► length ─► shared lock ─► is it our mark? ─► RUNNER --detach
//!   kill                               shared lock ─► is it our mark? ─► RUNNER --kill      no: 91, nothing is run
//!   release                            shared lock ─► is it our mark? ─► the file says so   (we stop)
//!   list     no lock; the file is touched, so that the next dispatcher sees how fresh it is
//! ```
//! So a start that an earlier dispatcher has sent either has happened before our mark was written, and a later list
//! shows it, or never will. The lock's descriptor is closed for what is started. The time limit of a start stands
//! inside the lock, and the limits of its steps add up to less than the command's own: what ends the command never
//! ends the lock before the start. The runner has the file mode mask that it would have without a fence.
//!
//! It owns the shell texts and the meaning of their exit statuses. Never does: deciding what follows ([`super::Machine`]).

use std::fmt;
use std::time::Duration;

use super::passed;
use super::probe::{CommandFailure, success};
use super::runner::{INHERITED_START_WINDOW, quote};
use crate::id::InstanceSetId;
use crate::ports::{ExecError, Output, ShellCommand};
use crate::secret::Secret;
use crate::time::Timestamp;

/// How long a claim may take: it waits for starts that hold the lock.
const CLAIM: Duration = Duration::from_secs(65);
/// How long a claim waits for the lock, in seconds.
const CLAIM_WAITS: u64 = 50;
/// How long a start's stdin may take, how long it waits for the lock, and how long the runner may take, in seconds:
/// together 20 s less than [`super::runner::START`],
/// which its other steps may take before what ends the command could end the lock before the start.
const START_LIMITS: [u64; 3] = [10, 10, 20];
/// How long a kill waits for the lock, and how long the runner may take, in seconds.
const KILL_LIMITS: [u64; 2] = [10, 15];
/// How long a release waits for the lock, and how long it may take, in seconds.
const RELEASE_LIMITS: [u64; 2] = [2, 2];
/// What ends a claim's line when its dispatcher has stopped: no time by which all is quiet.
const RELEASED: &str = "released";
/// A fence that nobody has touched for so many seconds does not say who came last: another program may know no fences.
const FRESH: u64 = 60;

/// The exit statuses of commands that the fence has stopped. Shells, `timeout`, `sudo` and ssh use none of them; what
/// is called behind the fence may ([`super::passed`]).
const TAKEN: i32 = 91;
const NO_FLOCK: i32 = 92;
const BUSY: i32 = 93;
const UNREADABLE: i32 = 94;
const NOT_WRITTEN: i32 = 95;
const CUT_INPUT: i32 = 96;
const NO_LOCK_FILE: i32 = 66;
/// The runner was ended at its limit, while the lock was held.
const OVERRAN: i32 = 137;

/// When a dispatcher took charge, in microseconds since 1970: by the clock of the database that has granted the
/// dispatcher lock, or else by its own. It names the life of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// That many microseconds after the beginning of 1970.
    pub fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// That moment.
    pub fn at(moment: Timestamp) -> Self {
        Self(u64::try_from(moment.as_microsecond()).unwrap_or(0))
    }
}

/// What a dispatcher writes into a fence: its epoch, or the number after a greater one that it found, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    number: u64,
    owner: Epoch,
}

impl fmt::Display for Mark {
    /// As in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.owner.0)
    }
}

/// A VM whose fence has our mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// What is in the file.
    pub mark: Mark,
    /// For how long a start that nobody fenced may still come, by what the file said before.
    pub unfenced_for: Duration,
    /// No run lock is held that does not name its runner yet: what is to be listed can be listed.
    pub is_settled: bool,
}

/// What has come of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The fence is ours.
    Claimed(Claimed),
    /// The file has a mark that is not ours, with a number that is not smaller.
    Greater(u64),
    /// It could not be read or written, or the lock was not to be had in time.
    Failed(CommandFailure),
}

impl ClaimOutcome {
    /// Reads the answer to [`Fence::claim`].
    pub fn read(fence: &Fence, command: &ShellCommand, answer: Result<Output, ExecError>) -> Self {
        let status = answer.as_ref().ok().map(|output| output.status);
        let said = answer.as_ref().map(|output| Said::read(&output.stdout)).unwrap_or_default();
        match (status, said) {
            (Some(0), Said::Claimed { number, unfenced, is_settled }) => Self::Claimed(Claimed {
                mark: Mark { number, owner: fence.own },
                unfenced_for: Duration::from_secs(unfenced).min(INHERITED_START_WINDOW),
                is_settled,
            }),
            (Some(TAKEN), Said::Greater(number)) => Self::Greater(number),
            (status, _) => Self::Failed(failure(command, answer, status.and_then(NotRun::of_status))),
        }
    }
}

/// A line of a claim's output; a login shell may say something before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Said {
    Claimed {
        number: u64,
        unfenced: u64,
        is_settled: bool,
    },
    Greater(u64),
    #[default]
    Nothing,
}

impl Said {
    fn read(stdout: &[u8]) -> Self {
        let text = String::from_utf8_lossy(stdout);
        let words: Vec<_> = text.lines().next_back().unwrap_or_default().split_ascii_whitespace().collect();
        let said = match words[..] {
            ["fence-claimed", number, unfenced, locks] => number
                .parse()
                .ok()
                .zip(unfenced.parse().ok())
                .map(|(number, unfenced)| Self::Claimed { number, unfenced, is_settled: locks == "settled" }),
            ["fence-seen", number] => number.parse().ok().map(Self::Greater),
            _ => None,
        };
        said.unwrap_or_default()
    }
}

/// Why a fenced command was not run: the runner was not even called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotRun {
    /// The fence has another dispatcher's mark.
    Taken,
    /// The VM has no `flock`.
    NoFlock,
    /// The lock was not to be had in time.
    Busy,
    /// There is no file, or what it says is no mark, or an older one than ours.
    Unreadable,
    /// A file could not be written, most likely because the disk is full.
    NotWritten,
    /// Not all of stdin has come: the connection was cut.
    CutInput,
    /// The lock's file cannot be opened.
    NoLockFile,
}

impl NotRun {
    /// What the end of a fenced command says; `None` = the fence has let it through, and its status is its own.
    pub fn of(output: &Output) -> Option<Self> {
        if passed::has_passed(output) { None } else { Self::of_status(output.status) }
    }

    fn of_status(status: i32) -> Option<Self> {
        match status {
            TAKEN => Some(Self::Taken),
            NO_FLOCK => Some(Self::NoFlock),
            BUSY => Some(Self::Busy),
            UNREADABLE => Some(Self::Unreadable),
            NOT_WRITTEN => Some(Self::NotWritten),
            CUT_INPUT => Some(Self::CutInput),
            NO_LOCK_FILE => Some(Self::NoLockFile),
            _ => None,
        }
    }

    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "the fence has another dispatcher's mark",
            Self::NoFlock => "no fence: there is no flock on the instance",
            Self::Busy => "the fence's lock was not to be had in time",
            Self::Unreadable => "no fence: its file cannot be read",
            Self::NotWritten => "no fence: a file cannot be written; is the disk full?",
            Self::CutInput => "not all of the start's configuration has come",
            Self::NoLockFile => "no fence: its lock cannot be opened",
        }
    }
}

/// Whether a fenced command was ended at its limit. A runner's process that it had begun may still name itself.
pub fn has_overrun(status: i32) -> bool {
    status == OVERRAN
}

/// The failure of a fenced command, in words that say what the fence has to do with it.
pub fn failure(
    command: &ShellCommand,
    answer: Result<Output, ExecError>,
    not_run: Option<NotRun>,
) -> CommandFailure {
    let said_nothing = |output: Output| CommandFailure {
        error: "its answer cannot be understood".to_owned(),
        ..CommandFailure::of_output(command, &output)
    };
    let failure = success(command, answer).map_or_else(|failure| failure, said_nothing);
    match not_run {
        Some(reason) => CommandFailure { error: reason.as_str().to_owned(), ..failure },
        None => failure,
    }
}

/// Where the fence of an instance set lies on its VMs, and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    directory: String,
    file: String,
    own: Epoch,
}

impl Fence {
    /// The fence of that instance set in that directory, which only root may enter; relative = to the directory that
    /// commands run in.
    pub fn new(directory: &str, set: &InstanceSetId, own: Epoch) -> Self {
        let plain = |character: char| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' => character,
            _ => '_',
        };
        let name: String = set.as_str().chars().take(200).map(plain).collect();
        let directory = directory.trim_end_matches('/').to_owned();
        Self { file: format!("{directory}/set-{name}"), directory, own }
    }

    /// Where a copy of the instance's secret lies. Its name tells nothing to whoever is asked for it.
    pub fn secret_copy(&self) -> String {
        format!("{}/instance-secret", self.directory)
    }

    /// A claim that also writes that secret beside the fence, so that a VM whose `/var/run` was emptied can still prove
    /// itself. It comes on stdin, from us: what lies on the VM may be another by now. If that fails, the claim does
    /// not.
    pub fn keep_secret(&self, claim: ShellCommand, secret: &Secret) -> ShellCommand {
        let copy = self.secret_copy();
        let (directory, new, copy) = (quote(&self.directory), quote(&format!("{copy}.new")), quote(&copy));
        let shell = format!(
            "umask 077; {{ mkdir -p -m 700 {directory} && cat >{new} && [ -s {new} ] && mv -f {new} {copy}; }} \
             2>/dev/null; {}",
            claim.shell
        );
        ShellCommand { shell, stdin: secret.to_bytes(), ..claim }
    }

    /// Writes our mark, unless the file has a number that is not smaller. `above` = a number that was found so;
    /// `is_new` = we have made the VM, so nobody else can have sent anything there.
    pub fn claim(&self, above: Option<u64>, is_new: bool) -> ShellCommand {
        let window = if is_new { 0 } else { INHERITED_START_WINDOW.as_secs() };
        let number = above.map_or(self.own.0, |seen| self.own.0.max(seen.saturating_add(1)));
        let (directory, file, lock) = self.paths();
        let shell = format!(
            "umask 077; command -v flock >/dev/null || exit {NO_FLOCK}; \
             [ -d {directory} ] || mkdir -p -m 700 {directory} || exit {NOT_WRITTEN}; \
             trap '' TERM; exec flock -x -o -w {CLAIM_WAITS} -E {BUSY} {lock} sh -c {script} \
             sh {file} {number} {own} {window}",
            script = quote(&claim_script()),
            own = self.own.0,
        );
        ShellCommand { privileged: true, acts: true, ..ShellCommand::new(shell, CLAIM) }
    }

    /// Runs a start only if the file has that mark, and all of its stdin has come.
    pub fn guard_start(&self, mark: Mark, start: ShellCommand) -> ShellCommand {
        let [input, wait, run] = START_LIMITS;
        let bytes = start.stdin.len();
        let directory = quote(&self.directory);
        // The lock is taken when nothing is waited for any more but the lock. The copy has no name by then.
        let spool = format!(
            "t=$(mktemp {directory}/in.XXXXXX) && exec 3<>\"$t\" && rm -f \"$t\" || exit {NOT_WRITTEN}; \
             timeout {input} cat >&3 || {{ [ $? = 124 ] && exit {CUT_INPUT}; exit {NOT_WRITTEN}; }}; \
             exec </proc/self/fd/3 3>&- || exit {NOT_WRITTEN}; \
             [ \"$(wc -c </proc/self/fd/0)\" -eq {bytes} ] || exit {CUT_INPUT}; "
        );
        self.guard(mark, start, &spool, [wait, run])
    }

    /// Runs a kill only if the file has that mark.
    pub fn guard_kill(&self, mark: Mark, kill: ShellCommand) -> ShellCommand {
        self.guard(mark, kill, "", KILL_LIMITS)
    }

    /// Says in the file that whoever has that mark has stopped: a program without fences may come next. The mark stays,
    /// so that starts that are still on their way are not run once the next one has claimed it.
    pub fn release(&self, mark: Mark) -> ShellCommand {
        let (_, file, _) = self.paths();
        let new = quote(&format!("{}.new", self.file));
        let shell =
            format!("umask 077; echo '{mark} {RELEASED}' >{new} && mv -f {new} {file} || exit {NOT_WRITTEN}");
        let command = ShellCommand::new(shell, Duration::from_secs(RELEASE_LIMITS.iter().sum::<u64>() + 1));
        self.guard(mark, ShellCommand { privileged: true, acts: true, ..command }, "", RELEASE_LIMITS)
    }

    fn guard(&self, mark: Mark, command: ShellCommand, before: &str, limits: [u64; 2]) -> ShellCommand {
        let [wait, run] = limits;
        let (_, file, lock) = self.paths();
        let shell = format!(
            "command -v flock >/dev/null || exit {NO_FLOCK}; {before}\
             trap '' TERM; exec flock -s -o -w {wait} -E {BUSY} {lock} timeout -s KILL {run} sh -c {script} \
             sh {file} {number} {own} {runner}",
            script = quote(&guard_script()),
            number = mark.number,
            own = mark.owner.0,
            runner = quote(&command.shell),
        );
        ShellCommand { shell, ..command }
    }

    /// Touches the file, if there is one, before the command is run.
    pub fn touch(&self, command: ShellCommand) -> ShellCommand {
        let (_, file, _) = self.paths();
        let shell = format!("touch -c {file} 2>/dev/null; {}", command.shell);
        ShellCommand { shell, ..command }
    }

    /// Directory, file and lock, each as one word of a shell.
    fn paths(&self) -> (String, String, String) {
        (quote(&self.directory), quote(&self.file), quote(&format!("{}.lock", self.file)))
    }
}

/// Under the exclusive lock, with file, number, owner, and for how many seconds an unfenced start may come: `c w q` are
/// number, owner and quiet of the file; quiet is when, by the VM's clock, no start can come any more that nobody has
/// fenced, or that its dispatcher has stopped.
fn claim_script() -> String {
    format!(
        "f=$1 n=$2 o=$3 c=0 w= q=; now=$(date +%s) || exit {NOT_WRITTEN}; quiet=$((now + $4)); \
         if [ -e \"$f\" ]; then read -r c w q <\"$f\"; \
         case $c in ''|*[!0-9]*|???????????????????*) exit {UNREADABLE};; esac; \
         age=$((now - $(stat -c %Y \"$f\" || echo 0))); \
         case $q in ''|*[!0-9]*|????????????*) ;; *) \
         if [ \"$age\" -ge -5 ] && [ \"$age\" -lt {FRESH} ] && [ \"$q\" -lt \"$quiet\" ]; then quiet=$q; fi;; esac; fi; \
         if [ \"$w\" = \"$o\" ]; then n=$c; else \
         [ \"$n\" -gt \"$c\" ] || {{ echo \"fence-seen $c\"; exit {TAKEN}; }}; \
         printf '%s\\n' \"$n $o $quiet\" >\"$f.new\" && read -r c w q <\"$f.new\" && [ \"$c $w $q\" = \"$n $o $quiet\" ] \
         && mv -f \"$f.new\" \"$f\" || exit {NOT_WRITTEN}; fi; \
         left=$((quiet - now)); [ \"$left\" -gt 0 ] || left=0; locks=settled; \
         for l in \"${{CRUNCH_RUN_LOCKDIR:-/var/lock}}\"/crunch-run-*.lock; do \
         case $l in */crunch-run-all.lock) continue;; esac; \
         if [ -f \"$l\" ] && [ -O \"$l\" ] && [ ! -L \"$l\" ] && [ ! -s \"$l\" ] && ! {{ flock -n -s 9; }} 9<\"$l\"; then locks=unsettled; fi; done; \
         echo \"fence-claimed $n $left $locks\""
    )
}

/// Under the shared lock, with file, number, owner and the command.
fn guard_script() -> String {
    format!(
        "c= w=; [ -e \"$1\" ] && read -r c w q <\"$1\" || exit {UNREADABLE}; \
         case $c in ''|*[!0-9]*|???????????????????*) exit {UNREADABLE};; esac; \
         if [ \"$c $w\" != \"$2 $3\" ]; then [ \"$c\" -ge \"$2\" ] && exit {TAKEN}; exit {UNREADABLE}; fi; \
         {announcement}; exec sh -c \"$4\"",
        announcement = passed::announcement(),
    )
}

#[cfg(test)]
#[path = "fence_tests.rs"]
mod tests;

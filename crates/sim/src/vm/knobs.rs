//! The settings that say how VMs and the processes on them behave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dispatch_core::id::{ContainerUuid, ProviderType};
use dispatch_core::time::Timestamp;

use super::lasting::Lasting;
use crate::chance::Span;
use crate::controller::Submission;

/// What the behaviour of every VM and process of a world is drawn from.
#[derive(Debug, Clone)]
pub struct VmKnobs {
    /// The time from the VM's creation until its sshd listens.
    pub ssh_after: Span,
    /// The time from then until its secret is on its disk.
    pub secret_after: Span,
    /// The time from the VM's creation until its boot probe succeeds.
    pub boots_after: Span,
    /// How likely a VM never boots.
    pub never_boots_rate: f64,
    /// Types whose image is bad, so that their VMs never boot.
    pub bad_images: BTreeSet<ProviderType>,
    /// The site's boot probe. `true` and an empty one always succeed.
    pub boot_probe: String,
    /// How likely an image lacks crunch-run.
    pub runner_missing_rate: f64,
    /// How likely a VM's disk is full: no start succeeds.
    pub full_disk_rate: f64,
    /// How likely a VM reports `broken` as soon as it has booted.
    pub broken_rate: f64,
    /// How likely a VM dies by itself.
    pub dies_rate: f64,
    /// When it dies, counted from its creation.
    pub dies_after: Span,
    /// How likely a VM begins to report `broken` at some time after its boot.
    pub breaks_rate: f64,
    /// How likely its disk fills up at some time after its boot.
    pub disk_fills_rate: f64,
    /// How likely a cleaner removes the runners that were copied there, at some time after its boot.
    pub runners_removed_rate: f64,
    /// How many VMs lose the file with their secret at some time, if a dispatcher has been there: a cleaner empties
    /// `/var/run`, or another secret lies there.
    pub secret_lost_rate: f64,
    /// How likely its sshd turns bad at some time, for each way of being bad.
    pub ssh_rates: Vec<(Ssh, f64)>,
    /// For how long its sshd stays bad; `None` = for ever.
    pub ssh_bad_for: Option<Span>,
    /// When a VM turns bad in these ways, counted from its creation.
    pub turns_after: Span,
    /// How long it takes to open a connection.
    pub connect: Span,
    /// How long a command's way there and back takes.
    pub latency: Span,
    /// How long it takes until a started process is detached. Until then `--list` does not show it.
    pub detach: Span,
    /// How likely a command's connection is cut before the command runs.
    pub cut_before_rate: f64,
    /// How likely a command's connection is cut after the command has run.
    pub cut_after_rate: f64,
    /// How likely a command hangs until its deadline.
    pub hang_rate: f64,
    /// How likely a connection that breaks does not say so: what is asked over it gets no answer, until another is opened.
    pub silent_break_rate: f64,
    /// How likely the cloud announces that it will take a VM back: its processes are told, and end in order.
    pub announced_rate: f64,
    /// How likely a start or a claim arrives only after its connection has broken, and when.
    pub late_rate: f64,
    /// How much later.
    pub late_by: Span,
    /// How likely a VM has no `flock`, so that its fence cannot be claimed.
    pub no_fence_rate: f64,
    /// How likely a list has more in it than a list should: an unknown word behind a uuid, or a line from elsewhere.
    pub strange_list_rate: f64,
    /// How likely a list breaks off somewhere.
    pub cut_list_rate: f64,
    /// What becomes of watches.
    pub watch: WatchKnobs,
    /// The behaviour of processes that `job_of` does not name.
    pub jobs: JobKnobs,
    /// The behaviour of the processes of these containers.
    pub job_of: BTreeMap<ContainerUuid, Job>,
    /// What is wrong for ever.
    pub lasting: Lasting,
}

impl Default for VmKnobs {
    /// Nothing goes wrong. SSH answers after 10 s, and VMs have booted after 20 s.
    fn default() -> Self {
        Self {
            ssh_after: Span::seconds(10),
            secret_after: Span::seconds(2),
            boots_after: Span::seconds(20),
            never_boots_rate: 0.0,
            bad_images: BTreeSet::new(),
            boot_probe: "systemctl is-system-running".to_owned(),
            runner_missing_rate: 0.0,
            full_disk_rate: 0.0,
            broken_rate: 0.0,
            dies_rate: 0.0,
            dies_after: Span::seconds(600),
            breaks_rate: 0.0,
            disk_fills_rate: 0.0,
            runners_removed_rate: 0.0,
            secret_lost_rate: 0.0,
            ssh_rates: Vec::new(),
            ssh_bad_for: Some(Span::seconds(60)),
            turns_after: Span::between_millis(20_000, 600_000),
            connect: Span::millis(100),
            latency: Span::millis(20),
            detach: Span::millis(200),
            cut_before_rate: 0.0,
            cut_after_rate: 0.0,
            hang_rate: 0.0,
            silent_break_rate: 0.0,
            announced_rate: 0.0,
            late_rate: 0.0,
            late_by: Span::between_millis(100, 40_000),
            no_fence_rate: 0.0,
            strange_list_rate: 0.0,
            cut_list_rate: 0.0,
            watch: WatchKnobs::default(),
            jobs: JobKnobs::default(),
            job_of: BTreeMap::new(),
            lasting: Lasting::default(),
        }
    }
}

impl VmKnobs {
    /// Lets nothing go wrong that is drawn from now on. Durations, and what is wrong for ever, stay.
    pub fn stop_faults(&mut self) {
        let Self { ssh_after, secret_after, boots_after, connect, latency, detach, .. } = *self;
        let (boot_probe, job_of) = (std::mem::take(&mut self.boot_probe), std::mem::take(&mut self.job_of));
        let lasting = std::mem::take(&mut self.lasting);
        let watch = WatchKnobs { supported: self.watch.supported, ..WatchKnobs::default() };
        let JobKnobs { running_after, lasts, ends_after_term, .. } = self.jobs;
        let jobs = JobKnobs { running_after, lasts, ends_after_term, ..JobKnobs::default() };
        *self = Self {
            ssh_after,
            secret_after,
            boots_after,
            connect,
            latency,
            detach,
            boot_probe,
            job_of,
            lasting,
            watch,
            jobs,
            ..Self::default()
        };
    }
}

/// What becomes of watches.
#[derive(Debug, Clone, Copy)]
pub struct WatchKnobs {
    /// Whether the executors can watch at all.
    pub supported: bool,
    /// How likely a line never comes.
    pub lost_rate: f64,
    /// How likely a line comes later.
    pub late_rate: f64,
    /// How likely a line comes twice.
    pub repeated_rate: f64,
    /// How likely the end of a process is told that lives.
    pub false_rate: f64,
    /// How likely lines come that mean nothing.
    pub garbage_rate: f64,
    /// How likely a watch prints more than it may.
    pub floods_rate: f64,
    /// How likely a watch prints nothing, whatever happens.
    pub hangs_rate: f64,
    /// How likely a watch ends by itself.
    pub dies_rate: f64,
    /// How likely a watch is refused a session.
    pub refused_rate: f64,
    /// How likely a VM's sshd allows one session only.
    pub one_session_rate: f64,
    /// How much later a line comes, and when a watch dies, floods or lies.
    pub within: Span,
}

impl Default for WatchKnobs {
    /// Every end is told at once.
    fn default() -> Self {
        Self {
            supported: true,
            lost_rate: 0.0,
            late_rate: 0.0,
            repeated_rate: 0.0,
            false_rate: 0.0,
            garbage_rate: 0.0,
            floods_rate: 0.0,
            hangs_rate: 0.0,
            dies_rate: 0.0,
            refused_rate: 0.0,
            one_session_rate: 0.0,
            within: Span::between_millis(0, 30_000),
        }
    }
}

/// What the behaviour of processes is drawn from.
#[derive(Debug, Clone)]
pub struct JobKnobs {
    /// The time from the start of the process until it sets its container Running.
    pub running_after: Span,
    /// How long the process runs, unless its command is `sleep N`.
    pub lasts: Span,
    /// How likely it crashes before it sets Running.
    pub crash_before_running_rate: f64,
    /// How likely it crashes after it has set Running.
    pub crash_after_running_rate: f64,
    /// How likely a helper keeps the lock of a process that crashed.
    pub stale_rate: f64,
    /// How long the helper keeps it; `None` = for ever.
    pub stale_for: Option<Span>,
    /// How long a process takes to end after SIGTERM.
    pub ends_after_term: Span,
    /// How likely a process ignores SIGTERM.
    pub ignores_term_rate: f64,
}

impl Default for JobKnobs {
    fn default() -> Self {
        Self {
            running_after: Span::seconds(2),
            lasts: Span::seconds(5),
            crash_before_running_rate: 0.0,
            crash_after_running_rate: 0.0,
            stale_rate: 0.0,
            stale_for: Some(Span::seconds(60)),
            ends_after_term: Span::millis(500),
            ignores_term_rate: 0.0,
        }
    }
}

/// How one process behaves.
#[derive(Debug, Clone)]
pub struct Job {
    /// The time from its start until it sets its container Running.
    pub running_after: Duration,
    /// The time from Running until Complete.
    pub lasts: Duration,
    /// The exit status that it reports for the container.
    pub exit_code: i64,
    /// Whether and when it crashes.
    pub crash: Crash,
    /// What becomes of its lock when it crashes.
    pub helper: Helper,
    /// How it reacts to SIGTERM.
    pub on_term: OnTerm,
    /// What a supervisor submits once it is Running. It waits for these children before it sets itself
    /// Complete.
    pub children: Vec<Submission>,
}

impl Default for Job {
    /// Running after 2 s, and Complete 5 s later.
    fn default() -> Self {
        Self {
            running_after: Duration::from_secs(2),
            lasts: Duration::from_secs(5),
            exit_code: 0,
            crash: Crash::Never,
            helper: Helper::LetsGo,
            on_term: OnTerm::EndsAfter(Duration::from_millis(500)),
            children: Vec::new(),
        }
    }
}

/// Whether and when a process dies without reporting anything to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// It does not crash.
    Never,
    /// It crashes just before it would have set its container Running.
    BeforeRunning,
    /// It crashes in the middle of its run.
    WhileRunning,
}

/// What the mount helper of a crashed crunch-run does with the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// It ends as well, and so releases the lock.
    LetsGo,
    /// It keeps the lock for that long; `--list` says `UUID stale`.
    KeepsLock(Duration),
    /// It keeps the lock for ever.
    KeepsLockForEver,
}

/// How a process reacts to SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTerm {
    /// It sets its container Cancelled and ends after that time.
    EndsAfter(Duration),
    /// It ignores the signal and runs to its end.
    Ignores,
}

/// How one VM behaves. It is drawn when the VM is made; tests may change it at any time.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// When its sshd listens.
    pub ssh_at: Timestamp,
    /// When its secret is on its disk.
    pub secret_at: Timestamp,
    /// When its boot probe succeeds; `None` = never.
    pub boots_at: Option<Timestamp>,
    /// How its sshd behaves.
    pub ssh: Ssh,
    /// Whether it never answers, whatever `ssh` was set to.
    pub never_answers: bool,
    /// Whether the image lacks crunch-run: starts end with status 127.
    pub runner_missing: bool,
    /// Whether the disk is full, so that no start succeeds.
    pub full_disk: bool,
    /// Whether `--list` says `broken`.
    pub broken: bool,
    /// The status with which every claim of its fence ends, if it has none: 92 without `flock`, 95 on a full disk.
    pub no_fence: Option<i32>,
    /// Containers of other VMs that `--list` names nevertheless.
    pub also_lists: BTreeSet<ContainerUuid>,
    /// Whether its sshd allows one session only.
    pub one_session: bool,
}

/// How an sshd behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ssh {
    /// It works.
    Fine,
    /// It refuses connections.
    Refused,
    /// It accepts connections and then sends nothing.
    Hanging,
    /// It does not accept our key.
    NoEntry,
    /// It shows another host key than at first, and does not know the secret.
    Impostor,
    /// It accepts the login, and then no command ends.
    CommandsHang,
}

/// What may strike one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandFault {
    /// The connection breaks before the command runs.
    CutBefore,
    /// The connection breaks after the command has run, so that its answer is lost.
    CutAfter,
    /// The connection breaks, and the command is run later.
    Late,
    /// The command is never run, and no answer comes.
    Hang,
}

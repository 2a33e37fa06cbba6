//! How VMs and the processes on them behave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dispatch_core::id::{ContainerUuid, ProviderType};
use dispatch_core::time::Timestamp;

use crate::chance::Span;
use crate::controller::Submission;

/// What every VM and process of a world is drawn from.
#[derive(Debug, Clone)]
pub struct VmKnobs {
    /// From the VM's creation until its sshd listens.
    pub ssh_after: Span,
    /// From then on until its secret lies there.
    pub secret_after: Span,
    /// From the VM's creation until its boot probe succeeds.
    pub boots_after: Span,
    /// How likely a VM never gets that far.
    pub never_boots_rate: f64,
    /// Types whose image is bad: they never boot.
    pub bad_images: BTreeSet<ProviderType>,
    /// What the site's boot probe is; `true` and an empty one always succeed.
    pub boot_probe: String,
    /// How likely an image lacks crunch-run.
    pub runner_missing_rate: f64,
    /// How likely a VM's disk is full: no start succeeds.
    pub full_disk_rate: f64,
    /// How likely a VM reports `broken` from its boot on.
    pub broken_rate: f64,
    /// How likely a VM dies, and when after its creation.
    pub dies_rate: f64,
    /// When after its creation, if it does.
    pub dies_after: Span,
    /// How likely a VM begins to report `broken` in the course of its life.
    pub breaks_rate: f64,
    /// How likely its disk fills up in the course of its life.
    pub disk_fills_rate: f64,
    /// How likely its sshd turns bad in the course of its life, by the way in which it does.
    pub ssh_rates: Vec<(Ssh, f64)>,
    /// For how long; `None` = for ever.
    pub ssh_bad_for: Option<Span>,
    /// When after its creation a VM turns bad in these ways.
    pub turns_after: Span,
    /// How long a connection takes.
    pub connect: Span,
    /// How long a command takes on the way there and back.
    pub latency: Span,
    /// How long a start takes until it is detached: until then `--list` does not show it.
    pub detach: Span,
    /// How likely a command's connection is cut before it ran.
    pub cut_before_rate: f64,
    /// How likely a command's connection is cut after it ran.
    pub cut_after_rate: f64,
    /// How likely a command hangs until its deadline.
    pub hang_rate: f64,
    /// How processes behave that nobody has prescribed.
    pub jobs: JobKnobs,
    /// How the processes of these containers behave.
    pub job_of: BTreeMap<ContainerUuid, Job>,
}

impl Default for VmKnobs {
    /// Nothing goes wrong; SSH after 10 s, booted after 20 s.
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
            ssh_rates: Vec::new(),
            ssh_bad_for: Some(Span::seconds(60)),
            turns_after: Span::between_millis(20_000, 600_000),
            connect: Span::millis(100),
            latency: Span::millis(20),
            detach: Span::millis(200),
            cut_before_rate: 0.0,
            cut_after_rate: 0.0,
            hang_rate: 0.0,
            jobs: JobKnobs::default(),
            job_of: BTreeMap::new(),
        }
    }
}

impl VmKnobs {
    /// Nothing that is drawn from now on goes wrong; durations stay.
    pub fn stop_faults(&mut self) {
        let Self { ssh_after, secret_after, boots_after, connect, latency, detach, .. } = *self;
        let (boot_probe, job_of) = (std::mem::take(&mut self.boot_probe), std::mem::take(&mut self.job_of));
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
            jobs,
            ..Self::default()
        };
    }
}

/// What jobs are drawn from.
#[derive(Debug, Clone)]
pub struct JobKnobs {
    /// From the start of the process until it sets Running.
    pub running_after: Span,
    /// How long it runs, unless its command is `sleep N`.
    pub lasts: Span,
    /// How likely it crashes before it sets Running.
    pub crash_before_running_rate: f64,
    /// How likely it crashes after it has set Running.
    pub crash_after_running_rate: f64,
    /// How likely a helper keeps the lock of one that crashed.
    pub stale_rate: f64,
    /// How long it does so; `None` = for ever.
    pub stale_for: Option<Span>,
    /// How long it takes to end after SIGTERM.
    pub ends_after_term: Span,
    /// How likely it ignores SIGTERM.
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
    /// From its start until it sets Running.
    pub running_after: Duration,
    /// From Running until Complete.
    pub lasts: Duration,
    /// Exit status of the container.
    pub exit_code: i64,
    /// Whether and when it dies without a word.
    pub crash: Crash,
    /// What becomes of its lock when it crashes.
    pub helper: Helper,
    /// What it does about SIGTERM.
    pub on_term: OnTerm,
    /// What it submits when it is Running, and waits for before it is Complete: a supervisor.
    pub children: Vec<Submission>,
}

impl Default for Job {
    /// Running after 2 s, Complete 5 s later.
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

/// Whether and when a process dies without a word to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// It does not.
    Never,
    /// Just before it would have set Running.
    BeforeRunning,
    /// In the middle of its run.
    WhileRunning,
}

/// What the mount helper of a crashed crunch-run does with its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// It ends as well.
    LetsGo,
    /// It keeps the lock for a while: `UUID stale`.
    KeepsLock(Duration),
    /// It keeps the lock for ever.
    KeepsLockForEver,
}

/// What a process does about SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTerm {
    /// It sets Cancelled and ends so much later.
    EndsAfter(Duration),
    /// Nothing: it runs to its end.
    Ignores,
}

/// How one VM behaves. Drawn when it is made; tests may change it at any time.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// When its sshd listens.
    pub ssh_at: Timestamp,
    /// When its secret lies there.
    pub secret_at: Timestamp,
    /// When its boot probe succeeds; `None` = never.
    pub boots_at: Option<Timestamp>,
    /// What its sshd is like.
    pub ssh: Ssh,
    /// Whether the image lacks crunch-run: 127.
    pub runner_missing: bool,
    /// Whether the disk is full: no start succeeds.
    pub full_disk: bool,
    /// Whether `--list` says `broken`.
    pub broken: bool,
}

/// What an sshd is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ssh {
    /// As it should be.
    Fine,
    /// Nobody listens.
    Refused,
    /// It accepts connections and says nothing more.
    Hanging,
    /// It does not know our key.
    NoEntry,
    /// It shows another host key than at first, and does not know the secret.
    Impostor,
    /// It lets us in, and then no command ends.
    CommandsHang,
}

/// What may strike one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommandFault {
    /// The connection breaks before the command is run.
    CutBefore,
    /// The connection breaks after it was run: its answer is lost.
    CutAfter,
    /// It is never run, and never answers.
    Hang,
}

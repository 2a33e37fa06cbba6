//! One verified connection: from an address to something that runs commands.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use dispatch_core::ports::{Command, ExecError, ExecErrorKind, HostKey, Output, Target};
use openssh::Session;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::Settings;
use super::config::{ClientConfig, known_hosts_line, shown_host_key};
use super::endpoint::Endpoint;
use super::failure::{ConnectFailure, error, last_words};
use super::master::Master;
use super::runtime::Runtime;
use super::session::{Ended, Failure, execute};
use super::shell::{remote_seconds, wrap};
use super::verify::verify;

/// A server allows ten sessions on a connection; two are left for commands that we gave up.
const SESSIONS: usize = 8;
/// The most that a command may write to one of its streams.
const LONGEST_STREAM: usize = 32 << 20;

/// The client is on this machine: what takes longer is not an answer.
const ANSWER_OF_CLIENT: Duration = Duration::from_secs(5);

/// Why a command has no exit status, and what that means for the connection.
pub(super) struct RunFailure {
    pub error: ExecError,
    pub aftermath: Aftermath,
}

/// What a failed command leaves of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aftermath {
    /// All of it.
    Intact,
    /// One of the server's sessions may be taken for as long as it lives.
    SessionTaken,
    /// Nothing.
    Lost,
}

/// An open connection to a VM that has proven itself. Closed when dropped.
pub(super) struct Connection {
    session: Session,
    master: Master,
    slots: Semaphore,
    /// How many slots there are, taken ones included.
    sessions: Cell<usize>,
    user: String,
    host_key: HostKey,
    ended: Cell<bool>,
}

impl Connection {
    /// Connects, logs in and verifies; `known` is the key that was verified before.
    pub(super) async fn open(
        settings: &Settings,
        runtime: &Rc<Runtime>,
        target: &Target,
        known: Option<HostKey>,
    ) -> Result<Self, ExecError> {
        let endpoint = Endpoint::parse(&target.address, settings.default_port)?;
        check_user(&target.user)?;
        let (master, known) = match dial(settings, runtime, &endpoint, target, known.as_ref()).await {
            Ok(master) => (master, known),
            Err(ConnectFailure::KeyChanged) => {
                slog::warn!(settings.log, "host key has changed"; "Instance" => target.id.as_str());
                let again = dial(settings, runtime, &endpoint, target, None).await;
                (again.map_err(|failure| give_up(failure, target))?, None)
            }
            Err(ConnectFailure::Failed(failure)) => return Err(failure),
        };
        let connection = Self::attach(master, target).await?;
        if known.as_ref() != Some(&connection.host_key) {
            verify(settings, target, &connection.session, &connection.host_key).await?;
        }
        Ok(connection)
    }

    async fn attach(master: Master, target: &Target) -> Result<Self, ExecError> {
        let local = |text: String| error(ExecErrorKind::Local, text);
        let socket = master.dir().file("master").into_boxed_path();
        let session = Session::resume_mux(socket, Some(master.dir().file("log").into_boxed_path()));
        let check = timeout(ANSWER_OF_CLIENT, session.check()).await;
        if !matches!(check, Ok(Ok(()))) {
            return Err(local(format!("ssh client does not answer: {}", last_words(&master.log()))));
        }
        let host_key = shown_host_key(&master.dir().read("known_hosts"))
            .ok_or_else(|| local("ssh client did not note the host key".to_owned()))?;
        Ok(Self {
            session,
            master,
            slots: Semaphore::new(SESSIONS),
            sessions: Cell::new(SESSIONS),
            user: target.user.clone(),
            host_key,
            ended: Cell::new(false),
        })
    }

    pub(super) fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    pub(super) fn master(&self) -> &Master {
        &self.master
    }

    /// Notes that the master has ended.
    pub(super) fn mark_ended(&self) {
        self.ended.set(true);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Runs a command within its deadline and `grace`, by which the VM's own timeout is the first to act.
    pub(super) async fn run(&self, command: &Command, grace: Duration) -> Result<Output, RunFailure> {
        let started = Instant::now();
        let sent = wrap(command, &self.user);
        let running = self.in_session(&sent, command);
        match timeout(command.deadline.saturating_add(grace), running).await {
            Ok(Ok(ended)) => self.judge(ended, command, started.elapsed().as_secs()).await,
            Ok(Err(Failure::TooMuch)) => {
                let error = error(ExecErrorKind::OutputTooLarge, "command wrote more than 32 MiB");
                Err(RunFailure { error, aftermath: Aftermath::SessionTaken })
            }
            Ok(Err(Failure::NotStarted(why) | Failure::Lost(why))) => Err(self.lost(&why)),
            Err(_) => Err(timed_out(command, Aftermath::SessionTaken)),
        }
    }

    /// Waits for a session and runs in it. A server that allows fewer than we thought refuses to open one: then
    /// nothing was run, we think less of it from now on, and wait for one of those that are open.
    async fn in_session(&self, sent: &str, command: &Command) -> Result<Ended, Failure> {
        let mut patience = 20;
        loop {
            let slot = self.slots.acquire().await.expect("it is never closed");
            let result = execute(&self.session, sent, &command.stdin, LONGEST_STREAM).await;
            let refused = matches!(result, Err(Failure::NotStarted(_))) && self.is_alive().await;
            if !refused || patience == 0 {
                return result;
            }
            if self.sessions.get() > 1 {
                self.sessions.set(self.sessions.get() - 1);
                slot.forget();
            } else {
                // The server closes the last session a moment after we heard of its end.
                patience -= 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// What an end means: the VM's own timeout shows as 124, 137, or death by signal after the deadline.
    async fn judge(&self, ended: Ended, command: &Command, seconds: u64) -> Result<Output, RunFailure> {
        let over_time = seconds >= remote_seconds(command.deadline);
        let output = |status, ended: Ended| Output { status, stdout: ended.stdout, stderr: ended.stderr };
        match ended.status {
            Some(124 | 137) if over_time => Err(timed_out(command, Aftermath::Intact)),
            Some(status) => Ok(output(status, ended)),
            None if !self.is_alive().await => Err(self.lost("no exit status")),
            None if over_time => Err(timed_out(command, Aftermath::Intact)),
            // Killed by a signal: what the ssh client itself would exit with.
            None => Ok(output(255, ended)),
        }
    }

    async fn is_alive(&self) -> bool {
        let check = timeout(ANSWER_OF_CLIENT, self.session.check());
        matches!(check.await, Ok(Ok(())))
    }

    fn lost(&self, why: &str) -> RunFailure {
        let text = format!("connection lost: {why} (ssh: {})", last_words(&self.master.log()));
        RunFailure { error: error(ExecErrorKind::ConnectionLost, text), aftermath: Aftermath::Lost }
    }
}

/// One ssh client, one try.
async fn dial(
    settings: &Settings,
    runtime: &Rc<Runtime>,
    endpoint: &Endpoint,
    target: &Target,
    known: Option<&HostKey>,
) -> Result<Master, ConnectFailure> {
    let local = |source: std::io::Error| {
        let text = format!("cannot write to the ssh runtime directory: {source}");
        ConnectFailure::Failed(error(ExecErrorKind::Local, text))
    };
    let dir = runtime.connection_dir().map_err(local)?;
    if let Some(key) = known {
        dir.write("known_hosts", &known_hosts_line(key)).map_err(local)?;
    }
    let known_hosts = dir.file("known_hosts");
    let config = ClientConfig {
        endpoint,
        user: &target.user,
        key_file: runtime.key_file(),
        known_hosts: &known_hosts,
        connect_timeout: settings.deadlines.connect,
    };
    let start = Master::start(&settings.ssh_program, dir, &config);
    timeout(settings.deadlines.connect, start).await.unwrap_or_else(|_| {
        let seconds = settings.deadlines.connect.as_secs_f64();
        let text = format!("no login at {} port {} in {seconds} s", endpoint.host, endpoint.port);
        Err(ConnectFailure::Failed(error(ExecErrorKind::ConnectTimeout, text)))
    })
}

/// Twice another key within a second: somebody plays with us, or two VMs share an address.
fn give_up(failure: ConnectFailure, target: &Target) -> ExecError {
    match failure {
        ConnectFailure::Failed(failure) => failure,
        ConnectFailure::KeyChanged => {
            let text = format!("host key of instance {} cannot be verified", target.id);
            error(ExecErrorKind::Verification, text)
        }
    }
}

/// The name becomes a quoted word of the client's configuration.
fn check_user(user: &str) -> Result<(), ExecError> {
    let bad =
        user.is_empty() || user.chars().any(|c| c.is_control() || c.is_whitespace() || "\"'\\%$".contains(c));
    if bad {
        Err(error(ExecErrorKind::Local, format!("{user:?} cannot be a remote user's name")))
    } else {
        Ok(())
    }
}

fn timed_out(command: &Command, aftermath: Aftermath) -> RunFailure {
    let text = format!("command did not end in {} s", command.deadline.as_secs_f64());
    RunFailure { error: error(ExecErrorKind::CommandTimeout, text), aftermath }
}

//! The system's ssh client as a program: its environment, its limits, and what it can do.
//!
//! It gets an environment of its own, because ours may have secrets (keys of a cloud, a token) that are no concern of a
//! program that talks to servers which have not proven themselves. It never writes a core file, which would have our
//! private key in it, nor more than [`LONGEST_LOG`] into any file: a server can make it log as much as it likes.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ssh::{KeyExchange, SetupError};

/// The most bytes that a client may write into its log. The signal for more ends it, and its connection with it.
pub(super) const LONGEST_LOG: u64 = 1 << 20;

/// The key exchanges that withstand a quantum computer, the cheapest first. A client that does not know a name of its
/// configuration does not start, so only the names that it tells are used.
const POST_QUANTUM: [&str; 3] =
    ["mlkem768x25519-sha256", "sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com"];
const FAST: &str = "curve25519-sha256";

/// How long a client may take to tell what it knows. It is on this machine.
const ANSWER: Duration = Duration::from_secs(5);

/// Where programs are looked for if our own environment does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// An installed client.
#[derive(Debug, Clone)]
pub(super) struct Client {
    program: PathBuf,
    /// The names of key exchanges that it knows.
    key_exchanges: Vec<String>,
}

impl Client {
    /// Looks whether it runs, and what it can do.
    pub(super) fn new(program: PathBuf) -> Result<Self, SetupError> {
        let mut client = Self { program, key_exchanges: Vec::new() };
        let version = client.command().arg("-V").stderr(Stdio::null()).status();
        let failed = |source| SetupError::NoClient { program: client.program.clone(), source };
        let status = version.map_err(failed)?;
        if !status.success() {
            return Err(SetupError::StrangeClient { program: client.program, status });
        }
        client.key_exchanges = client.ask_key_exchanges();
        Ok(client)
    }

    /// The names that `-Q kex` prints. One that does not tell in time keeps its own order.
    fn ask_key_exchanges(&self) -> Vec<String> {
        let mut asked = self.command();
        asked.args(["-Q", "kex"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = asked.spawn() else { return Vec::new() };
        let (told, answer) = mpsc::channel();
        if let Some(mut stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut text = String::new();
                // Without an answer there are no names.
                let _ = stdout.read_to_string(&mut text).map(|_| told.send(text));
            });
        }
        let text = answer.recv_timeout(ANSWER).unwrap_or_default();
        // An error means that it has ended already.
        let _ = child.kill();
        let _ = child.wait();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// A call of the client in its own environment, with nothing on stdin and stdout.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()));
        // The texts of the system's errors are looked for in the log.
        command.env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// The line of its configuration that says which key exchanges are preferred; empty = its own order.
    pub(super) fn key_exchange_line(&self, wanted: KeyExchange) -> String {
        let wanted = match wanted {
            KeyExchange::PostQuantum => &POST_QUANTUM[..],
            KeyExchange::Fast => &[FAST],
        };
        let known: Vec<_> =
            wanted.iter().filter(|name| self.key_exchanges.iter().any(|it| it == *name)).copied().collect();
        if known.is_empty() { String::new() } else { format!("KexAlgorithms ^{}\n", known.join(",")) }
    }
}

/// Limits this process, which is to become a client. Only system calls are made.
pub(super) fn limit_files() -> io::Result<()> {
    for (resource, most) in [(Resource::Fsize, LONGEST_LOG), (Resource::Core, 0)] {
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Whether a log of that length has been flooded: no client writes so much by itself.
pub(super) fn is_flooded(length: u64) -> bool {
    length >= LONGEST_LOG
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(known: &[&str]) -> Client {
        Client { program: "ssh".into(), key_exchanges: known.iter().map(|it| (*it).to_owned()).collect() }
    }

    #[test]
    fn only_key_exchanges_that_the_client_knows_are_asked_for() {
        let old = client(&["curve25519-sha256"]);
        assert_eq!(old.key_exchange_line(KeyExchange::PostQuantum), "");
        assert_eq!(old.key_exchange_line(KeyExchange::Fast), "KexAlgorithms ^curve25519-sha256\n");
        let new = client(&["curve25519-sha256", "sntrup761x25519-sha512", "mlkem768x25519-sha256"]);
        let line = "KexAlgorithms ^mlkem768x25519-sha256,sntrup761x25519-sha512\n";
        assert_eq!(new.key_exchange_line(KeyExchange::PostQuantum), line);
        assert_eq!(client(&[]).key_exchange_line(KeyExchange::Fast), "", "it has told nothing");
    }
}

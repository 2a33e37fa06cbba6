//! An EC2 emulator for tests: moto (PyPI) in a process and on a port of its own. Amazon's own client, boto3,
//! runs beside it, so that tests can look at the emulator's state.
//!
//! ```text
//!   driver under test ─── HTTP ───► moto ◄─── boto3 ◄── one line of JSON a question ── Moto::call()
//! ```
//! The process ends when [`Moto`] is dropped, and when this process ends for whatever reason, because its
//! standard input is a pipe of ours. It is installed in `DISPATCH_MOTO_VENV`, or else in `target/moto-venv`,
//! where `scripts/test` puts it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;

use serde::Deserialize;
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("moto.py");
const DEFAULT_VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/moto-venv");

/// Why there is no emulator, or why it does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MotoError(String);

/// Where and how the emulator is started.
#[derive(Debug, Clone)]
pub struct MotoOptions {
    /// Words that are put before its command line, such as `ip netns exec NAME`.
    pub prefix: Vec<String>,
    /// The address where it listens. The system chooses the port.
    pub address: String,
}

impl Default for MotoOptions {
    fn default() -> Self {
        Self { prefix: Vec::new(), address: "127.0.0.1".to_owned() }
    }
}

/// What the emulated account contains from the start.
#[derive(Debug, Clone, Deserialize)]
pub struct Site {
    /// The URL for `AWS_ENDPOINT_URL`. Any region and any credentials are accepted.
    pub endpoint: String,
    /// An image that can be ordered.
    pub image: String,
    /// Two subnets of 10.1.0.0/16, in zones `us-east-1a` and `us-east-1b`.
    pub subnets: Vec<String>,
    /// A security group in their network.
    pub security_group: String,
}

/// A question, and the channel for its answer.
type Call = (String, mpsc::Sender<Result<String, String>>);

/// A running emulator. Threads may share it.
pub struct Moto {
    /// What the emulated account contains.
    pub site: Site,
    /// `None` only while the emulator ends.
    calls: Option<mpsc::Sender<Call>>,
    thread: Option<JoinHandle<()>>,
}

/// The Python interpreter that has moto and botocore.
///
/// # Errors
/// If there is none. The error says how to get it.
pub fn python() -> Result<PathBuf, MotoError> {
    let venv = std::env::var_os("DISPATCH_MOTO_VENV").map_or_else(|| DEFAULT_VENV.into(), PathBuf::from);
    let python = venv.join("bin/python");
    if python.exists() {
        return Ok(python);
    }
    let text =
        format!("moto is not installed: no {}; run scripts/test once, it puts moto there", python.display());
    Err(MotoError(text))
}

impl Moto {
    /// The emulator of the whole process, for tests that each use instance sets of their own.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn shared() -> Result<&'static Self, MotoError> {
        static SHARED: OnceLock<Result<Moto, MotoError>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start(&MotoOptions::default()));
        shared.as_ref().map_err(|error| MotoError(error.0.clone()))
    }

    /// Starts an emulator. This takes some seconds.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(options: &MotoOptions) -> Result<Self, MotoError> {
        let mut pipes = Pipes::open(options)?;
        let site = pipes.line()?;
        let site =
            serde_json::from_str(&site).map_err(|error| MotoError(format!("moto said {site:?}: {error}")))?;
        let (calls, questions) = mpsc::channel::<Call>();
        let thread = std::thread::spawn(move || {
            for (question, reply) in questions {
                // The caller may have stopped waiting.
                let _ = reply.send(pipes.ask(&question).map_err(|error| error.0));
            }
        });
        Ok(Self { site, calls: Some(calls), thread: Some(thread) })
    }

    /// Calls boto3: `call("describe_instances", json!({}))`.
    ///
    /// # Errors
    /// The error that boto3 reported.
    pub fn call(&self, call: &str, arguments: &Value) -> Result<Value, MotoError> {
        let gone = || MotoError(format!("{call}: moto has ended"));
        let (reply, answer) = mpsc::channel();
        let question = json!({"call": call, "arguments": arguments}).to_string();
        self.calls.as_ref().ok_or_else(gone)?.send((question, reply)).map_err(|_| gone())?;
        let answer = answer.recv().map_err(|_| gone())?.map_err(MotoError)?;
        let mut answer: Value = serde_json::from_str(&answer)
            .map_err(|error| MotoError(format!("{call}: {error} in {answer}")))?;
        match answer.get("error") {
            Some(error) => Err(MotoError(format!("{call}: {error}"))),
            None => Ok(answer["result"].take()),
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            // This ends the process. If the thread panicked, its pipes are closed, which ends the process
            // too.
            let _ = thread.join();
        }
    }
}

/// The process and its standard streams.
struct Pipes {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Pipes {
    fn open(options: &MotoOptions) -> Result<Self, MotoError> {
        let python = python()?;
        let mut words = options.prefix.iter().map(Into::into).chain([python.into_os_string()]);
        let program = words.next().expect("Python at least");
        let mut child = Command::new(&program)
            .args(words)
            .args(["-c", SCRIPT, &options.address, "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| MotoError(format!("cannot start moto by {}: {error}", program.display())))?;
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Ok(Self { child, stdin, stdout })
    }

    fn line(&mut self) -> Result<String, MotoError> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(length) if length > 0 => Ok(line),
            Ok(_) => Err(MotoError("moto has ended; what it wrote to stderr says why".to_owned())),
            Err(error) => Err(MotoError(format!("cannot read from moto: {error}"))),
        }
    }

    fn ask(&mut self, question: &str) -> Result<String, MotoError> {
        writeln!(self.stdin, "{question}")
            .map_err(|error| MotoError(format!("cannot write to moto: {error}")))?;
        self.line()
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        // The process may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moto_serves_until_it_is_dropped() {
        let moto = Moto::start(&MotoOptions::default()).unwrap();
        assert_eq!(moto.site.subnets.len(), 2);
        let groups =
            moto.call("describe_security_groups", &json!({"GroupIds": [moto.site.security_group]})).unwrap();
        assert_eq!(groups["SecurityGroups"][0]["GroupName"], "workers");
        let error = moto.call("no_such_call", &json!({})).err().unwrap().to_string();
        assert!(error.contains("no_such_call"), "{error}");
        let address = moto.site.endpoint.strip_prefix("http://").unwrap().to_owned();
        std::net::TcpStream::connect(&address).unwrap();
        drop(moto);
        std::net::TcpStream::connect(&address).unwrap_err();
    }
}

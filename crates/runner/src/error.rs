//! The errors of the runner. Their texts are read in the dispatcher's log.

use std::io;
use std::path::PathBuf;

use dispatch_core::id::InvalidId;

/// Why the runner did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The command line cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// The last argument is not a container's uuid.
    #[error(transparent)]
    Uuid(#[from] InvalidId),
    /// A system call failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was attempted, and with which file.
        what: String,
        /// The system's error.
        source: io::Error,
    },
    /// Some process holds the container's lock.
    #[error("container {uuid} is running already: {path} is locked by another process")]
    AlreadyRunning {
        /// The container.
        uuid: String,
        /// Its lock file.
        path: PathBuf,
    },
    /// The detached process ended before it was ready.
    #[error("the runner's process ended before it was ready ({status}); its output went to {sink}: {last}")]
    NotReady {
        /// How it ended.
        status: String,
        /// Where its output is.
        sink: String,
        /// The last lines of it.
        last: String,
    },
    /// The configuration on stdin cannot be decoded. The text contains nothing of the configuration, because
    /// it contains tokens.
    #[error("cannot decode the configuration on stdin: {0}")]
    Config(String),
    /// The lock file does not name a process.
    #[error("{path} is locked, but does not tell by which process: {reason}")]
    BadLockFile {
        /// The lock file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is something else in the place of a lock file of ours.
    #[error("{path} is not a lock file of ours: {what}")]
    ForeignFile {
        /// Where the lock file should be.
        path: PathBuf,
        /// What is there.
        what: String,
    },
    /// The process outlived the signal.
    #[error("sent signal {signal} to process {pid} of container {uuid}, but it is still alive")]
    StillAlive {
        /// The signal's number.
        signal: i32,
        /// The process id.
        pid: i32,
        /// The container.
        uuid: String,
    },
    /// The price history on stdin cannot be stored.
    #[error("cannot store the prices from stdin: {0}")]
    Prices(String),
    /// There is no other crunch-run in the path than this program.
    #[error("runtime engine other than `process` needs the real crunch-run, and there is none in PATH ({0})")]
    NoRealRunner(String),
    /// The controller refused a call, or did not answer for a long time.
    #[error("{0}")]
    Controller(String),
}

impl RunnerError {
    /// Adds to an I/O error what was attempted.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The exit code of the runner after this error.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Uuid(_) => 2,
            _ => 1,
        }
    }
}

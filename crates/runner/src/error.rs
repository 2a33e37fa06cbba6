//! What can go wrong before a container's process is on its way; texts are read in a dispatcher's log.

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
        /// What was attempted, and on what.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Some process holds the container's lock.
    #[error("container {uuid} is running already: {path} is locked by another process")]
    AlreadyRunning {
        /// Which container.
        uuid: String,
        /// Its lock file.
        path: PathBuf,
    },
    /// The runner's own process ended before it had begun.
    #[error("the runner's process ended before it was ready ({status}); its output went to {sink}")]
    NotReady {
        /// How it ended.
        status: String,
        /// Where to read why.
        sink: String,
    },
    /// The configuration on stdin cannot be decoded. The text has no content of it: it carries tokens.
    #[error("cannot decode the configuration on stdin: {0}")]
    Config(String),
    /// The lock file does not say whose process it is.
    #[error("{path} is locked, but does not tell by which process: {reason}")]
    BadLockFile {
        /// The lock file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The process outlived the signal.
    #[error("sent signal {signal} to process {pid} of container {uuid}, but it is still alive")]
    StillAlive {
        /// Signal number.
        signal: i32,
        /// Process id.
        pid: i32,
        /// Which container.
        uuid: String,
    },
    /// The price history on stdin cannot be stored.
    #[error("cannot store the prices from stdin: {0}")]
    Prices(String),
    /// There is no crunch-run but ourselves.
    #[error("runtime engine other than `process` needs the real crunch-run, and there is none in PATH ({0})")]
    NoRealRunner(String),
    /// The controller refused, or did not answer for long.
    #[error("{0}")]
    Controller(String),
}

impl RunnerError {
    /// An I/O error with what was attempted.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The exit code of a runner that fails so.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Uuid(_) => 2,
            _ => 1,
        }
    }
}

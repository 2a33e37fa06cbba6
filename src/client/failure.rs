//! What can go wrong between a shell and the service, each with what to do.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::EXIT_USAGE;
use crate::settings::format_duration;

/// Why a command came to nothing. Each text is one line.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The configuration, or what stands in its place.
    #[error("{0}")]
    Unusable(String),
    /// There is no connection.
    #[error("cannot reach the service at {url}: {why}; {}", advice(why))]
    Unreachable { url: String, why: String },
    /// There is a connection, and no answer.
    #[error(
        "the service at {url} has not answered within {}: it is overloaded or hangs; see its log, or try a longer \
         --timeout", format_duration(*.within)
    )]
    Silent { url: String, within: Duration },
    /// The connection ended within the answer.
    #[error("the answer of the service at {url} broke off: {why}; try again")]
    BrokenOff { url: String, why: String },
    /// The token is not this service's.
    #[error(
        "the service at {url} refuses the token ({said}): compare the ManagementToken {origin} with the service's"
    )]
    Token { url: String, said: String, origin: &'static str },
    /// Only dispatchers without the lock have answered.
    #[error(
        "the dispatcher at {url} stands by: another one works for this cluster; ask that one, with --url"
    )]
    Standby { url: String },
    /// It is older than this program, or no dispatcher at all.
    #[error(
        "the service at {url} does not know {path}: it is older than this program, or it is not the dispatcher; \
         compare --version with the service's"
    )]
    NoRoute { url: String, path: &'static str },
    /// It does not answer as we do.
    #[error("what answers at {url} is not the dispatcher, or a proxy before it: {what}; check the URL")]
    Strange { url: String, what: String },
    /// The service's own words about what was asked.
    #[error("{0}")]
    Refused(String),
    /// Results cannot be written.
    #[error("cannot write the result: {0}")]
    Unwritable(io::Error),
    /// Who read the results has gone.
    #[error("nobody reads the result")]
    NobodyReads,
}

impl Failure {
    /// 2 if the configuration is wrong.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Unusable(_) => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether the next id may fare better: only this one was refused.
    pub fn is_of_one_id(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Whether asking again may help, without anybody's doing here.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::BrokenOff { .. }
            | Self::Standby { .. }
            | Self::Refused(_) => true,
            Self::Unusable(_)
            | Self::Token { .. }
            | Self::NoRoute { .. }
            | Self::Strange { .. }
            | Self::Unwritable(_)
            | Self::NobodyReads => false,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Unwritable(error),
        }
    }
}

fn advice(why: &str) -> &'static str {
    let why = why.to_lowercase();
    if why.contains("certificate") {
        "the name in the URL must be the certificate's, and its authority be trusted here (SSL_CERT_FILE names others)"
    } else if why.contains("corrupt") || why.contains("invalid content type") || why.contains("tls") {
        "perhaps it speaks http, not https"
    } else if why.contains("resolv") || why.contains("dns") {
        "check the name, or give another with --url"
    } else {
        "does it run there? (systemctl status arvados-dispatch-cloud; --url names another place)"
    }
}

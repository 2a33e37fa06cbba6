//! Why the lock could not be asked for, or is not held any more.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::error::SqlState;

/// Why the lock could not be asked for, or is not held any more. Never tells a password.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// No server could be used; what each of them said.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoServer(Vec<LockError>),
    /// A connection could not be made.
    #[error("cannot connect to {server}: {reason}")]
    Connect {
        /// Which server.
        server: String,
        /// Why not.
        reason: Reason,
    },
    /// The server takes no writes: a lock there is not the site's.
    #[error("{server} is a replica")]
    Replica {
        /// Which server.
        server: String,
    },
    /// A file that the connection needs cannot be used.
    #[error("cannot use {what}: {reason}")]
    File {
        /// Which keyword, and its file.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("{server} has not answered within {} s", .within.as_secs())]
    Silent {
        /// Which server.
        server: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// The session has ended.
    #[error("the session with {server} has ended: {reason}")]
    Ended {
        /// Which server.
        server: String,
        /// What the server said last, or what became of the connection.
        reason: Reason,
    },
    /// The server refused the question; the session goes on.
    #[error("{server} refuses: {reason}")]
    Refused {
        /// Which server.
        server: String,
        /// The reason.
        reason: Reason,
    },
    /// The answer is not one that the question can have.
    #[error("{server} gave an answer that makes no sense")]
    Nonsense {
        /// Which server.
        server: String,
    },
    /// Another client uses the same session of the server.
    #[error(
        "the session with {server} has the lock before we asked: a connection pooler shares sessions; connect to \
         the server itself, or use the pooler's session mode"
    )]
    Shared {
        /// Which server.
        server: String,
    },
    /// The session lives, without the lock.
    #[error(
        "the session with {server} does not hold the lock any more: was it released by hand, or by a pooler?"
    )]
    NotHeld {
        /// Which server.
        server: String,
    },
}

/// What PostgreSQL, or the way to it, said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    text: String,
    code: Option<String>,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Reason {
    /// In the words of this program.
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), code: None }
    }
}

impl From<&tokio_postgres::Error> for Reason {
    /// The server's own words and code; else the whole chain, since its first link only says `db error`.
    fn from(error: &tokio_postgres::Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self { text: said.message().to_owned(), code: Some(said.code().code().to_owned()) };
        }
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let more = error.to_string();
            // Some links repeat what is below them.
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            source = error.source();
        }
        Self { text, code: None }
    }
}

impl LockError {
    /// PostgreSQL's five characters, if the server said anything; else empty.
    pub fn code(&self) -> &str {
        match self {
            Self::Connect { reason, .. } | Self::Ended { reason, .. } | Self::Refused { reason, .. } => {
                reason.code.as_deref().unwrap_or_default()
            }
            Self::NoServer(errors) => {
                errors.iter().map(Self::code).find(|code| !code.is_empty()).unwrap_or_default()
            }
            Self::Replica { .. }
            | Self::File { .. }
            | Self::Silent { .. }
            | Self::Nonsense { .. }
            | Self::Shared { .. }
            | Self::NotHeld { .. } => "",
        }
    }

    /// What an operator should look at.
    pub fn hint(&self) -> &'static str {
        const CREDENTIALS: [SqlState; 2] =
            [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
        let code = self.code();
        if CREDENTIALS.iter().any(|it| it.code() == code) {
            "wrong credentials: PostgreSQL.Connection user and password, and the server's pg_hba.conf"
        } else if code == SqlState::INVALID_CATALOG_NAME.code() {
            "no such database: PostgreSQL.Connection dbname"
        } else if code == SqlState::TOO_MANY_CONNECTIONS.code() {
            "the server has no connection left: its max_connections"
        } else {
            "nothing is done until the lock is held: PostgreSQL.Connection, the server, the network between"
        }
    }
}

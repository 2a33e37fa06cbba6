//! A session with the server: what is asked on it, each question with a deadline.
//!
//! Simple queries only, as text: a pooler between us and the server need not know prepared statements.

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use actix_rt::task::JoinHandle;
use dispatch_core::worker::fence::Epoch;
use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_postgres::{Client, Connection, SimpleQueryMessage};

use super::error::{LockError, Reason};
use super::{ANSWER_WITHIN, LATE_READER};

/// Selects the lock itself in `pg_locks`: 10005 as one number of 64 bits, in the database of this session.
const THE_LOCK: &str = "locktype = 'advisory' AND classid = 0 AND objid = 10005 AND objsubid = 1 AND granted \
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// The server is to notice within 14 s that this machine or the way to it is gone: by default it takes two
/// hours, and no other dispatcher could take over. Later than we notice it ourselves: see the folder's head.
const NOTICE_OUR_END: [&str; 2] = [
    "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3",
    // Keepalives say nothing while an answer is on its way. Since PostgreSQL 12.
    "SET tcp_user_timeout = 14000",
];

/// What became of asking for the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The lock is ours.
    Locked,
    /// Another process has the lock.
    Taken,
}

/// The holder of the lock, as far as the server tells us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holder {
    /// The server's process for it.
    pub pid: String,
    /// What it calls itself.
    pub application: String,
    /// The user as which it has logged in.
    pub user: String,
    /// From where; empty: through a socket, or we may not know.
    pub address: String,
    /// Since when it is connected; empty: we may not know.
    pub since: String,
}

/// A session with the server; closed when dropped.
pub(super) struct Session {
    server: String,
    client: Client,
    /// Ends with the connection.
    connection: JoinHandle<Reason>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Drop for Session {
    /// At once, even if the server does not read a goodbye any more.
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Session {
    /// From now on the connection lives on this arbiter.
    pub fn new<S, T>(server: String, client: Client, connection: Connection<S, T>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let ended = async {
            match connection.await {
                Ok(()) => Reason::text("closed"),
                Err(error) => Reason::from(&error),
            }
        };
        Self { server, client, connection: actix_rt::spawn(ended) }
    }

    /// Which server it is with.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Refuses a replica: a lock there is its own, not the site's.
    pub async fn prepare(mut self) -> Result<Self, LockError> {
        match self.ask("SELECT pg_is_in_recovery()").await?.first().and_then(Option::as_deref) {
            Some("f") => {}
            Some("t") => return Err(LockError::Replica { server: self.server.clone() }),
            _ => return Err(self.nonsense()),
        }
        for statement in NOTICE_OUR_END {
            match self.ask(statement).await {
                // A server or pooler that does not know these settings is used all the same.
                Ok(_) | Err(LockError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    /// Asks for the lock, without waiting for it.
    pub async fn try_lock(&mut self) -> Result<Attempt, LockError> {
        // The server grants a session what it holds already: we do not hold it, so it is not our session alone.
        let question = format!(
            "SELECT CASE WHEN EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND {THE_LOCK}) \
             THEN 'shared' WHEN pg_try_advisory_lock(10005) THEN 'locked' ELSE 'taken' END"
        );
        match self.ask(&question).await?.first().and_then(Option::as_deref) {
            Some("locked") => Ok(Attempt::Locked),
            Some("taken") => Ok(Attempt::Taken),
            Some("shared") => Err(LockError::Shared { server: self.server.clone() }),
            _ => Err(self.nonsense()),
        }
    }

    /// Asks who has the lock; `None` if it has just been released.
    pub async fn holder(&mut self) -> Result<Option<Holder>, LockError> {
        let question = format!(
            "SELECT pid, application_name, usename, host(client_addr), to_char(backend_start AT TIME ZONE 'UTC', \
             'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM pg_locks LEFT JOIN pg_stat_activity USING (pid) \
             WHERE {THE_LOCK} LIMIT 1"
        );
        let mut columns = self.ask(&question).await?.into_iter().map(Option::unwrap_or_default);
        let Some(pid) = columns.next() else { return Ok(None) };
        let mut next = || columns.next().unwrap_or_default();
        Ok(Some(Holder { pid, application: next(), user: next(), address: next(), since: next() }))
    }

    /// How long the server has been up; unknown, if it does not say so.
    pub async fn server_age(&mut self) -> Result<Option<Duration>, LockError> {
        let question = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())";
        let age = match self.ask(question).await {
            Ok(columns) => columns.into_iter().next().flatten().and_then(|it| it.parse::<f64>().ok()),
            Err(LockError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        // A clock that was set back makes a young one of it.
        Ok(age.map(|age| Duration::try_from_secs_f64(age).unwrap_or_default()))
    }

    /// The time by the server's clock; `None`, if it does not say so.
    pub async fn epoch(&mut self) -> Result<Option<Epoch>, LockError> {
        let question = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let micros = match self.ask(question).await {
            Ok(columns) => columns.into_iter().next().flatten().and_then(|it| it.parse().ok()),
            Err(LockError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(micros.map(Epoch::from_micros))
    }

    /// Fails unless this very session holds the lock.
    pub async fn check(&mut self) -> Result<(), LockError> {
        let question =
            format!("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND {THE_LOCK})");
        match self.ask(&question).await?.first().and_then(Option::as_deref) {
            Some("t") => Ok(()),
            Some("f") => Err(LockError::NotHeld { server: self.server.clone() }),
            _ => Err(self.nonsense()),
        }
    }

    /// Waits that long; ends sooner if the session ends.
    pub async fn endures(&mut self, time: Duration) -> Result<(), LockError> {
        match select(&mut self.connection, pin!(tokio::time::sleep(time))).await {
            Either::Left((ended, _)) => Err(self.ended(ended.unwrap_or_else(|_| Reason::text("gone")))),
            Either::Right(_) => Ok(()),
        }
    }

    /// The columns of the first row; none if there is no row.
    async fn ask(&mut self, question: &str) -> Result<Vec<Option<String>>, LockError> {
        let answer = {
            let mut answer = pin!(self.client.simple_query(question));
            match timeout(ANSWER_WITHIN, &mut answer).await {
                Ok(answer) => Some(answer),
                Err(_) => timeout(LATE_READER, answer).await.ok(),
            }
        };
        match answer {
            Some(Ok(messages)) => Ok(first_row(&messages)),
            Some(Err(error)) => Err(self.failed(&error).await),
            None => Err(LockError::Silent { server: self.server.clone(), within: ANSWER_WITHIN }),
        }
    }

    /// A question fails because the server refuses it, or because the session has ended: that knows better why.
    async fn failed(&mut self, error: &tokio_postgres::Error) -> LockError {
        if !self.client.is_closed() {
            return LockError::Refused { server: self.server.clone(), reason: Reason::from(error) };
        }
        let ended = timeout(LATE_READER, &mut self.connection).await;
        self.ended(match ended {
            Ok(Ok(reason)) => reason,
            Ok(Err(_)) | Err(_) => Reason::from(error),
        })
    }

    fn ended(&self, reason: Reason) -> LockError {
        LockError::Ended { server: self.server.clone(), reason }
    }

    fn nonsense(&self) -> LockError {
        LockError::Nonsense { server: self.server.clone() }
    }
}

fn first_row(messages: &[SimpleQueryMessage]) -> Vec<Option<String>> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.map_or_else(Vec::new, |row| (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
}

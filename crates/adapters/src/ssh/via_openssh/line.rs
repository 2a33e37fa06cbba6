//! One connection that an ssh process holds.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use dispatch_core::ports::{ExecError, ExecErrorKind, HostKey};
use openssh::Session;
use tokio::time::timeout;

use super::config::shown_host_key;
use super::master::Master;
use super::session::{begin, execute};
use crate::ssh::failure::error;
use crate::ssh::line::{Ended, Failure, Line, LongCommand};

/// How long the local ssh client may take to answer. It is on this machine, so a slower answer counts as
/// none.
const ANSWER_OF_CLIENT: Duration = Duration::from_secs(5);

/// A connection after its login.
pub(in crate::ssh) struct OpenSshLine {
    session: Session,
    master: Master,
    host_key: HostKey,
}

impl OpenSshLine {
    pub(super) async fn attach(master: Master) -> Result<Self, ExecError> {
        let lost = |text: String| error(ExecErrorKind::ConnectionLost, text);
        let socket = master.dir().file("master").into_boxed_path();
        let session = Session::resume_mux(socket, Some(master.dir().file("log").into_boxed_path()));
        if !answers(&session).await {
            return Err(lost(format!("ssh client does not answer: {}", master.last_words())));
        }
        let host_key = shown_host_key(&master.dir().read("known_hosts"))
            .ok_or_else(|| lost("ssh client did not note the host key".to_owned()))?;
        Ok(Self { session, master, host_key })
    }
}

impl Line for OpenSshLine {
    fn host_key(&self) -> &HostKey {
        &self.host_key
    }

    /// The status may come before the last of the output, and a client whose connection breaks then closes the streams
    /// as after a whole answer. So a status counts only if the client is there after the end of the streams: what is cut
    /// must not look whole.
    async fn execute(&self, command: &str, stdin: &Bytes, limit: usize) -> Result<Ended, Failure> {
        let ended = execute(&self.session, command, stdin, limit).await?;
        if ended.status.is_some() && !self.is_alive().await {
            return Ok(Ended { status: None, ..ended });
        }
        Ok(ended)
    }

    async fn begin(&self, command: &str) -> Result<LongCommand<'_>, Failure> {
        begin(&self.session, command).await
    }

    async fn is_alive(&self) -> bool {
        answers(&self.session).await
    }

    fn ended(&self) -> impl Future<Output = ()> + 'static {
        self.master.ended()
    }

    fn last_words(&self) -> String {
        self.master.last_words()
    }

    fn blame(&self, failure: ExecError) -> ExecError {
        self.master.blame(failure)
    }
}

async fn answers(session: &Session) -> bool {
    matches!(timeout(ANSWER_OF_CLIENT, session.check()).await, Ok(Ok(())))
}

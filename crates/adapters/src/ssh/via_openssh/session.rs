//! Runs one command over an open connection: its streams and its exit status.

use bytes::Bytes;
use futures_util::FutureExt;
use openssh::{Error, Session, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::ssh::line::{Ended, Failure, LongCommand};
use crate::ssh::own_side::is_lack;

/// Runs a command to its end. Each of its streams may have at most `limit` bytes.
pub(super) async fn execute(
    session: &Session,
    command: &str,
    stdin: &Bytes,
    limit: usize,
) -> Result<Ended, Failure> {
    let input = if stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut command = session.raw_command(command);
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().await.map_err(not_started)?;
    let to_child = child.stdin().take();
    let (out, err) = (child.stdout().take(), child.stderr().take());

    let feed = async {
        if let Some(mut pipe) = to_child {
            // A command need not read its input.
            let _ = pipe.write_all(stdin).await;
        }
        Ok(())
    };
    let ((), stdout, stderr) = futures_util::try_join!(feed, read(out, limit), read(err, limit))?;
    // The status is read last: reading it ends the session, and drops what is still in the streams.
    let status = status(child.wait().await)?;
    Ok(Ended { status, stdout, stderr })
}

/// Begins a command that goes on for long.
pub(super) async fn begin<'a>(session: &'a Session, command: &str) -> Result<LongCommand<'a>, Failure> {
    let mut command = session.raw_command(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().await.map_err(not_started)?;
    let streams = child.stdin().take().zip(child.stdout().take());
    let (stdin, stdout) = streams.ok_or_else(|| Failure::Lost("a session without streams".to_owned()))?;
    let status = async move { status(child.wait().await).unwrap_or(None) }.boxed_local();
    Ok(LongCommand { stdin: Box::new(stdin), stdout: Box::new(stdout), status })
}

/// Status 127 is an error without streams in the openssh crate, so we read the streams ourselves.
fn status(waited: Result<std::process::ExitStatus, Error>) -> Result<Option<i32>, Failure> {
    match waited {
        Ok(status) => Ok(status.code()),
        Err(Error::Remote(_)) => Ok(Some(127)),
        Err(Error::RemoteProcessTerminated | Error::Disconnected) => Ok(None),
        Err(other) => Err(Failure::Lost(text(&other))),
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    pipe.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(|source| Failure::Lost(source.to_string()))?;
    if bytes.len() > limit { Err(Failure::TooMuch) } else { Ok(bytes) }
}

fn not_started(error: Error) -> Failure {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(source) = cause {
        if source.downcast_ref::<std::io::Error>().is_some_and(is_lack) {
            return Failure::OwnSide(text(&error));
        }
        cause = source.source();
    }
    Failure::NotStarted(text(&error))
}

fn text(error: &Error) -> String {
    use std::error::Error as _;
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

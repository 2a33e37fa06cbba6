//! A command that goes on for long: its streams, carried between the actors' thread and the one of connections.
//!
//! ```text
//!   stdin  ── pipe ──► carry ──► the session       dropped: the session's input ends
//!   stdout ◄── pipe ── carry ◄── the session       dropped: the session is closed, as soon as it prints again
//!   status ◄────────── carry ◄── the session has ended
//! ```

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot;

use super::line::{beside, not_opened};
use super::peer::Peer;
use super::thread::Thread;
use crate::ssh::line::{Failure, LongCommand};

/// How many bytes may be under way in a stream between the threads.
const PIPE: usize = 4096;

/// Begins a command.
pub(super) async fn begin(
    thread: &Thread,
    handle: Arc<Handle<Peer>>,
    command: String,
) -> Result<LongCommand<'static>, Failure> {
    let lost = || Err(Failure::Lost("the thread of ssh connections has ended".to_owned()));
    let channel = thread.run(open(handle, command)).await.unwrap_or_else(lost)?;
    let ((stdin, to_feed), (stdout, to_fill)) = (duplex(PIPE), duplex(PIPE));
    let (tell_status, status) = oneshot::channel();
    thread.spawn(async move {
        let status = carry(channel, to_feed, to_fill).await;
        // An error means that nobody waits for it any more.
        let _ = tell_status.send(status);
    });
    let status = async move { status.await.unwrap_or(None) }.boxed_local();
    Ok(LongCommand { stdin: Box::new(stdin), stdout: Box::new(stdout), status })
}

/// A session in which the command runs.
async fn open(handle: Arc<Handle<Peer>>, command: String) -> Result<Channel<Msg>, Failure> {
    let lost = |error: Error| Failure::Lost(error.to_string());
    let mut channel = handle.channel_open_session().await.map_err(not_opened)?;
    channel.exec(true, command).await.map_err(lost)?;
    while let Some(answer) = channel.wait().await {
        match answer {
            ChannelMsg::Success => return Ok(channel),
            ChannelMsg::Failure => {
                return Err(Failure::NotStarted("the server does not run commands".to_owned()));
            }
            _ => {}
        }
    }
    Err(Failure::Lost("the session has ended before the command".to_owned()))
}

/// Carries the streams until the session has ended.
async fn carry(channel: Channel<Msg>, to_feed: DuplexStream, to_fill: DuplexStream) -> Option<i32> {
    let (mut output, input) = channel.split();
    // A command need not read its input.
    let feeding = feed(to_feed, &input).map(drop);
    let (status, is_read) = beside(fill(&mut output, to_fill), feeding).await;
    if !is_read {
        let _ = input.close().await;
    }
    status
}

async fn feed(mut from: DuplexStream, input: &ChannelWriteHalf<Msg>) -> Result<(), Error> {
    let mut buffer = [0; PIPE];
    while let length @ 1.. = from.read(&mut buffer).await? {
        input.data_bytes(Bytes::copy_from_slice(&buffer[..length])).await?;
    }
    input.eof().await
}

/// The status, and whether its output was read to its end.
async fn fill(output: &mut ChannelReadHalf, to: DuplexStream) -> (Option<i32>, bool) {
    let (mut status, mut to) = (None, Some(to));
    while let Some(message) = output.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                let Some(pipe) = &mut to else { continue };
                if pipe.write_all(&data).await.is_err() {
                    return (None, false);
                }
            }
            ChannelMsg::Eof => to = None,
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status.min(255) as i32),
            ChannelMsg::Close => return (status, true),
            _ => {}
        }
    }
    (None, true)
}

//! One command of one SSH session: a child process, its streams and its end.

use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::{Either, select};
use russh::server::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::processes::{self, MARKER};

/// How long output is read after a command has ended. Little is left in a pipe then; a process that keeps the
/// pipe open for longer is a daemon.
const OUTPUT_AFTER_END: Duration = Duration::from_secs(2);

/// Where the commands of an instance run, and with which variables.
#[derive(Clone)]
pub(super) struct Environment {
    pub directory: PathBuf,
    pub lock_directory: PathBuf,
    pub user: String,
    /// The `PATH` that this process was started with.
    pub path: std::ffi::OsString,
}

impl Environment {
    /// `sh -c TEXT` in the instance's directory, in a process group of its own. The current user has all
    /// rights on the instance, so a leading `sudo` is left out.
    pub(super) fn command(&self, text: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(text.strip_prefix("sudo ").unwrap_or(text));
        command.env_clear().env("PATH", &self.path).env("HOME", &self.directory).env("SHELL", "/bin/sh");
        command.env("USER", &self.user).env("LOGNAME", &self.user);
        command.env(MARKER, &self.lock_directory);
        command.current_dir(&self.directory).process_group(0);
        command
    }
}

/// Runs a command for a session, and ends it when the session or the connection ends.
pub(super) async fn serve(
    channel: Channel<Msg>,
    text: String,
    environment: Environment,
    hangs: bool,
    mut connection: watch::Receiver<()>,
) {
    if hangs {
        // The fault that a test has asked for: nothing happens until the client closes the connection.
        let _ = connection.changed().await;
        return;
    }
    // The sender is dropped together with the connection's handler.
    let disconnected = pin!(connection.changed());
    select(disconnected, pin!(converse(channel, &text, &environment))).await;
}

async fn converse(channel: Channel<Msg>, text: &str, environment: &Environment) {
    let (mut input, output) = channel.split();
    let mut command = environment.command(text);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let status = match command.spawn() {
        Ok(child) => run(child, &mut input, &output).await,
        Err(error) => {
            let _ =
                output.extended_data_bytes(1, format!("cannot run a shell: {error}\n").into_bytes()).await;
            Some(126)
        }
    };
    // Without a status the client has closed the session. A failure to send means the same.
    if let Some(status) = status {
        let _ = output.exit_status(status).await;
        let _ = output.eof().await;
    }
    let _ = output.close().await;
}

/// The exit status of the command; `None` if the client closed the session and the command was killed.
async fn run(mut child: Child, input: &mut ChannelReadHalf, output: &ChannelWriteHalf<Msg>) -> Option<u32> {
    let mut tree = Tree::of(&child);
    let stdin = child.stdin.take();
    let out = pump(child.stdout.take(), output.make_writer());
    let err = pump(child.stderr.take(), output.make_writer_ext(Some(1)));
    let finished = finish(&mut child, async { futures_util::join!(out, err) });
    // If the command has ended and the session was closed at the same time, the status counts.
    let Either::Left((status, _)) = select(pin!(finished), pin!(feed(input, stdin))).await else {
        return None;
    };
    tree.keep();
    Some(status.map_or(255, code))
}

/// Waits for the command's end, and for a while for what is left in its streams.
async fn finish(child: &mut Child, pumps: impl Future<Output = ((), ())>) -> std::io::Result<ExitStatus> {
    match select(pin!(child.wait()), pin!(pumps)).await {
        Either::Left((status, pumps)) => {
            let _ = tokio::time::timeout(OUTPUT_AFTER_END, pumps).await;
            status
        }
        Either::Right((_, ended)) => ended.await,
    }
}

/// Passes on the client's input until the client closes the session.
async fn feed(input: &mut ChannelReadHalf, mut stdin: Option<ChildStdin>) {
    loop {
        match input.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if let Some(pipe) = &mut stdin
                    && pipe.write_all(&data).await.is_err()
                {
                    // The command does not read more. The rest of the input is read and dropped.
                    stdin = None;
                }
            }
            Some(ChannelMsg::Eof) => stdin = None,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
}

async fn pump(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin) {
    if let Some(mut from) = from {
        // A failure means that the session has ended; other code notices that.
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }
}

/// The processes of a command. They are killed when this is dropped, unless the command has ended by itself.
struct Tree(Option<Pid>);

impl Tree {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A process that has detached itself is no longer a descendant of the command, and lives on.
        if let Some(root) = self.0 {
            processes::kill_tree(root);
        }
    }
}

fn code(status: ExitStatus) -> u32 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u32::try_from(code).ok()).unwrap_or(255)
}

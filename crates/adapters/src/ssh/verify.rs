//! Proves that a VM is ours. This is done before any command runs on a connection whose host key is not
//! verified yet.
//!
//! ```text
//!   driver: genuine ─────────────────────────────→ ok
//!           forged  ─────────────────────────────→ refused
//!           cannot tell → secret on the VM, or the copy that lies beside its fence = ours → ok
//!                                                                                   else → refused
//! ```

use std::time::Duration;

use dispatch_core::ports::{ExecError, ExecErrorKind, HostKey, HostKeyVerdict, ShellCommand, Target};
use dispatch_core::secret::Secret;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::Settings;
use super::failure::{error, last_line};
use super::line::{Ended, Failure, Line};
use super::shell::{quote, wrap};

/// The longest secret that is read.
const LONGEST_SECRET: usize = 4096;

/// What is said of a VM whose secret is right, after lines that are not in its file.
const CHATTY_SHELL: &str = "its secret is right, but its login shell prints text before the output of every command: \
                            silence the start-up files (.bashrc, /etc/profile.d) of that user";

/// Succeeds if the host key, or the secret on the VM, proves that the VM is the target.
pub(super) async fn verify(settings: &Settings, target: &Target, line: &impl Line) -> Result<(), ExecError> {
    match ask_driver(settings, target, line.host_key()).await? {
        HostKeyVerdict::Genuine => Ok(()),
        HostKeyVerdict::Forged => Err(refused(target, "its host key is not the one that the cloud knows")),
        HostKeyVerdict::NotSupported => {
            // An empty secret proves nothing, because an empty or missing file would be equal to it.
            let ours = target.secret.as_ref().filter(|secret| !secret.expose().trim().is_empty());
            let ours = ours.ok_or_else(|| refused(target, "it has no secret to prove itself with"))?;
            let until = Instant::now() + settings.deadlines.secret;
            match compare(ours, settings, target, line).await {
                Ok(()) => Ok(()),
                Err(why) if why.kind.is_unproven() && has_copy(ours, until, target, line).await => {
                    slog::warn!(settings.log, "secret is lost, its copy proves the instance";
                        "Instance" => target.id.as_str(), "error" => %why);
                    Ok(())
                }
                Err(why) => Err(why),
            }
        }
    }
}

async fn compare(
    ours: &Secret,
    settings: &Settings,
    target: &Target,
    line: &impl Line,
) -> Result<(), ExecError> {
    let theirs = read_secret(&target.secret_path, settings.deadlines.secret, target, line).await?;
    if is_same(ours, &theirs) {
        return Ok(());
    }
    let chatty = is_last_line(ours, &theirs);
    Err(refused(target, if chatty { CHATTY_SHELL } else { "its secret is a wrong one" }))
}

/// Whether the copy beside its fence proves it: the secret's own file may have been lost with `/var/run`. Both have
/// one deadline.
async fn has_copy(ours: &Secret, until: Instant, target: &Target, line: &impl Line) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let Some(path) = target.secret_copy.as_ref().filter(|_| !left.is_zero()) else { return false };
    let theirs = read_secret(path, left, target, line).await;
    theirs.is_ok_and(|theirs| is_same(ours, &theirs))
}

async fn ask_driver(
    settings: &Settings,
    target: &Target,
    key: &HostKey,
) -> Result<HostKeyVerdict, ExecError> {
    let answer = settings.verifier.verify(&target.id, key);
    match tokio::time::timeout(settings.deadlines.secret, answer).await {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(cause)) => Err(unanswered(target, &format!("the cloud cannot be asked: {cause}"))),
        Err(_) => Err(unanswered(target, "the cloud does not answer")),
    }
}

async fn read_secret(
    path: &str,
    deadline: Duration,
    target: &Target,
    line: &impl Line,
) -> Result<Vec<u8>, ExecError> {
    let shell = format!("cat {}", quote(path));
    let command = ShellCommand { privileged: true, ..ShellCommand::new(shell, deadline) };
    let failed = |kind: ExecErrorKind, why: String| {
        let text = format!("cannot read {path} on instance {}: {why}", target.id);
        Err(error(kind, text))
    };
    let text = wrap(&command, &target.user);
    let reading = line.execute(&text, &command.stdin, LONGEST_SECRET);
    match tokio::time::timeout(deadline, reading).await {
        Ok(Ok(Ended { status: Some(0), stdout, .. })) => Ok(stdout),
        Ok(Ok(Ended { stderr, status: Some(status), .. })) => {
            let last = last_line(&String::from_utf8_lossy(&stderr));
            let why = format!("status {status}: {}", last.as_deref().unwrap_or("it says nothing"));
            failed(ExecErrorKind::SecretUnreadable, why)
        }
        Ok(Ok(Ended { status: None, .. })) => {
            failed(ExecErrorKind::ConnectionLost, "the connection was lost".to_owned())
        }
        Ok(Err(Failure::OwnSide(why))) => Err(error(ExecErrorKind::Local, why)),
        Ok(Err(failure)) => failed(ExecErrorKind::ConnectionLost, format!("{failure:?}")),
        Err(_) => {
            failed(ExecErrorKind::SecretUnreadable, format!("no answer in {} s", deadline.as_secs_f64()))
        }
    }
}

/// Compares the secrets in a time that does not depend on where they differ.
fn is_same(ours: &Secret, theirs: &[u8]) -> bool {
    ours.expose().trim().as_bytes().ct_eq(theirs.trim_ascii()).into()
}

/// Whether the secret is right, and something was printed before it.
fn is_last_line(ours: &Secret, theirs: &[u8]) -> bool {
    let theirs = theirs.trim_ascii_end();
    let last = theirs.iter().rposition(|byte| *byte == b'\n').map(|end| &theirs[end + 1..]);
    last.is_some_and(|last| is_same(ours, last))
}

fn unanswered(target: &Target, why: &str) -> ExecError {
    error(ExecErrorKind::VerifierFailed, format!("instance {} cannot be verified: {why}", target.id))
}

fn refused(target: &Target, why: &str) -> ExecError {
    error(ExecErrorKind::Verification, format!("instance {} is not trusted: {why}", target.id))
}

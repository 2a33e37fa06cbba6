//! What is tried on the instance itself: to log in, the boot probe, `--command`.

use std::time::Duration;

use dispatch_core::ports::{ExecErrorKind, Executor, ShellCommand};
use tokio::time::Instant;

use super::{Look, Stop, Told, Trial};
use crate::cloudtest::advice;
use crate::cloudtest::report::CommandOutput;

/// Of the command that shows that we are let in.
const LOG_IN: Duration = Duration::from_secs(30);
/// Of `--command`; Ctrl-C ends it earlier.
const COMMAND_WITHIN: Duration = Duration::from_secs(3600);

impl Trial<'_> {
    pub(super) async fn try_shell(&mut self, address: &str) -> Result<(), Stop> {
        let Some(id) = self.made.clone() else { return Ok(()) };
        let executor = self.subject.executor(&id, address, &self.order.secret);
        let began = Instant::now();
        let logged_in = self.log_in(&*executor).await;
        self.note("log in", began, logged_in)?;
        let began = Instant::now();
        let booted = self.boot_probe(&*executor).await;
        self.note("boot probe", began, booted)?;
        let Some(text) = self.options.command.clone() else { return Ok(()) };
        let began = Instant::now();
        let ran = self.command(&*executor, text).await;
        self.note("command", began, ran)
    }

    async fn log_in(&self, executor: &dyn Executor) -> Told<()> {
        let command = || command("true", LOG_IN);
        self.eventually(async || match executor.run(command()).await {
            Ok(_) => Ok(Look::Found(())),
            Err(error) => {
                let trouble = advice::of_shell(self.subject.advice(), &error, &self.subject.login());
                match error.kind {
                    ExecErrorKind::Local => Err(trouble.into()),
                    _ => Ok(Look::Wait(trouble)),
                }
            }
        })
        .await?;
        Ok(((), format!("as {}", self.subject.driver.remote_user())))
    }

    async fn boot_probe(&self, executor: &dyn Executor) -> Told<()> {
        let probe = self.subject.commands.boot_probe();
        let text = probe.shell.clone();
        self.eventually(async || match executor.run(probe.clone()).await {
            Ok(output) if output.status == 0 => Ok(Look::Found(())),
            Ok(output) => Ok(Look::Wait(advice::boot_probe(&text, &output))),
            Err(error) => {
                Ok(Look::Wait(advice::of_shell(self.subject.advice(), &error, &self.subject.login())))
            }
        })
        .await?;
        Ok(((), text))
    }

    async fn command(&mut self, executor: &dyn Executor, text: String) -> Told<()> {
        let ran = self.interrupt.or(executor.run(command(&text, COMMAND_WITHIN))).await?;
        let output =
            ran.map_err(|error| advice::of_shell(self.subject.advice(), &error, &self.subject.login()))?;
        let shown =
            |bytes: &[u8]| self.subject.without_secrets(&String::from_utf8_lossy(bytes), &self.order.secret);
        let shown = CommandOutput {
            status: output.status,
            stdout: shown(&output.stdout),
            stderr: shown(&output.stderr),
        };
        self.screen.output(&shown);
        self.outcome.command = Some(shown);
        match output.status {
            0 => Ok(((), "status 0".to_owned())),
            status => Err(advice::command(status).into()),
        }
    }
}

fn command(shell: &str, deadline: Duration) -> ShellCommand {
    ShellCommand::new(shell, deadline)
}

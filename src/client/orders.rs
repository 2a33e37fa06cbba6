//! What an operator orders: one request for each id, each answered by its own line.

use std::process::ExitCode;

use serde_json::Value;

use super::creates;
use super::failure::Failure;
use super::http::Client;
use crate::cli::service::Order;
use crate::cli::{self, Options};

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Of an instance.
    Hold,
    /// Of an instance.
    Drain,
    /// Of an instance.
    Run,
    /// Of an instance.
    Kill,
    /// Of an instance, whether it is on hold or not.
    DrainHeld,
    /// Of a container.
    KillContainer,
    /// Of an instance type.
    DrainType,
    /// Of an instance type.
    RunType,
}

impl Verb {
    fn path(self) -> &'static str {
        match self {
            Self::Hold => "/arvados/v1/dispatch/instances/hold",
            Self::Drain | Self::DrainHeld => "/arvados/v1/dispatch/instances/drain",
            Self::DrainType => "/arvados/v1/dispatch/types/drain",
            Self::RunType => "/arvados/v1/dispatch/types/run",
            Self::Run => "/arvados/v1/dispatch/instances/run",
            Self::Kill => "/arvados/v1/dispatch/instances/kill",
            Self::KillContainer => "/arvados/v1/dispatch/containers/kill",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::KillContainer => "container_uuid",
            Self::DrainType | Self::RunType => "instance_type",
            Self::Hold | Self::Drain | Self::DrainHeld | Self::Run | Self::Kill => "instance_id",
        }
    }

    /// What else is asked: a drain must not end what somebody keeps on hold, unless that is meant.
    fn condition(self) -> Option<(&'static str, &'static str)> {
        (self == Self::Drain).then_some(("if_held", "refuse"))
    }

    /// Has it done to one.
    pub(super) async fn give(
        self,
        client: &mut Client,
        id: &str,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Value, Failure> {
        let reason = reason.map(|reason| ("reason", reason));
        let parameters = [(self.id(), id), ("by", by)].into_iter().chain(reason);
        let parameters: Vec<_> = parameters.chain(self.condition()).collect();
        client.order(self.path(), &parameters).await
    }

    /// What to do about an id that is not there.
    fn advice(self, failure: &Failure) -> &'static str {
        match failure {
            Failure::Refused(said) if self == Self::Drain && said.contains("on hold") => "; here: --force",
            Failure::Refused(said) if !said.contains("not found") => "",
            Failure::Refused(_) if self.id() == "instance_type" => creates::TYPES_ARE_LISTED,
            Failure::Refused(_) if self == Self::KillContainer => "; container list has those that have one",
            Failure::Refused(_) => "; instance list has those that there are",
            _ => "",
        }
    }

    /// What has been achieved.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Hold => "on hold: gets nothing new, and is kept",
            Self::Drain | Self::DrainHeld => "draining: gets nothing new, and is shut down when it is empty",
            Self::DrainType => {
                "drained: no new ones are created, and existing ones are drained unless on hold"
            }
            Self::RunType => "created again",
            Self::Run => "in use like any other",
            Self::Kill => "shutting down",
            Self::KillContainer => "its processes are being ended",
        }
    }
}

/// Exit 1 if one was refused. What goes wrong with the service itself would go wrong with the rest, too.
pub(super) async fn give(options: &Options, verb: Verb, order: &Order) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &order.why.at)?;
    let by = order.why.by();
    let mut ids = order.ids.iter();
    let mut code = ExitCode::SUCCESS;
    for id in ids.by_ref() {
        match verb.give(&mut client, id, &by, order.why.reason.as_deref()).await {
            // Whether anybody reads it or not, the other ids have their turn.
            Ok(answer) => {
                cli::print(&format!("{id}: {}", verb.done()));
                creates::say_what_is_not_kept(&answer);
            }
            Err(failure) => {
                code = ExitCode::FAILURE;
                cli::complain(format!("{id}: {failure}{}", verb.advice(&failure)));
                if !failure.is_of_one_id() {
                    break;
                }
            }
        }
    }
    for id in ids {
        cli::complain(format!("{id}: not tried"));
    }
    Ok(code)
}

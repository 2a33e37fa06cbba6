//! What an operator orders: one request for each id, each answered by its own line.

use std::process::ExitCode;

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
    /// Of a container.
    KillContainer,
}

impl Verb {
    fn path(self) -> &'static str {
        match self {
            Self::Hold => "/arvados/v1/dispatch/instances/hold",
            Self::Drain => "/arvados/v1/dispatch/instances/drain",
            Self::Run => "/arvados/v1/dispatch/instances/run",
            Self::Kill => "/arvados/v1/dispatch/instances/kill",
            Self::KillContainer => "/arvados/v1/dispatch/containers/kill",
        }
    }

    fn id(self) -> &'static str {
        if self == Self::KillContainer { "container_uuid" } else { "instance_id" }
    }

    /// What to do about an id that is not there.
    fn advice(self, failure: &Failure) -> &'static str {
        match failure {
            Failure::Refused(said) if !said.contains("not found") => "",
            Failure::Refused(_) if self == Self::KillContainer => "; container list has those that have one",
            Failure::Refused(_) => "; instance list has those that there are",
            _ => "",
        }
    }

    /// What has been achieved.
    fn done(self) -> &'static str {
        match self {
            Self::Hold => "on hold: gets nothing new, and is kept",
            Self::Drain => "draining: gets nothing new, and is shut down when it is empty",
            Self::Run => "in use like any other",
            Self::Kill => "shutting down",
            Self::KillContainer => "its processes are being ended",
        }
    }
}

/// Exit 1 if one was refused. What goes wrong with the service itself would go wrong with the rest, too.
pub(super) async fn give(options: &Options, verb: Verb, order: &Order) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &order.at)?;
    let mut ids = order.ids.iter();
    let mut code = ExitCode::SUCCESS;
    for id in ids.by_ref() {
        let reason = order.reason.as_deref().map(|reason| ("reason", reason));
        let parameters: Vec<_> = [(verb.id(), id.as_str())].into_iter().chain(reason).collect();
        match client.order(verb.path(), &parameters).await {
            // Whether anybody reads it or not, the other ids have their turn.
            Ok(()) => cli::print(&format!("{id}: {}", verb.done())),
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

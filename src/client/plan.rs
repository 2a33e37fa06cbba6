//! `plan`: what a running service would do next, and where that leads, under another configuration.
//!
//! ```text
//!   service ── debug/round ─► RecordedRound ──────────────┬─► comparison ─► text, or JSON
//!   --config, --set ─► PlanRules, as a reload takes them ─┘
//! ```
//! Where there is no site's file, and none was asked for, `--set` changes the service's own configuration.
//!
//! Everything is planned here, from the facts of the service's last round. Neither the service's controller nor its cloud
//! is asked, and the service does nothing for it.

mod changes;
mod comparison;
mod text;

use std::process::ExitCode;

use dispatch_core::plan::RecordedRound;
use dispatch_core::policy::PlanRules;

use super::failure::Failure;
use super::http::Client;
use super::screen::Screen;
use crate::cli::Options;
use crate::cli::service::Plan;
use crate::settings::{SettingsError, rules_with};
use comparison::Comparison;

/// Where the last round is told.
const PATH: &str = "/arvados/v1/dispatch/debug/round";

/// Shows it.
pub(super) async fn show(options: &Options, wanted: &Plan, screen: &Screen) -> Result<ExitCode, Failure> {
    let unusable = |error: SettingsError| Failure::Unusable(error.to_string());
    let of_file = match options.is_without_a_file() {
        true => None,
        false => Some(options.load_with(&wanted.overrides).map_err(unusable)?.settings.policy),
    };
    let mut client = Client::of(options, &wanted.at)?;
    let answer = client.show(PATH, &[]).await?;
    let round: RecordedRound = serde_json::from_value(answer).map_err(|error| {
        client.strange(&format!("its answer is no planning round that this program can read ({error})"))
    })?;
    let rules = match &of_file {
        Some(policy) => PlanRules::from(policy),
        None => rules_with(&round.input.rules, &wanted.overrides).map_err(unusable)?,
    };
    if rules.catalog.types().is_empty() {
        let why = "no instance type is configured: a reload refuses that, because every container would be cancelled";
        return Err(Failure::Unusable(why.to_owned()));
    }
    let comparison = Comparison::of(&round, &rules);
    if wanted.json {
        screen.print(&serde_json::to_string(&comparison).unwrap_or_default())?;
        return Ok(ExitCode::SUCCESS);
    }
    let unused: Vec<_> =
        wanted.overrides.iter().map(|it| it.key()).filter(|key| !changes::matters(key)).collect();
    screen.print(&text::of(&comparison, &unused, screen.has_colour))?;
    Ok(ExitCode::SUCCESS)
}

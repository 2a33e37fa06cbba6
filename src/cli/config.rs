//! `config check`, `config dump`, `config defaults`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;

use super::{EXIT_USAGE, Options, complain};
use crate::settings::{DEFAULTS, FindingKind, Loaded};

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Tell all that is wrong or doubtful; exit 2 if it cannot be used.
    Check {
        /// Unknown keys are errors.
        #[arg(long)]
        strict: bool,
    },
    /// Print every key that is read with the value in force; secrets are not shown.
    Dump {
        /// As JSON instead of YAML.
        #[arg(long)]
        json: bool,
    },
    /// Print every key with its default and what it means.
    Defaults,
}

/// Does it.
pub fn run(options: &Options, command: &ConfigCommand) -> ExitCode {
    let printed = match command {
        ConfigCommand::Defaults => Ok(DEFAULTS.to_owned()),
        ConfigCommand::Check { strict } => {
            options.load().map_err(|it| it.to_string()).and_then(|it| check(&it, *strict))
        }
        ConfigCommand::Dump { json } => {
            options.load().map_err(|it| it.to_string()).map(|it| dump(&it, *json))
        }
    };
    match printed {
        Ok(text) => {
            // A closed pipe behind `| head` is nobody's concern.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// The warnings and a verdict; or, if strict, the unknown keys as an error.
fn check(loaded: &Loaded, strict: bool) -> Result<String, String> {
    let unknown = loaded.warnings.iter().filter(|it| it.kind == FindingKind::UnknownKey);
    let unknown: Vec<_> = unknown.map(ToString::to_string).collect();
    if strict && !unknown.is_empty() {
        return Err(unknown.join("\n"));
    }
    let mut text: String = loaded.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
    let count = match loaded.warnings.len() {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        more => format!("{more} warnings"),
    };
    text.push_str(&format!(
        "cluster {}: configuration is usable, {count}\n",
        loaded.settings.policy.cluster_id
    ));
    Ok(text)
}

fn dump(loaded: &Loaded, json: bool) -> String {
    let dump = loaded.settings.dump();
    if json {
        return format!("{}\n", serde_json::to_string_pretty(&dump).expect("JSON is JSON"));
    }
    serde_saphyr::to_string(&dump).expect("maps, lists and scalars are YAML")
}

//! `config check`, `config dump`, `config defaults`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;

use super::{EXIT_USAGE, Options, complain};
use crate::settings::{DEFAULTS, Loaded};

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Tell all that is wrong or doubtful; exit 2 if it cannot be used.
    Check {
        /// Unknown keys, keys that are given twice, and settings that are unsafe are errors.
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

/// A verdict, after the warnings on stderr; or, if strict, what is then refused as an error.
fn check(loaded: &Loaded, strict: bool) -> Result<String, String> {
    let refused = loaded.warnings.iter().filter(|it| it.kind.is_refused_if_strict());
    let refused: Vec<_> = refused.map(ToString::to_string).collect();
    if strict && !refused.is_empty() {
        return Err(refused.join("\n"));
    }
    for warning in &loaded.warnings {
        complain(format!("warning: {warning}"));
    }
    if !loaded.settings.system_root_token.expose().starts_with("v2/") {
        complain(
            "note: SystemRootToken is a v1 token: changing it would lose all running jobs (docs/operate.md, \
             \"Changing the token\")",
        );
    }
    let count = match loaded.warnings.len() {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        more => format!("{more} warnings"),
    };
    Ok(format!("cluster {}: configuration is usable, {count}\n", loaded.settings.policy.cluster_id))
}

fn dump(loaded: &Loaded, json: bool) -> String {
    let dump = loaded.settings.dump();
    if json {
        return format!("{}\n", serde_json::to_string_pretty(&dump).expect("JSON is JSON"));
    }
    serde_saphyr::to_string(&dump).expect("maps, lists and scalars are YAML")
}

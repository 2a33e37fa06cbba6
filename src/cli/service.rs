//! The commands for a running service: `instance`, `container`, `creates`, `type`, `events`, `cost` and `top`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use crate::settings::{Override, parse_duration, parse_web_url};

/// Where the service is, and how long it may take.
#[derive(Debug, Clone, Args)]
pub struct At {
    /// The service's URL, instead of those of the configuration.
    #[arg(long, value_name = "URL", value_parser = web_url)]
    pub url: Option<Url>,
    /// How long an answer may take.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
}

/// How a list is shown.
#[derive(Debug, Clone, Args)]
pub struct ListOptions {
    /// Begin with the names of the columns, in a pipe too.
    #[arg(long, conflicts_with = "json")]
    pub header: bool,
    /// Print one JSON object a line for each item, as the service has it.
    #[arg(long)]
    pub json: bool,
    /// Go on, and show the list again whenever it has changed.
    #[arg(long)]
    pub watch: bool,
    /// How often --watch asks.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration, requires = "watch")]
    pub interval: Duration,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

/// What is shown, by its ids.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// Which.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    /// Print one JSON object a line, as the service has it.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

/// Who orders something, and why.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// Why, for the service's log and lists.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub reason: Option<String>,
    /// Who; by default the user that is logged in.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

impl Why {
    /// The name that was given, or of the user who has logged in; empty if nobody knows.
    pub fn by(&self) -> String {
        named_or_logged_in(self.by.as_ref())
    }
}

fn named_or_logged_in(given: Option<&String>) -> String {
    let named = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let logged_in = || ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(named);
    given.cloned().or_else(logged_in).unwrap_or_default()
}

/// Another configuration, and how what it would change is shown.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// A value in place of the file's; may be given several times. A key is named by itself or with its path; empty: its
    /// default. A type's: InstanceTypes.NAME.KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

/// A service on a terminal.
#[derive(Debug, Clone, Args)]
pub struct Top {
    /// Who gives the orders; by default the user that is logged in.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

impl Top {
    /// The name that was given, or of the user who has logged in; empty if nobody knows.
    pub fn by(&self) -> String {
        named_or_logged_in(self.by.as_ref())
    }
}

/// What is ordered, for which ids, and why.
#[derive(Debug, Clone, Args)]
pub struct Order {
    /// Which.
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub why: Why,
}

/// A drain, which may be meant for held instances, too.
#[derive(Debug, Clone, Args)]
pub struct Drain {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub order: Order,
    /// Also those that somebody keeps on hold.
    #[arg(long)]
    pub force: bool,
}

/// Of what nothing is created: of everything, if neither is given.
#[derive(Debug, Clone, Args)]
pub struct Scope {
    /// Of this type only.
    #[arg(long = "type", value_name = "NAME")]
    pub instance_type: Option<String>,
    /// Of this market only.
    #[arg(long, value_name = "MARKET", value_parser = ["on-demand", "spot"], conflicts_with = "instance_type")]
    pub market: Option<String>,
}

/// What is ordered about creates, of what, and why.
#[derive(Debug, Clone, Args)]
pub struct Scoped {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: Scope,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub why: Why,
}

/// A pause of creates.
#[derive(Debug, Clone, Args)]
pub struct Pause {
    /// How long, such as 30m or 2h; 168h (7 days) at most.
    #[arg(long = "for", value_name = "DURATION", value_parser = pause_length)]
    pub lasting: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub order: Scoped,
}

/// A question that has one answer.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Print one JSON object, as the service has it.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

/// What has happened.
#[derive(Debug, Clone, Args)]
pub struct Events {
    /// Those of the last time of that length, such as 10m; by default the last 50 events.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// That many of the last events.
    #[arg(long, value_name = "N", conflicts_with = "since")]
    pub last: Option<u64>,
    /// Go on, and show events as they happen.
    #[arg(long, short)]
    pub follow: bool,
    /// Only those of this container.
    #[arg(long, value_name = "UUID")]
    pub container: Option<String>,
    /// Only those of this instance.
    #[arg(long, value_name = "ID")]
    pub instance: Option<String>,
    /// Print one JSON object a line, as the service has it.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

/// What was spent.
#[derive(Debug, Clone, Args)]
pub struct Cost {
    /// In the last time of that length, such as 24h, in whole hours; by default since the service began to work.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// What each line is about.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = By::Category)]
    pub by: By,
    /// Begin with the names of the columns, in a pipe too.
    #[arg(long, conflicts_with = "json")]
    pub header: bool,
    /// Print one JSON object, as the service has it.
    #[arg(long, conflicts_with_all = ["since", "by"])]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub at: At,
}

/// What money is summed up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The instances' types.
    Type,
    /// What the instances did: inuse, hold, booting, unknown, idle.
    Category,
    /// The containers: those that run, and the last 1,000 that have ended.
    Container,
}

/// What to do with creates.
#[derive(Debug, Clone, Subcommand)]
pub enum CreatesCommand {
    /// Create nothing for a while: of everything, of a market, or of a type.
    Pause(Pause),
    /// End a pause before its time.
    Resume(Scoped),
    /// Show the pauses, and what else keeps instances from being created.
    Status(Status),
}

/// What to do with instance types.
#[derive(Debug, Clone, Subcommand)]
pub enum TypeCommand {
    /// List the configured types, and whether instances of them may be created now.
    List(ListOptions),
    /// Create no instances of some types any more, and drain those that there are.
    #[command(mut_arg("ids", |names| names.value_name("NAME").help("Which, by their configured names")))]
    Drain(Order),
    /// Use some types again.
    #[command(mut_arg("ids", |names| names.value_name("NAME").help("Which, by their configured names")))]
    Run(Order),
}

/// What to do with instances.
#[derive(Debug, Clone, Subcommand)]
pub enum InstanceCommand {
    /// List all instances, and those that are being created.
    List(ListOptions),
    /// Show all that is known of some instances.
    Show(Show),
    /// Place nothing new on them, and keep them until told otherwise.
    Hold(Order),
    /// Place nothing new on them, and shut them down when they are empty.
    Drain(Drain),
    /// Use them like any other, again.
    Run(Order),
    /// Shut them down now, whatever runs there.
    Kill(Order),
}

/// What to do with containers.
#[derive(Debug, Clone, Subcommand)]
pub enum ContainerCommand {
    /// List the containers of the queue, in the order in which they will be started.
    List(ListOptions),
    /// Show what is known of some containers.
    Show(Show),
    /// Say why some containers wait, with the evidence.
    Explain(Show),
    /// End the processes of some containers.
    Kill(Order),
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = parse_web_url(text).ok_or("wanted is a URL such as http://127.0.0.1:9006")?;
    match url.password().is_none() && url.username().is_empty() {
        true => Ok(url),
        false => Err("a URL has no token: set ARVADOS_MANAGEMENT_TOKEN instead".to_owned()),
    }
}

/// As it was said: the service reads it in the same way.
fn pause_length(text: &str) -> Result<String, String> {
    let length = crate::api::pause_length(text);
    length.map(|_| text.to_owned()).map_err(|wanted| format!("wanted is {wanted}"))
}

/// At least a tenth of a second: the service has other work.
fn duration(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(100);
    let nanoseconds = parse_duration(text).and_then(|it| u64::try_from(it).ok());
    let duration = nanoseconds.map(Duration::from_nanos).filter(|it| *it >= SHORTEST);
    duration.ok_or_else(|| "wanted is a duration such as 30s or 1m30s, 100ms at least".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_the_configurations_and_never_zero() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "0", "5", "-1s", "99ms", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_url_is_of_the_web_and_carries_no_secret() {
        assert!(web_url("https://dispatch.example:9006").is_ok());
        for wrong in ["dispatch:9006", "ftp://a", "http://", "http://token@a", "http://a:token@b"] {
            let error = web_url(wrong).unwrap_err();
            assert!(!error.contains("token@"), "{error}");
        }
    }
}

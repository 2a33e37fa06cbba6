//! The command line: what was asked for, as a value.
//!
//! ```text
//!   argv ─ argv::prepare ─┬─> Runner(arguments)       crunch-run, by name or as a command
//!                         └─> clap ─> Command(options, command)
//!                                └──> Answered(exit code)     help, version, wrong usage
//! ```
//! Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Results on stdout; errors on stderr, one
//! line each.

mod argv;
pub mod config;
pub mod generated;
pub mod service;
pub mod simulate;

use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::settings::{Environment, Host, Loaded, Override, SettingsError, Source, load, parse_size};

const DEFAULT_CONFIG: &str = "/etc/arvados/config.yml";

/// Wrong usage or configuration.
pub const EXIT_USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  arvados-dispatch-cloud                              the service, as systemd starts it
  arvados-dispatch-cloud demo                         the whole thing on this machine
  arvados-dispatch-cloud demo --containers 300 --instances 20 --json
  arvados-dispatch-cloud cloudtest --pause-before-destroy   one instance, as the service would use it
  arvados-dispatch-cloud config check --strict        before a restart
  arvados-dispatch-cloud --config ./config.yml config dump
  arvados-dispatch-cloud simulate --log dispatcher.log --config now.yml --config other.yml --svg both.svg
  arvados-dispatch-cloud health --ready && echo in service
  arvados-dispatch-cloud top                          the whole cluster on a terminal, as it changes
  arvados-dispatch-cloud instance list --watch        what is there, and what it costs
  arvados-dispatch-cloud instance hold i-0a1b2c --reason 'disk is full, looking at it'
  arvados-dispatch-cloud container explain zzzzz-dz642-0123456789abcde
  arvados-dispatch-cloud plan --set MaxInstances=40   what another configuration would change
  arvados-dispatch-cloud events --since 10m --follow  what changes
  arvados-dispatch-cloud creates pause --for 2h --reason 'the image is renewed'

Environment:
  ARVADOS_CONFIG, ARVADOS_CLUSTER_ID, ARVADOS_SERVICE_INTERNAL_URL, NO_COLOR;
  ARVADOS_MANAGEMENT_TOKEN for commands to a running service, in place of the configuration's";

/// Runs containers from an Arvados controller's queue on cloud VMs over SSH.
#[derive(Debug, Parser)]
#[command(name = "arvados-dispatch-cloud", version = crate::VERSION, after_help = EXAMPLES, args_override_self = true)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<AnyCommand>,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The site's configuration; - is standard input. Where it is given several times, the last one counts.
    #[arg(
        long,
        global = true,
        env = "ARVADOS_CONFIG",
        default_value = DEFAULT_CONFIG,
        value_name = "FILE",
        action = ArgAction::Append
    )]
    config: Vec<OsString>,
    /// Which cluster of the configuration, if it has several.
    #[arg(long, global = true, env = "ARVADOS_CLUSTER_ID", value_name = "ID")]
    cluster_id: Option<String>,
}

impl Options {
    /// Where the configuration comes from.
    pub fn source(&self) -> Source {
        Source::from_argument(self.config.last().map_or(DEFAULT_CONFIG.as_ref(), |it| named(it)).as_ref())
    }

    /// Reads and checks each configuration that is given, for a comparison: its name as it was given, and what came of it.
    pub fn load_each(&self) -> Vec<(String, Result<Loaded, SettingsError>)> {
        let load = |config: &OsString| {
            let config = Path::new(named(config));
            (
                config.display().to_string(),
                self.load_from(&Source::from_argument(config), &Environment::this()),
            )
        };
        self.config.iter().map(load).collect()
    }

    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, one line each.
    pub fn load(&self) -> Result<Loaded, SettingsError> {
        self.load_in(&Environment::this())
    }

    /// The same, with an image in place of the configured one, which may then be missing.
    ///
    /// # Errors
    /// Everything else that is wrong with it, one line each.
    pub fn load_with_image(&self, image: Option<&str>) -> Result<Loaded, SettingsError> {
        self.load_in(&Environment { image_id: image.map(str::to_owned), ..Environment::this() })
    }

    /// Whether there is no site's file on this machine, and none was asked for.
    pub fn is_without_a_file(&self) -> bool {
        let is_usual = self.config.last().is_none_or(|it| named(it) == DEFAULT_CONFIG);
        is_usual && !Path::new(DEFAULT_CONFIG).exists()
    }

    /// The same, with other values in place of some of the file's.
    ///
    /// # Errors
    /// Everything that is wrong with it, one line each.
    pub fn load_with(&self, overrides: &[Override]) -> Result<Loaded, SettingsError> {
        self.load_in(&Environment { overrides: overrides.to_vec(), ..Environment::this() })
    }

    fn load_in(&self, environment: &Environment) -> Result<Loaded, SettingsError> {
        self.load_from(&self.source(), environment)
    }

    fn load_from(&self, source: &Source, environment: &Environment) -> Result<Loaded, SettingsError> {
        let cluster_id = self.cluster_id.as_deref().filter(|id| !id.is_empty());
        load(source, cluster_id, environment, &Host::this())
    }
}

/// The file that is meant: set but empty is as if not set, as in unit files.
fn named(config: &OsStr) -> &OsStr {
    if config.is_empty() { DEFAULT_CONFIG.as_ref() } else { config }
}

#[derive(Debug, Subcommand)]
enum AnyCommand {
    #[command(flatten)]
    Command(Command),
    /// The runner on a VM: --detach, --list, --kill (also under the name crunch-run).
    #[command(disable_help_flag = true)]
    CrunchRun {
        /// Passed on as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The service; also without a command.
    Run(Run),
    /// Show the whole thing at work on this machine: a simulated controller and cloud, real SSH, real processes.
    Demo(Demo),
    /// Try the configured cloud with one instance: create, log in, boot probe, destroy.
    Cloudtest(Cloudtest),
    /// Ask a running service whether it is well; exit 0 or 1.
    Health(Health),
    /// Look at the instances of a running service, and say what is to happen with them.
    #[command(subcommand)]
    Instance(service::InstanceCommand),
    /// Look at the containers of a running service, ask why they wait, and end them.
    #[command(subcommand)]
    Container(service::ContainerCommand),
    /// Create no instances for a while, and see what keeps them from being created.
    #[command(subcommand)]
    Creates(service::CreatesCommand),
    /// Look at the instance types of a running service, and take some out of use.
    #[command(subcommand)]
    Type(service::TypeCommand),
    /// Show what has happened in a running service, and what happens from now on.
    Events(service::Events),
    /// Show what the instances of a running service have cost, and what of it was wasted.
    Cost(service::Cost),
    /// Show what a running service would do next, and where that leads, under another configuration. Nothing is changed.
    Plan(service::Plan),
    /// Plan recorded rounds (run --record) again, and name the first that comes out otherwise.
    Replay(Replay),
    /// Show a running service on the whole terminal, as it changes: what waits, what there is, what happens.
    Top(service::Top),
    /// Play a site's past once more, in virtual time, under one configuration or several: what they would have cost.
    ///
    /// Each --config is a configuration to compare; the names of instance types in a log are looked up in them, in their
    /// order. Nothing is asked of a controller, a cloud or a service.
    Simulate(simulate::Simulate),
    /// Check or show the configuration.
    #[command(subcommand, arg_required_else_help = false)]
    Config(config::ConfigCommand),
    /// Print the version, with the commit that this program is built from.
    Version,
    /// Print what a shell needs to complete this program's commands and options.
    Completions {
        /// Which shell.
        shell: generated::Shell,
    },
    /// Write man pages, one for each command, into a directory.
    Man {
        /// Which; it is made if it is not there.
        directory: std::path::PathBuf,
    },
}

/// Options of `run`.
#[derive(Debug, Clone, Default, Args)]
pub struct Run {
    /// Write what each round was planned from, and what it came to, into this directory: for replay.
    #[arg(long, value_name = "DIRECTORY")]
    pub record: Option<std::path::PathBuf>,
    /// The most that these records take on the disk; the oldest go first. Without it: 1GiB.
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "record")]
    pub record_limit: Option<u64>,
}

fn size(text: &str) -> Result<u64, String> {
    let least = 64 << 20;
    parse_size(text)
        .filter(|size| *size >= least)
        .ok_or("a size of at least 64MiB is wanted, such as 1GiB".to_owned())
}

/// Options of `replay`.
#[derive(Debug, Clone, Args)]
pub struct Replay {
    /// The directory of run --record, or one of its files, or a file with the answer of the API's debug/round.
    #[arg(value_name = "DIRECTORY")]
    pub place: std::path::PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Options of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// How many containers to run.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub containers: u32,
    /// How many instances the cloud has room for.
    #[arg(long, default_value_t = 4, value_name = "M", value_parser = clap::value_parser!(u32).range(1..))]
    pub instances: u32,
    /// Go on when all containers are done, until interrupted.
    #[arg(long)]
    pub keep_running: bool,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Let things go wrong: the controller sheds load and loses answers; one VM dies, one breaks, one hangs.
    #[arg(long)]
    pub faults: bool,
    /// Without the controller's event feed: the queue is polled only.
    #[arg(long)]
    pub no_events: bool,
    /// A cluster to look around in: jobs keep coming, and things are as named, until interrupted.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["containers", "keep_running", "json", "faults"])]
    pub scenario: Option<Scenario>,
}

/// How things are in a living demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scenario {
    /// All is well.
    Calm,
    /// The cloud account's limit is reached.
    Quota,
    /// The cloud has no room for more.
    Capacity,
    /// Spot instances are taken away, after a notice.
    Spot,
    /// Most instances do not boot.
    Badboot,
    /// The controller is down for a while, again and again.
    Outage,
    /// The controller sheds calls, because more runs than it can serve.
    Overload,
}

/// Options of `cloudtest`.
#[derive(Debug, Clone, Args)]
pub struct Cloudtest {
    /// Try this image instead of the configured one.
    #[arg(long, value_name = "ID")]
    pub image_id: Option<String>,
    /// Try this entry of InstanceTypes instead of the cheapest.
    #[arg(long, value_name = "NAME")]
    pub instance_type: Option<String>,
    /// The instance's set; not a dispatcher's, by default cloudtest-USER@HOST.
    #[arg(long, value_name = "ID")]
    pub instance_set_id: Option<String>,
    /// Destroy what is left of earlier trials with this set id, instead of refusing to begin.
    #[arg(long)]
    pub destroy_existing: bool,
    /// Run this on the instance when it has booted.
    #[arg(long, value_name = "SHELL TEXT")]
    pub command: Option<String>,
    /// Wait for Enter before the instance is destroyed, also after a failure: time to log in.
    #[arg(long)]
    pub pause_before_destroy: bool,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
}

/// Options of `health`.
#[derive(Debug, Clone, Args)]
pub struct Health {
    /// Ask whether it is in service, not only alive.
    #[arg(long)]
    pub ready: bool,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// The runner, with these arguments.
    Runner(Vec<OsString>),
    /// A command of the dispatcher.
    Command(Options, Command),
    /// Help, version or wrong usage: it has been answered already.
    Answered(ExitCode),
}

/// Understands a command line, the program's name first. Says on stderr which options it ignores, and
/// answers `--help`, `--version` and wrong usage.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Invocation {
    let prepared = argv::prepare(argv.into_iter().collect());
    for option in &prepared.ignored {
        complain(format!("warning: {option} is an option of older versions, ignored"));
    }
    if let Some(arguments) = prepared.runner {
        return Invocation::Runner(arguments);
    }
    match CommandLine::try_parse_from(prepared.arguments) {
        Ok(CommandLine { options, command }) => match command {
            None => Invocation::Command(options, Command::Run(Run::default())),
            Some(AnyCommand::Command(command)) => Invocation::Command(options, command),
            Some(AnyCommand::CrunchRun { arguments }) => Invocation::Runner(arguments),
        },
        Err(error) => Invocation::Answered(answer(&error)),
    }
}

fn answer(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe behind `--help | head` is nobody's concern.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    complain(one_line(&error.render().to_string()));
    ExitCode::from(EXIT_USAGE)
}

/// clap's paragraphs as one line: what is wrong, its tip, where there is help.
fn one_line(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or(text).trim_start_matches("error: ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let words: Vec<_> = first.split_whitespace().chain(tip.map(|_| "--")).chain(tip).collect();
    format!("{}; try --help", words.join(" "))
}

/// One line on stderr for each line of the message, with the program's name. A stderr that is gone is no reason
/// to end: whoever complains has more to do, such as destroying a VM.
pub fn complain(message: impl Display) {
    for line in message.to_string().lines() {
        // `eprintln!` would panic.
        let _ = writeln!(io::stderr(), "arvados-dispatch-cloud: {line}");
    }
}

/// A result on stdout. A reader that has gone is nobody's concern; a full disk is told.
pub fn print(text: &str) {
    let written = writeln!(io::stdout(), "{text}");
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(format!("cannot write the result: {error}"));
    }
}

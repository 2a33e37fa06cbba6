//! From a file, standard input or text in memory to checked [`Settings`].

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use dispatch_core::driver::secret_names;
use dispatch_core::time::Timestamp;

use super::drivers::{DRIVERS, Drivers};
use super::host::{Environment, Host};
use super::model::Settings;
use super::report::{Finding, FindingKind, Report, SettingsError};
use super::section::Section;
use super::template::{self, SAMPLE};
use super::yaml::{Kind, Node, Position};
use super::{cluster, decode, known, merge, old_names, overrides, yaml};

/// More than any site's file.
const MAX_BYTES: u64 = 16 << 20;
/// More than most sites' files.
const USUAL_BYTES: usize = 1 << 20;

/// Where the site's file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// The path as on the command line.
    pub fn from_argument(argument: &Path) -> Self {
        if argument == Path::new("-") { Self::Stdin } else { Self::File(argument.to_owned()) }
    }
}

/// A configuration that can be used, and what there is to say about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub settings: Settings,
    /// What is ignored or doubtful in it.
    pub warnings: Vec<Finding>,
    /// SHA-256 of the file's raw bytes, in hex.
    pub sha256: String,
    /// When the file was last changed; `None` = it is not a file.
    pub modified: Option<Timestamp>,
}

/// Reads and checks the site's file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(
    source: &Source,
    cluster_id: Option<&str>,
    environment: &Environment,
    host: &Host,
) -> Result<Loaded, SettingsError> {
    let (name, read, metadata) = match source {
        Source::Stdin => ("-".to_owned(), read_all(std::io::stdin()), None),
        Source::File(path) => {
            let file = std::fs::File::open(path);
            let metadata = file.as_ref().ok().and_then(|file| file.metadata().ok());
            (path.display().to_string(), file.and_then(read_all), metadata)
        }
    };
    let bytes = read.map_err(|error| whole_file(&name, format!("cannot read it: {error}")))?;
    let mut loaded = parse(&name, &bytes, cluster_id, environment, host)?;
    let modified = metadata.as_ref().and_then(|it| it.modified().ok());
    loaded.modified = modified.and_then(|time| Timestamp::try_from(time).ok());
    let everybody_writes = |it: &std::fs::Metadata| it.is_file() && it.mode() & 0o002 != 0;
    if metadata.as_ref().is_some_and(everybody_writes) {
        let message =
            "everybody on this machine may write it, and so run commands as this service: chmod o-w";
        loaded.warnings.insert(0, whole_file_finding(FindingKind::Unsafe, &name, message.to_owned()));
    }
    Ok(loaded)
}

/// What is read is full of secrets: it is wiped when it is no longer needed.
fn read_all(reader: impl std::io::Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    // Of its final size from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_BYTES));
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(std::io::Error::other(format!("longer than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

fn whole_file(name: &str, message: String) -> SettingsError {
    whole_file_finding(FindingKind::Problem, name, message).into()
}

fn whole_file_finding(kind: FindingKind, name: &str, message: String) -> Finding {
    Finding { kind, file: name.into(), at: None, path: String::new(), message }
}

/// Checks the text of a site's file; `name` is what findings call it. Reads the key and certificate files
/// that it names, nothing else.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    name: &str,
    bytes: &[u8],
    cluster_id: Option<&str>,
    environment: &Environment,
    host: &Host,
) -> Result<Loaded, SettingsError> {
    parse_with(&DRIVERS, name, bytes, cluster_id, environment, host)
}

/// The same, with other drivers than those that are built in.
pub(super) fn parse_with(
    drivers: Drivers<'_>,
    name: &str,
    bytes: &[u8],
    cluster_id: Option<&str>,
    environment: &Environment,
    host: &Host,
) -> Result<Loaded, SettingsError> {
    let file: Arc<str> = name.into();
    let text = std::str::from_utf8(bytes).map_err(|error| whole_file(name, format!("not UTF-8: {error}")))?;
    let yaml::Document { tree, notes } = yaml::read(text).map_err(|error| Finding {
        kind: FindingKind::Problem,
        file: file.clone(),
        at: error.at,
        path: String::new(),
        message: error.message,
    })?;
    let (id, site) = choose(&tree, cluster_id).map_err(|(at, message)| Finding {
        kind: FindingKind::Problem,
        file: file.clone(),
        at,
        path: "Clusters".to_owned(),
        message,
    })?;
    let report = Report::new(file).hiding(secret_names(drivers));
    notes.into_iter().for_each(|note| report.note(note));
    if let Kind::Map(entries) = &tree.kind {
        // Beside `Clusters`, as in files of a time before there were clusters.
        let beside = entries.iter().filter(|it| it.key.text != "Clusters").cloned().collect();
        old_names::tell_moved(&Node { at: tree.at, kind: Kind::Map(beside) }, site, "", &report);
    }
    let settings = check(drivers, id, site, environment, host, &report);
    let warnings = report.finish()?;
    let settings = settings.expect("whatever is missing is a problem of the report");
    Ok(Loaded { settings, warnings, sha256: hex::encode(Sha256::digest(bytes)), modified: None })
}

fn check(
    drivers: Drivers<'_>,
    id: &str,
    site: &Node,
    environment: &Environment,
    host: &Host,
    report: &Report,
) -> Option<Settings> {
    let path = format!("Clusters.{id}");
    let site = &old_names::rewrite(site, &path, report);
    known::check(site, &path, report);
    let site = &overrides::apply(site, &environment.overrides);
    let merged = merge::merge(Some(site), Some(template::cluster()));
    let section = Section::new(&merged, Some(template::cluster()), path.clone(), report);
    let settings = decode::read(drivers, id, &section, environment, host);
    // Also after a problem: everything that is wrong is told at once.
    let catalog = settings.as_ref().map(|it| it.policy.catalog.clone()).unwrap_or_default();
    let json = cluster::to_json(&merged, &catalog, &path, report);
    let mut settings = settings?;
    settings.cluster.0 = json;
    compare_environment(&settings, environment, report);
    Some(settings)
}

/// The cluster that is meant: the only one, or the one that was asked for.
fn choose<'a>(
    tree: &'a Node,
    wanted: Option<&str>,
) -> Result<(&'a str, &'a Node), (Option<Position>, String)> {
    let clusters =
        tree.get("Clusters").ok_or((None, "missing: a map of cluster ids is wanted".to_owned()))?;
    let Kind::Map(entries) = &clusters.kind else {
        return Err((clusters.at, format!("{} where a map of cluster ids is wanted", clusters.kind_name())));
    };
    let has_nothing = |id: &str| {
        format!(
            "{id} has nothing below it: its keys (SystemRootToken, Services …) are wanted, indented further than the id"
        )
    };
    let named: Vec<_> = entries.iter().filter(|it| it.key.text != SAMPLE).collect();
    let meant = named.iter().find(|it| wanted.is_none_or(|id| it.key.text == id));
    let entries: Vec<_> = named.iter().copied().filter(|it| !it.value.is_null()).collect();
    if let Some(empty) = meant.filter(|it| it.value.is_null() && (wanted.is_some() || entries.is_empty())) {
        return Err((empty.at, has_nothing(&empty.key.text)));
    }
    let ids: Vec<_> = entries.iter().map(|it| it.key.text.as_str()).collect();
    let entry = match (wanted, entries.as_slice()) {
        (Some(id), _) => entries.iter().find(|it| it.key.text == id).copied(),
        (None, [only]) => Some(*only),
        (None, []) => return Err((clusters.at, "empty: a cluster is wanted".to_owned())),
        (None, _) => {
            return Err((clusters.at, format!("choose one of {} with --cluster-id", ids.join(", "))));
        }
    };
    let Some(entry) = entry else {
        return Err((
            clusters.at,
            format!("no cluster {}: there are {}", wanted.unwrap_or_default(), ids.join(", ")),
        ));
    };
    let id = entry.key.text.as_str();
    if id.len() != 5 || !id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()) {
        return Err((entry.at, format!("`{id}` is not a cluster id: five of a-z and 0-9 are wanted")));
    }
    match entry.value.kind {
        Kind::Map(_) => Ok((id, &entry.value)),
        _ => Err((entry.value.at, format!("{id}: {} where a map is wanted", entry.value.kind_name()))),
    }
}

/// Variables that clients obey and we do not: a difference is worth a word.
fn compare_environment(settings: &Settings, environment: &Environment, report: &Report) {
    let path = |key: &str| format!("Clusters.{}.{key}", settings.policy.cluster_id);
    let warn = |variable: &str, key: &str| {
        report.doubt(None, &path(key), format!("{variable} of the environment differs, and is not used"));
    };
    if environment.api_host.as_ref().is_some_and(|host| *host != settings.controller.host()) {
        warn("ARVADOS_API_HOST", "Services.Controller.ExternalURL");
    }
    if environment.api_token.as_ref().is_some_and(|token| *token != settings.system_root_token) {
        warn("ARVADOS_API_TOKEN", "SystemRootToken");
    }
    let insecure = environment.api_host_insecure.as_deref().map(|it| matches!(it, "1" | "yes" | "true"));
    if insecure.is_some_and(|insecure| insecure != settings.controller.insecure) {
        warn("ARVADOS_API_HOST_INSECURE", "TLS.Insecure");
    }
}

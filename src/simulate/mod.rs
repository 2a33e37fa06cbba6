//! `simulate`: plays a site's history under one configuration or several, and compares what came of it.
//!
//! ```text
//!   --log ─→ log: lines ─→ sightings ─→ needs: jobs, with what had to be guessed ─┐
//!   --csv ─→ csv: rows ─────────────────────────────────────────────→ jobs ───────┴→ Past
//!   --config A, B … ─→ settings ─→ Site                                                │
//!                                    └─→ dispatch_sim::site::play, one thread each ←────┘
//!                                          └─→ report: table, JSON, picture
//! ```
//! Never does: any call to controller, cloud or service. Exit codes: 0 done, 1 the history cannot be used or the picture
//! not be written, 2 wrong usage or configuration.

mod csv;
mod error;
mod log;
mod needs;
mod past;
mod report;

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

use dispatch_core::policy::Policy;
use dispatch_sim::site::{Play, Site, play};

use crate::cli::simulate::Simulate;
use crate::cli::{EXIT_USAGE, Options, complain};
use crate::client::screen::Screen;
use error::HistoryError;
use past::Past;
use report::{Played, Report};

/// One configuration to compare.
struct Candidate {
    name: String,
    site: Site,
}

/// Does it.
pub fn run(options: &Options, wanted: &Simulate) -> ExitCode {
    let candidates = match candidates(options, wanted) {
        Ok(candidates) => candidates,
        Err(error) => {
            complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match compare(&candidates, wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::FAILURE
        }
    }
}

/// All configurations, or everything that is wrong with any of them.
fn candidates(options: &Options, wanted: &Simulate) -> Result<Vec<Candidate>, String> {
    let mut candidates = Vec::new();
    let mut problems = Vec::new();
    for (name, loaded) in options.load_each() {
        match loaded {
            Err(error) => problems.push(error.to_string()),
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    complain(format!("warning: {warning}"));
                }
                let settings = loaded.settings;
                let has_feed = !settings.websocket.feed_urls().is_empty();
                let site = Site { policy: settings.policy, has_feed, pace: wanted.pace() };
                candidates.push(Candidate { name, site });
            }
        }
    }
    if problems.is_empty() { Ok(candidates) } else { Err(problems.join("\n")) }
}

fn compare(candidates: &[Candidate], wanted: &Simulate) -> anyhow::Result<()> {
    let past = read(candidates, wanted)?;
    // Before the work is done: it would be in vain if there were no place for the picture.
    let picture = wanted.svg.as_deref().map(create).transpose()?;
    if !wanted.json {
        past.notes().iter().for_each(|note| complain(format!("note: {note}")));
    }
    let plays = play_all(&past, candidates)?;
    let plays = candidates.iter().map(|it| it.name.as_str()).zip(plays);
    let plays: Vec<_> = plays.map(|(name, play)| Played::of(name, &past.history, play)).collect();
    let report = Report { past: &past, plays: &plays, pace: wanted.pace() };
    if let Some((mut file, path)) = picture {
        file.write_all(report.svg().as_bytes()).map_err(|error| cannot_write(path, &error))?;
    }
    let screen = Screen::this();
    screen.print(&if wanted.json {
        report.json().to_string()
    } else if screen.is_terminal {
        format!("{}\n\n{}", report.summary(), report.table().drawn(screen.has_colour))
    } else {
        report.table().separated(wanted.header)
    })?;
    Ok(())
}

fn read(candidates: &[Candidate], wanted: &Simulate) -> Result<Past, HistoryError> {
    if let Some(path) = &wanted.csv {
        let (name, reader) = open(path)?;
        return csv::read(&name, reader);
    }
    let mut log = log::Log::default();
    for path in &wanted.log {
        let (name, reader) = open(path)?;
        log.read(reader).map_err(|source| HistoryError::Read { name, source })?;
    }
    let policies: Vec<&Policy> = candidates.iter().map(|it| &it.site.policy).collect();
    needs::jobs(&log, &policies)
}

fn open(path: &Path) -> Result<(String, BufReader<Box<dyn Read>>), HistoryError> {
    let name = path.display().to_string();
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path);
        Box::new(file.map_err(|source| HistoryError::Read { name: name.clone(), source })?)
    };
    Ok((name, BufReader::new(reader)))
}

fn create(path: &Path) -> anyhow::Result<(File, &Path)> {
    let file = File::create(path).map_err(|error| cannot_write(path, &error))?;
    Ok((file, path))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("cannot write {}: {error}", path.display())
}

/// Plays the history under each configuration, as many at a time as there are CPUs. Each play has a thread, a runtime and a
/// clock of its own, so that none knows of the others.
fn play_all(past: &Past, candidates: &[Candidate]) -> anyhow::Result<Vec<Play>> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let mut plays: Vec<(usize, Play)> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            while let Some((number, candidate)) = take(&next, candidates) {
                done.push((number, play(&past.history, &candidate.site)));
            }
            done
        };
        let threads: Vec<_> = (0..cpus.min(candidates.len())).map(|_| scope.spawn(work)).collect();
        let done: Result<Vec<_>, _> = threads.into_iter().map(|thread| thread.join()).collect();
        done.map(|done| done.into_iter().flatten().collect())
    })
    .map_err(|_| anyhow::anyhow!("the simulated dispatcher has failed: what it said stands above"))?;
    plays.sort_by_key(|(number, _)| *number);
    Ok(plays.into_iter().map(|(_, play)| play).collect())
}

fn take<'a>(next: &AtomicUsize, candidates: &'a [Candidate]) -> Option<(usize, &'a Candidate)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    candidates.get(number).map(|candidate| (number, candidate))
}

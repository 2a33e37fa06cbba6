//! A table of jobs: a header and one job a line, values separated by commas.
//!
//! ```text
//!   submitted_at,vcpus,ram,duration,scratch,preemptible,priority
//!   2026-11-30T08:00:00Z,4,8GiB,25m,50GB,false,500
//! ```
//! The last three columns may be missing: no scratch, on demand, priority 500. A value may stand in quotes. Empty lines are
//! skipped; anything else that is odd is an error with its place.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::Duration;

use dispatch_core::container::RuntimeConstraints;
use dispatch_core::time::{Timestamp, after};
use dispatch_sim::site::Job;

use super::error::HistoryError;
use super::past::{Past, Source};
use crate::settings::{SIZE, parse_duration, parse_size};

/// The columns, for error texts.
pub(super) const COLUMNS: &str =
    "submitted_at, vcpus, ram, duration; scratch, preemptible, priority if you like";

/// What most jobs of a site have.
pub(super) const USUAL_PRIORITY: i64 = 500;

/// A date that a simulated time can be counted from; more cannot be meant.
const LAST_SECOND: f64 = 250_000_000_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    SubmittedAt,
    Vcpus,
    Ram,
    Duration,
    Scratch,
    Preemptible,
    Priority,
}

const ALL: [Column; 7] = [
    Column::SubmittedAt,
    Column::Vcpus,
    Column::Ram,
    Column::Duration,
    Column::Scratch,
    Column::Preemptible,
    Column::Priority,
];

/// Reads a table to its end.
pub(super) fn read(name: &str, reader: impl BufRead) -> Result<Past, HistoryError> {
    let mut columns: Option<Vec<Column>> = None;
    let mut jobs = Vec::new();
    for (number, line) in reader.lines().enumerate() {
        let line = line.map_err(|source| HistoryError::Read { name: name.to_owned(), source })?;
        let text = if number == 0 { line.trim_start_matches('\u{feff}') } else { &line };
        let Some(columns) = &columns else {
            columns = Some(header(name, &values(text))?);
            continue;
        };
        if !text.trim().is_empty() {
            jobs.push(Row { name, line: number + 1, columns, values: values(text) }.job()?);
        }
    }
    if columns.is_none() {
        return Err(HistoryError::Header { name: name.to_owned(), what: "it is empty".to_owned() });
    }
    Past::of(jobs, Source::Table, BTreeMap::new(), BTreeMap::new())
}

fn header(name: &str, names: &[String]) -> Result<Vec<Column>, HistoryError> {
    let wrong = |what: String| HistoryError::Header { name: name.to_owned(), what };
    let mut columns = Vec::new();
    for given in names {
        let known = ALL.into_iter().find(|column| given.eq_ignore_ascii_case(column.name()));
        let column = known.ok_or_else(|| wrong(format!("no column is called `{given}`")))?;
        if columns.contains(&column) {
            return Err(wrong(format!("the column {given} is there twice")));
        }
        columns.push(column);
    }
    let missing = ALL.into_iter().find(|column| column.is_required() && !columns.contains(column));
    match missing {
        Some(column) => Err(wrong(format!("the column {} is missing", column.name()))),
        None => Ok(columns),
    }
}

/// The values of a line, without blanks and quotes around them.
fn values(line: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        let value = values.last_mut().expect("it begins with one");
        match c {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                value.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => values.push(String::new()),
            c => value.push(c),
        }
    }
    values.iter().map(|value| value.trim().to_owned()).collect()
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Self::SubmittedAt => "submitted_at",
            Self::Vcpus => "vcpus",
            Self::Ram => "ram",
            Self::Duration => "duration",
            Self::Scratch => "scratch",
            Self::Preemptible => "preemptible",
            Self::Priority => "priority",
        }
    }

    fn is_required(self) -> bool {
        self <= Self::Duration
    }

    /// What may stand there.
    fn accepted(self) -> String {
        match self {
            Self::SubmittedAt => {
                "a date such as 2026-11-30T08:00:00Z, or seconds since 1970 or any other moment".to_owned()
            }
            Self::Vcpus => "a whole number of CPUs, 0 or more".to_owned(),
            Self::Ram | Self::Scratch => SIZE.to_owned(),
            Self::Duration => "a duration such as 90s or 1h30m, or seconds, up to ten years".to_owned(),
            Self::Preemptible => "true or false".to_owned(),
            Self::Priority => "a whole number above 0".to_owned(),
        }
    }
}

/// A line with one job.
struct Row<'a> {
    name: &'a str,
    line: usize,
    columns: &'a [Column],
    values: Vec<String>,
}

impl Row<'_> {
    fn job(&self) -> Result<Job, HistoryError> {
        if self.values.len() != self.columns.len() {
            return Err(HistoryError::Width {
                name: self.name.to_owned(),
                line: self.line,
                found: self.values.len(),
                wanted: self.columns.len(),
            });
        }
        let vcpus = self.value(Column::Vcpus, |text| text.parse().ok())?.unwrap_or(0);
        let ram = self.value(Column::Ram, parse_size)?.unwrap_or(0);
        Ok(Job {
            submitted_at: self.value(Column::SubmittedAt, moment)?.unwrap_or_default(),
            constraints: RuntimeConstraints { vcpus, ram, ..RuntimeConstraints::default() },
            scratch: self.value(Column::Scratch, parse_size)?.unwrap_or(0),
            preemptible: self.value(Column::Preemptible, |text| text.parse().ok())?.unwrap_or(false),
            priority: self.value(Column::Priority, priority)?.unwrap_or(USUAL_PRIORITY),
            duration: self.value(Column::Duration, duration)?.unwrap_or_default(),
        })
    }

    /// What stands in a column; `None` = there is no such column, or nothing in it that must be.
    fn value<T>(
        &self,
        column: Column,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, HistoryError> {
        let Some(number) = self.columns.iter().position(|it| *it == column) else { return Ok(None) };
        let text = &self.values[number];
        if text.is_empty() && !column.is_required() {
            return Ok(None);
        }
        parse(text).map(Some).ok_or_else(|| HistoryError::Value {
            name: self.name.to_owned(),
            line: self.line,
            number: number + 1,
            column: column.name(),
            value: text.chars().take(60).collect(),
            accepted: column.accepted(),
        })
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        let fits = (0.0..LAST_SECOND).contains(&seconds);
        return fits.then(|| after(Timestamp::UNIX_EPOCH, Duration::from_secs_f64(seconds)));
    }
    text.parse().ok()
}

fn duration(text: &str) -> Option<Duration> {
    const TEN_YEARS: f64 = 10.0 * 366.0 * 86_400.0;
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => parse_duration(text)? as f64 / 1e9,
    };
    (0.0..=TEN_YEARS).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn priority(text: &str) -> Option<i64> {
    text.parse().ok().filter(|priority| *priority > 0)
}

#[cfg(test)]
mod tests;

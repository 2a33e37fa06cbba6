//! What was read of the past, and how much of it is not as it was.

use std::collections::BTreeMap;

use dispatch_sim::site::{History, Job};
use serde_json::{Value, json};

use super::error::HistoryError;

/// A history, and what has to be said of it.
#[derive(Debug)]
pub(super) struct Past {
    /// The jobs.
    pub(super) history: History,
    /// Where it comes from and what was in there.
    pub(super) source: Source,
    /// How many containers are not among the jobs, by reason.
    pub(super) left_out: BTreeMap<String, usize>,
    /// How many jobs have something that was guessed, by what.
    pub(super) guessed: BTreeMap<&'static str, usize>,
}

/// Where a history comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A table of jobs.
    Table,
    /// Logs.
    Log(Lines),
}

/// What became of the lines of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lines {
    /// How many there were.
    pub(super) all: u64,
    /// Those that name a container, and when.
    pub(super) used: u64,
    /// Those of events without a container.
    pub(super) of_no_container: u64,
    /// Those that were read already: the same of the same moment.
    pub(super) repeated: u64,
    /// Those that are no JSON: of other programs, half-written, in another format.
    pub(super) not_understood: u64,
}

impl Past {
    /// These jobs.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn of(
        jobs: Vec<Job>,
        source: Source,
        left_out: BTreeMap<String, usize>,
        guessed: BTreeMap<&'static str, usize>,
    ) -> Result<Self, HistoryError> {
        let notes = || {
            let notes: Vec<_> = source.notes().into_iter().chain(notes_of(&left_out)).collect();
            if notes.is_empty() { String::new() } else { format!(": {}", notes.join("; ")) }
        };
        let Some(history) = History::of(jobs) else { return Err(HistoryError::Empty(notes())) };
        Ok(Self { history, source, left_out, guessed })
    }

    /// What a reader of the results should know, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let guessed = self.guessed.iter().map(|(what, count)| format!("{count} jobs: {what}"));
        self.source.notes().into_iter().chain(notes_of(&self.left_out)).chain(guessed).collect()
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let (began, jobs) = (self.history.began(), self.history.jobs());
        json!({
            "jobs": jobs.len(),
            "first_submission": began.to_string(),
            "last_submission": jobs[jobs.len() - 1].submitted_at.to_string(),
            "lines": match self.source {
                Source::Table => Value::Null,
                Source::Log(lines) => json!({
                    "all": lines.all,
                    "used": lines.used,
                    "of_no_container": lines.of_no_container,
                    "repeated": lines.repeated,
                    "not_understood": lines.not_understood,
                }),
            },
            "left_out": self.left_out,
            "guessed": self.guessed,
        })
    }
}

impl Source {
    fn notes(self) -> Option<String> {
        let Self::Log(Lines { all, used, of_no_container, repeated, not_understood }) = self else {
            return None;
        };
        Some(format!(
            "{all} lines, {used} of them about containers, {of_no_container} about other things, {repeated} that were \
             there already, {not_understood} not understood"
        ))
    }
}

fn notes_of(left_out: &BTreeMap<String, usize>) -> impl Iterator<Item = String> {
    left_out.iter().map(|(reason, count)| format!("{count} containers left out: {reason}"))
}

//! The last words of a start that has come to nothing and does not say why: what the journal of its VM has.
//!
//! ```text
//!   the start command ends without success, and has written nothing ──┐
//!   the process has ended unasked, and its container is still Locked ─┴─► ReadJournal, once a start ─► told, if there
//!                                                                         is anything
//! ```
//! Only the operator is told: other containers' runners write into the same journal. Whatever comes of the question is
//! neither for nor against the VM: it may have no journal.

use std::time::Duration;

use super::Machine;
use super::effect::{WorkerEffect, WorkerFact};
use super::probe::CommandFailure;
use crate::id::ContainerUuid;
use crate::ports::{Output, ShellCommand};
use crate::time::{Timestamp, since};

const DEADLINE: Duration = Duration::from_secs(10);
/// How much of the journal is read: before that, whatever stands there is of another start.
const LONGEST: Duration = Duration::from_secs(3600);
/// The order was accepted before its command ran, and clocks run differently.
const MARGIN: Duration = Duration::from_secs(5);
/// What the VM sends: so many lines, as far as they fit.
const LINES_READ: usize = 200;
const BYTES_READ: usize = 32 << 10;
/// What is told: the last so many lines, each cut, as far as they fit.
const LINES_TOLD: usize = 20;
const CHARS_OF_LINE: usize = 400;
const BYTES_TOLD: usize = 3000;

impl Machine {
    /// Asks for them if the start command has ended without a word.
    pub(super) fn ask_after_failed_start(
        &self,
        uuid: ContainerUuid,
        failure: &CommandFailure,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let has_said_nothing = failure.stdout.trim().is_empty() && failure.stderr.trim().is_empty();
        if let Some(process) = self.processes.by_container.get(&uuid)
            && failure.kind.is_none()
            && has_said_nothing
        {
            effects.push(WorkerEffect::ReadJournal(uuid, since(now, process.since)));
        }
    }

    /// Asks for them if the process of that container, which has left it Locked, has ended by itself.
    pub(super) fn ask_after_quiet_end(
        &mut self,
        uuid: ContainerUuid,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        if let Some(began) = self.processes.ended_quietly.remove(&uuid) {
            effects.push(WorkerEffect::ReadJournal(uuid, since(now, began)));
        }
    }

    /// Tells what was read.
    pub(super) fn journal_read(
        &self,
        uuid: ContainerUuid,
        output: Option<&Output>,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let words = output.filter(|it| it.status == 0).map(|it| words_of(uuid, &it.stdout));
        if let Some(words) = words.filter(|it| !it.is_empty()) {
            effects.push(WorkerEffect::Tell(WorkerFact::LastWords(uuid, words)));
        }
    }
}

/// Prints what runners have written to the journal since the start of a process of that age. It runs as the user that
/// the runner runs as, because nobody else may read what that user has written.
pub fn read(age: Duration) -> ShellCommand {
    let seconds = age.saturating_add(MARGIN).min(LONGEST).as_secs();
    let shell = format!(
        "journalctl -q --no-pager -o cat -t crunch-run --since=-{seconds}s -n {LINES_READ} 2>/dev/null | tail -c {BYTES_READ}"
    );
    ShellCommand { privileged: true, ..ShellCommand::new(shell, DEADLINE) }
}

/// The last lines that are not another container's: printable, and not too much of them.
fn words_of(uuid: ContainerUuid, journal: &[u8]) -> String {
    let text = String::from_utf8_lossy(journal);
    // The VM sends the end of a longer text, which begins in the middle of a line.
    let is_cut = journal.len() >= BYTES_READ;
    let lines: Vec<_> =
        text.lines().skip(usize::from(is_cut)).filter(|line| !is_anothers(line, uuid)).collect();
    let mut told: Vec<String> = Vec::new();
    let mut left = BYTES_TOLD;
    for line in lines.into_iter().rev().map(printable).filter(|line| !line.is_empty()).take(LINES_TOLD) {
        let Some(rest) = left.checked_sub(line.len() + 1) else { break };
        left = rest;
        told.push(line);
    }
    told.reverse();
    told.join("\n")
}

/// Runners begin their lines with the container that they run.
fn is_anothers(line: &str, uuid: ContainerUuid) -> bool {
    let first = line.split([' ', ':', ',']).next().unwrap_or_default();
    first.parse::<ContainerUuid>().is_ok_and(|it| it != uuid)
}

fn printable(line: &str) -> String {
    let visible = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    line.trim_end().chars().take(CHARS_OF_LINE).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::uuid;

    #[test]
    fn it_asks_for_a_bounded_part_of_the_runners_lines_as_the_runners_user() {
        let command = read(Duration::from_millis(12_300));
        assert_eq!(
            command.shell,
            "journalctl -q --no-pager -o cat -t crunch-run --since=-17s -n 200 2>/dev/null | tail -c 32768"
        );
        assert!(command.privileged && !command.acts);
        assert!(command.deadline <= Duration::from_secs(10));
        assert!(read(Duration::MAX).shell.contains("--since=-3600s"));
    }

    #[test]
    fn lines_of_other_containers_are_left_out() {
        let journal =
            format!("{} of another\nof nobody\n{} its own\n{}: another's\n", uuid(2), uuid(1), uuid(3));
        let words = words_of(uuid(1), journal.as_bytes());
        assert_eq!(words, format!("of nobody\n{} its own", uuid(1)));
    }

    #[test]
    fn the_last_lines_are_kept_cut_and_printable() {
        let journal: String = (0..100).map(|n| format!("line {n}\n\n")).collect();
        let words = words_of(uuid(1), journal.as_bytes());
        assert_eq!(words.lines().count(), 20);
        assert!(words.ends_with("line 98\nline 99"), "{words}");
        let words = words_of(uuid(1), "\u{1b}[31mred\r\n\0\x07\n\u{9b}2J".as_bytes());
        assert_eq!(words, "\u{fffd}[31mred\n\u{fffd}\u{fffd}\n\u{fffd}2J");
        let words = words_of(uuid(1), b"\xff\xfe\n");
        assert_eq!(words, "\u{fffd}\u{fffd}");
        let flood = [b"ab ".repeat(100_000).as_slice(), b"\nthe end\n"].concat();
        let words = words_of(uuid(1), &flood);
        assert_eq!(words, "the end", "the line that was cut is not whole");
        let long = format!("first\n{}\n", "x".repeat(10_000)).repeat(9);
        assert!(words_of(uuid(1), long.as_bytes()).len() <= BYTES_TOLD);
    }
}

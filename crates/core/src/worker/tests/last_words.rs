//! Whose last words are asked for, and that nothing follows from the answer.

use super::*;
use crate::ports::Output;

/// The containers that the journal was asked about, and how old their starts were.
fn asked(story: &Story) -> Vec<(u64, u64)> {
    let asked = story.done.iter().filter_map(|effect| match effect {
        WorkerEffect::ReadJournal(it, age) => {
            Some(((1..9).find(|n| uuid(*n) == *it).unwrap(), age.as_secs()))
        }
        _ => None,
    });
    asked.collect()
}

fn judged(story: &mut Story, second: i64, outcome: AttemptOutcome) {
    story.on(second, Command::StartJudged { uuid: uuid(1), outcome, failed_elsewhere: false });
}

/// Started at 2; a list of second 10 lacks it.
fn ended() -> Story {
    let mut story = Story::running(&[1]);
    story.probe(10, 11, lists(&[]));
    story
}

fn silent_failure(kind: Option<ExecErrorKind>) -> CommandFailure {
    CommandFailure { stderr: " \n".to_owned(), ..failure(kind) }
}

#[test]
fn a_process_that_ended_and_left_its_container_locked_is_asked_for_once() {
    let mut story = ended();
    assert_eq!(asked(&story), [], "nobody knows yet whether it came to nothing");
    judged(&mut story, 20, AttemptOutcome::StillLocked);
    assert_eq!(asked(&story), [(1, 18)]);
    judged(&mut story, 21, AttemptOutcome::StillLocked);
    assert_eq!(asked(&story).len(), 1, "once a start");
    story.on(30, start(1));
    story.on(31, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.probe(40, 41, lists(&[]));
    judged(&mut story, 42, AttemptOutcome::StillLocked);
    assert_eq!(asked(&story), [(1, 18), (1, 12)], "the next start has its own");
}

#[test]
fn what_has_run_or_was_ended_is_not_asked_for() {
    let mut ran = ended();
    judged(&mut ran, 20, AttemptOutcome::LeftLocked);
    judged(&mut ran, 21, AttemptOutcome::StillLocked);
    let mut killed = Story::running(&[1]);
    killed.on(5, Command::Kill(uuid(1), KillReason::PriorityZero));
    killed.on(6, Completion::KillFinished(uuid(1), KillOutcome::Gone));
    killed.probe(7, 8, lists(&[]));
    judged(&mut killed, 20, AttemptOutcome::StillLocked);
    for story in [ran, killed] {
        assert_eq!(story.view().processes, []);
        assert_eq!(asked(&story), []);
    }
}

#[test]
fn a_start_command_that_fails_without_a_word_is_asked_for_at_once_and_not_again() {
    let cases = [
        (StartOutcome::Failed(silent_failure(None)), 1),
        (StartOutcome::Failed(failure(None)), 0),
        (StartOutcome::Failed(silent_failure(Some(ExecErrorKind::ConnectTimeout))), 0),
        (StartOutcome::Unanswered(silent_failure(Some(ExecErrorKind::ConnectionLost))), 0),
    ];
    for (outcome, times) in cases {
        let mut story = Story::idle();
        story.on(10, start(1));
        story.on(13, Completion::StartFinished(uuid(1), outcome.clone()));
        assert_eq!(asked(&story), vec![(1, 3); times], "{outcome:?}");
        story.probe(100, 101, lists(&[]));
        judged(&mut story, 102, AttemptOutcome::StillLocked);
        assert_eq!(asked(&story).len(), times, "{outcome:?}");
    }
}

#[test]
fn whatever_the_journal_says_is_told_or_nothing_and_is_no_news_of_the_vm() {
    let answer = |status, text: &str| {
        Some(Output { status, stdout: text.as_bytes().to_vec(), stderr: b"no journal".to_vec() })
    };
    let cases = [
        (None, None),
        (answer(0, ""), None),
        (answer(0, "\n \n"), None),
        (answer(124, "half a li"), None),
        (answer(0, "panic: no such image\n"), Some("panic: no such image")),
    ];
    let mut dying = ended();
    dying.on(12, Command::ShutDown(ShutdownReason::OverQuota));
    for mut story in [ended(), dying] {
        judged(&mut story, 20, AttemptOutcome::StillLocked);
        let before = story.view();
        for (output, told) in cases.clone() {
            let effects = story.on(21, Completion::JournalRead(uuid(1), output.clone()));
            let words = told.map(|it| WorkerEffect::Tell(WorkerFact::LastWords(uuid(1), it.to_owned())));
            assert_eq!(effects, words.into_iter().collect::<Vec<_>>(), "{output:?}");
        }
        assert_eq!(story.view(), before);
    }
}

//! What is told of a worker that is given up before it was in service: the last thing that went wrong.

use super::*;

/// What it is given up with after probes that always come to this.
fn last_words(report: Report) -> Option<CommandFailure> {
    let mut story = Story::booting();
    for second in (0..=700).step_by(100) {
        story.probe(second, second + 1, report.clone());
    }
    let effects = story.on(710, Event::ShutdownRequested(ShutdownReason::BootTimeout));
    effects.into_iter().find_map(|effect| match effect {
        Effect::Tell(Fact::BootFailed(words)) => words,
        _ => None,
    })
}

fn because(error: &str) -> CommandFailure {
    CommandFailure { error: error.to_owned(), ..failure(None) }
}

#[test]
fn it_is_the_boot_probes_if_that_fails() {
    let words = because("still starting");
    let report = Report { boot: Some(Err(words.clone())), ..Report::default() };
    assert_eq!(last_words(report), Some(words));
}

#[test]
fn it_is_the_copys_if_the_runner_cannot_be_brought() {
    let words = because("no space left on device");
    let report = Report {
        boot: Some(Ok(BootOutput::default())),
        deployed: Some(Err(words.clone())),
        ..Report::default()
    };
    assert_eq!(last_words(report), Some(words));
}

#[test]
fn it_is_the_lists_if_the_runner_does_not_run() {
    let words = because("exec format error");
    let report =
        Report { boot: Some(Ok(BootOutput::default())), list: Some(Err(words.clone())), ..Report::default() };
    assert_eq!(last_words(report), Some(words));
}

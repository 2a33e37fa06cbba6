//! What is told of a worker that is given up before it was in service: the last thing that went wrong.

use super::*;

/// What it is given up with after probes that always come to this.
fn last_output(report: Report) -> Option<CommandFailure> {
    let mut story = Story::booting();
    for second in (0..=700).step_by(100) {
        story.probe(second, second + 1, report.clone());
    }
    let effects = story.on(710, Command::ShutDown(ShutdownReason::BootTimeout));
    effects.into_iter().find_map(|effect| match effect {
        WorkerEffect::Tell(WorkerFact::BootFailed(words)) => words,
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
    assert_eq!(last_output(report), Some(words));
}

#[test]
fn it_is_the_copys_if_the_runner_cannot_be_brought() {
    let words = because("no space left on device");
    let report = Report {
        boot: Some(Ok(BootOutput::default())),
        deployed: Some(Err(words.clone())),
        ..Report::default()
    };
    assert_eq!(last_output(report), Some(words));
}

#[test]
fn it_is_the_lists_if_the_runner_does_not_run() {
    let words = because("exec format error");
    let report =
        Report { boot: Some(Ok(BootOutput::default())), list: Some(Err(words.clone())), ..Report::default() };
    assert_eq!(last_output(report), Some(words));
}

/// Until it has booted a failing probe is how booting looks; from then on, or while it runs something, it is
/// news.
#[test]
fn a_failing_probe_is_told_once_there_was_reason_to_expect_another() {
    let told = |story: &mut Story| {
        let effects = story.probe_now(silent());
        effects.iter().any(|effect| matches!(effect, WorkerEffect::Tell(WorkerFact::ProbeFailed { .. })))
    };
    assert!(!told(&mut Story::booting()));
    assert!(told(&mut Story::idle()));
    let mut without_runner = Story::booting();
    without_runner.probe(0, 1, Report { boot: Some(Ok(BootOutput::default())), ..silent() });
    assert!(told(&mut without_runner), "it has booted");
    let mut found_busy = Story::unknown();
    found_busy.probe(0, 1, boot_fails_but_lists(&[1]));
    assert!(told(&mut found_busy), "it runs something");
}

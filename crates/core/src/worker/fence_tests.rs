use super::*;
use crate::ports::ExecErrorKind;
use crate::worker::{KillOutcome, StartOutcome};

fn fence() -> Fence {
    let set = InstanceSetId::new("zzzzz/../set 1").unwrap();
    Fence::new("/fence/", &set, Epoch::from_micros(7))
}

fn mark() -> Mark {
    Mark { number: 9, owner: Epoch::from_micros(7) }
}

fn exits(status: i32) -> Result<Output, ExecError> {
    Ok(Output { status, stderr: b"so it goes".to_vec(), ..Output::default() })
}

#[test]
fn an_instance_set_cannot_name_a_file_elsewhere() {
    assert!(fence().claim(None, false).shell.ends_with(" '/fence/set-zzzzz____set_1' 7 7 62"));
}

#[test]
fn the_copy_of_the_secret_comes_on_stdin_and_its_name_tells_nothing() {
    assert_eq!(fence().secret_copy(), "/fence/instance-secret");
    let claim = fence().keep_secret(fence().claim(None, false), &Secret::new("s3cr3t"));
    assert_eq!(&claim.stdin[..], b"s3cr3t");
    assert!(!claim.shell.contains("s3cr3t") && !format!("{claim:?}").contains("s3cr3t"));
    assert!(claim.shell.ends_with(&fence().claim(None, false).shell) && claim.acts && claim.privileged);
}

#[test]
fn a_claim_acts_and_needs_root_and_has_a_deadline_of_its_own() {
    let claim = fence().claim(None, false);
    assert!(claim.acts && claim.privileged);
    assert_eq!(claim.deadline, Duration::from_secs(65));
}

#[test]
fn the_limits_within_a_command_add_up_to_less_than_its_own() {
    let start = super::super::runner::START.as_secs();
    let other_steps = 20;
    assert!(START_LIMITS.iter().sum::<u64>() + other_steps <= start && CLAIM_WAITS + 10 < CLAIM.as_secs());
    assert!(KILL_LIMITS.iter().sum::<u64>() < 30);
}

#[test]
fn exit_statuses_say_whether_the_runner_was_called() {
    let command = ShellCommand::new("x", Duration::from_secs(1));
    let not_run = [66, 91, 92, 93, 94, 95, 96];
    for status in 0..256 {
        let (start, kill) =
            (StartOutcome::of(&command, exits(status)), KillOutcome::of(&command, exits(status), true));
        match (start, kill) {
            (StartOutcome::NotRun(one, failure), KillOutcome::NotRun(other, _)) => {
                assert!(not_run.contains(&status) && one == other);
                assert_eq!(failure.error, one.as_str());
            }
            (StartOutcome::Started, KillOutcome::Gone) => assert_eq!(status, 0),
            (StartOutcome::Unanswered(_), KillOutcome::Failed(_)) => {
                assert_eq!(status, 137, "ended in the middle")
            }
            (StartOutcome::Failed(_), KillOutcome::Failed(_)) => {
                assert!(!not_run.contains(&status) && status != 0)
            }
            other => panic!("{status}: {other:?}"),
        }
        let unfenced = KillOutcome::of(&command, exits(status), false);
        assert!(!matches!(unfenced, KillOutcome::NotRun(..)), "{status}");
    }
}

#[test]
fn a_start_without_an_answer_may_be_under_way() {
    let command = ShellCommand::new("x", Duration::from_secs(1));
    let fails = |kind| Err(ExecError { kind, message: String::new() });
    for kind in [ExecErrorKind::CommandTimeout, ExecErrorKind::ConnectionLost] {
        assert!(matches!(StartOutcome::of(&command, fails(kind)), StartOutcome::Unanswered(_)));
    }
    assert!(matches!(StartOutcome::of(&command, fails(ExecErrorKind::Refused)), StartOutcome::Failed(_)));
}

#[test]
fn a_claim_that_says_nothing_we_understand_has_failed() {
    let fence = fence();
    let claim = fence.claim(None, false);
    let read = |stdout: &str| {
        let output = Output { stdout: stdout.as_bytes().to_vec(), ..Output::default() };
        ClaimOutcome::read(&fence, &claim, Ok(output))
    };
    assert_eq!(
        read("hello\nfence-claimed 9 999 settled\n"),
        ClaimOutcome::Claimed(Claimed {
            mark: mark(),
            unfenced_for: INHERITED_START_WINDOW,
            is_settled: true
        })
    );
    for text in
        ["", "fence-claimed", "fence-claimed x 0 settled", "fence-seen 9", "fence-claimed 9 -1 settled"]
    {
        assert!(matches!(read(text), ClaimOutcome::Failed(_)), "{text}");
    }
}

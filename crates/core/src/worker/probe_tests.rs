use super::*;
use crate::policy::Policy;
use crate::worker::fence::{Claimed, Epoch};
use crate::worker::runner::Binary;
use std::sync::Arc;
use std::time::Duration;

fn probe(boot: bool, list_anyway: bool, deploy: bool) -> Probe {
    let binary = Binary { md5: "0".repeat(32), content: Bytes::from_static(b"#!") };
    let commands = Commands::new(Policy::with_defaults().runner, deploy.then_some(binary));
    let fence = FenceWish::LeaveAlone;
    let wanted = Wanted { boot, list_anyway, deploy, prices: None, afresh: false, fence, secret: None };
    Probe::new(wanted, "zzzzz", Arc::new(commands), our_fence())
}

fn our_fence() -> Arc<Fence> {
    Arc::new(Fence::new("/fence", &Policy::with_defaults().instance_set_id, Epoch::from_micros(7)))
}

/// A probe of a VM that has booted, which only asks for the list and does that about the fence.
fn fenced(fence: FenceWish) -> Probe {
    let wanted = Wanted {
        boot: false,
        list_anyway: true,
        deploy: false,
        prices: None,
        afresh: false,
        fence,
        secret: None,
    };
    let commands = Commands::new(Policy::with_defaults().runner, None);
    Probe::new(wanted, "zzzzz", Arc::new(commands), our_fence())
}

fn exits(status: i32, stdout: &str) -> Result<Output, ExecError> {
    Ok(Output { status, stdout: stdout.as_bytes().to_vec(), stderr: b"so it goes\n".to_vec() })
}

fn fails(kind: ExecErrorKind) -> Result<Output, ExecError> {
    Err(ExecError { kind, message: kind.as_str().to_owned() })
}

/// Answers each command in turn, and says which commands were asked for.
fn run(mut probe: Probe, answers: Vec<Result<Output, ExecError>>) -> (Vec<String>, Report) {
    let mut asked = Vec::new();
    for answer in answers {
        asked.push(probe.command().expect("the probe ended early").shell);
        probe.answer(answer);
    }
    assert_eq!(probe.command(), None, "the probe goes on");
    (asked, probe.into_report())
}

/// A claim that the lease has stopped has opened no connection.
#[test]
fn a_command_that_was_not_sent_leaves_the_fresh_connection_to_the_next() {
    let mut probe = fenced(FenceWish::Claim { overtakes: true, is_new: false });
    probe.wanted.afresh = true;
    assert!(probe.command().unwrap().afresh);
    probe.answer(fails(ExecErrorKind::NotSent));
    assert!(probe.command().unwrap().afresh);
    probe.answer(exits(0, ""));
    assert!(probe.command().is_none());
}

#[test]
fn a_booted_worker_is_only_listed() {
    let (asked, report) = run(probe(false, false, false), vec![exits(0, "zzzzz-dz642-000000000000001\n")]);
    assert_eq!(asked, ["crunch-run --list"]);
    assert_eq!(report.process_list().unwrap().running.len(), 1);
}

#[test]
fn a_booting_worker_is_not_listed_before_its_boot_probe_passes() {
    let (asked, report) = run(probe(true, false, true), vec![exits(1, "starting")]);
    assert_eq!(asked, ["systemctl is-system-running"]);
    let failure = report.failure().unwrap();
    assert_eq!((failure.error.as_str(), failure.stderr.as_str()), ("exit status 1", "so it goes"));
}

#[test]
fn an_unknown_worker_is_listed_although_its_boot_probe_fails() {
    let (asked, report) = run(probe(true, true, false), vec![exits(1, ""), exits(0, "")]);
    assert_eq!(asked.len(), 2);
    assert_eq!(report.process_list(), Some(&ProcessList::default()));
}

#[test]
fn an_unreachable_worker_is_asked_once() {
    let (asked, report) = run(probe(true, true, true), vec![fails(ExecErrorKind::Refused)]);
    assert_eq!(asked.len(), 1);
    assert!(!report.reached_verification);
}

#[test]
fn the_runner_is_copied_when_it_is_missing_and_only_then() {
    let zeros = "0".repeat(32);
    let (asked, report) = run(probe(false, false, true), vec![exits(0, &zeros), exits(0, "")]);
    assert_eq!((asked.len(), report.deployed), (2, Some(Ok(Deployed::Already))));
    let (asked, report) = run(probe(false, false, true), vec![exits(1, ""), exits(0, ""), exits(0, "")]);
    assert!(asked[1].contains("mktemp"));
    assert_eq!(report.deployed, Some(Ok(Deployed::Installed)));
}

#[test]
fn where_the_runner_cannot_be_copied_what_runs_is_asked_for_with_one_that_is_there() {
    let list = "zzzzz-dz642-000000000000001\n";
    let answers = vec![exits(1, "no such file"), exits(1, "no space left"), exits(0, list)];
    let (asked, report) = run(probe(false, false, true), answers);
    assert!(asked[2].ends_with("exec \"$r\" --list; fi; done; fi; crunch-run --list"), "{asked:?}");
    assert_eq!(report.process_list().unwrap().running.len(), 1);
    assert!(matches!(&report.deployed, Some(Err(failure)) if failure.stdout == "no space left"));
    // It took too long, or broke the connection, which may carry shorter ones.
    for kind in [ExecErrorKind::CommandTimeout, ExecErrorKind::ConnectionLost] {
        let answers = vec![exits(1, "no such file"), fails(kind), exits(0, list)];
        assert!(run(probe(false, false, true), answers).1.process_list().is_some());
    }
}

#[test]
fn stale_broken_and_foreign_lines_are_told_apart() {
    let text = "zzzzz-dz642-000000000000002 stale\nbroken\n\nother-dz642-000000000000003\nzzzzz-dz642-000000000000001\n";
    let (_, report) = run(probe(false, false, false), vec![exits(0, text)]);
    let listing = report.process_list().unwrap();
    assert_eq!(listing.running, ["zzzzz-dz642-000000000000001".parse().unwrap()]);
    assert_eq!(listing.stale, ["zzzzz-dz642-000000000000002".parse().unwrap()]);
    assert!(listing.broken);
}

#[test]
fn nonsense_in_a_list_does_not_fail_the_probe_and_is_quoted() {
    let (_, report) = run(probe(false, false, false), vec![exits(0, "Segmentation fault\n")]);
    assert_eq!(report.failure(), None);
    assert_eq!(report.process_list().unwrap().strange.as_deref(), Some("Segmentation fault"));
}

#[test]
fn the_fence_is_claimed_right_before_the_list_and_only_touched_afterwards() {
    let claimed = exits(0, "fence-claimed 7 0 settled\n");
    let (asked, report) =
        run(fenced(FenceWish::Claim { overtakes: true, is_new: false }), vec![claimed, exits(0, "")]);
    assert!(asked[0].contains("flock -x") && asked[0].ends_with("sh '/fence/set-unset' 7 7 62"), "{asked:?}");
    assert_eq!(asked[1], "crunch-run --list");
    let Some(ClaimOutcome::Claimed(Claimed { mark, unfenced_for: Duration::ZERO, is_settled: true })) =
        report.claim
    else {
        panic!("{report:?}")
    };
    assert_eq!(mark.to_string(), "7 7");
    let (asked, report) = run(fenced(FenceWish::Touch), vec![exits(0, "")]);
    assert_eq!(asked, ["touch -c '/fence/set-unset' 2>/dev/null; crunch-run --list"]);
    assert_eq!((report.claim, report.list.is_some()), (None, true));
}

#[test]
fn a_greater_number_is_overtaken_at_first_and_never_after_that() {
    let greater = || exits(91, "Last login: never\nfence-seen 41\n");
    let answers = vec![greater(), exits(0, "fence-claimed 42 62 settled\n"), exits(0, "")];
    let (asked, report) = run(fenced(FenceWish::Claim { overtakes: true, is_new: false }), answers);
    assert!(asked[1].ends_with(" 42 7 62"), "{asked:?}");
    assert!(matches!(report.claim, Some(ClaimOutcome::Claimed(_))));
    let (_, report) =
        run(fenced(FenceWish::Claim { overtakes: false, is_new: false }), vec![greater(), exits(0, "")]);
    assert_eq!(report.claim, Some(ClaimOutcome::Greater(41)));
}

#[test]
fn a_list_needs_no_fence_and_a_claim_that_cannot_be_made_fails_no_probe() {
    let why =
        ["no flock", "not to be had in time", "cannot be read", "is the disk full", "lock cannot be opened"];
    for (status, why) in [92, 93, 94, 95, 66].into_iter().zip(why) {
        let wish = FenceWish::Claim { overtakes: true, is_new: false };
        let (_, report) = run(fenced(wish), vec![exits(status, ""), exits(0, "")]);
        assert_eq!((report.failure(), report.process_list().is_some()), (None, true), "{status}");
        let Some(ClaimOutcome::Failed(failure)) = report.claim else { panic!("{status}") };
        assert!(failure.error.contains(why), "{}", failure.error);
    }
    let wish = FenceWish::Claim { overtakes: true, is_new: false };
    let (_, report) = run(fenced(wish), vec![fails(ExecErrorKind::NotSent), exits(0, "")]);
    assert!(report.failure().is_none(), "without a lease one may still look");
    let (_, report) = run(fenced(wish), vec![fails(ExecErrorKind::ConnectionLost)]);
    assert!(report.failure().is_some());
}

#[test]
fn who_claims_the_fence_leaves_a_copy_of_the_secret() {
    let fence = FenceWish::Claim { overtakes: true, is_new: true };
    let secret = Some(Secret::new("s3cr3t"));
    let wanted =
        Wanted { boot: false, list_anyway: true, deploy: false, prices: None, afresh: false, fence, secret };
    let commands = Commands::new(Policy::with_defaults().runner, None);
    let claim = Probe::new(wanted, "zzzzz", Arc::new(commands), our_fence()).command().unwrap();
    assert!(claim.shell.contains("instance-secret") && &claim.stdin[..] == b"s3cr3t");
}

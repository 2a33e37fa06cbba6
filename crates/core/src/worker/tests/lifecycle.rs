//! Idle, hold, drain, tags, shutdown, destroy.

use std::time::Duration;

use super::*;
use crate::instance::Tags;
use crate::note::Note;
use crate::worker::probe::Wanted;

#[test]
fn an_idle_worker_is_shut_down_after_timeout_idle_since_it_was_last_busy() {
    let mut story = Story::running(&[1]);
    story.probe(100, 101, lists(&[]));
    assert_eq!(story.machine.wakes_at(), Some(at(161)));
    assert!(story.on(160, Completion::Tick).is_empty());
    let effects = story.on(161, Completion::Tick);
    assert!(effects.contains(&WorkerEffect::Destroy));
    let reason = WorkerFact::ShuttingDown { reason: ShutdownReason::Idle, from: State::Idle };
    assert_eq!(story.told(&reason), 1);
}

#[test]
fn a_worker_with_a_place_for_a_container_that_cannot_be_started_yet_is_not_idle() {
    let mut story = Story::running(&[1]);
    story.probe(100, 101, lists(&[]));
    story.on(102, Command::Keep(Some(KeptFor::Container)));
    assert_eq!(story.machine.wakes_at(), None);
    assert!(story.on(1_000, Completion::Tick).is_empty());
    story.on(1_001, Command::Keep(None));
    assert_eq!(story.machine.wakes_at(), Some(at(1_061)), "it is idle from now on");
    assert!(story.on(1_061, Completion::Tick).contains(&WorkerEffect::Destroy));
}

#[test]
fn neither_busy_nor_held_nor_booting_nor_unknown_workers_are_idle() {
    let mut held = Story::idle();
    held.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    for mut story in [Story::running(&[1]), held, Story::booting(), Story::unknown()] {
        story.on(100_000, Completion::Tick);
        assert_eq!(story.did(&WorkerEffect::Destroy), 0, "{}", story.state());
    }
}

#[test]
fn a_draining_worker_is_shut_down_when_it_is_empty() {
    let drain = Command::SetIdleBehavior(IdleBehavior::Drain, None);
    for (mut story, at_once) in [
        (Story::idle(), true),
        (Story::booting(), true),
        (Story::running(&[1]), false),
        (Story::unknown(), false),
    ] {
        let state = story.state();
        let effects = story.on(10, drain.clone());
        assert_eq!(effects.contains(&WorkerEffect::Destroy), at_once, "{state}");
    }
    let mut busy = Story::running(&[1]);
    busy.on(10, drain.clone());
    busy.probe(20, 21, lists(&[]));
    assert_eq!(busy.state(), State::Shutdown);
    let mut unknown = Story::unknown();
    unknown.on(10, drain);
    unknown.probe(70, 71, boots());
    assert_eq!(unknown.state(), State::Shutdown, "it has answered, and runs nothing");
}

/// An earlier dispatcher may have sent it a start just before its end: listed 62 s later at the latest.
#[test]
fn an_adopted_worker_is_not_empty_before_a_start_of_the_earlier_dispatcher_would_be_listed() {
    let mut drained = Story::unknown();
    drained.on(1, Command::SetIdleBehavior(IdleBehavior::Drain, None));
    let hasty = Policy { timeout_idle: Duration::from_secs(10), ..policy() };
    for mut story in [drained, Story::with(hasty, false)] {
        story.probe(2, 3, boots());
        assert_eq!((story.state(), story.machine.wakes_at()), (State::Idle, None), "the next list tells");
        story.probe(61, 62, lists(&[]));
        assert_eq!(story.did(&WorkerEffect::Destroy), 0, "asked for too early");
        let mut surfacing = Story { machine: story.machine.clone(), now: 61, done: vec![] };
        surfacing.probe(62, 63, lists(&[1]));
        surfacing.on(63, Completion::Tick);
        assert_eq!((surfacing.state(), surfacing.did(&WorkerEffect::Destroy)), (State::Running, 0));
        story.probe(62, 63, lists(&[]));
        assert_eq!(story.did(&WorkerEffect::Destroy), 1);
    }
}

/// Seed 10782: a start of before the restart was not listed yet when the connection broke, and time went by.
#[test]
fn an_adopted_worker_that_falls_silent_before_it_was_processes_known_is_not_taken_for_idle() {
    let mut story = Story::unknown();
    story.probe(2, 3, boots());
    story.probe(61, 91, silent());
    story.on(200, Completion::Tick);
    for reason in [ShutdownReason::OverQuota, ShutdownReason::Idle, ShutdownReason::Drained] {
        let refused = story.try_on(201, Command::ShutDown(reason));
        assert_eq!(refused, (vec![], Err(WorkerRefusal::NotTakingContainers)));
    }
    story.on(202, Command::SetIdleBehavior(IdleBehavior::Drain, None));
    assert_eq!(story.did(&WorkerEffect::Destroy), 0);
    story.probe(203, 204, lists(&[1]));
    assert_eq!((story.state(), story.did(&WorkerEffect::Destroy)), (State::Running, 0));
}

#[test]
fn a_hold_is_respected_by_everybody_but_the_operator() {
    for reason in [
        ShutdownReason::OverQuota,
        ShutdownReason::Unresponsive,
        ShutdownReason::BootTimeout,
        ShutdownReason::Idle,
    ] {
        let mut story = Story::idle();
        story.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None));
        story.probe(700, 701, silent());
        let (effects, answer) = story.try_on(702, Command::ShutDown(reason));
        assert_eq!((effects, answer), (vec![], Err(WorkerRefusal::NotTakingContainers)));
    }
    let mut story = Story::idle();
    story.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(3, Command::ShutDown(ShutdownReason::Operator("bye".into())));
    assert_eq!((story.state(), story.did(&WorkerEffect::Destroy)), (State::Shutdown, 1));
}

#[test]
fn making_room_yields_to_what_the_worker_knows_better() {
    let over_quota = || Command::ShutDown(ShutdownReason::OverQuota);
    for (mut story, expected) in [
        (Story::running(&[1]), false),
        (Story::unknown(), false),
        (Story::idle(), true),
        (Story::booting(), true),
    ] {
        let state = story.state();
        assert_eq!(story.try_on(10, over_quota()).1.is_ok(), expected, "{state}");
    }
}

#[test]
fn destroy_is_called_again_while_a_listing_still_shows_it() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    assert!(story.call_begins());
    story.on(19, Command::StillListed(at(19)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 1, "within TimeoutShutdown");
    story.on(70, Command::StillListed(at(20)));
    assert!(story.call_begins());
    story.on(130, Completion::DestroyFinished { sent: at(70), outcome: DestroyOutcome::Acknowledged });
    story.on(131, Command::StillListed(at(131)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 3, "acknowledged or not");
    assert!(story.view().destroy_acknowledged);
}

/// A rack of hundreds is ended at once, and MaxCloudOpsPerSecond is small.
#[test]
fn a_call_that_waits_for_its_slot_is_not_repeated() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    for second in (20..300).step_by(10) {
        let repeat = if second % 20 == 0 { Command::StillListed(at(second)) } else { Command::Missing };
        story.on(second, repeat);
    }
    assert_eq!(story.did(&WorkerEffect::Destroy), 1);
    assert!(story.call_begins());
    story.on(299, Command::StillListed(at(299)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 1, "within TimeoutShutdown of the call");
    story.on(300, Command::StillListed(at(300)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 2, "no answer");
}

/// We could not act when its slot came.
#[test]
fn a_call_that_was_never_sent_is_made_again() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    story.on(25, Completion::DestroyFinished { sent: at(10), outcome: DestroyOutcome::Refused });
    story.on(26, Command::StillListed(at(26)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 2);
}

/// Calls are paced, and a listing that began before the call was sent says nothing about it.
#[test]
fn destroy_was_called_when_the_call_was_sent_and_not_when_it_was_decided() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    assert_eq!((story.view().destroy_called, story.view().ending_since), (None, Some(at(10))));
    story.on(31, Completion::DestroyFinished { sent: at(30), outcome: DestroyOutcome::Acknowledged });
    assert_eq!((story.view().destroy_called, story.view().ending_since), (Some(at(30)), Some(at(10))));
    story.on(39, Command::StillListed(at(39)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 1, "within TimeoutShutdown of the call");
    story.on(40, Command::StillListed(at(40)));
    assert_eq!(story.did(&WorkerEffect::Destroy), 2);
}

#[test]
fn an_instance_that_never_ends_is_destroyed_more_and_more_rarely_up_to_every_half_hour() {
    let mut story = Story::idle();
    story.on(0, Command::ShutDown(ShutdownReason::OverQuota));
    let (mut calls, mut done) = (Vec::new(), 1);
    assert!(story.call_begins());
    for second in (10..20_000).step_by(10) {
        story.on(second, Command::StillListed(at(second)));
        if story.did(&WorkerEffect::Destroy) > done {
            assert!(story.call_begins());
            done += 1;
            calls.push(second);
        }
    }
    let pauses: Vec<_> = calls.windows(2).map(|pair| pair[1] - pair[0]).filter(|pause| *pause > 10).collect();
    assert_eq!(pauses[..8], [60, 120, 240, 480, 960, 1800, 1800, 1800]);
    assert_eq!(calls[28], 290, "every TimeoutShutdown in the first five minutes");
}

#[test]
fn an_instance_that_never_ends_is_told_once_a_minute_with_its_price() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    assert_eq!(story.machine.wakes_at(), None, "no listing has shown it since");
    story.on(60, Command::StillListed(at(60)));
    for second in [310, 370, 430] {
        assert_eq!(story.machine.wakes_at(), Some(at(second)));
        let told = story.on(second, Completion::Tick);
        let price = story.machine.instance_type().map(|it| it.price);
        let since = Duration::from_secs(second.unsigned_abs() - 10);
        assert_eq!(told, [WorkerEffect::Tell(WorkerFact::NeverEnds { since, price })]);
        assert!(price.is_some());
    }
    story.on(440, Command::Missing);
    assert_eq!(story.machine.wakes_at(), None, "a listing lacks it");
}

#[test]
fn destroy_is_called_again_while_nobody_has_acknowledged_it_and_listings_lack_it() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    story.on(11, Completion::DestroyFinished { sent: at(10), outcome: DestroyOutcome::Unknown });
    story.on(19, Command::Missing);
    assert_eq!(story.did(&WorkerEffect::Destroy), 1, "within TimeoutShutdown");
    story.on(20, Command::Missing);
    assert_eq!(story.did(&WorkerEffect::Destroy), 2);
    story.on(21, Completion::DestroyFinished { sent: at(21), outcome: DestroyOutcome::Acknowledged });
    story.on(40, Command::Missing);
    assert_eq!(story.did(&WorkerEffect::Destroy), 2, "acknowledged");
}

#[test]
fn from_shutdown_there_is_no_way_back() {
    let mut story = Story::idle();
    story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    let inputs: [Input; 6] = [
        Command::Probe.into(),
        Completion::ProbeFinished { began: at(9), report: boots() }.into(),
        Command::SetIdleBehavior(IdleBehavior::Run, None).into(),
        Completion::Tick.into(),
        Completion::TagsSaved(true).into(),
        Completion::ConnectionBroke.into(),
    ];
    for input in inputs {
        assert!(story.on(11, input).is_empty());
        assert_eq!((story.state(), story.wish()), (State::Shutdown, None));
    }
    assert_eq!(story.machine.wakes_at(), None);
}

#[test]
fn one_that_a_listing_lacks_is_asked_over_a_new_connection_in_shutdown_too() {
    for in_shutdown in [false, true] {
        let mut story = Story::idle();
        if in_shutdown {
            story.on(10, Command::ShutDown(ShutdownReason::OverQuota));
        }
        story.on(20, Command::Missing);
        assert_eq!(story.wish(), Some((20, true)));
        let asked = story.on(21, Command::Probe);
        assert!(matches!(asked[..], [WorkerEffect::Probe(Wanted { afresh: true, .. })]), "{asked:?}");
        let fails = |kind| Report { list: Some(Err(failure(kind))), ..Report::default() };
        let afresh = |report| Report { afresh: true, ..report };
        story.on(22, Completion::ProbeFinished { began: at(21), report: afresh(fails(None)) });
        assert_eq!(story.view().failed_afresh, None, "an exit status is an answer");
        for (kind, proves) in [(ExecErrorKind::Local, false), (ExecErrorKind::Refused, true)] {
            story.on(30, Command::Missing);
            story.on(31, Command::Probe);
            story.on(32, Completion::ProbeFinished { began: at(31), report: afresh(fails(Some(kind))) });
            assert_eq!(story.view().failed_afresh.is_some(), proves, "{kind:?}");
        }
        // The connection stands, so a later probe opens none.
        story.on(40, Command::Probe);
        story
            .on(41, Completion::ProbeFinished { began: at(40), report: fails(Some(ExecErrorKind::Refused)) });
        assert_eq!(story.view().failed_afresh, Some(at(31)));
    }
}

/// Found by chaos (seed 1795950246001582): it may never go, and somebody waits for what it may run.
#[test]
fn an_instance_in_shutdown_is_asked_once_a_minute_while_its_list_may_be_news() {
    let mut story = Story::unknown();
    story.probe(0, 1, silent());
    story.on(10, Command::ShutDown(ShutdownReason::Operator("bye".into())));
    assert_eq!(story.wish(), Some((60, false)));
    story.probe(60, 61, silent());
    assert_eq!((story.wish(), story.view().last_success), (Some((120, false)), None));
    let mut cut = lists(&[1]);
    if let Some(Ok(list)) = &mut cut.list {
        list.is_cut = true;
    }
    story.probe(120, 121, cut);
    assert_eq!((story.view().processes_known, story.view().last_success), (false, None));
    story.probe(180, 181, lists(&[1]));
    assert_eq!((story.view().processes_known, story.wish()), (true, Some((240, false))), "process 1 may end");
    let ended = story.probe(240, 241, lists(&[]));
    assert!(ended.contains(&WorkerEffect::Ended(uuid(1))), "{ended:?}");
    assert_eq!((story.state(), story.wish()), (State::Shutdown, None), "nothing more is expected");
    assert!(story.on(300, Command::Probe).is_empty());
}

#[test]
fn a_start_that_is_answered_in_shutdown_is_in_doubt_until_a_later_list() {
    let mut story = Story::idle();
    story.on(10, start(1));
    story.on(11, Command::ShutDown(ShutdownReason::Operator("bye".into())));
    story.on(60, Completion::StartFinished(uuid(1), StartOutcome::Started));
    story.probe(120, 121, lists(&[]));
    assert_eq!(story.view().processes.len(), 1, "its command may still be under way");
    let ended = story.probe(180, 181, lists(&[]));
    assert!(ended.contains(&WorkerEffect::Ended(uuid(1))), "{ended:?}");
}

#[test]
fn a_list_of_an_instance_in_shutdown_drains_and_kills_nothing() {
    let mut story = Story::running(&[1]);
    story.on(10, Command::ShutDown(ShutdownReason::Operator("bye".into())));
    let mut report = broken();
    if let Some(Ok(list)) = &mut report.list {
        list.running = vec![uuid(1)];
        list.stale = vec![uuid(2)];
    }
    assert_eq!(story.probe(70, 71, report), []);
    assert_eq!((story.view().behavior, story.view().stale.len()), (IdleBehavior::Run, 0));
}

#[test]
fn a_boot_outcome_is_told_once_and_only_of_instances_of_our_own() {
    let outcomes = |story: &Story| {
        story
            .done
            .iter()
            .filter(|effect| matches!(effect, WorkerEffect::Tell(WorkerFact::BootOutcome(_))))
            .count()
    };
    let mut ours = Story::idle();
    ours.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    assert_eq!(outcomes(&ours), 1);
    let mut aborted = Story::booting();
    aborted.on(10, Command::ShutDown(ShutdownReason::OverQuota));
    assert_eq!(aborted.told(&WorkerFact::BootOutcome(BootOutcome::Aborted)), 1);
    let vanished = Story::booting().machine.instance_gone();
    assert!(vanished.contains(&WorkerEffect::Tell(WorkerFact::BootOutcome(BootOutcome::Disappeared))));
    let mut found = Story::unknown();
    found.probe(0, 1, boots());
    assert_eq!(outcomes(&found), 0);
}

#[test]
fn a_worker_on_hold_that_never_answers_is_an_error_every_minute() {
    let silent_since_it_was_found = || {
        let mut story = Story::unknown();
        story.probe(0, 1, boots());
        story
    };
    for mut story in [Story::unknown(), silent_since_it_was_found()] {
        story.on(1, Command::SetIdleBehavior(IdleBehavior::Hold, None));
        for second in 1..=720 {
            story.on(second, Completion::Tick);
        }
        assert_eq!(story.told(&WorkerFact::HeldUnknown), 2);
        assert!(story.machine.wakes_at() > Some(at(720)));
    }
}

fn tags(behavior: &str) -> Tags {
    let mut tags = Tags::default();
    tags.insert("ArvadosInstanceType", "big");
    tags.insert("ArvadosIdleBehavior", behavior);
    tags
}

#[test]
fn tags_are_saved_when_they_differ_and_one_call_at_a_time() {
    let mut story = Story::idle();
    assert!(
        !story.done.iter().any(|it| matches!(it, WorkerEffect::SaveTags(_))),
        "they are as they should be"
    );
    assert!(
        story
            .on(2, Command::SetIdleBehavior(IdleBehavior::Hold, None))
            .contains(&WorkerEffect::SaveTags(tags("hold")))
    );
    story.on(3, Command::SetIdleBehavior(IdleBehavior::Run, None));
    story.on(3, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    assert_eq!(story.did(&WorkerEffect::SaveTags(tags("hold"))), 1);
    assert!(story.on(4, Completion::TagsSaved(true)).is_empty());
}

#[test]
fn a_wish_that_changed_while_tags_were_saved_is_saved_too() {
    let mut story = Story::running(&[1]);
    story.on(4, Command::SetIdleBehavior(IdleBehavior::Drain, None));
    story.on(5, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    let effects = story.on(6, Completion::TagsSaved(true));
    assert_eq!(effects, [WorkerEffect::SaveTags(tags("hold"))], "a restart would drain what is to be held");
}

#[test]
fn tags_that_could_not_be_saved_are_tried_again() {
    let mut story = Story::running(&[1]);
    story.on(4, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(5, Completion::TagsSaved(false));
    assert_eq!(story.machine.wakes_at(), Some(at(65)));
    assert!(story.on(64, Completion::Tick).is_empty());
    assert_eq!(story.on(65, Completion::Tick), [WorkerEffect::SaveTags(tags("hold"))]);
}

#[test]
fn a_listing_that_shows_other_tags_is_corrected_and_another_address_followed() {
    let mut story = Story::idle();
    let mut shown = story.machine.instance().clone();
    shown.tags.insert("ArvadosIdleBehavior", "drain");
    shown.address = "127.0.0.2:22".to_owned();
    let effects = story.on(10, Command::InstanceUpdated(shown.clone()));
    assert_eq!(effects, [WorkerEffect::Retarget(shown), WorkerEffect::SaveTags(tags("run"))]);
    assert_eq!(story.wish(), Some((10, true)));
}

/// The name meant another type of the cloud when it was made. What it costs is told all the same.
#[test]
fn an_instance_that_is_not_what_its_type_means_now_drains_and_is_priced_as_what_it_is() {
    let mut shown = instance("i-1", &typed(&policy(), "small"), "s");
    let big = typed(&policy(), "big");
    shown.provider_type = big.provider_type.clone();
    let (machine, _) = Machine::new(shown.clone(), false, Arc::new(policy()), at(0));
    let view = machine.view();
    assert_eq!((view.behavior, view.instance_type), (IdleBehavior::Drain, None));
    assert_eq!(view.like.map(|it| it.price), Some(big.price));
    shown.provider_type = crate::id::ProviderType::new("other.huge").unwrap();
    let (machine, _) = Machine::new(shown, false, Arc::new(policy()), at(0));
    assert_eq!(machine.view().like, None);
}

#[test]
fn a_behaviour_tag_is_restored_and_an_unconfigured_type_drains_unless_held() {
    let policy = Arc::new(policy());
    let cases = [
        ("big", "hold", IdleBehavior::Hold),
        ("big", "drain", IdleBehavior::Drain),
        ("big", "nonsense", IdleBehavior::Run),
        ("gone", "run", IdleBehavior::Drain),
        ("gone", "hold", IdleBehavior::Hold),
    ];
    for (type_name, tag, expected) in cases {
        let mut shown = instance("i-1", &typed(&policy, "big"), "s");
        shown.tags.insert("ArvadosInstanceType", type_name);
        shown.tags.insert("ArvadosIdleBehavior", tag);
        let (machine, _) = Machine::new(shown, false, Arc::clone(&policy), at(0));
        assert_eq!(machine.view().behavior, expected, "{type_name} {tag}");
    }
}

fn shown(story: &Story, behavior: &str) -> Instance {
    Instance { tags: tags(behavior), ..story.machine.instance().clone() }
}

/// The first listing after a restart may have shown tags from before the operator's word.
#[test]
fn a_hold_that_the_tags_show_late_is_kept_and_a_run_is_no_news() {
    for (second, late, expected) in [
        (31, "hold", IdleBehavior::Hold),
        (120, "drain", IdleBehavior::Drain),
        (121, "hold", IdleBehavior::Run),
        (31, "run", IdleBehavior::Run),
    ] {
        let mut story = Story::unknown();
        story.on(second, Command::InstanceUpdated(shown(&story, late)));
        assert_eq!(story.view().behavior, expected, "{late} at {second}");
    }
    let mut held = Story::unknown();
    held.on(1, Command::InstanceUpdated(shown(&held, "hold")));
    held.on(2, Command::InstanceUpdated(shown(&held, "run")));
    assert_eq!(held.view().behavior, IdleBehavior::Hold, "an older picture");
}

#[test]
fn what_the_operator_has_told_this_process_no_tag_undoes() {
    let mut story = Story::unknown();
    story.on(1, Command::SetIdleBehavior(IdleBehavior::Run, None));
    story.on(31, Command::InstanceUpdated(shown(&story, "hold")));
    assert_eq!(story.view().behavior, IdleBehavior::Run);
    let mut ours = Story::booting();
    ours.on(31, Command::InstanceUpdated(shown(&ours, "hold")));
    assert_eq!(ours.view().behavior, IdleBehavior::Run, "created by us a moment ago");
}

#[test]
fn one_that_was_destroyed_before_is_destroyed_whatever_its_tags_say() {
    let mut story = Story::unknown();
    story.on(1, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(2, Command::ShutDown(ShutdownReason::DestroyedBefore));
    assert_eq!(story.did(&WorkerEffect::Destroy), 1);
}

fn note(reason: &str) -> Note {
    Note::new(at(0), "alice", reason)
}

/// What somebody holds, or has drained himself, is not changed for its type; and a drain of ours stays.
#[test]
fn a_drain_with_its_type_touches_only_what_is_in_use() {
    let with_type = || Command::DrainWithType(note("type big is drained"));
    let mut used = Story::running(&[1]);
    used.on(2, with_type());
    assert_eq!(used.view().behavior, IdleBehavior::Drain);
    used.on(3, Command::RunWithType(note("")));
    assert_eq!(used.view().behavior, IdleBehavior::Run);
    let mut held = Story::running(&[1]);
    held.on(2, Command::SetIdleBehavior(IdleBehavior::Hold, Some(note("look"))));
    held.on(3, with_type());
    held.on(4, Command::DrainUnlessHeld(None));
    assert_eq!(
        (held.view().behavior, held.view().note.unwrap().reason.as_str()),
        (IdleBehavior::Hold, "look")
    );
    let mut faulty = Story::running(&[1]);
    faulty.on(2, with_type());
    let mut report = broken();
    if let Some(Ok(list)) = &mut report.list {
        list.running = vec![uuid(1)];
    }
    faulty.probe(70, 71, report);
    faulty.on(72, Command::RunWithType(note("")));
    assert_eq!(faulty.view().behavior, IdleBehavior::Drain, "it has a reason of its own");
}

/// The hold is more important than the note: a cloud may have no room for one more tag.
#[test]
fn a_note_that_cannot_be_saved_does_not_keep_the_behaviour_from_it() {
    let mut story = Story::running(&[1]);
    let effects = story.on(4, Command::SetIdleBehavior(IdleBehavior::Hold, Some(note("look"))));
    let mut with_note = tags("hold");
    with_note.insert("ArvadosIdleBehaviorNote", note("look").to_tag());
    assert!(effects.contains(&WorkerEffect::SaveTags(with_note)));
    story.on(5, Completion::TagsSaved(false));
    assert_eq!(story.on(65, Completion::Tick), [WorkerEffect::SaveTags(tags("hold"))]);
    story.on(66, Completion::TagsSaved(true));
    assert_eq!(story.view().note.unwrap().reason, "look", "it is known here all the same");
}

#[test]
fn one_that_the_cloud_will_take_away_is_drained_and_ends_when_it_is_empty() {
    let mut story = Story::running(&[1]);
    let effects = story.on(100, Command::DrainForNotice);
    assert!(effects.contains(&WorkerEffect::Tell(WorkerFact::Draining(DrainReason::SpotNotice))));
    assert_eq!(story.machine.view().behavior, IdleBehavior::Drain);
    assert!(!effects.contains(&WorkerEffect::Destroy), "what runs there may end before");
    let (_, effects) = (story.on(101, Command::DrainForNotice), story.probe(102, 103, lists(&[])));
    assert!(effects.contains(&WorkerEffect::Destroy));
}

#[test]
fn a_hold_is_stronger_than_a_notice() {
    let mut story = Story::running(&[1]);
    story.on(100, Command::SetIdleBehavior(IdleBehavior::Hold, None));
    story.on(101, Command::DrainForNotice);
    assert_eq!(story.machine.view().behavior, IdleBehavior::Hold);
}

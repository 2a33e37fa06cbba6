//! Large sites, and services that answer strangely.

use super::*;
use crate::client::top::model::View;

fn large() -> Answers {
    let waiting = |at| container(at, "Queued", json!({ "reason": "account_quota", "position": at + 1 }));
    let vm = |at: usize| {
        instance(
            &format!("i-{at:04}"),
            if at.is_multiple_of(2) { "large" } else { "small" },
            "running",
            "run",
            &[at],
        )
    };
    Answers {
        containers: (0..2_000).map(waiting).collect(),
        instances: (0..1_000).map(vm).collect(),
        ..answers()
    }
}

#[test]
fn a_large_site_is_scrolled_from_end_to_end() {
    let mut top = Top::of(&large(), SMALL);
    top.press("<end>");
    assert!(top.screen().contains("2000 000000000001999"), "{}", top.screen());
    top.press("<pgup>");
    assert!(top.screen().contains("1984 000000000001983"), "{}", top.screen());
    top.press("<home>2<end>");
    assert_eq!(top.model.rows[View::Fleet as usize].len(), 1_002);
    assert!(top.screen().contains("i-0999") && top.screen().contains("1000 instances"), "{}", top.screen());
    top.press("1/i-<enter>");
    assert!(top.screen().contains("nothing of that"), "they wait, and have no instance: {}", top.screen());
}

/// However many there are, only those in sight are made: a draw of a large site costs what one of a small site costs.
#[test]
fn only_rows_in_sight_are_drawn() {
    let top = Top::of(&large(), SMALL);
    let shown = (0..2_000).filter(|at| top.screen().contains(&format!("{at:015}"))).count();
    assert_eq!(shown, 17);
}

#[test]
fn how_full_an_instance_is_says_what_is_more_and_nothing_if_it_is_not_known() {
    let full = |change: fn(&mut Answers)| {
        let mut answers = answers();
        change(&mut answers);
        Data::of(&answers).unwrap().instance("i-0a1b2c").unwrap().full
    };
    assert_eq!(full(|_| ()), Some(50), "2 of 4 VCPUs; RAM is less");
    assert_eq!(full(|it| it.containers[3]["instance_resources"]["RAM"] = 4_000_000_000_u64.into()), Some(93));
    assert_eq!(full(|it| drop(it.containers.pop())), None, "the container is not in the queue any more");
    assert_eq!(full(|it| it.creates["items"] = json!([])), None, "the type is not configured");
}

#[test]
fn instances_of_types_that_are_not_configured_are_shown() {
    let mut answers = answers();
    answers.creates["items"] = json!([]);
    answers.instances.push(instance("i-lost", "", "unknown", "run", &[]));
    let mut top = Top::of(&answers, SMALL);
    top.press("2");
    let screen = top.screen();
    assert!(screen.contains("type unknown: 1 instance, 0.10/h; creates: type is not configured"), "{screen}");
    top.press("<end><enter>");
    assert!(top.screen().contains("state           unknown"), "{}", top.screen());
}

#[test]
fn an_answer_that_is_none_is_told_and_never_shown_as_nothing() {
    let told = |change: fn(&mut Answers)| {
        let mut answers = answers();
        change(&mut answers);
        Data::of(&answers).unwrap_err()
    };
    assert!(told(|it| it.containers.push(json!({}))).contains("no container"));
    assert!(
        told(|it| it.instances.push(json!({ "instance": 1 }))).contains("an instance of its list is none")
    );
    assert!(told(|it| it.cost = json!({})).contains("what the instances cost"));
    assert!(told(|it| it.creates = json!({})).contains("what may be created"));
}

#[test]
fn of_what_has_its_place_it_is_told_where() {
    for (reason, told) in
        [("allocated", "starts on i-0a1b2d"), ("previous_attempt", "a process of an earlier attempt")]
    {
        let mut answers = answers();
        answers.containers[0]["explain"] =
            json!({ "reason": reason, "position": 1, "instances": ["i-0a1b2d"] });
        let screen = Top::of(&answers, SMALL).screen();
        assert!(screen.contains(told), "{screen}");
    }
}

//! What keys and news do.

use super::*;
use crate::client::orders::Verb;
use crate::client::top::prompt::Order;

fn ordered(verb: Verb, id: &str, reason: &str) -> Effect {
    Effect::Order(Order { verb, id: id.to_owned(), reason: reason.to_owned() })
}

/// In the fleet, on the held instance.
fn at_held() -> Top {
    let mut top = top(SMALL);
    top.press("2<down><down><down><down>");
    top
}

#[test]
fn orders_go_to_the_instance_under_the_cursor_with_their_reason() {
    let mut top = at_held();
    top.press("<down>hlook at it<enter>");
    assert_eq!(top.effects, [ordered(Verb::Hold, "i-0a1b2d", "look at it")]);
    top.effects.clear();
    top.press("dno more<enter>r<enter>xbroken<enter>y");
    assert_eq!(
        top.effects,
        [
            ordered(Verb::Drain, "i-0a1b2d", "no more"),
            ordered(Verb::Run, "i-0a1b2d", ""),
            ordered(Verb::Kill, "i-0a1b2d", "broken"),
        ]
    );
}

#[test]
fn what_is_on_hold_is_drained_only_by_somebody_who_has_read_who_holds_it() {
    let mut top = at_held();
    top.press("denough<enter>");
    assert!(top.screen().contains("Drain it all the same? It is on hold by erin (looking at its disk)."));
    assert_eq!(top.effects, []);
    top.press("n");
    assert!(top.effects.is_empty() && top.screen().contains("nothing was ordered"), "{}", top.screen());
    top.press("denough<enter>y");
    assert_eq!(top.effects, [ordered(Verb::DrainHeld, "i-0a1b2c", "enough")]);
}

#[test]
fn a_kill_says_what_is_lost_and_wants_a_y() {
    let mut top = at_held();
    top.press("xbroken<enter>");
    assert!(top.screen().contains("Sure? The work of a container on i-0a1b2c is lost."), "{}", top.screen());
    top.press("<enter>");
    assert_eq!(top.effects, []);
    top.press("1xwrong input<enter>y");
    assert_eq!(top.effects, [ordered(Verb::KillContainer, "zzzzz-dz642-000000000000001", "wrong input")]);
}

#[test]
fn an_order_is_for_what_it_was_asked_about_whatever_moves_below_it() {
    let mut top = at_held();
    top.press("xbro");
    let mut fewer = answers();
    fewer.instances.remove(1);
    top.tell(Message::Seen(Box::new(Data::of(&fewer).unwrap())));
    top.press("ken<enter>y");
    assert_eq!(top.effects, [ordered(Verb::Kill, "i-0a1b2c", "broken")]);
}

#[test]
fn where_nothing_can_be_ordered_it_is_said_why() {
    for (keys, told) in [
        ("h", "that is for instances"),
        ("2h", "that is a type"),
        ("2<down><down><down>x", "it is being created"),
        ("3x", "choose a container in the line"),
        ("3<enter>x", "choose a container in the line"),
    ] {
        let mut top = top(SMALL);
        top.press(keys);
        assert!(top.screen().contains(told), "{keys}: {}", top.screen());
        assert!(top.model.prompt.is_none() && top.effects.is_empty(), "{keys}");
    }
}

#[test]
fn a_container_is_explained_for_as_long_as_it_is_looked_at() {
    let uuid = "zzzzz-dz642-000000000000002";
    let mut top = top(SMALL);
    top.press("<down><enter>");
    assert_eq!(top.effects, [Effect::Explain(Some(uuid.to_owned()))]);
    assert!(top.screen().contains("The service is asked"), "{}", top.screen());
    let told = |uuid: &str, text: &str| Message::Explained { uuid: uuid.to_owned(), text: text.to_owned() };
    top.tell(told("zzzzz-dz642-000000000000001", "of another one"));
    top.tell(told(uuid, "why             the cloud \u{1b}[2J account"));
    assert!(top.screen().contains("why             the cloud  [2J account"), "{}", top.screen());
    top.press("<esc>");
    assert_eq!(top.effects.last(), Some(&Effect::Explain(None)));
    assert!(top.screen().contains("[1 line: 3]"));
}

#[test]
fn a_search_is_for_a_part_of_a_uuid_or_of_an_id() {
    let mut top = top(SMALL);
    top.press("/0a1b2c<enter>");
    let screen = top.screen();
    assert!(screen.contains("[1 line: 1]") && screen.contains("only: 0a1b2c"), "{screen}");
    assert!(screen.contains("runs on i-0a1b2c"), "those that run are found, too: {screen}");
    top.press("2");
    assert!(!top.screen().contains("i-0a1b2d") && !top.screen().contains("large:"), "{}", top.screen());
    top.press("<esc>");
    assert!(top.screen().contains("i-0a1b2d") && top.screen().contains("large:"), "{}", top.screen());
    top.press("3/nosuch<enter>");
    assert!(top.screen().contains("nothing of that is there"), "{}", top.screen());
    top.press("/<esc>q");
    assert_eq!(top.effects, [Effect::Quit]);
}

#[test]
fn letters_are_text_while_something_is_typed_and_pasted_text_is_never_a_command() {
    let mut top = at_held();
    top.press("hquit?/1");
    top.tell(Message::Pasted(" xy\n".to_owned()));
    assert!(top.screen().contains("Reason: quit?/1 xy"), "{}", top.screen());
    top.press("<esc>");
    top.tell(Message::Pasted("q".to_owned()));
    assert_eq!(top.effects, []);
    top.press("h");
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    top.tell(Message::Key(control));
    assert_eq!(top.effects, [Effect::Quit]);
}

#[test]
fn what_has_come_of_an_order_is_told_for_a_while() {
    let mut top = top(SMALL);
    top.tell(Message::Ordered { is_done: false, text: "i-1: instance not found".to_owned() });
    assert!(top.screen().contains("i-1: instance not found"));
    top.wait(30);
    assert!(!top.screen().contains("i-1: instance not found"));
}

#[test]
fn it_is_told_how_old_the_data_is_until_newer_data_comes() {
    let mut top = top(SMALL);
    top.wait(11);
    assert!(!top.screen().contains("shows data"));
    top.wait(2);
    assert!(top.screen().contains("shows data from 13 s ago: no answer has come yet"), "{}", top.screen());
    top.tell(Message::Failed("cannot reach it".to_owned()));
    assert!(top.screen().contains("shows data from 13 s ago: cannot reach it; trying again"));
    top.tell(Message::Seen(Box::new(Data::of(&answers()).unwrap())));
    assert!(!top.screen().contains("shows data"));
    top.tell(Message::NotFollowing("broke off".to_owned()));
    assert!(!top.screen().contains("events are not followed"), "the lists are new all the same");
    top.press("3");
    assert!(top.screen().contains("events are not followed: broke off; trying again"));
    top.tell(Message::Following);
    assert!(!top.screen().contains("events are not followed"));
}

#[test]
fn ages_are_told_by_the_services_clock_and_go_on() {
    let mut ahead = answers();
    ahead.cost["at"] = "2026-11-30T11:50:00Z".into();
    let mut top = Top::of(&ahead, SMALL);
    assert!(top.screen().contains(" 2h "), "{}", top.screen());
    top.wait(3_600);
    assert!(top.screen().contains(" 3h "), "{}", top.screen());
}

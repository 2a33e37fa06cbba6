//! The books: exact, by hour, by container; and what a found instance had cost before.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::fixtures::{id, instance, policy, typed};
use crate::instance::IdleBehavior;
use crate::worker::{Machine, ProcessView, State};

/// Ten minutes past an hour of the clock.
const START: i64 = 1_800_000_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

fn price(per_hour: f64) -> Price {
    Price::new(per_hour).unwrap()
}

fn uuid(number: u32) -> ContainerUuid {
    format!("zzzzz-dz642-{number:015}").parse().unwrap()
}

/// An instance of type `small`, which costs 1.0 an hour, and books that were opened at the second 0.
struct Story {
    ledger: Ledger,
    view: View,
    instance: Instance,
}

impl Story {
    fn new() -> Self {
        let policy = Arc::new(policy());
        let instance = instance("i-1", &typed(&policy, "small"), "secret");
        let (machine, _) = Machine::new(instance.clone(), true, policy, at(0));
        let mut ledger = Ledger::default();
        ledger.begin(at(0));
        Self { ledger, view: machine.view(), instance }
    }

    fn opened(mut self, second: i64, ours: bool) -> Self {
        let ordered = ours.then_some(at(second));
        self.ledger.opened(&self.view, &self.instance, ordered, at(second));
        self
    }

    /// The instance runs these containers from then on.
    fn runs(&mut self, containers: &[u32], second: i64) {
        let process = |number: &u32| ProcessView {
            uuid: uuid(*number),
            since: at(second),
            unconfirmed: false,
            unsent: false,
            start_failure: None,
            killing: false,
            given_up: false,
        };
        self.view.processes = containers.iter().map(process).collect();
        self.note(second);
    }

    fn note(&mut self, second: i64) {
        self.ledger.noted(&self.view, &self.instance, at(second));
    }

    fn statement(&mut self, second: i64) -> Statement {
        self.ledger.statement(at(second))
    }
}

fn amount(statement: &Statement, category: Category) -> f64 {
    statement.sums.iter().filter(|sum| sum.category == category).map(|sum| sum.amount).sum()
}

fn total(statement: &Statement) -> f64 {
    statement.sums.iter().map(|sum| sum.amount).sum()
}

fn assert_about(is: f64, wanted: f64) {
    assert!((is - wanted).abs() < 1e-9, "{is}, not {wanted}");
}

#[test]
fn what_an_instance_does_decides_what_its_money_counts_as() {
    let mut story = Story::new().opened(0, true);
    story.view.state = State::Idle;
    story.note(360);
    story.runs(&[1], 720);
    story.runs(&[], 1800);
    story.view.behavior = IdleBehavior::Hold;
    story.note(1800);
    story.ledger.closed(&id("i-1"), at(3600));
    let statement = story.statement(7200);
    assert_about(amount(&statement, Category::Booting), 0.1);
    assert_about(amount(&statement, Category::Idle), 0.1);
    assert_about(amount(&statement, Category::Inuse), 0.3);
    assert_about(amount(&statement, Category::Hold), 0.5);
    assert!(statement.sums.iter().all(|sum| sum.per_hour == 0.0), "nothing is there any more");
    assert_eq!(statement.sums[0].instance_type.as_ref().map(TypeName::as_str), Some("small"));
}

#[test]
fn containers_share_the_price_of_their_instance_equally_while_they_run() {
    let mut story = Story::new().opened(0, true);
    story.runs(&[1], 0);
    story.runs(&[1, 2], 1800);
    story.runs(&[2], 3600);
    let statement = story.statement(5400);
    let [running, ended] = &statement.shares[..] else { panic!("{:?}", statement.shares) };
    assert_eq!((running.container, running.until), (uuid(2), None));
    assert_about(running.amount, 0.25 + 0.5);
    assert_eq!((ended.container, ended.until, ended.since), (uuid(1), Some(at(3600)), at(0)));
    assert_about(ended.amount, 0.5 + 0.25);
    assert_about(running.amount + ended.amount, amount(&statement, Category::Inuse));
}

#[test]
fn the_containers_of_an_instance_that_is_gone_have_ended_and_the_last_thousand_are_kept() {
    let mut story = Story::new().opened(0, true);
    for number in 0..1002 {
        story.runs(&[number], i64::from(number));
    }
    story.ledger.closed(&id("i-1"), at(2000));
    let shares = story.statement(3000).shares;
    assert_eq!(shares.len(), ENDED_KEPT);
    assert_eq!((shares[0].container, shares[0].until), (uuid(1001), Some(at(2000))));
    assert_eq!(shares[ENDED_KEPT - 1].container, uuid(2), "the first two are forgotten");
}

#[test]
fn hours_are_those_of_the_clock_and_begin_when_the_books_do() {
    let mut story = Story::new().opened(600, true);
    story.view.state = State::Idle;
    story.note(3600);
    let hours = story.statement(3 * 3600).hours;
    // The books were opened ten minutes past the hour, and the instance came ten minutes later.
    let spans: Vec<_> = hours.iter().map(|hour| (hour.start, hour.end)).collect();
    let end = 3000;
    let expected = [(0, end), (end, end + 3600), (end + 3600, end + 7200), (end + 7200, 3 * 3600)];
    assert_eq!(spans, expected.map(|(start, end)| (at(start), at(end))));
    let spent: Vec<f64> =
        hours.iter().map(|hour| hour.sums.iter().map(|(_, _, amount)| amount).sum()).collect();
    for (is, wanted) in spent.iter().zip([2400.0, 3600.0, 3600.0, 600.0]) {
        assert_about(*is, wanted / 3600.0);
    }
    assert_eq!(hours[1].sums.len(), 2, "booting, and then idle");
}

#[test]
fn seven_days_of_hours_are_kept_and_an_hour_without_cost_is_empty() {
    let mut story = Story::new();
    let hours = story.statement(9 * 24 * 3600).hours;
    assert_eq!(hours.len(), HOURS_KEPT + 1);
    assert!(hours.iter().all(|hour| hour.sums.is_empty()));
    assert_eq!(hours[HOURS_KEPT].end, at(9 * 24 * 3600));
}

#[test]
fn what_a_found_instance_had_cost_before_is_recovered_from_its_age_and_stands_apart() {
    let mut story = Story::new();
    story.instance.launched = Some(at(-7200));
    let mut story = story.opened(36, false);
    let statement = story.statement(3600);
    assert_about(statement.earlier.amount, 2.0);
    assert_eq!((statement.earlier.instances, statement.earlier.of_unknown_age), (1, 0));
    // Before the first listing it was there, too.
    assert_about(total(&statement), 1.0);
}

#[test]
fn an_age_that_the_cloud_does_not_tell_is_said_and_a_date_in_the_future_is_none() {
    let mut story = Story::new().opened(360, false);
    let statement = story.statement(720);
    assert_eq!((statement.earlier.of_unknown_age, statement.earlier.instances), (1, 0));
    assert_about(total(&statement), 0.1);
    let mut story = Story::new();
    story.instance.launched = Some(at(9999));
    let statement = story.opened(360, true).statement(720);
    assert_eq!(statement.earlier, Earlier::default());
    assert_about(total(&statement), 0.1);
}

#[test]
fn the_history_of_its_price_counts_before_it_was_found_and_the_newest_price_from_then_on() {
    let mut story = Story::new();
    story.instance.launched = Some(at(-7200));
    let point = |second, per_hour| PricePoint { start_time: at(second), price: price(per_hour) };
    // Newest first. Before the oldest one nothing is known: it counts.
    story.instance.price_history = vec![point(-1800, 0.5), point(-3600, 0.25)];
    let mut story = story.opened(0, false);
    assert_about(story.statement(0).earlier.amount, 0.25 * 1.5 + 0.5 * 0.5);
    story.instance.price_history.insert(0, point(3600, 2.0));
    story.note(3600);
    assert_about(total(&story.statement(7200)), 0.5 + 2.0);
}

/// From then on each listing is the proof for the time before it, and no time is counted that none has shown.
#[test]
fn an_instance_whose_end_is_acknowledged_counts_only_as_far_as_listings_show_it() {
    let mut story = Story::new().opened(0, true);
    story.view.state = State::Shutdown;
    story.note(3600);
    story.view.destroy_acknowledged = true;
    story.note(4000);
    assert_about(total(&story.statement(9000)), 4000.0 / 3600.0);
    story.ledger.still_listed(&id("i-1"), at(3900));
    assert_about(total(&story.statement(9000)), 4000.0 / 3600.0);
    story.ledger.still_listed(&id("i-1"), at(5000));
    story.ledger.still_listed(&id("i-1"), at(6000));
    story.ledger.closed(&id("i-1"), at(9000));
    assert_about(total(&story.statement(9999)), 6000.0 / 3600.0);
}

#[test]
fn an_instance_without_a_known_price_is_counted_and_costs_nothing() {
    let mut story = Story::new();
    story.view.like = None;
    let mut story = story.opened(0, true);
    let statement = story.statement(3600);
    assert_eq!((statement.unpriced, total(&statement)), (1, 0.0));
    story.ledger.closed(&id("i-1"), at(3600));
    assert_eq!(story.statement(3600).unpriced, 0);
}

proptest! {
    /// However often the instance changes: the sums, the hours and the time that it was there agree to the last digit.
    #[test]
    fn nothing_is_lost_and_nothing_is_counted_twice(changes in prop::collection::vec((1_i64..9000, 0_u32..4), 1..40)) {
        let mut story = Story::new().opened(0, true);
        let mut second = 0;
        for (later, containers) in changes {
            second += later;
            story.runs(&(0..containers).collect::<Vec<_>>(), second);
        }
        story.ledger.closed(&id("i-1"), at(second));
        let statement = story.statement(second + 10_000);
        let wanted = second as f64 / 3600.0;
        prop_assert!((total(&statement) - wanted).abs() < 1e-6, "{} is not {wanted}", total(&statement));
        let by_hour: f64 = statement.hours.iter().flat_map(|hour| &hour.sums).map(|(_, _, amount)| amount).sum();
        prop_assert!((by_hour - wanted).abs() < 1e-6 || statement.hours.len() > HOURS_KEPT, "{by_hour} is not {wanted}");
        let shared: f64 = statement.shares.iter().map(|share| share.amount).sum();
        // A price is shared in billionths.
        prop_assert!((shared - amount(&statement, Category::Inuse)).abs() < 1e-6);
        for pair in statement.hours.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
        }
    }
}

/// A listing may omit an instance that is destroyed or lives, and the next may show it again (`Pool` calls it `returned`).
#[test]
fn an_instance_that_a_listing_omitted_is_not_counted_twice_when_it_is_shown_again() {
    let mut story = Story::new();
    story.instance.launched = Some(at(0));
    let mut story = story.opened(0, true);
    story.ledger.closed(&id("i-1"), at(7200));
    let mut story = story.opened(7260, false);
    assert_about(total(&story.statement(7260)), 7260.0 / 3600.0);
}

/// The same for one that was found at the start.
#[test]
fn what_a_found_instance_had_cost_before_is_not_counted_twice() {
    let mut story = Story::new();
    story.instance.launched = Some(at(-7200));
    let mut story = story.opened(0, false);
    story.ledger.closed(&id("i-1"), at(60));
    let earlier = story.opened(120, false).statement(120).earlier;
    assert_eq!(earlier.instances, 1);
    assert_about(earlier.amount, 2.0);
}

/// A reload takes its type out of the configuration: it drains, may work for a day, and the cloud bills it.
#[test]
fn an_instance_whose_type_is_configured_no_longer_goes_on_costing_what_it_did() {
    let mut story = Story::new().opened(0, true);
    story.view.like = None;
    story.view.instance_type = None;
    story.note(3600);
    assert_about(total(&story.statement(7200)), 2.0);
}

/// The cloud's clock is an hour ahead of ours, so the age of a found instance cannot be known: that is to be said.
#[test]
fn a_found_instance_whose_date_lies_in_the_future_is_of_unknown_age() {
    let mut story = Story::new();
    story.instance.launched = Some(at(3600));
    let statement = story.opened(36, false).statement(720);
    assert_eq!(statement.earlier.of_unknown_age, 1);
}

/// `ec2` asks for spot prices once a day, and is told when each began.
#[test]
fn a_price_counts_from_when_it_began_and_not_from_when_it_was_heard_of() {
    let mut story = Story::new();
    let point = |second, per_hour| PricePoint { start_time: at(second), price: price(per_hour) };
    story.instance.price_history = vec![point(0, 1.0)];
    let mut story = story.opened(0, true);
    story.instance.price_history.insert(0, point(1800, 3.0));
    story.note(7200);
    assert_about(total(&story.statement(7200)), 0.5 + 1.5 * 3.0);
}

mod closed_loop;
mod former;
mod rules;
mod table;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

#[test]
fn a_burst_of_503s_costs_one_cut() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..9 {
        ceiling.overloaded(40, at(second));
    }
    assert_eq!(ceiling.limit(), 35);
}

#[test]
fn a_minute_of_503s_costs_no_more_than_half() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..60 {
        ceiling.overloaded(40 - second as u32 / 2, at(second));
    }
    assert_eq!(ceiling.limit(), 20);
}

#[test]
fn width_comes_back_soon_to_below_the_trouble_and_slowly_beyond() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..60 {
        ceiling.overloaded(40, at(second));
    }
    for second in 60..100 {
        ceiling.look(ceiling.limit(), at(second));
    }
    assert!(ceiling.limit() >= 36, "{}", ceiling.limit());
    let then = ceiling.limit();
    for second in 100..120 {
        ceiling.look(then, at(second));
    }
    assert!(ceiling.limit() <= then + 3, "{}", ceiling.limit());
}

#[test]
fn where_it_started_is_an_estimate_and_no_limit() {
    let mut ceiling = Ceiling::new(4);
    ceiling.look(2, at(0));
    assert_eq!(ceiling.limit(), 4);
    for second in 0..10 {
        ceiling.look(ceiling.limit(), at(second));
    }
    assert!(ceiling.limit() > 14, "{}", ceiling.limit());
}

#[test]
fn a_503_at_the_tail_of_a_burst_is_judged_by_what_ran_before() {
    let mut ceiling = Ceiling::new(64);
    ceiling.look(40, at(0));
    ceiling.look(2, at(20));
    ceiling.overloaded(2, at(21));
    assert_eq!(ceiling.limit(), 35, "an eighth less than 40");
}

#[test]
fn no_ceiling_stays_none_without_503s() {
    let mut ceiling = Ceiling::new(0);
    ceiling.look(100, at(0));
    assert_eq!(ceiling.limit(), 0);
}

fn at_millis(millis: u64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000 + millis as i64).unwrap()
}

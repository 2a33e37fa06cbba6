//! Examples here; what holds for any history in `properties`; in a closed loop in `settling` and `bursts`.

mod bursts;
mod closed_loop;
mod former;
mod properties;
mod rules;
mod settling;
mod table;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn at_millis(millis: u64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000 + millis as i64).unwrap()
}

/// Quiet seconds in which all of the ceiling is used.
fn quiet(ceiling: &mut Ceiling, seconds: std::ops::Range<i64>) {
    for second in seconds {
        ceiling.look(ceiling.limit(), at(second));
    }
}

#[test]
fn a_503_costs_half_of_what_runs() {
    let mut ceiling = Ceiling::new(64);
    ceiling.overloaded(40, at(0));
    assert_eq!(ceiling.limit(), 20);
}

#[test]
fn nothing_more_is_cut_before_a_cut_is_obeyed() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..60 {
        ceiling.overloaded(36, at(second));
    }
    assert_eq!(ceiling.limit(), 18);
}

#[test]
fn obeyed_503s_cost_half_again_once_a_second() {
    let mut ceiling = Ceiling::new(64);
    ceiling.overloaded(40, at_millis(0));
    for millis in [400, 800, 1200, 1600] {
        ceiling.overloaded(ceiling.limit(), at_millis(millis));
    }
    assert_eq!(ceiling.limit(), 10);
}

#[test]
fn a_minute_of_503s_is_made_good_within_twenty_seconds() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..60 {
        ceiling.overloaded(ceiling.limit().min(40), at(second));
    }
    assert_eq!(ceiling.limit(), 1);
    quiet(&mut ceiling, 60..69);
    assert_eq!(ceiling.limit(), 1, "the lull may be chance");
    quiet(&mut ceiling, 69..80);
    assert_eq!(ceiling.limit(), 36, "nine tenths of 40");
}

/// What ran when they began is no measure any more: even what little runs now is too much.
#[test]
fn minutes_of_503s_whatever_was_cut_are_about_what_runs_now() {
    let mut ceiling = Ceiling::new(64);
    for beat in 0..150 {
        ceiling.overloaded(ceiling.limit().min(40), at_millis(700 * beat));
    }
    quiet(&mut ceiling, 106..140);
    assert!(ceiling.limit() <= 2, "{}", ceiling.limit());
}

#[test]
fn what_was_proven_comes_back_in_full() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..400 {
        ceiling.look(40, at(second));
    }
    for second in 400..460 {
        ceiling.overloaded(ceiling.limit().min(40), at(second));
    }
    quiet(&mut ceiling, 460..477);
    assert_eq!(ceiling.limit(), 40);
}

#[test]
fn beyond_the_safe_level_it_goes_slowly() {
    let mut ceiling = Ceiling::new(400);
    ceiling.overloaded(400, at(0));
    quiet(&mut ceiling, 1..17);
    assert_eq!(ceiling.limit(), 360);
    let reached = |limit| (17..2000).find(|second| (quiet_until(&ceiling, *second)) >= limit).unwrap();
    assert!((31..=34).contains(&reached(361)), "{}", reached(361));
    assert!((150..240).contains(&reached(401)), "{}", reached(401));
}

fn quiet_until(ceiling: &Ceiling, second: i64) -> u32 {
    let mut ceiling = ceiling.clone();
    quiet(&mut ceiling, 17..second);
    ceiling.limit()
}

#[test]
fn each_approach_that_fails_doubles_the_wait_for_the_next() {
    let mut ceiling = Ceiling::new(10);
    let (mut approaches, mut now) = (Vec::new(), 0);
    // Between two: the second of the cut, the lull, a step back. Nine are served well, and ten are answered 503.
    while approaches.len() < 6 {
        now += 1;
        match ceiling.limit() {
            10.. => {
                ceiling.overloaded(10, at(now));
                approaches.push(now);
            }
            running => ceiling.look(running, at(now)),
        }
    }
    let waits: Vec<i64> = approaches.windows(2).map(|pair| pair[1] - pair[0] - 12).collect();
    assert_eq!(waits, [20, 40, 80, 160, 320]);
}

#[test]
fn where_it_started_is_an_estimate_and_no_limit() {
    let mut ceiling = Ceiling::new(4);
    ceiling.look(2, at(0));
    assert_eq!(ceiling.limit(), 4);
    quiet(&mut ceiling, 0..10);
    assert!(ceiling.limit() > 14, "{}", ceiling.limit());
}

#[test]
fn a_503_at_the_tail_of_a_burst_is_judged_by_what_ran_before() {
    let mut ceiling = Ceiling::new(64);
    ceiling.look(40, at(0));
    ceiling.look(2, at(20));
    ceiling.overloaded(2, at(21));
    assert_eq!(ceiling.limit(), 20, "half of 40");
}

#[test]
fn a_503_while_nothing_runs_is_not_of_the_containers_making() {
    let mut ceiling = Ceiling::new(64);
    for second in 0..60 {
        ceiling.overloaded(0, at(second));
    }
    assert_eq!(ceiling.limit(), 64);
    assert_eq!(ceiling.last_overload(), Some(at(59)));
}

#[test]
fn a_lone_503_while_one_or_two_run_costs_nothing() {
    for running in [1, 2] {
        let mut ceiling = Ceiling::new(64);
        ceiling.look(running, at(0));
        ceiling.overloaded(running, at(1));
        ceiling.overloaded(running, at_millis(1_900));
        assert_eq!(ceiling.limit(), 64, "{running}");
        ceiling.overloaded(running, at(5));
        assert_eq!(ceiling.limit(), 1, "another follows: {running}");
    }
}

#[test]
fn no_ceiling_stays_none_without_503s() {
    let mut ceiling = Ceiling::new(0);
    for second in 0..1000 {
        ceiling.look(100, at(second));
    }
    assert_eq!(ceiling.limit(), 0);
}

#[test]
fn trouble_that_nobody_comes_near_again_is_forgotten() {
    let mut ceiling = Ceiling::new(4);
    ceiling.overloaded(2, at(0));
    for second in 1..300 {
        ceiling.look(0, at(second));
    }
    for second in 300..310 {
        ceiling.look(ceiling.limit(), at(second));
    }
    assert!(ceiling.limit() > 10, "{}", ceiling.limit());
}

/// Waves of jobs that start and end in step, as many as the ceiling allows. The answers are 503 while more run than
/// are served; all is quiet between two waves, and the ceiling is back at the safe level before the next.
#[test]
fn trouble_that_comes_back_with_each_wave_lowers_the_safe_level_until_it_is_served() {
    let (mut ceiling, served) = (Ceiling::new(100), 25);
    let mut waves = Vec::new();
    for wave in 0..40 {
        let (began, running) = (70 * wave, ceiling.limit().min(87));
        waves.push(running);
        if running > served {
            ceiling.overloaded(running, at(began));
        }
        for second in 1..70 {
            let running = if second < 60 { running } else { 0 };
            ceiling.look(running, at(began + second));
        }
    }
    assert!(waves[20..].iter().all(|running| (20..=27).contains(running)), "{waves:?}");
}

/// How far the level falls if trouble comes at the safe level that often, each time after so many quiet seconds.
fn level_after(count: i64, quiet: i64) -> u32 {
    let mut trouble = Trouble::new(80, at(0));
    for now in (1..=count).map(|nth| nth * (quiet + 200)) {
        trouble.is_safe_from(at(now - quiet));
        let safe = trouble.safe(0);
        let verdict = trouble.judge(safe, 0, at(now));
        assert_eq!(verdict, Verdict::Unsafe);
        trouble.learn(verdict, safe, at(now));
    }
    trouble.level
}

#[test]
fn the_level_falls_below_half_only_if_trouble_comes_back_soon() {
    assert_eq!(level_after(1, 10), 54, "a quarter below 72");
    assert_eq!(level_after(2, 10), 40, "half");
    assert_eq!(level_after(3, 10), 27, "a quarter below 36");
    assert_eq!(level_after(10, 900), 40, "each time it has been quiet for a quarter of an hour");
}

/// What a raise lets in is not there yet at the next look: that does not show that nobody needs the ceiling.
#[test]
fn beyond_the_level_it_goes_slowly_though_jobs_start_later_than_they_may() {
    let mut ceiling = Ceiling::new(64);
    ceiling.overloaded(28, at(0));
    let (mut running, mut raised) = (14, Vec::new());
    for second in 1..2000 {
        let before = ceiling.limit();
        ceiling.look(running, at(second));
        running = before;
        if (28..50).contains(&before) && ceiling.limit() > before {
            raised.push(second);
        }
    }
    assert!(raised.len() > 4 && raised.windows(2).all(|pair| pair[1] - pair[0] >= 20), "{raised:?}");
}

#[test]
fn what_the_site_allows_is_taken_up_unless_a_503_has_spoken() {
    let mut ceiling = Ceiling::new(10);
    ceiling.site_allows(40);
    assert_eq!(ceiling.limit(), 40);
    ceiling.site_allows(5);
    assert_eq!(ceiling.limit(), 5);
    ceiling.site_allows(40);
    ceiling.overloaded(20, at(10));
    let lowered = ceiling.limit();
    ceiling.site_allows(100);
    assert_eq!(ceiling.limit(), lowered);
}

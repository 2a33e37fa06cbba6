//! What holds for any history.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
struct Moment {
    millis: u64,
    running: u32,
    overloaded: bool,
}

fn history() -> impl Strategy<Value = Vec<Moment>> {
    let pause = prop_oneof![1u64..2_000, 1u64..100_000, 1u64..1_000_000];
    let moment = (pause, 0u32..200, prop::bool::weighted(0.2));
    let moment = moment.prop_map(|(millis, running, overloaded)| Moment { millis, running, overloaded });
    prop::collection::vec(moment, 1..200)
}

/// Lives through it; calls `check` with each moment, the ceiling before, and the ceiling after.
fn live(start: u32, history: &[Moment], mut check: impl FnMut(Moment, &Ceiling, &Ceiling)) -> Ceiling {
    let (mut ceiling, mut now) = (Ceiling::new(start), 0);
    for moment in history {
        now += moment.millis;
        let before = ceiling.clone();
        match moment.overloaded {
            true => ceiling.overloaded(moment.running, at_millis(now)),
            false => ceiling.look(moment.running, at_millis(now)),
        }
        check(Moment { millis: now, ..*moment }, &before, &ceiling);
    }
    ceiling
}

proptest! {
    #[test]
    fn it_is_never_below_one(start in 1u32..100, history in history()) {
        live(start, &history, |_, _, after| assert!(after.limit() >= 1));
    }

    #[test]
    fn it_is_never_beyond_its_start_and_a_tenth_more_than_ever_ran(start in 1u32..100, history in history()) {
        let mut most = 0;
        live(start, &history, |moment, _, after| {
            most = most.max(moment.running);
            assert!(after.limit() <= start.max(most + most / 10 + 1));
        });
    }

    #[test]
    fn a_503_never_raises_it(start in 0u32..100, history in history()) {
        live(start, &history, |moment, before, after| {
            if moment.overloaded && before.limit() > 0 {
                assert!(after.limit() <= before.limit());
            }
        });
    }

    #[test]
    fn a_503_never_leaves_more_than_quiet_would(start in 0u32..100, history in history()) {
        live(start, &history, |moment, before, after| {
            let mut quiet = before.clone();
            quiet.look(moment.running, at_millis(moment.millis));
            if moment.overloaded && quiet.limit() > 0 {
                assert!(after.limit() <= quiet.limit());
            }
        });
    }

    #[test]
    fn quiet_never_lowers_it(start in 0u32..100, history in history()) {
        live(start, &history, |moment, before, after| {
            if !moment.overloaded {
                assert!(after.limit() >= before.limit());
            }
        });
    }

    #[test]
    fn none_stays_none_until_a_503_with_something_running(history in history()) {
        let (mut blamed, mut heard) = (false, false);
        live(0, &history, |moment, _, after| {
            // While one or two run, the first 503 is not of their making.
            blamed |= moment.overloaded && moment.running > 2;
            assert!(after.limit() > 0 || !blamed);
            heard |= moment.overloaded && moment.running > 0;
            assert!(after.limit() == 0 || heard);
        });
    }

    #[test]
    fn more_503s_in_a_row_leave_no_more(start in 1u32..100, history in history(), running in 1u32..200) {
        let ceiling = live(start, &history, |_, _, _| {});
        let began = history.iter().map(|it| it.millis).sum::<u64>();
        let after = |count: u64| {
            let mut ceiling = ceiling.clone();
            for second in 1..=20 {
                let now = at_millis(began + 1000 * second);
                match second <= count {
                    true => ceiling.overloaded(running.min(ceiling.limit()), now),
                    false => ceiling.look(running.min(ceiling.limit()), now),
                }
            }
            ceiling.limit()
        };
        let limits: Vec<u32> = (0..=20).map(after).collect();
        prop_assert!(limits.is_sorted_by(|fewer, more| fewer >= more), "{:?}", limits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Whatever was learnt before: what is used, and quiet, comes back.
    #[test]
    fn a_day_of_quiet_brings_back_all_that_is_wanted(start in 1u32..100, history in history(), wanted in 1u32..300) {
        let mut ceiling = live(start, &history, |_, _, _| {});
        let began = history.iter().map(|it| it.millis).sum::<u64>();
        let reached = (1..=86_400u64).any(|second| {
            ceiling.look(wanted.min(ceiling.limit()), at_millis(began + 1000 * second));
            ceiling.limit() >= wanted
        });
        prop_assert!(reached, "{} of {wanted}: {ceiling:?}", ceiling.limit());
    }
}

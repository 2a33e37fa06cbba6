//! What a round reads can be written down, read back, dated anew, and planned under another configuration.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::properties::scene;
use super::*;
use crate::instance::{Catalog, Market, Offering};
use crate::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};
use crate::time::{after, since};

/// What makes holds.
#[derive(Debug, Clone)]
enum Trouble {
    Refused(CloudErrorKind),
    BootFailed,
    Sent,
}

fn trouble() -> impl Strategy<Value = (usize, Trouble, i64)> {
    let kinds = vec![
        CloudErrorKind::RateLimited { until: at(130) },
        CloudErrorKind::Quota(QuotaScope::All),
        CloudErrorKind::Quota(QuotaScope::Market(Market::Spot)),
        CloudErrorKind::Capacity(CapacityScope::Offering),
        CloudErrorKind::Capacity(CapacityScope::QuotaGroup),
        CloudErrorKind::Capacity(CapacityScope::All),
        CloudErrorKind::Unauthorized,
        CloudErrorKind::Other,
    ];
    let trouble = prop_oneof![
        3 => select(kinds).prop_map(Trouble::Refused),
        2 => Just(Trouble::BootFailed),
        1 => Just(Trouble::Sent),
    ];
    (0..4usize, trouble, 0..100i64)
}

prop_compose! {
    /// An input with real holds, and a moment to plan it at.
    fn input()(
        scene in scene(),
        troubles in vec(trouble(), 0..6),
        limits in (0..8u32, 0..3u32),
        ms in 0..400_000i64,
    ) -> (PlanInput, Timestamp) {
        let mut input = scene.input();
        let mut rules = PlanRules::clone(&input.rules);
        (rules.max_instances, rules.max_concurrent_creates) = limits;
        let types = rules.catalog.types().to_vec();
        let groups: BTreeMap<Offering, String> =
            types.iter().map(|it| (it.offering(), "standard".to_owned())).collect();
        let mut holds = Holds::new(groups);
        let census = input.fleet.census();
        for (it, trouble, second) in troubles {
            let (it, now) = (&types[it], at(second));
            match trouble {
                Trouble::Refused(kind) => {
                    let error = CloudError { kind, code: "E".to_owned(), message: "no".to_owned() };
                    holds.failed(it, &error, &census, now, now);
                }
                Trouble::BootFailed => drop(holds.booted(&it.offering(), false, now, now)),
                Trouble::Sent => holds.sent(it, now),
            }
        }
        Arc::make_mut(&mut input.fleet).holds = holds;
        input.rules = Arc::new(rules);
        (input, after(at(0), Duration::from_millis(ms.unsigned_abs())))
    }
}

fn rewritten(input: &PlanInput) -> PlanInput {
    let text = serde_json::to_string(input).unwrap();
    serde_json::from_str(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_input_that_was_written_and_read_is_equal_and_gives_the_same_plan((input, now) in input()) {
        let read = rewritten(&input);
        prop_assert_eq!(&read, &input);
        prop_assert_eq!(plan(&read, now), plan(&input, now));
    }

    #[test]
    fn an_input_dated_from_another_origin_gives_the_same_actions((input, now) in input(), origin in 0..4_000_000_000i64) {
        let origin = Timestamp::from_second(origin).unwrap();
        let dated = input.dated_from(origin);
        let there = plan(&dated, dated_from(now, origin));
        let here = plan(&input, now);
        prop_assert_eq!(there.actions, here.actions);
        prop_assert_eq!((there.order, there.waiting, there.facts), (here.order, here.waiting, here.facts));
    }

    #[test]
    fn an_input_under_its_own_rules_is_the_same((input, _) in input()) {
        prop_assert_eq!(&input.under(Arc::clone(&input.rules)), &input);
    }

    #[test]
    fn each_plan_of_real_holds_keeps_the_invariants((input, now) in input()) {
        prop_assert_eq!(crate::invariants::check_plan(&input, &plan(&input, now), now), Ok(()));
    }

    /// What can be created is decided by the clock alone as long as there is no news.
    #[test]
    fn a_planner_that_is_asked_again_later_plans_what_is_due_then((input, now) in input(), later in vec(0..700u64, 1..5)) {
        let mut planner = Planner::default();
        for seconds in later {
            let now = after(now, Duration::from_secs(seconds));
            prop_assert_eq!(&*planner.plan(&input, now), &plan(&input, now), "{} s later", since(now, at(0)).as_secs());
        }
    }
}

#[test]
fn a_written_input_has_no_secret_of_a_create() {
    let mut scene = Scene::new();
    scene.pending(1, "small");
    scene.pool.pending[0].1.secret = Secret::new("hunter2");
    assert!(!serde_json::to_string(&scene.input()).unwrap().contains("hunter2"));
}

#[test]
fn the_same_input_under_another_configuration_plans_other_instances() {
    let mut scene = Scene::new();
    for n in 1..=3 {
        scene.add_sized(n, Locked, 4, false);
    }
    let input = scene.input();
    let made = |input: &PlanInput| creates(&plan(input, scene.now).actions).len();
    assert_eq!(made(&input), 3);
    let rules = |change: fn(&mut PlanRules)| {
        let mut rules = PlanRules::clone(&input.rules);
        change(&mut rules);
        Arc::new(rules)
    };
    assert_eq!(made(&input.under(rules(|rules| rules.max_instances = 2))), 2);
    assert_eq!(made(&input.under(rules(|rules| rules.catalog = Catalog::default()))), 0);
    let reserved = input.under(rules(|rules| rules.sizing.reserve_extra_ram = u64::MAX / 2));
    assert_eq!(made(&reserved), 0, "nothing is as large as that");
    assert!(matches!(
        plan(&reserved, scene.now).actions[0],
        Action::Queue(QueueAction::CancelContainer(_, CancelReason::NoSuitableType(_), _))
    ));
}

/// What a worker's list makes known is news at once: the planner and the pool compare the same facts.
#[test]
fn a_worker_whose_processes_have_become_known_is_news_to_the_planner() {
    let mut scene = Scene::new();
    scene.worker_left("w-1", "small", State::Idle);
    scene.change("w-1", |view| {
        view.last_success = Some(at(5));
        view.processes_known = false;
    });
    let entry = scene.add(1, Locked, 1);
    entry.locked_before_start = true;
    let mut planner = Planner::default();
    let is_start = |it: &Action| matches!(it, Action::Pool(PoolAction::StartContainer(..)));
    assert!(!scene.plan_by(&mut planner).actions.iter().any(is_start));
    scene.change("w-1", |view| view.processes_known = true);
    assert!(scene.plan_by(&mut planner).actions.iter().any(is_start));
}

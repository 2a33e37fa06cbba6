use dispatch_core::id::ProviderType;
use dispatch_core::instance::Market;
use dispatch_core::ports::CapacityScope;
use dispatch_core::time::after;

use super::*;

fn reach(failure: &Failure) -> Option<Reach> {
    match failure.code.as_str() {
        "NoMore" => Some(Reach::Offering),
        "NoAddresses" => Some(Reach::Place),
        _ => None,
    }
}

fn failure(code: &str) -> Failure {
    let meaning = match code {
        "NoMore" => Meaning::Capacity(CapacityScope::Offering),
        "Broken" => Meaning::Unknown,
        "Slow" => Meaning::Throttled,
        "SlowFor" => Meaning::ThrottledFor(Duration::from_secs(7)),
        _ => Meaning::Other,
    };
    Failure { meaning, code: code.to_owned(), message: String::new() }
}

fn three() -> Places {
    Places::new(&["a", "b", "c"].map(str::to_owned), reach)
}

fn small() -> Offering {
    Offering { provider_type: ProviderType::new("small").unwrap(), market: Market::OnDemand }
}

/// Orders one at that second from places that fail as told: where it was tried, and where it was made or the code of what
/// was reported.
async fn ordered(
    places: &Places,
    offering: &Offering,
    second: u64,
    failures: &[(&str, &str)],
) -> (String, String) {
    let seen = RefCell::new(String::new());
    let attempt = |place: Option<&str>| {
        let place = place.unwrap_or("-").to_owned();
        seen.borrow_mut().push_str(&place);
        let code = failures.iter().find(|(it, _)| *it == place).map(|(_, code)| *code);
        async move { code.map_or(Ok(place), |code| Err(failure(code))) }
    };
    let now = after(Timestamp::UNIX_EPOCH, Duration::from_secs(second));
    let made = places.try_each(offering, attempt, now, |_, _, _| {}).await;
    (seen.into_inner(), made.unwrap_or_else(|failure| failure.code))
}

fn is(seen: &str, made: &str) -> (String, String) {
    (seen.to_owned(), made.to_owned())
}

#[tokio::test]
async fn a_shortage_of_one_type_on_one_market_moves_no_other() {
    let (places, small) = (three(), small());
    let spot = Offering { market: Market::Spot, ..small.clone() };
    let large = Offering { provider_type: ProviderType::new("large").unwrap(), ..small.clone() };
    assert_eq!(ordered(&places, &small, 0, &[("a", "NoMore")]).await, is("ab", "b"));
    assert_eq!(ordered(&places, &small, 1, &[]).await, is("b", "b"));
    assert_eq!(ordered(&places, &spot, 1, &[]).await, is("a", "a"));
    assert_eq!(ordered(&places, &large, 1, &[]).await, is("a", "a"));
}

#[tokio::test]
async fn a_place_without_addresses_is_short_of_everything() {
    let (places, small) = (three(), small());
    let large = Offering { provider_type: ProviderType::new("large").unwrap(), ..small.clone() };
    assert_eq!(ordered(&places, &small, 0, &[("a", "NoAddresses")]).await, is("ab", "b"));
    assert_eq!(ordered(&places, &large, 1, &[]).await, is("b", "b"));
}

#[tokio::test]
async fn after_three_minutes_the_sites_order_holds_again() {
    let (places, small) = (three(), small());
    ordered(&places, &small, 0, &[("a", "NoMore")]).await;
    assert_eq!(ordered(&places, &small, 179, &[]).await, is("b", "b"));
    assert_eq!(ordered(&places, &small, 180, &[("a", "NoMore")]).await, is("ab", "b"));
    assert_eq!(ordered(&places, &small, 359, &[]).await, is("b", "b"), "it is short anew");
}

#[tokio::test]
async fn where_all_are_short_all_are_tried_and_one_that_has_it_again_comes_first() {
    let (places, small) = (three(), small());
    let all = [("a", "NoMore"), ("b", "NoMore"), ("c", "NoMore")];
    assert_eq!(ordered(&places, &small, 0, &all).await, is("abc", "NoMore"));
    assert_eq!(ordered(&places, &small, 1, &[("c", "NoMore")]).await, is("cb", "b"));
    assert_eq!(ordered(&places, &small, 2, &[]).await, is("b", "b"));
}

#[tokio::test]
async fn an_unknown_outcome_is_tried_nowhere_else_and_the_next_order_begins_elsewhere() {
    let (places, small) = (three(), small());
    let large = Offering { provider_type: ProviderType::new("large").unwrap(), ..small.clone() };
    assert_eq!(ordered(&places, &small, 0, &[("a", "Broken")]).await, is("a", "Broken"));
    assert_eq!(ordered(&places, &large, 0, &[("b", "NoMore")]).await, is("bc", "c"), "whatever is ordered");
    let all = [("a", "Broken"), ("b", "Broken"), ("c", "Broken")];
    for place in ["b", "c", "a", "b"] {
        assert_eq!(ordered(&places, &small, 1, &all).await, is(place, "Broken"));
    }
}

#[tokio::test]
async fn what_no_other_place_cures_ends_it_and_is_not_remembered() {
    let (places, small) = (three(), small());
    assert_eq!(ordered(&places, &small, 0, &[("a", "BadImage")]).await, is("a", "BadImage"));
    assert_eq!(ordered(&places, &small, 1, &[]).await, is("a", "a"));
}

#[tokio::test]
async fn the_last_word_on_capacity_is_reported_unless_there_may_be_a_vm_or_patience_is_asked_for() {
    let small = small();
    for (last, told) in [
        ("NoAddresses", "NoMore"),
        ("BadImage", "NoMore"),
        ("Broken", "Broken"),
        ("Slow", "Slow"),
        ("SlowFor", "SlowFor"),
    ] {
        let failures = [("a", "NoMore"), ("b", last), ("c", last)];
        assert_eq!(ordered(&three(), &small, 0, &failures).await.1, told);
    }
}

#[tokio::test]
async fn without_places_the_clouds_choice_is_tried_once() {
    let places = Places::new(&[], reach);
    for second in 0..2 {
        assert_eq!(ordered(&places, &small(), second, &[("-", "NoMore")]).await, is("-", "NoMore"));
    }
}

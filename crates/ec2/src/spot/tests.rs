use dispatch_core::id::ProviderType;
use dispatch_core::instance::Tags;
use dispatch_sim::samples;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// A VM as a listing shows it.
pub(crate) fn listed(id: &str, provider_type: &str, zone: &str, spot: bool) -> Listed {
    let instance = Instance {
        id: InstanceId::new(id).unwrap(),
        provider_type: ProviderType::new(provider_type).unwrap(),
        address: String::new(),
        tags: Tags::default(),
        price_history: Vec::new(),
        launched: None,
    };
    Listed { instance, spot, zone: zone.to_owned(), subnet: String::new() }
}

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
}

fn price(hours: i64, price: f64) -> SpotPrice {
    let point = PricePoint { start_time: at(hours), price: Price::new(price).unwrap() };
    SpotPrice { provider_type: "m5.large".to_owned(), zone: "a".to_owned(), point }
}

fn one_vm() -> (SpotPrices, Listed) {
    let (prices, vm) = (SpotPrices::new(HOUR), listed("i-1", "m5.large", "a", true));
    prices.saw(std::slice::from_ref(&vm));
    (prices, vm)
}

fn history(prices: &SpotPrices, vm: &Listed) -> Vec<(i64, f64)> {
    let points = prices.history(&vm.instance, &samples::spot_type("spot", 1), 0.1);
    let hours = |it: &PricePoint| (it.start_time.as_second() - at(0).as_second()) / 3600;
    points.iter().map(|it| (hours(it), it.price.per_hour())).collect()
}

#[test]
fn without_spot_vms_or_an_interval_nothing_is_asked() {
    let prices = SpotPrices::new(HOUR);
    prices.saw(&[listed("i-1", "m5.large", "a", false)]);
    assert_eq!(prices.due(at(0)), None);
    let never = SpotPrices::new(Duration::ZERO);
    never.saw(&[listed("i-1", "m5.large", "a", true)]);
    assert_eq!(never.due(at(0)), None);
}

#[test]
fn each_type_is_asked_for_once_an_interval() {
    let (prices, vm) = one_vm();
    let first = prices.due(at(0)).unwrap();
    assert_eq!(first, Question { types: vec!["m5.large".to_owned()], since: at(-3) });
    prices.learned(&first, Some(Vec::new()), at(0));
    assert_eq!(prices.due(at(0)), None);
    prices.saw(&[vm, listed("i-2", "c5.large", "b", true)]);
    let second = prices.due(at(0)).unwrap();
    assert_eq!(second.types, ["c5.large"], "the other is not due yet");
    prices.learned(&second, Some(Vec::new()), at(0));
    assert_eq!(prices.due(at(1)).unwrap().types, ["c5.large", "m5.large"]);
}

#[test]
fn after_a_failure_it_asks_again_sooner_but_not_at_once() {
    let prices = SpotPrices::new(24 * HOUR);
    prices.saw(&[listed("i-1", "m5.large", "a", true)]);
    let question = prices.due(at(0)).unwrap();
    prices.learned(&question, None, at(0));
    assert_eq!(prices.due(after(at(0), RETRY - Duration::from_secs(1))), None);
    assert!(prices.due(after(at(0), RETRY)).is_some());
}

#[test]
fn a_history_is_newest_first_without_repeats_and_of_its_own_type_and_zone() {
    let (prices, vm) = one_vm();
    let question = prices.due(at(0)).unwrap();
    let elsewhere = SpotPrice { zone: "b".to_owned(), ..price(2, 9.0) };
    let other_type = SpotPrice { provider_type: "p5.48xlarge".to_owned(), ..price(2, 9.0) };
    let answer = vec![price(2, 0.3), price(0, 0.1), elsewhere, price(1, 0.1), other_type, price(3, 0.3)];
    prices.learned(&question, Some(answer), at(0));
    assert_eq!(history(&prices, &vm), [(2, 0.3), (0, 0.1)]);
    prices.learned(&question, Some(vec![price(2, 0.3), price(4, 0.2)]), at(1));
    assert_eq!(history(&prices, &vm), [(4, 0.2), (2, 0.3), (0, 0.1)]);
    assert!(history(&prices, &listed("i-9", "m5.large", "a", true)).is_empty(), "not in the last listing");
}

#[test]
fn an_attached_volume_costs_by_the_month() {
    let (prices, vm) = one_vm();
    prices.learned(&prices.due(at(0)).unwrap(), Some(vec![price(0, 0.25)]), at(0));
    let with_volume =
        InstanceType { added_scratch: 720 << 30, ..InstanceType::clone(&samples::spot_type("s", 1)) };
    let history = prices.history(&vm.instance, &with_volume, 0.1);
    assert!((history[0].price.per_hour() - 0.35).abs() < 1e-12, "{history:?}");
}

#[test]
fn memory_is_bounded() {
    let (prices, vm) = one_vm();
    let question = prices.due(at(0)).unwrap();
    let flood = (0..10_000).map(|hour| price(hour, f64::from(i32::try_from(hour).unwrap() % 7))).collect();
    prices.learned(&question, Some(flood), at(0));
    assert_eq!(history(&prices, &vm).len(), MOST_POINTS);
}

//! What the instances cost, as JSON. Amounts are in the currency of the configured prices.

use dispatch_core::id::TypeName;
use dispatch_core::ledger::{Category, Hour, Share, Statement};
use serde_json::{Value, json};

/// The whole statement. O(types + hours + containers).
pub(in crate::api) fn statement(statement: &Statement) -> Value {
    let amounts = statement.sums.iter().map(|sum| (sum.category, sum.amount));
    let rates = statement.sums.iter().map(|sum| (sum.category, sum.per_hour));
    let ((amount, wasted), (per_hour, wasted_per_hour)) = (with_waste(amounts), with_waste(rates));
    json!({
        "since": statement.since,
        "at": statement.at,
        "amount": amount,
        "per_hour": per_hour,
        "wasted": { "amount": wasted, "percent": percent(wasted, amount), "per_hour": wasted_per_hour },
        "items": statement.sums,
        "earlier": statement.earlier,
        "instances_without_price": statement.unpriced,
        "hours": statement.hours.iter().map(|it| hour(it)).collect::<Vec<_>>(),
        "containers": statement.shares.iter().map(share).collect::<Vec<_>>(),
    })
}

/// The sum, and what of it is waste.
fn with_waste(amounts: impl Iterator<Item = (Category, f64)>) -> (f64, f64) {
    amounts.fold((0.0, 0.0), |(all, wasted), (category, amount)| {
        (all + amount, if category.is_waste() { wasted + amount } else { wasted })
    })
}

/// `null`, if there is nothing to be a part of.
fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| 100.0 * part / whole)
}

fn hour(hour: &Hour) -> Value {
    let (amount, wasted) = with_waste(hour.sums.iter().map(|(_, category, amount)| (*category, *amount)));
    let item = |(name, category, amount): &(Option<TypeName>, Category, f64)| json!({ "instance_type": name, "category": category, "amount": amount });
    json!({
        "start": hour.start,
        "end": hour.end,
        "amount": amount,
        "wasted": { "amount": wasted, "percent": percent(wasted, amount) },
        "items": hour.sums.iter().map(item).collect::<Vec<_>>(),
    })
}

fn share(share: &Share) -> Value {
    json!({
        "container_uuid": share.container,
        "instance": share.instance,
        "instance_type": share.instance_type,
        "since": share.since,
        "until": share.until,
        "amount": share.amount,
    })
}

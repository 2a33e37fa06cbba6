//! What the instances cost, as JSON. Amounts are in the currency of the configured prices.

use dispatch_core::ledger::{Category, Earlier, Hour, Share, Statement, Sum};
use serde::Serialize;
use utoipa::ToSchema;

use super::shown;
use crate::api::description::words;

/// What was spent, on what, and when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cost)]
pub struct CostView {
    /// Since when everything is counted: this process began to work then.
    #[schema(format = DateTime)]
    since: String,
    #[schema(format = DateTime)]
    at: String,
    /// All that was spent since then.
    amount: f64,
    /// What the instances that there are cost an hour.
    per_hour: f64,
    wasted: WastedNowView,
    /// The same by type and category.
    items: Vec<SumView>,
    earlier: EarlierView,
    /// Instances whose price nobody knows: they count as free.
    instances_without_price: usize,
    /// The same by hours of the clock, oldest first; the last is not over.
    hours: Vec<HourView>,
    /// Those that run, and the last that have ended.
    containers: Vec<ShareView>,
}

/// What was spent on instances on which no work was done: on hold, booting, or idle.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WastedNow)]
struct WastedNowView {
    amount: f64,
    /// Of all; `null` if nothing was spent.
    percent: Option<f64>,
    /// Of what they cost an hour now.
    per_hour: f64,
}

/// What was wasted of an amount.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Wasted)]
struct WastedView {
    amount: f64,
    /// Of all; `null` if nothing was spent.
    percent: Option<f64>,
}

/// What was spent on instances of a type while they did the same.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostOfType)]
struct SumView {
    /// The name of the type, as the instances' tags have it; `null` = they name none.
    instance_type: Option<String>,
    /// What they did.
    #[schema(schema_with = words::category)]
    category: Category,
    amount: f64,
    /// What these instances cost an hour now.
    per_hour: f64,
}

/// An amount, and for what it was spent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Amount)]
struct AmountView {
    /// The name of the type, as the instances' tags have it; `null` = they name none.
    instance_type: Option<String>,
    /// What they did.
    #[schema(schema_with = words::category)]
    category: Category,
    amount: f64,
}

/// What the instances that were found at the start had cost before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EarlierCost)]
struct EarlierView {
    amount: f64,
    /// Of how many instances.
    instances: usize,
    /// How many instances are not in the amount, because the cloud does not tell their age.
    of_unknown_age: usize,
}

/// An hour of the clock, or the part of it in which was counted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostOfHour)]
struct HourView {
    #[schema(format = DateTime)]
    start: String,
    #[schema(format = DateTime)]
    end: String,
    amount: f64,
    wasted: WastedView,
    items: Vec<AmountView>,
}

/// What a container has cost on an instance: its share of the instance's price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostOfContainer)]
struct ShareView {
    #[schema(schema_with = words::container_uuid)]
    container_uuid: String,
    instance: String,
    instance_type: Option<String>,
    /// When it was first seen to run there.
    #[schema(format = DateTime)]
    since: String,
    /// When it had ended; `null` = it runs.
    #[schema(format = DateTime)]
    until: Option<String>,
    amount: f64,
}

impl From<&Statement> for CostView {
    /// O(types + hours + containers).
    fn from(statement: &Statement) -> Self {
        let amounts = statement.sums.iter().map(|sum| (sum.category, sum.amount));
        let rates = statement.sums.iter().map(|sum| (sum.category, sum.per_hour));
        let ((amount, wasted), (per_hour, wasted_per_hour)) = (with_waste(amounts), with_waste(rates));
        Self {
            since: shown(statement.since),
            at: shown(statement.at),
            amount,
            per_hour,
            wasted: WastedNowView {
                amount: wasted,
                percent: percent(wasted, amount),
                per_hour: wasted_per_hour,
            },
            items: statement.sums.iter().map(SumView::of).collect(),
            earlier: EarlierView::of(statement.earlier),
            instances_without_price: statement.unpriced,
            hours: statement.hours.iter().map(|hour| HourView::of(hour)).collect(),
            containers: statement.shares.iter().map(ShareView::of).collect(),
        }
    }
}

/// The sum, and what of it is waste.
fn with_waste(amounts: impl Iterator<Item = (Category, f64)>) -> (f64, f64) {
    amounts.fold((0.0, 0.0), |(all, wasted), (category, amount)| {
        (all + amount, if category.is_waste() { wasted + amount } else { wasted })
    })
}

/// `None`, if there is nothing to be a part of.
fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| 100.0 * part / whole)
}

impl SumView {
    fn of(sum: &Sum) -> Self {
        let instance_type = sum.instance_type.as_ref().map(ToString::to_string);
        Self { instance_type, category: sum.category, amount: sum.amount, per_hour: sum.per_hour }
    }
}

impl EarlierView {
    fn of(Earlier { amount, instances, of_unknown_age }: Earlier) -> Self {
        Self { amount, instances, of_unknown_age }
    }
}

impl HourView {
    fn of(hour: &Hour) -> Self {
        let (amount, wasted) = with_waste(hour.sums.iter().map(|(_, category, amount)| (*category, *amount)));
        let item = |(name, category, amount): &(Option<_>, Category, f64)| AmountView {
            instance_type: name.as_ref().map(ToString::to_string),
            category: *category,
            amount: *amount,
        };
        Self {
            start: shown(hour.start),
            end: shown(hour.end),
            amount,
            wasted: WastedView { amount: wasted, percent: percent(wasted, amount) },
            items: hour.sums.iter().map(item).collect(),
        }
    }
}

impl ShareView {
    fn of(share: &Share) -> Self {
        Self {
            container_uuid: share.container.to_string(),
            instance: share.instance.to_string(),
            instance_type: share.instance_type.as_ref().map(ToString::to_string),
            since: shown(share.since),
            until: share.until.map(shown),
            amount: share.amount,
        }
    }
}

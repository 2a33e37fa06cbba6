//! What instances have cost since this process began to work, as far as it has seen them.
//!
//! Once a second the prices of all instances are added for the time since they were added last. What an instance had cost
//! before it was first seen is not known here, nor what it costs in the second in which it goes.

use std::cell::Cell;
use std::collections::BTreeMap;

use dispatch_core::id::TypeName;
use dispatch_core::label::BoundedLabel;
use dispatch_core::time::{Timestamp, since};
use prometheus::CounterVec;

use super::{Category, Register};

/// `cost_total{instance_type, category}`, in the currency of the configured prices.
#[derive(Debug)]
pub(super) struct Cost {
    total: CounterVec,
    types: BoundedLabel,
    added: Cell<Option<Timestamp>>,
}

impl Cost {
    pub(super) fn new(register: &Register<'_>, types: &[TypeName]) -> Self {
        let total = register.amounts(
            "cost_total",
            "What instances have cost since this process began to work, in the currency of the configured prices.",
            &["instance_type", "category"],
        );
        for name in types {
            for category in Category::ALL {
                total.with_label_values(&[name.as_str(), category.as_str()]).inc_by(0.0);
            }
        }
        let types = BoundedLabel::with_known(types.iter().map(TypeName::as_str));
        Self { total, types, added: Cell::new(None) }
    }

    /// Adds what these prices an hour come to since the last time.
    pub(super) fn add(&self, per_hour: &BTreeMap<(Category, String), f64>, now: Timestamp) {
        let Some(before) = self.added.replace(Some(now)) else { return };
        let hours = since(now, before).as_secs_f64() / 3600.0;
        for ((category, type_name), price) in per_hour {
            let labels = [self.types.bounded(type_name), category.as_str()];
            self.total.with_label_values(&labels).inc_by(price * hours);
        }
    }
}

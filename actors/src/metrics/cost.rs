//! What instances have cost since this process began to work: the sums of the ledger as a counter.

use std::cell::RefCell;
use std::collections::BTreeMap;

use dispatch_core::id::TypeName;
use dispatch_core::label::BoundedLabel;
use dispatch_core::ledger::{Category, Sum};
use prometheus::CounterVec;

use super::Register;

/// `cost_total{instance_type, category}`, in the currency of the configured prices.
#[derive(Debug)]
pub(super) struct Cost {
    total: CounterVec,
    types: BoundedLabel,
    /// What each sum was when it was shown last.
    shown: RefCell<BTreeMap<(Option<TypeName>, Category), f64>>,
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
        Self { total, types, shown: RefCell::default() }
    }

    /// Shows what has been spent. Several types may share a label, so each adds what it has grown by.
    pub(super) fn show(&self, spent: &[Sum]) {
        let mut shown = self.shown.borrow_mut();
        for sum in spent {
            let before = shown.entry((sum.instance_type.clone(), sum.category)).or_default();
            let grown = (sum.amount - *before).max(0.0);
            *before += grown;
            let name = sum.instance_type.as_ref().map_or("", TypeName::as_str);
            let labels = [self.types.bounded(name), sum.category.as_str()];
            self.total.with_label_values(&labels).inc_by(grown);
        }
    }
}

//! Groups of VMs to which the same thing happens at once: those of a type, those of a market, or all.

use dispatch_core::id::ProviderType;
use dispatch_core::instance::{InstanceType, Market};

/// A group of VMs, or of the types that they have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Those of one type.
    Type(ProviderType),
    /// Those of one market.
    Market(Market),
    /// All.
    Everything,
}

impl Group {
    /// The VMs of the sample type of that name ([`crate::samples::instance_type`]).
    ///
    /// # Panics
    /// If the name is not valid.
    pub fn sample(name: &str) -> Self {
        Self::Type(ProviderType::new(&format!("std.{name}")).expect("a sample's name is valid"))
    }

    /// Whether VMs of that type belong to it.
    pub fn has(&self, it: &InstanceType) -> bool {
        match self {
            Self::Type(provider_type) => *provider_type == it.provider_type,
            Self::Market(market) => *market == it.market(),
            Self::Everything => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{instance_type, spot_type};

    #[test]
    fn a_type_a_market_and_everything_have_what_they_say() {
        let (small, spot) = (instance_type("small", 2), spot_type("spot", 2));
        let belong = |group: Group| [&small, &spot].map(|it| group.has(it));
        assert_eq!(belong(Group::sample("small")), [true, false]);
        assert_eq!(belong(Group::Market(Market::Spot)), [false, true]);
        assert_eq!(belong(Group::Everything), [true, true]);
    }
}

//! The limits of a round, in addition to those that Pool reports.

use serde::{Deserialize, Serialize};

use crate::policy::PlanRules;

/// Limits that the Scheduler owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// The most containers with a living process at a time; 0 = no limit. What has ended asks the controller nothing.
    pub ceiling: u32,
}

impl Limits {
    /// `floor(capacity × SupervisorFraction)`, at least 1 if both are above 0; 0 = no limit. The capacity is the
    /// ceiling, or the number of instances that the cloud gave before it refused one more, if that is less: under
    /// a ceiling that the account does not reach, supervisors could fill all instances, and none of their steps
    /// could ever run.
    pub fn max_supervisors(&self, instances: Option<usize>, rules: &PlanRules) -> usize {
        let ceiling = (self.ceiling > 0).then_some(self.ceiling as usize);
        let Some(capacity) = ceiling.into_iter().chain(instances).min() else { return 0 };
        if rules.supervisor_fraction <= 0.0 {
            return 0;
        }
        let share = capacity as f64 * rules.supervisor_fraction;
        (share.floor() as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn supervisors_get_their_share_and_at_least_one() {
        let mut rules = PlanRules::from(&Policy::with_defaults());
        for (ceiling, fraction, most) in [(0, 0.5, 0), (10, 0.0, 0), (1, 0.5, 1), (7, 0.5, 3), (8, 0.3, 2)] {
            rules.supervisor_fraction = fraction;
            assert_eq!(Limits { ceiling }.max_supervisors(None, &rules), most, "{ceiling} × {fraction}");
        }
    }

    #[test]
    fn their_share_is_of_what_the_account_can_have() {
        let rules = PlanRules { supervisor_fraction: 0.5, ..PlanRules::from(&Policy::with_defaults()) };
        for (ceiling, instances, most) in [(64, 10, 5), (0, 10, 5), (4, 10, 2), (64, 1, 1)] {
            let limits = Limits { ceiling };
            assert_eq!(limits.max_supervisors(Some(instances), &rules), most, "{ceiling}, {instances}");
        }
    }
}

//! The limits that a round is planned under, beside those that Pool reports.

use crate::policy::Policy;

/// Limits that the Scheduler owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The most containers with a process at a time; 0 = no limit.
    pub ceiling: u32,
}

impl Limits {
    /// `floor(ceiling × SupervisorFraction)`, at least 1 if both are above 0; 0 = no limit.
    pub fn max_supervisors(&self, policy: &Policy) -> usize {
        if self.ceiling == 0 || policy.supervisor_fraction <= 0.0 {
            return 0;
        }
        let share = f64::from(self.ceiling) * policy.supervisor_fraction;
        (share.floor() as usize).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supervisors_get_their_share_and_at_least_one() {
        let mut policy = Policy::with_defaults();
        for (ceiling, fraction, most) in [(0, 0.5, 0), (10, 0.0, 0), (1, 0.5, 1), (7, 0.5, 3), (8, 0.3, 2)] {
            policy.supervisor_fraction = fraction;
            assert_eq!(Limits { ceiling }.max_supervisors(&policy), most, "{ceiling} × {fraction}");
        }
    }
}

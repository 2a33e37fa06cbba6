//! How a ceiling has come about, as far as it matters for what it would be under another configuration.

use serde::{Deserialize, Serialize};

use super::{Ceiling, unhurt};

/// How a ceiling has come about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CeilingFacts {
    /// Whether a 503 has ever lowered it: then it does not follow the configuration any more.
    pub is_lowered: bool,
    /// Where the site wants it to start; 0 = at `MaxInstances`. It needs a restart to change.
    pub estimate: u32,
    /// How many containers ran when it was looked at.
    pub running: u32,
}

impl CeilingFacts {
    /// What is to be known of a ceiling that was looked at while that many ran.
    pub fn of(ceiling: &Ceiling, estimate: u32, running: u32) -> Self {
        Self { is_lowered: !ceiling.is_as_the_site_wants(), estimate, running }
    }

    /// The ceiling that `limit` would be, if `MaxInstances` were that, and the next look came at once.
    pub fn limit_under(&self, limit: u32, max_instances: u32) -> u32 {
        if self.is_lowered {
            return limit;
        }
        let start = if self.estimate > 0 { self.estimate } else { max_instances };
        self.later(start, self.running)
    }

    /// What a ceiling comes to when that many run, and the controller still has not answered 503.
    pub fn later(&self, limit: u32, running: u32) -> u32 {
        let follows = limit > 0 && !self.is_lowered;
        if follows { unhurt(limit, running) } else { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    /// What is foretold is what the ceiling becomes.
    #[test]
    fn a_ceiling_under_another_configuration_is_as_foretold() {
        let now = Timestamp::from_second(1_000).unwrap();
        for (overloaded, estimate, running, max_instances) in [
            (false, 0, 3, 40),
            (false, 0, 80, 40),
            (false, 7, 3, 40),
            (false, 0, 3, 0),
            (true, 0, 30, 40),
            (true, 7, 30, 0),
        ] {
            let mut ceiling = Ceiling::new(if estimate > 0 { estimate } else { 10 });
            if overloaded {
                ceiling.overloaded(running, now);
            }
            ceiling.look(running, now);
            let facts = CeilingFacts::of(&ceiling, estimate, running);
            let foretold = facts.limit_under(ceiling.limit(), max_instances);
            ceiling.site_allows(if estimate > 0 { estimate } else { max_instances });
            ceiling.look(running, now);
            assert_eq!(foretold, ceiling.limit(), "{overloaded} {estimate} {running} {max_instances}");
        }
    }
}

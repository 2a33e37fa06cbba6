//! A round as it is written down: what it was planned from, when, and what it came to.
//!
//! ```text
//!   round ─► RoundRecord ─► JSON ─► RecordedRound ─┬─ replay ─► the same plan, or the first difference
//!                                                  └─ under ──► what would be planned under another configuration
//! ```
//! A plan depends on nothing but its input and the time, so a record that comes out otherwise means that the program is
//! another one, or that a round reads something that is not in its input.
//!
//! Never does: having a secret in it. The input has none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Plan, PlanInput, plan};
use crate::ceiling::CeilingFacts;
use crate::policy::PlanRules;
use crate::time::Timestamp;

/// What is written of a round.
#[derive(Debug, Serialize)]
pub struct RoundRecord<'a> {
    /// When it was planned.
    pub now: Timestamp,
    /// What it was planned from.
    pub input: &'a PlanInput,
    /// What it came to.
    pub plan: &'a Plan,
    /// How the ceiling of the input came about.
    pub ceiling: CeilingFacts,
}

/// A round that was written down.
#[derive(Debug, Clone, Deserialize)]
pub struct RecordedRound {
    /// When it was planned.
    pub now: Timestamp,
    /// What it was planned from.
    pub input: PlanInput,
    /// What it came to.
    pub plan: Value,
    /// How the ceiling of the input came about.
    #[serde(default)]
    pub ceiling: CeilingFacts,
}

/// Where a plan is not the recorded one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: recorded {recorded}, planned {planned}")]
pub struct Difference {
    /// The place in the plan, as a JSON pointer.
    pub at: String,
    /// What was recorded there; `nothing`, if there was nothing.
    pub recorded: String,
    /// What is planned there today.
    pub planned: String,
}

impl RecordedRound {
    /// Plans it again.
    ///
    /// # Errors
    /// The first place where today's plan is another one, in the order of the plan's fields.
    pub fn replay(&self) -> Result<(), Difference> {
        let planned = serde_json::to_value(plan(&self.input, self.now)).expect("a plan is JSON");
        let mut at = String::new();
        first_difference(Some(&self.plan), Some(&planned), &mut at).map_or(Ok(()), Err)
    }

    /// What would have been planned from, if the site had reloaded that configuration just before. What a reload leaves
    /// as it is, is left as it is here.
    pub fn under(&self, rules: &PlanRules) -> PlanInput {
        let rules = self.input.rules.reloaded(rules);
        let ceiling = self.ceiling.limit_under(self.input.limits.ceiling, rules.max_instances);
        let mut input = self.input.under(Arc::new(rules));
        input.limits.ceiling = ceiling;
        self.spare_those_without_a_type(&mut input);
        input
    }

    /// A reload cancels nobody at once for want of a type that he had before.
    fn spare_those_without_a_type(&self, input: &mut PlanInput) {
        let queue = Arc::make_mut(&mut input.queue);
        for (before, entry) in self.input.queue.entries.iter().zip(&mut queue.entries) {
            if !before.types().is_empty() && entry.types().is_empty() {
                Arc::make_mut(entry).spared_until = Some(Timestamp::MAX);
            }
        }
    }
}

/// Goes down as long as there is one thing in which both differ. Lists are compared member by member: what is missing
/// from one is told as nothing.
fn first_difference(
    recorded: Option<&Value>,
    planned: Option<&Value>,
    at: &mut String,
) -> Option<Difference> {
    if recorded == planned {
        return None;
    }
    let length = at.len();
    let deeper = |key: &str, a: Option<&Value>, b: Option<&Value>, at: &mut String| {
        at.push('/');
        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        let found = first_difference(a, b, at);
        at.truncate(length);
        found
    };
    match (recorded, planned) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            keys.into_iter().find_map(|key| deeper(key, a.get(key), b.get(key), at))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            (0..a.len().max(b.len())).find_map(|n| deeper(&n.to_string(), a.get(n), b.get(n), at))
        }
        _ => Some(Difference { at: at.clone(), recorded: shown(recorded), planned: shown(planned) }),
    }
}

/// What a line of a report has room for.
const LONGEST: usize = 200;

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    if text.len() <= LONGEST {
        return text;
    }
    format!("{}…", &text[..text.floor_char_boundary(LONGEST)])
}

//! Starts of one container that came to nothing, whichever instances they were made on.
//!
//! ```text
//!   1st ─► tried again at once, on another instance if there is one
//!   2nd ─► after 10 s, then doubling to 5 min: a job that cannot start costs its site little, and its user has the
//!          time to read why before its attempts are used up
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::snapshot::{EndedProcess, EndedWhy};
use crate::id::InstanceId;
use crate::time::{Timestamp, after};

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);
/// More instances than that prove nothing more.
const INSTANCES_KEPT: usize = 4;

/// The failed starts of one container, since it came into the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStarts {
    /// How many there were in a row.
    pub count: u32,
    /// When we saw the end of the last one.
    pub at: Timestamp,
    /// The instance of the last one.
    pub instance: InstanceId,
    /// The last of them, and some of the others on which starts failed.
    pub instances: BTreeSet<InstanceId>,
    /// How the last one failed, for users and operators.
    pub error: String,
}

impl FailedStarts {
    /// The failed starts of a container after one more of them, `before` being those known until now.
    pub fn after(before: Option<Self>, ended: &EndedProcess) -> Self {
        let (count, mut instances) = before.map_or((0, BTreeSet::new()), |it| (it.count, it.instances));
        if instances.len() == INSTANCES_KEPT {
            instances.pop_first();
        }
        instances.insert(ended.instance.clone());
        Self {
            count: count + 1,
            at: ended.at,
            instance: ended.instance.clone(),
            instances,
            error: error_of(ended),
        }
    }

    /// The next start is made no sooner than this; `None` = at once.
    pub fn held_until(&self) -> Option<Timestamp> {
        let doubled = 2_u32.saturating_pow(self.count.checked_sub(2)?);
        Some(after(self.at, FIRST.saturating_mul(doubled).min(LONGEST)))
    }

    /// Whether a start has failed on another instance than this one: then the container itself may be the cause.
    pub fn has_failed_elsewhere(&self, than: &InstanceId) -> bool {
        self.instances.iter().any(|it| it != than)
    }
}

/// How that start failed, in a sentence that names the instance.
fn error_of(ended: &EndedProcess) -> String {
    let instance = &ended.instance;
    match (&ended.error, ended.why) {
        (Some(error), EndedWhy::NotStarted) => {
            format!("the start was not sent to instance {instance}: {error}")
        }
        (_, EndedWhy::InstanceGone) => {
            format!("instance {instance} ended before the container began to run")
        }
        (Some(error), _) => format!("the start command failed on instance {instance}: {error}"),
        (None, _) => {
            format!("crunch-run ended on instance {instance} before the container began to run")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{id, uuid};

    fn ended(instance: &str, error: Option<&str>) -> EndedProcess {
        EndedProcess {
            uuid: uuid(1),
            at: Timestamp::UNIX_EPOCH,
            instance: id(instance),
            why: EndedWhy::Exited,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn the_wait_begins_after_the_second_failure_and_doubles_to_five_minutes() {
        let mut failed = None;
        let mut waits = Vec::new();
        for _ in 0..8 {
            let next = FailedStarts::after(failed, &ended("i-1", None));
            waits.push(next.held_until().map(|until| until.as_second()));
            failed = Some(next);
        }
        let some = |seconds: [i64; 7]| seconds.map(Some);
        assert_eq!(waits[0], None);
        assert_eq!(waits[1..], some([10, 20, 40, 80, 160, 300, 300]));
    }

    #[test]
    fn only_another_instance_speaks_against_the_container() {
        let once = FailedStarts::after(None, &ended("i-1", None));
        assert!(!once.has_failed_elsewhere(&id("i-1")));
        let twice = FailedStarts::after(Some(once), &ended("i-2", None));
        assert!(twice.has_failed_elsewhere(&id("i-2")));
    }

    #[test]
    fn the_error_says_where_and_what() {
        let failed = FailedStarts::after(None, &ended("i-1", Some("exit status 1: no space left")));
        assert_eq!(failed.error, "the start command failed on instance i-1: exit status 1: no space left");
        let silent = FailedStarts::after(None, &ended("i-1", None));
        assert_eq!(silent.error, "crunch-run ended on instance i-1 before the container began to run");
        let gone = EndedProcess { why: EndedWhy::InstanceGone, ..ended("i-1", Some("timed out")) };
        let gone = FailedStarts::after(None, &gone);
        assert_eq!(gone.error, "instance i-1 ended before the container began to run");
    }
}

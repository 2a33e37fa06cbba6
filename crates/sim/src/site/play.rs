//! What came of a history that was played. All times are counted from the first submission.

use std::sync::Arc;
use std::time::Duration;

use dispatch_core::instance::InstanceType;
use dispatch_core::time::Timestamp;

/// A history that was played to its end, or as far as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// When the first job was submitted, in the history's own time.
    pub began: Timestamp,
    /// From then until everything had ended, or nothing moved any more.
    pub length: Duration,
    /// What came of each job, in the history's order.
    pub fates: Vec<Fate>,
    /// The instances, in the order in which they were made.
    pub lives: Vec<Life>,
}

/// What came of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// When it was submitted.
    pub submitted: Duration,
    /// When its process was started.
    pub started: Option<Duration>,
    /// When its process ended.
    pub ended: Option<Duration>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has done its work.
    Complete,
    /// The dispatcher has cancelled it: no configured type suits it.
    Cancelled,
    /// It still waited when nothing moved any more, or ran.
    Unfinished,
}

/// One instance, from its creation to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// Its type.
    pub instance_type: Arc<InstanceType>,
    /// When the cloud made it.
    pub made: Duration,
    /// When it had booted.
    pub booted: Duration,
    /// When the cloud was asked to end it: clouds ask no money for what comes after.
    pub ended: Duration,
    /// When it had a process: spans that neither overlap nor touch, in order of time.
    pub busy: Vec<(Duration, Duration)>,
}

impl Life {
    /// When it booted, as far as it came: from, to.
    pub fn booting(&self) -> (Duration, Duration) {
        (self.made, self.booted.min(self.ended))
    }

    /// How long it was busy.
    pub fn busy_time(&self) -> Duration {
        self.busy.iter().map(|(from, to)| to.saturating_sub(*from)).sum()
    }

    /// When it had booted and no process: from, to.
    pub fn idle(&self) -> Vec<(Duration, Duration)> {
        let mut idle = Vec::new();
        let mut from = self.booting().1;
        for (begins, ends) in &self.busy {
            if *begins > from {
                idle.push((from, *begins));
            }
            from = from.max(*ends);
        }
        if self.ended > from {
            idle.push((from, self.ended));
        }
        idle
    }
}

/// Joins spans that overlap or touch.
pub(super) fn joined(mut spans: Vec<(Duration, Duration)>) -> Vec<(Duration, Duration)> {
    spans.sort_unstable();
    let mut joined: Vec<(Duration, Duration)> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            Some(_) | None => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::instance_type;

    fn seconds(spans: &[(u64, u64)]) -> Vec<(Duration, Duration)> {
        spans.iter().map(|(a, b)| (Duration::from_secs(*a), Duration::from_secs(*b))).collect()
    }

    #[test]
    fn spans_that_overlap_or_touch_are_one() {
        let spans = seconds(&[(50, 60), (0, 10), (5, 20), (20, 30), (52, 53)]);
        assert_eq!(joined(spans), seconds(&[(0, 30), (50, 60)]));
    }

    #[test]
    fn an_instance_is_booting_or_busy_or_idle_and_never_two_of_them() {
        let second = Duration::from_secs;
        let life = Life {
            instance_type: instance_type("small", 2),
            made: second(10),
            booted: second(70),
            ended: second(300),
            busy: seconds(&[(80, 100), (150, 240)]),
        };
        assert_eq!(life.booting(), (second(10), second(70)));
        assert_eq!(life.idle(), seconds(&[(70, 80), (100, 150), (240, 300)]));
        assert_eq!(life.busy_time(), second(110));
        let never_booted = Life { ended: second(40), busy: Vec::new(), ..life };
        assert_eq!((never_booted.booting(), never_booted.idle()), ((second(10), second(40)), Vec::new()));
    }
}

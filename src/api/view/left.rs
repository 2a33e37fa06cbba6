//! How a container has left the queue, as far as its events tell: then nothing else is known of it.

use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_actors::catalogue::{
    CONTAINER_DROPPED as DROPPED, CONTAINER_FINISHED as FINISHED, CONTAINER_NOT_FOUND as NOT_FOUND,
    CONTAINER_ON_HOLD as ON_HOLD,
};
use dispatch_core::container::{ContainerState, Record};
use dispatch_core::plan::{WaitReason, Waiting};
use dispatch_core::time::{Timestamp, since};

use super::event::EventView;

/// For so long an ended container is explained.
const REMEMBERED: Duration = Duration::from_secs(3600);

const PRIORITY_ZERO: &str = "priority_zero";
const NOT_WANTED: &str = "its user does not want it to run: its priority is 0, and nothing of it runs";

/// How a container has left the queue, or why it was never in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// When, by the wall clock; `None` = it was never in it.
    pub at: Option<Timestamp>,
    /// Its state then.
    pub state: String,
    /// In one word.
    pub reason: &'static str,
    /// The same for people.
    pub words: &'static str,
}

impl Left {
    /// By the last of its events. `None`: it is not known to have left it within the last hour, or has gone to another
    /// dispatcher, which answers for it.
    pub fn told_by(events: &[EventView], now: Timestamp) -> Option<Self> {
        const LEFT: [&str; 4] = [FINISHED.message, ON_HOLD.message, DROPPED.message, NOT_FOUND.message];
        let last = events.iter().rfind(|event| LEFT.contains(&event.msg.as_str()))?;
        let at: Timestamp = last.time.parse().ok()?;
        if since(now, at) > REMEMBERED {
            return None;
        }
        let state = last.text("State").to_owned();
        let (message, why) = (last.msg.as_str(), last.text("Reason"));
        let (reason, words) = if message == FINISHED.message && state == "Complete" {
            ("complete", "it has ended")
        } else if message == FINISHED.message {
            ("cancelled", "it was cancelled")
        } else if message == ON_HOLD.message {
            (PRIORITY_ZERO, NOT_WANTED)
        } else if message == NOT_FOUND.message {
            ("deleted", "the controller does not know it any more")
        } else if why == "beyond horizon" {
            (
                "beyond_horizon",
                "it waits behind more containers than can be started: it is looked at when they are fewer",
            )
        } else {
            return None;
        };
        Some(Self { at: Some(at), state, reason, words })
    }

    /// It was never in the queue, because its user does not want it to run, as its record says. `None`: that is not why.
    pub fn never_wanted(record: &Record) -> Option<Self> {
        let is_so = record.state == ContainerState::Queued && record.priority <= 0;
        let left = || Self {
            at: None,
            state: record.state.as_str().to_owned(),
            reason: PRIORITY_ZERO,
            words: NOT_WANTED,
        };
        is_so.then(left)
    }

    /// What its user read then.
    pub fn scheduling_status(&self) -> String {
        let state = ContainerState::from_name(&self.state).filter(|_| self.reason == PRIORITY_ZERO);
        let text = |state| {
            let reason = WaitReason::PriorityZero { state };
            Waiting { position: None, reason, instance: None }.text(&BTreeMap::new())
        };
        state.map(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::description::words;

    fn told(event: &serde_json::Value) -> EventView {
        let told = json!({ "level": "info", "seq": 1 });
        let all = told.as_object().unwrap().clone().into_iter().chain(event.as_object().unwrap().clone());
        serde_json::from_value(all.collect()).unwrap()
    }

    fn events(message: &str, state: &str, reason: &str) -> Vec<EventView> {
        let events = json!([
            { "msg": "crunch-run process ended", "time": "2026-11-30T09:00:00Z" },
            { "msg": message, "time": "2026-11-30T09:00:01Z", "State": state, "Reason": reason },
        ]);
        events.as_array().unwrap().iter().map(told).collect()
    }

    #[test]
    fn what_has_left_the_queue_is_explained_for_an_hour() {
        let (soon, late) = ("2026-11-30T10:00:00Z".parse().unwrap(), "2026-11-30T10:00:02Z".parse().unwrap());
        for (message, state, why, reason) in [
            (FINISHED.message, "Complete", "", "complete"),
            (FINISHED.message, "Cancelled", "", "cancelled"),
            (ON_HOLD.message, "Queued", "", "priority_zero"),
            (NOT_FOUND.message, "Queued", "", "deleted"),
            (DROPPED.message, "Queued", "beyond horizon", "beyond_horizon"),
        ] {
            let events = events(message, state, why);
            let shown = Left::told_by(&events, soon).unwrap();
            assert_eq!((shown.reason, shown.state.as_str()), (reason, state));
            let described = words::reason().enum_values.unwrap();
            assert!(described.contains(&reason.into()), "{reason} is not described");
            assert_eq!(Left::told_by(&events, late), None);
        }
        assert_eq!(Left::told_by(&[], soon), None);
        // Its dispatcher answers for it, and the controller asks every one of them.
        assert_eq!(Left::told_by(&events(DROPPED.message, "Locked", "another owner"), soon), None);
    }
}

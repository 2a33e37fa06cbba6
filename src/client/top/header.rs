//! What stands above every view: whether the service is well, what the cluster costs, and what keeps it from growing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::data::{Answers, Container};
use super::text::{each, money, plain};
use crate::client::instances::Instance;

/// The lines above every view.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) is_well: bool,
    /// Whether it is in service, with what is wrong; then its lock and its event feed.
    pub(super) health: String,
    pub(super) cost: String,
    pub(super) counts: String,
    /// Whether anything keeps instances from being created.
    pub(super) is_open: bool,
    pub(super) creates: String,
}

impl Header {
    /// As the service has answered, or what is strange about that.
    pub fn of(answers: &Answers, containers: &[Container], instances: &[Instance]) -> Result<Self, String> {
        let Answers { creates, cost, health, .. } = answers;
        let (Some(per_hour), Some(wasted)) = (cost["per_hour"].as_f64(), cost["wasted"]["per_hour"].as_f64())
        else {
            return Err("its answer does not say what the instances cost".to_owned());
        };
        if ["pauses", "drained", "items"].iter().any(|key| !creates[key].is_array()) {
            return Err("its answer does not say what may be created".to_owned());
        }
        let obstacles = obstacles(creates);
        Ok(Self {
            is_well: health["ready"] == true,
            health: wellness(health),
            cost: price(per_hour, wasted),
            counts: counts(containers, instances),
            is_open: obstacles.is_empty(),
            creates: if obstacles.is_empty() { "open".to_owned() } else { obstacles.join("; ") },
        })
    }
}

/// In service or not; the lock and the event feed; and why it is not well, which may be long.
fn wellness(health: &Value) -> String {
    let (checks, errors) = (&health["checks"], plain(&health["errors"]));
    let service = if health["ready"] == true { "in service" } else { "NOT WELL" };
    let lock = if checks["lock_held"]["ok"] == true { "lock held" } else { "NO LOCK" };
    let feed = match checks["event_feed"]["connected"].as_bool() {
        None => "no event feed",
        Some(false) => "event feed LOST",
        Some(true) => "event feed connected",
    };
    let why = if errors.is_empty() { errors } else { format!(": {errors}") };
    format!("{service}, {lock}, {feed}{why}")
}

fn price(per_hour: f64, wasted: f64) -> String {
    let share = if per_hour > 0.0 { format!(" ({:.0} %)", 100.0 * wasted / per_hour) } else { String::new() };
    format!("cost {}/h, of it wasted {}{share}", money(per_hour), money(wasted))
}

fn counts(containers: &[Container], instances: &[Instance]) -> String {
    let running = containers.iter().filter(|it| it.state == "Running").count();
    let waiting = containers.iter().filter(|it| it.waits()).count();
    let plural = if instances.len() == 1 { "" } else { "s" };
    format!("{waiting} waiting, {running} running, {} instance{plural}", instances.len())
}

/// Pauses, drained types and types of which nothing is created, types with one cause together.
fn obstacles(creates: &Value) -> Vec<String> {
    let mut said: Vec<_> = each(&creates["pauses"]).map(pause).collect();
    said.extend(
        each(&creates["drained"]).map(|it| format!("{} drained{}", plain(&it["instance_type"]), who(it))),
    );
    let mut causes = BTreeMap::<String, Vec<String>>::new();
    for item in each(&creates["items"]) {
        let gate = &item["creates"];
        let state = plain(&gate["state"]);
        // What operators have done is told above.
        let is_told = matches!(gate["cause"].as_str(), Some("operator" | "type_drained"));
        if state != "open" && !is_told {
            let because = plain(&gate["because"]);
            let cause = if because.is_empty() { state.replace('_', " ") } else { because };
            causes.entry(cause).or_default().push(plain(&item["instance_type"]));
        }
    }
    said.extend(causes.into_iter().map(|(cause, types)| format!("{}: {cause}", some_of(&types))));
    said
}

fn pause(it: &Value) -> String {
    let until = plain(&it["until"]);
    let until = until.get(11..16).map_or_else(|| until.clone(), |time| format!("{time}Z"));
    format!("{} paused until {until}{}", plain(&it["scope"]), who(it))
}

/// By whom, and why.
fn who(it: &Value) -> String {
    let word = |before: &str, key: &str| {
        let word = plain(&it[key]);
        if word.is_empty() { word } else { format!("{before}{word}") }
    };
    word(" by ", "by") + &word(": ", "reason")
}

/// Three names, and how many more there are.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 3;
    match names.len() {
        0..=SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_in_words() {
        let errors = json!(["no poll has succeeded for 60 s", "the disk is \u{1b}[2J full"]);
        let checks = json!({ "lock_held": { "ok": true }, "event_feed": { "connected": false } });
        let text = wellness(&json!({ "ready": false, "errors": errors, "checks": checks }));
        assert_eq!(
            text,
            "NOT WELL, lock held, event feed LOST: no poll has succeeded for 60 s, the disk is  [2J full"
        );
        let well = json!({ "ready": true, "errors": [], "checks": { "lock_held": { "ok": true } } });
        assert_eq!(wellness(&well), "in service, lock held, no event feed");
    }

    #[test]
    fn what_keeps_instances_from_being_created_is_told_once() {
        let at_quota = |name: &str| {
            let gate = json!({ "state": "at_quota", "cause": "account", "because": "the account is full" });
            json!({ "instance_type": name, "creates": gate })
        };
        let open = json!({ "instance_type": "open", "creates": { "state": "open" } });
        let items = [at_quota("a"), at_quota("b"), at_quota("c"), at_quota("d"), open];
        let pause =
            json!({ "scope": "all", "until": "2026-11-30T09:05:00.5Z", "by": "erin", "reason": "image" });
        let creates = json!({ "items": items, "pauses": [pause], "drained": [] });
        let expected = ["all paused until 09:05Z by erin: image", "a, b, c and 1 more: the account is full"];
        assert_eq!(obstacles(&creates), expected);
        assert_eq!(obstacles(&json!({ "items": [open_type()], "pauses": [], "drained": [] })), [""; 0]);
    }

    fn open_type() -> Value {
        json!({ "instance_type": "open", "creates": { "state": "open" } })
    }

    #[test]
    fn money_is_told_with_what_is_wasted() {
        assert_eq!(price(0.4, 0.1), "cost 0.40/h, of it wasted 0.10 (25 %)");
        assert_eq!(price(0.0, 0.0), "cost 0.00/h, of it wasted 0.00");
    }
}

//! What the service's evidence says of a container, for people. Nothing is concluded here that the service has not said.

use dispatch_core::plan::WaitReason;
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value};

use super::instances::Instance;
use super::table::Table;

/// The container's own facts.
pub(super) fn facts(entry: &Value) -> Vec<(&'static str, String)> {
    let (container, explain) = (&entry["container"], &entry["explain"]);
    let mut facts = vec![
        ("container", plain(&container["uuid"])),
        ("state", plain(&container["state"])),
        ("priority", plain(&container["priority"])),
        ("created", moment(&container["created_at"])),
        ("first seen", moment(&entry["first_seen_at"])),
        ("locked by", plain(&container["locked_by_uuid"])),
        ("image", plain(&container["container_image"])),
        ("status", plain(&entry["scheduling_status"])),
        ("reason", plain(&explain["reason"])),
        ("position", plain(&explain["position"])),
        ("needs", needs(&entry["instance_resources"])),
    ];
    facts.extend(each(&entry["instance_types"]).map(|it| ("type", offer(it))));
    facts.extend(each(&explain["instances"]).map(|it| ("process on", plain(it))));
    facts
}

/// Why it waits: the answer first, then what it rests on.
pub(super) fn text(entry: &Value, instances: &[Instance]) -> String {
    let (container, explain) = (&entry["container"], &entry["explain"]);
    let head = format!(
        "{}  {}  priority {}",
        plain(&container["uuid"]),
        plain(&container["state"]),
        plain(&container["priority"])
    );
    let reason = explain["reason"].as_str().unwrap_or_default();
    let mut facts = vec![("why", why(reason, &explain["evidence"]))];
    told(&mut facts, "what has to change", &explain["remedy"]);
    told(&mut facts, "its user reads", &entry["scheduling_status"]);
    told(&mut facts, "position", &explain["position"]);
    if !explain["others_let_past_until"].is_null() {
        let until = moment(&explain["others_let_past_until"]);
        facts
            .push(("others let past", format!("until {until}, onto instances in use; nobody is after that")));
    }
    facts.extend(ahead(&explain["ahead"]).map(|text| ("ahead of it", text)));
    facts.extend(reserved_on(&explain["reserved_on"]).map(|text| ("its place", text)));
    if let Some(notice) = explain["spot_notice"].as_str() {
        facts.push(("the cloud says", notice.to_owned()));
    }
    facts.extend(lost_to_market(explain).map(|text| ("spot market", text)));
    facts.push(("created", moment(&container["created_at"])));
    facts.push(("needs", needs(&entry["instance_resources"])));
    // What has its place needs no instance: whether one may be created is of no interest.
    let is_placed = matches!(reason, "allocated" | "running" | "complete" | "cancelled");
    let types = each(&entry["instance_types"]);
    facts.extend(types.map(|it| match is_placed {
        true => ("type", offer(it)),
        false => ("type", format!("{}; {}", offer(it), create(explain, it))),
    }));
    let excluded = each(&explain["types"]).filter(|it| !it["excluded"].is_null());
    facts.extend(excluded.map(|it| ("not", format!("{}: {}", plain(&it["Name"]), plain(&it["excluded"])))));
    facts.extend(each(&explain["instances"]).map(|id| ("process on", place(id, instances))));
    attempts(&mut facts, explain);
    facts.extend(each(&entry["events"]).map(|it| ("event", event(it))));
    Table::facts([("container", head)].into_iter().chain(facts))
}

/// What the spot market has taken, and what follows.
fn lost_to_market(explain: &Value) -> Option<String> {
    let losses = explain["market_losses"].as_u64()?;
    let vms = if losses == 1 { "1 VM".to_owned() } else { format!("{losses} VMs") };
    let so = match explain["moved_on_demand"] == true {
        true => "so it is placed on demand",
        false => "and it stays on the spot market: SpotRetries allows more, or no on-demand type suits it",
    };
    Some(format!("has taken {vms} from it, or from those before it for the same request, {so}"))
}

/// What has gone wrong before, and what is being done now.
fn attempts(facts: &mut Vec<(&'static str, String)>, explain: &Value) {
    if let Some(setback) = explain["setback"].as_object() {
        let of = |key: &str| setback.get(key).map(plain).unwrap_or_default();
        let text = format!(
            "{} failed {} times in a row, last at {}; tried again after {}: {}",
            of("cause"),
            of("failures"),
            of("at"),
            of("until"),
            of("error")
        );
        facts.push(("setback", text));
    }
    if let Some(failed) = explain["failed_starts"].as_object() {
        let of = |key: &str| failed.get(key).map(plain).unwrap_or_default();
        let text = format!(
            "{} in a row, the last on {} at {}: {}",
            of("count"),
            of("instance"),
            of("at"),
            of("error")
        );
        facts.push(("failed starts", text));
    }
    if explain["unlocks"].as_u64().is_some_and(|it| it > 0) {
        facts.push(("unlocked", format!("{} times by this process", plain(&explain["unlocks"]))));
    }
    let is = |key: &str| explain[key] == true;
    if is("attempts_nearly_used") {
        facts.push(("attention", "one more unlock would use up its dispatch attempts".to_owned()));
    }
    if is("uncertain") {
        facts.push((
            "attention",
            "the outcome of its last change is not known: the next poll tells".to_owned(),
        ));
    }
    if is("locked_before_start") {
        facts.push(("attention", "it was locked by an earlier process of this dispatcher".to_owned()));
    }
    told(facts, "being done", &explain["operation"]);
    told(facts, "cannot be read", &explain["undecodable"]);
}

fn told(facts: &mut Vec<(&'static str, String)>, name: &'static str, value: &Value) {
    let text = plain(value);
    if !text.is_empty() {
        facts.push((name, text));
    }
}

/// The reason in words (docs/operate.md, "Why a container waits"), with its evidence.
pub(super) fn why(reason: &str, evidence: &Value) -> String {
    if reason.is_empty() {
        return "the service does not say".to_owned();
    }
    let words = in_words(reason);
    let evidence = plain(evidence);
    let named = if words == reason { String::new() } else { format!(" ({reason})") };
    if evidence.is_empty() { format!("{words}{named}") } else { format!("{words}{named}: {evidence}") }
}

/// A reason, for people.
pub(super) fn in_words(reason: &str) -> &str {
    let planned = WaitReason::samples().into_iter().find(|it| it.word() == reason);
    planned.map_or_else(|| without_plan(reason), |it| it.in_words())
}

/// What is said of a container that no plan is made for. A word of a newer service stands for itself.
fn without_plan(reason: &str) -> &str {
    match reason {
        "not_planned_yet" => "it has just been seen",
        "undecodable" => "its record could never be read",
        "beyond_horizon" => "it waits behind more containers than can be started",
        "running" => "it does not wait: it runs",
        "complete" | "cancelled" => "it does not wait: it has ended",
        "deleted" => "the controller does not know it any more",
        other => other,
    }
}

/// Who stands before it in the line.
fn ahead(ahead: &Value) -> Option<String> {
    let count = ahead["count"].as_u64().filter(|count| *count > 0)?;
    let nearest = plain(&ahead["nearest"]);
    Some(if nearest.is_empty() { count.to_string() } else { format!("{count}, the nearest {nearest}") })
}

/// The instance on which it has its place.
fn reserved_on(reserved: &Value) -> Option<String> {
    let id = reserved["instance"].as_str()?;
    let age = reserved["age_seconds"].as_u64().map_or_else(String::new, |age| format!(", {age} s old"));
    Some(format!("{id} ({}, {}{age})", plain(&reserved["worker_state"]), plain(&reserved["idle_behavior"])))
}

/// One event of it.
fn event(it: &Value) -> String {
    let mut text = format!("{}  {}", moment(&it["time"]), plain(&it["msg"]));
    for key in ["Instance", "InstanceType", "Reason", "error"] {
        if let Some(fact) = it[key].as_str().filter(|fact| !fact.is_empty()) {
            text += &format!("  {key}={fact}");
        }
    }
    text
}

/// Whether an instance of that type may be created now.
fn create(explain: &Value, offer: &Value) -> String {
    let name = offer["Name"].as_str();
    let of_type = each(&explain["types"]).find(|it| it["Name"].as_str() == name);
    match of_type.and_then(|it| it.get("creates")) {
        Some(creates) if creates["state"] == "open" => match creates["cloud"]["message"].as_str() {
            Some(reason) => format!("one may be created; the last one ended while it was booting: {reason}"),
            None => "one may be created".to_owned(),
        },
        Some(creates) => format!("creates: {}", super::creates::gate(creates)),
        None => "whether one may be created is not known".to_owned(),
    }
}

fn offer(offer: &Value) -> String {
    let spot = if offer["Preemptible"] == true { ", preemptible" } else { "" };
    format!(
        "{} at {} an hour{spot}: {} VCPUs, {} RAM",
        plain(&offer["Name"]),
        plain(&offer["Price"]),
        plain(&offer["VCPUs"]),
        size(&offer["RAM"])
    )
}

/// What a container needs of an instance.
pub(super) fn needs(needs: &Value) -> String {
    if !needs.is_object() {
        return String::new();
    }
    let mut text = format!(
        "{} VCPUs, {} RAM, {} scratch",
        plain(&needs["VCPUs"]),
        size(&needs["RAM"]),
        size(&needs["Scratch"])
    );
    if needs["GPUs"].as_u64().is_some_and(|it| it > 0) {
        text.push_str(&format!(", {} GPUs of {}", plain(&needs["GPUs"]), size(&needs["GPUVRAM"])));
    }
    text
}

fn place(id: &Value, instances: &[Instance]) -> String {
    let id = plain(id);
    let Some(it) = instances.iter().find(|it| it.instance == id) else { return id };
    format!("{id} ({}, {}, {})", it.worker_state, it.idle_behavior, it.arvados_instance_type)
}

/// Bytes, as people say them.
pub(super) fn size(bytes: &Value) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let Some(bytes) = bytes.as_u64() else { return "unknown".to_owned() };
    let power =
        UNITS.iter().enumerate().rposition(|(power, _)| bytes >= 1 << (10 * power)).unwrap_or_default();
    let unit = 1_u64 << (10 * power);
    // In tenths, rounded up: what is needed is never shown as less.
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {}", UNITS[power]),
        (whole, tenth) => format!("{whole}.{tenth} {}", UNITS[power]),
    }
}

/// A time in whole seconds.
pub(super) fn moment(value: &Value) -> String {
    let text = plain(value);
    let whole = text.parse::<Timestamp>().ok().and_then(|at| Timestamp::from_second(at.as_second()).ok());
    whole.map_or(text, |at| at.to_string())
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A value as people write it. Nothing is the empty text.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => members(fields),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn members(fields: &Map<String, Value>) -> String {
    let shown = fields.iter().map(|(name, value)| (name, plain(value))).filter(|(_, text)| !text.is_empty());
    shown.map(|(name, text)| format!("{} {text}", name.replace('_', " "))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    fn entry() -> Value {
        json!({
            "container": { "uuid": "zzzzz-dz642-a", "state": "Locked", "priority": 5, "created_at": "2026-11-30T06:00:00.123Z" },
            "instance_resources": { "VCPUs": 2, "RAM": 2_941_310_867_u64, "Scratch": 268_435_456, "GPUs": 1, "GPUVRAM": 1024 },
            "instance_types": [
                { "Name": "small", "Price": 0.1, "VCPUs": 2, "RAM": 4_294_967_296_u64, "Preemptible": true },
                { "Name": "large", "Price": 0.4, "VCPUs": 8, "RAM": 8_589_934_592_u64 },
                { "Name": "huge", "Price": 1, "VCPUs": 64, "RAM": 1 }
            ],
            "scheduling_status": "Waiting for a small instance to boot and be ready to accept work.",
            "explain": {
                "reason": "paused", "position": 3, "evidence": { "instance_type": "small", "cause": "near_quota" },
                "types": [
                    { "Name": "small", "creates": { "state": "paused", "because": "the account's limit is near" } },
                    { "Name": "large", "creates": {
                        "state": "at_capacity", "because": "the cloud has no more of it", "until": "14:05"
                    } },
                    { "Name": "tiny", "excluded": "has 1 VCPUs, and 2 are needed" }
                ],
                "instances": ["i-1"], "unlocks": 2, "attempts_nearly_used": true, "undecodable": "",
                "setback": { "cause": "lock", "failures": 3, "at": "T1", "until": "T2", "error": "no\u{1b}[2J" },
                "failed_starts": { "count": 2, "instance": "i-9", "at": "T3", "error": "exit 1" },
                "operation": { "kind": "unlock", "reason": "", "call": "read" }
            }
        })
    }

    #[test]
    fn the_evidence_is_told_in_words() {
        let place = json!({ "instance": "i-1", "worker_state": "booting", "idle_behavior": "run", "arvados_instance_type": "small" });
        let expected = "\
container       zzzzz-dz642-a  Locked  priority 5
why             an instance is wanted, and its creation is paused (paused): instance type small, cause near_quota
its user reads  Waiting for a small instance to boot and be ready to accept work.
position        3
created         2026-11-30T06:00:00Z
needs           2 VCPUs, 2.8 GiB RAM, 256 MiB scratch, 1 GPUs of 1 KiB
type            small at 0.1 an hour, preemptible: 2 VCPUs, 4 GiB RAM; creates: paused, because the account's limit is near
type            large at 0.4 an hour: 8 VCPUs, 8 GiB RAM; creates: at_capacity until 14:05, because the cloud has no more of it
type            huge at 1 an hour: 64 VCPUs, 1 B RAM; whether one may be created is not known
not             tiny: has 1 VCPUs, and 2 are needed
process on      i-1 (booting, run, small)
setback         lock failed 3 times in a row, last at T1; tried again after T2: no [2J
failed starts   2 in a row, the last on i-9 at T3: exit 1
unlocked        2 times by this process
attention       one more unlock would use up its dispatch attempts
being done      kind unlock, call read";
        assert_eq!(text(&entry(), &[Instance::deserialize(place).unwrap()]), expected);
    }

    #[test]
    fn of_what_runs_it_is_not_told_whether_an_instance_may_be_created() {
        let mut entry = entry();
        entry["explain"]["reason"] = "running".into();
        let text = text(&entry, &[]);
        assert!(text.contains("\ntype            large at 0.4 an hour: 8 VCPUs, 8 GiB RAM\n"), "{text}");
        assert!(text.contains("\nprocess on      i-1\n"), "{text}");
    }

    #[test]
    fn what_the_spot_market_has_taken_is_told_and_what_follows() {
        let mut entry = entry();
        for (moved, so) in
            [(false, ", and it stays on the spot market: "), (true, ", so it is placed on demand\n")]
        {
            entry["explain"]["market_losses"] = 2.into();
            entry["explain"]["moved_on_demand"] = moved.into();
            let text = text(&entry, &[]);
            let line =
                "\nspot market     has taken 2 VMs from it, or from those before it for the same request";
            assert!(text.contains(&format!("{line}{so}")), "{text}");
        }
    }

    #[test]
    fn an_older_service_is_told_for_what_it_says() {
        let text = text(&json!({ "container": { "uuid": "a", "state": "Queued" } }), &[]);
        assert!(text.contains("why             the service does not say"), "{text}");
        assert!(!text.contains("setback") && !text.contains("type"), "{text}");
    }

    #[test]
    fn every_reason_has_its_words() {
        let planned = WaitReason::samples().iter().map(WaitReason::word).collect::<Vec<_>>();
        let others = [
            "not_planned_yet",
            "undecodable",
            "running",
            "complete",
            "cancelled",
            "deleted",
            "beyond_horizon",
        ];
        for reason in planned.iter().map(String::as_str).chain(others) {
            assert_ne!(why(reason, &Value::Null), reason, "{reason} has no words");
        }
    }

    #[test]
    fn sizes_are_never_less_than_they_are() {
        for (bytes, expected) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1025, "1.1 KiB"), (u64::MAX, "16777216 TiB")]
        {
            assert_eq!(size(&bytes.into()), expected);
        }
    }
}

//! `cost`: what the instances have cost, and what of it was wasted.
//!
//! The service counts by hours of the clock. `--since` takes the hours that end within that time, and says from when on
//! they are: never more than the service has lived.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use dispatch_core::ledger::Category;
use dispatch_core::time::{Timestamp, since};
use serde_json::Value;

use super::explain::{moment, plain};
use super::failure::Failure;
use super::http::Client;
use super::screen::Screen;
use super::table::{Cell, Table};
use crate::cli::Options;
use crate::cli::service::{By, Cost};

/// Where it is told.
pub(super) const PATH: &str = "/arvados/v1/dispatch/cost";

/// Scripts read them by their place.
const BY_NAME: [&[&str]; 2] = [
    &["type", "amount", "percent", "wasted", "per-hour"],
    &["category", "amount", "percent", "wasted", "per-hour"],
];
const BY_CONTAINER: &[&str] = &["container", "instance", "type", "since", "until", "amount"];

/// Shows it.
pub(super) async fn show(options: &Options, wanted: &Cost, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &wanted.at)?;
    let answer = client.show(PATH, &[]).await?;
    if wanted.json {
        screen.print(&answer.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(time) = Span::of(&answer, wanted.since) else {
        return Err(client.strange("its answer does not say what was spent"));
    };
    let table = match wanted.by {
        By::Type => by_name(&answer, &time, "instance_type", BY_NAME[0]),
        By::Category => by_name(&answer, &time, "category", BY_NAME[1]),
        By::Container => by_container(&answer, &time),
    };
    if !screen.is_terminal {
        screen.print(&table.separated(wanted.header))?;
        return Ok(ExitCode::SUCCESS);
    }
    screen.print(&format!("{}\n\n{}", summary(&answer, &time), table.drawn(screen.has_colour)))?;
    Ok(ExitCode::SUCCESS)
}

/// The time that is accounted for.
#[derive(Debug, Clone, PartialEq)]
struct Span {
    since: Timestamp,
    at: Timestamp,
    /// Whether that is all that the service knows.
    is_all: bool,
}

impl Span {
    /// `None` = the answer is none.
    fn of(answer: &Value, wanted: Option<Duration>) -> Option<Self> {
        let date = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
        let (began, at) = (date(&answer["since"])?, date(&answer["at"])?);
        let hours = answer["hours"].as_array()?;
        (answer["items"].is_array() && answer["containers"].is_array()).then_some(())?;
        let Some(wanted) = wanted else { return Some(Self { since: began, at, is_all: true }) };
        let starts =
            hours.iter().filter(|hour| date(&hour["end"]).is_some_and(|end| since(at, end) < wanted));
        let first = starts.filter_map(|hour| date(&hour["start"])).min()?;
        Some(Self { since: first, at, is_all: first <= began })
    }

    /// The sums of that time: of all, or of its hours.
    fn items<'a>(&self, answer: &'a Value) -> Vec<&'a Value> {
        if self.is_all {
            return each(&answer["items"]).collect();
        }
        let starts = |hour: &&Value| hour["start"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let hours =
            each(&answer["hours"]).filter(|hour| starts(hour).is_some_and(|start| start >= self.since));
        hours.flat_map(|hour| each(&hour["items"])).collect()
    }

    /// Whether a container has run then.
    fn has(&self, share: &Value) -> bool {
        let until = share["until"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        until.is_none_or(|until| until > self.since)
    }
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Whether no work was done for it.
fn is_wasted(item: &Value) -> bool {
    let mut wasted = Category::ALL.into_iter().filter(|category| category.is_waste());
    wasted.any(|category| item["category"] == category.as_str())
}

fn sum<'a>(items: impl Iterator<Item = &'a Value>, key: &str) -> f64 {
    items.filter_map(|item| item[key].as_f64()).sum()
}

/// What people read first.
fn summary(answer: &Value, time: &Span) -> String {
    let items = time.items(answer);
    let amount = sum(items.iter().copied(), "amount");
    let wasted = sum(items.iter().copied().filter(|item| is_wasted(item)), "amount");
    let whole_life = if time.is_all { ", since the service began to work" } else { "" };
    let mut lines = vec![
        format!("{} to {}{whole_life}", shown(time.since), shown(time.at)),
        format!(
            "spent           {}, of it wasted (on hold, booting, idle) {}",
            money(amount),
            part(wasted, amount)
        ),
    ];
    let (now, waste) = (&answer["per_hour"], &answer["wasted"]["per_hour"]);
    if let (Some(now), Some(waste)) = (now.as_f64(), waste.as_f64()) {
        lines.push(format!("now an hour     {}, of it wasted {}", money(now), part(waste, now)));
    }
    lines.extend(what_is_apart(answer));
    lines.join("\n")
}

/// What is not in the sums.
fn what_is_apart(answer: &Value) -> Vec<String> {
    let (earlier, mut lines) = (&answer["earlier"], Vec::new());
    if earlier["instances"].as_u64().is_some_and(|count| count > 0) {
        let (count, amount) = (plain(&earlier["instances"]), earlier["amount"].as_f64().unwrap_or_default());
        lines.push(format!("before that     {}, by {count} instances that it found", money(amount)));
    }
    for (count, what) in [
        (
            &earlier["of_unknown_age"],
            "instances that it found had cost something before that; the cloud does not tell their age",
        ),
        (&answer["instances_without_price"], "instances have no known price, and are counted as free"),
    ] {
        if count.as_u64().is_some_and(|count| count > 0) {
            lines.push(format!("not counted     {} {what}", plain(count)));
        }
    }
    lines
}

/// By the names under a key, the greatest amount first.
fn by_name(answer: &Value, time: &Span, key: &str, columns: &'static [&'static str]) -> Table {
    let items = time.items(answer);
    let all = sum(items.iter().copied(), "amount");
    let mut sums = BTreeMap::<String, (f64, f64)>::new();
    for item in items {
        let (amount, wasted) = sums.entry(plain(&item[key])).or_default();
        let more = item["amount"].as_f64().unwrap_or_default();
        *amount += more;
        *wasted += if is_wasted(item) { more } else { 0.0 };
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|(_, (a, _)), (_, (b, _))| b.total_cmp(a));
    let row = |(name, (amount, wasted)): &(String, (f64, f64))| {
        let now = sum(each(&answer["items"]).filter(|item| plain(&item[key]) == *name), "per_hour");
        [name.clone(), money(*amount), percent(*amount, all), money(*wasted), money(now)]
            .map(|text| Cell::plain(&text))
            .to_vec()
    };
    Table { columns, rows: sums.iter().map(row).collect() }
}

fn by_container(answer: &Value, time: &Span) -> Table {
    let row = |share: &Value| {
        vec![
            Cell::plain(&plain(&share["container_uuid"])),
            Cell::plain(&plain(&share["instance"])),
            Cell::plain(&plain(&share["instance_type"])),
            Cell::plain(&moment(&share["since"])),
            Cell::plain(&moment(&share["until"])),
            Cell::plain(&money(share["amount"].as_f64().unwrap_or_default())),
        ]
    };
    let shares = each(&answer["containers"]).filter(|share| time.has(share));
    Table { columns: BY_CONTAINER, rows: shares.map(row).collect() }
}

fn shown(at: Timestamp) -> String {
    moment(&Value::from(at.to_string()))
}

/// To a ten-thousandth: a short job on a small instance costs no more.
fn money(amount: f64) -> String {
    format!("{amount:.4}")
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1}", 100.0 * part / whole) } else { String::new() }
}

fn part(part: f64, whole: f64) -> String {
    match percent(part, whole).as_str() {
        "" => money(part),
        percent => format!("{} ({percent} %)", money(part)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Two hours and a half: 3.0 in use and 1.5 idle, of which the first hour has 0.5 idle.
    fn answer() -> Value {
        let item = |name: &str, category: &str, amount: f64, per_hour: f64| json!({ "instance_type": name, "category": category, "amount": amount, "per_hour": per_hour });
        let hour =
            |start: &str, end: &str, items: Value| json!({ "start": start, "end": end, "items": items });
        json!({
            "since": "2026-11-30T09:30:00Z", "at": "2026-11-30T12:00:00Z", "amount": 4.5, "per_hour": 2.0,
            "wasted": { "amount": 1.5, "percent": 33.3, "per_hour": 0.5 },
            "items": [item("small", "inuse", 3.0, 1.5), item("small", "idle", 1.5, 0.5)],
            "earlier": { "amount": 7.25, "instances": 2, "of_unknown_age": 1 },
            "instances_without_price": 0,
            "hours": [
                hour("2026-11-30T09:30:00Z", "2026-11-30T10:00:00Z", json!([item("small", "idle", 0.5, 0.0)])),
                hour("2026-11-30T10:00:00Z", "2026-11-30T11:00:00Z", json!([item("small", "inuse", 2.0, 0.0)])),
                hour("2026-11-30T11:00:00Z", "2026-11-30T12:00:00Z",
                    json!([item("small", "inuse", 1.0, 0.0), item("small", "idle", 1.0, 0.0)])),
            ],
            "containers": [
                { "container_uuid": "runs", "instance": "i-1", "instance_type": "small",
                  "since": "2026-11-30T11:00:00Z", "until": null, "amount": 1.0 },
                { "container_uuid": "ended", "instance": "i-1", "instance_type": "small",
                  "since": "2026-11-30T09:40:00Z", "until": "2026-11-30T09:50:00Z", "amount": 0.25 },
            ],
        })
    }

    fn span(hours: u64) -> Span {
        Span::of(&answer(), Some(Duration::from_secs(3600 * hours))).unwrap()
    }

    #[test]
    fn a_time_is_made_of_whole_hours_and_never_longer_than_the_service_lives() {
        assert_eq!(span(1).since.to_string(), "2026-11-30T11:00:00Z");
        assert_eq!(span(2).since.to_string(), "2026-11-30T10:00:00Z");
        assert_eq!((span(24).since.to_string().as_str(), span(24).is_all), ("2026-11-30T09:30:00Z", true));
        assert_eq!(sum(span(2).items(&answer()).into_iter(), "amount"), 4.0);
    }

    #[test]
    fn the_summary_says_what_was_wasted_and_what_is_not_counted() {
        let text = summary(&answer(), &Span::of(&answer(), None).unwrap());
        for part in [
            "2026-11-30T09:30:00Z to 2026-11-30T12:00:00Z, since the service began",
            "4.5000, of it wasted (on hold, booting, idle) 1.5000 (33.3 %)",
            "2.0000, of it wasted 0.5000 (25.0 %)",
            "7.2500, by 2 instances",
            "1 instances that it found",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("no known price"), "{text}");
        let hour = summary(&answer(), &span(1));
        assert!(hour.contains("2.0000, of it wasted (on hold, booting, idle) 1.0000 (50.0 %)"), "{hour}");
    }

    #[test]
    fn rows_are_by_name_with_the_greatest_first_and_containers_are_those_of_the_time() {
        let table = by_name(&answer(), &span(24), "category", BY_NAME[1]);
        let expected = "inuse\t3.0000\t66.7\t0.0000\t1.5000\nidle\t1.5000\t33.3\t1.5000\t0.5000";
        assert_eq!(table.separated(false), expected);
        let table = by_name(&answer(), &span(24), "instance_type", BY_NAME[0]);
        assert_eq!(table.separated(false), "small\t4.5000\t100.0\t1.5000\t2.0000");
        assert_eq!(by_container(&answer(), &span(24)).rows.len(), 2);
        let late = by_container(&answer(), &span(1)).separated(false);
        assert_eq!(late, "runs\ti-1\tsmall\t2026-11-30T11:00:00Z\t-\t1.0000");
    }

    #[test]
    fn what_says_nothing_of_money_is_no_account() {
        for nothing in [json!({}), json!({ "since": "x", "at": "y" }), json!([])] {
            assert_eq!(Span::of(&nothing, None), None, "{nothing}");
        }
    }
}

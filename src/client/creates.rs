//! `creates pause|resume|status`, and `type list`: what may be created, and what not.

use std::process::ExitCode;

use serde_json::Value;

use super::explain::{moment, plain};
use super::failure::Failure;
use super::http::Client;
use super::lists::Kind;
use super::screen::{self, Screen};
use super::table::{Cell, Table, Tone};
use crate::cli::service::{ListOptions, Pause, Scope, Scoped, Status};
use crate::cli::{self, Options};

/// What to do about a type that the service does not know.
pub(super) const TYPES_ARE_LISTED: &str = "; type list has those that are configured";

/// Where it is told what may be created.
pub(super) const PATH: &str = "/arvados/v1/dispatch/creates";

const TYPES: Kind = Kind { path: PATH, nothing: "no instance types", table: types };

/// Scripts read them by their place.
const COLUMNS: &[&str] =
    &["type", "provider-type", "price", "market", "creates", "instances", "running", "because"];

/// `type list`.
pub(super) async fn list(
    options: &Options,
    list: &ListOptions,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    TYPES.show(options, list, screen).await
}

/// `creates status`.
pub(super) async fn status(options: &Options, status: &Status, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &status.at)?;
    let answer = client.show(PATH, &[]).await?;
    if status.json {
        screen.print(&answer.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    if ["pauses", "drained", "items"].iter().any(|key| !answer[key].is_array()) {
        return Err(client.strange("its answer does not say what may be created"));
    }
    let mut lines: Vec<_> = each(&answer["pauses"]).map(pause).collect();
    lines.extend(each(&answer["drained"]).map(drained));
    if lines.is_empty() {
        lines.push("Operators have paused nothing, and drained no type.".to_owned());
    }
    let held = each(&answer["items"])
        .filter(|it| !matches!(it["creates"]["state"].as_str(), Some("open" | "drained")));
    lines.extend(held.map(|it| format!("{}: {}", plain(&it["instance_type"]), gate(&it["creates"]))));
    let lines: Vec<_> = lines.iter().map(|line| screen::tidy(line)).collect();
    screen.print(&lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// `creates pause`.
pub(super) async fn give_pause(options: &Options, pause: &Pause) -> Result<ExitCode, Failure> {
    let path = "/arvados/v1/dispatch/creates/pause";
    let answer = give(options, path, Some(("for", pause.lasting.as_str())), &pause.order).await?;
    cli::print(&format!(
        "{}: nothing is created until {}; what exists goes on, and fills up",
        plain(&answer["scope"]),
        moment(&answer["until"])
    ));
    say_what_is_not_kept(&answer);
    Ok(ExitCode::SUCCESS)
}

/// `creates resume`.
pub(super) async fn give_resume(options: &Options, order: &Scoped) -> Result<ExitCode, Failure> {
    let answer = give(options, "/arvados/v1/dispatch/creates/resume", None, order).await?;
    cli::print(&format!("{}: created again", plain(&answer["scope"])));
    say_what_is_not_kept(&answer);
    Ok(ExitCode::SUCCESS)
}

async fn give(
    options: &Options,
    path: &'static str,
    what: Option<(&'static str, &str)>,
    order: &Scoped,
) -> Result<Value, Failure> {
    let mut client = Client::of(options, &order.why.at)?;
    let by = order.why.by();
    let reason = order.why.reason.as_deref().map(|reason| ("reason", reason));
    let said = [what, Some(("by", by.as_str())), scope(&order.scope), reason];
    let answer = client.order(path, &said.into_iter().flatten().collect::<Vec<_>>()).await;
    answer.map_err(|failure| match (failure, order.scope.instance_type.as_deref()) {
        (Failure::Refused(said), Some(name)) if said.contains("type not found") => {
            Failure::Refused(format!("{name}: {said}{TYPES_ARE_LISTED}"))
        }
        (failure, _) => failure,
    })
}

/// Complains if a restart of the service would forget what it has been told.
pub(super) fn say_what_is_not_kept(answer: &Value) {
    if let Some(why) = answer["kept"].as_str() {
        cli::complain(format!("warning: a restart of the service forgets this: {why}"));
    }
}

fn scope(scope: &Scope) -> Option<(&'static str, &str)> {
    let of_type = scope.instance_type.as_deref().map(|name| ("instance_type", name));
    of_type.or(scope.market.as_deref().map(|market| ("market", market)))
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn pause(it: &Value) -> String {
    let until = moment(&it["until"]);
    format!("creates of {} are paused until {until}{}", plain(&it["scope"]), who(it))
}

fn drained(it: &Value) -> String {
    format!("type {} is drained{}", plain(&it["instance_type"]), who(it))
}

/// Since when, by whom and why.
fn who(it: &Value) -> String {
    let mut text = format!("; since {}", moment(&it["since"]));
    for (before, key) in [(", by ", "by"), (": ", "reason")] {
        if let Some(word) = it[key].as_str().filter(|word| !word.is_empty()) {
            text += &format!("{before}{word}");
        }
    }
    text
}

/// What may be created of a type, in words.
pub(super) fn gate(creates: &Value) -> String {
    let mut text = plain(&creates["state"]);
    if let Some(until) = creates.get("until") {
        text += &format!(" until {}", moment(until));
    }
    if let Some(because) = creates["because"].as_str() {
        text += &format!(", because {because}");
    }
    if let Some(message) = creates["cloud"]["message"].as_str() {
        let cloud = &creates["cloud"];
        text += &format!("; the cloud said at {}: {} {message}", moment(&cloud["at"]), plain(&cloud["code"]));
    }
    text
}

fn types(client: &Client, items: &[Value]) -> Result<Table, Failure> {
    if items.iter().any(|it| !it["instance_type"].is_string()) {
        return Err(client.strange("an item of its list is no instance type"));
    }
    let row = |it: &Value| {
        let creates = &it["creates"];
        let state = creates["state"].as_str().unwrap_or_default();
        let market = if it["preemptible"] == true { "spot" } else { "on-demand" };
        let because = match creates.get("until") {
            Some(until) => format!("{}, until {}", plain(&creates["because"]), moment(until)),
            None => creates["because"].as_str().unwrap_or_default().to_owned(),
        };
        vec![
            Cell::plain(&plain(&it["instance_type"])),
            Cell::plain(&plain(&it["provider_type"])),
            Cell::plain(&plain(&it["price"])),
            Cell::plain(market),
            Cell::toned(state, if state == "open" { Tone::Good } else { Tone::Stopped }),
            Cell::plain(&plain(&it["instances"])),
            Cell::plain(&plain(&it["running"])),
            Cell::plain(&because),
        ]
    };
    Ok(Table { columns: COLUMNS, rows: items.iter().map(row).collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pause_says_until_when_by_whom_and_why() {
        let it = json!({
            "scope": "spot", "since": "2026-11-30T09:00:00Z", "until": "2026-11-30T10:00:00Z", "by": "alice",
            "reason": "maintenance"
        });
        let text = pause(&it);
        assert!(text.starts_with("creates of spot are paused until 2026-11-30"), "{text}");
        assert!(text.ends_with(", by alice: maintenance"), "{text}");
        let text = drained(&json!({ "instance_type": "big", "since": "", "by": "", "reason": "" }));
        assert!(text.starts_with("type big is drained; since") && !text.contains("by"), "{text}");
    }

    #[test]
    fn a_gate_gives_the_cause_the_end_and_the_clouds_own_words() {
        let shut = json!({
            "state": "at_quota", "cause": "account", "because": "the account may not have more instances",
            "until": "2026-11-30T10:00:00Z",
            "cloud": { "at": "2026-11-30T09:00:00Z", "code": "VcpuLimitExceeded", "message": "You have requested more" }
        });
        let text = gate(&shut);
        for part in
            ["at_quota until 2026-11-30", "because the account", "VcpuLimitExceeded You have requested more"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(gate(&json!({ "state": "open" })), "open");
    }
}

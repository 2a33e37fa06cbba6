//! `container list`, `container show` and `container explain`.

use std::process::ExitCode;

use serde_json::Value;

use super::explain;
use super::failure::Failure;
use super::http::Client;
use super::instances::{self, Instance};
use super::lists::Kind;
use super::screen::Screen;
use super::table::{Cell, Table, Tone};
use crate::cli::service::{ListOptions, Show};
use crate::cli::{self, Options};

/// Where they are listed.
pub(super) const PATH: &str = "/arvados/v1/dispatch/containers";

const LISTED: Kind = Kind { path: PATH, nothing: "no containers", table };
/// Where one is told of, with all that explains it.
pub(super) const ONE: &str = "/arvados/v1/dispatch/container";

const COLUMNS: &[&str] =
    &["container", "state", "priority", "created", "position", "reason", "type", "instances"];

/// `container list`.
pub(super) async fn list(
    options: &Options,
    list: &ListOptions,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    LISTED.show(options, list, screen).await
}

/// `container show`.
pub(super) async fn show(options: &Options, show: &Show, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &show.at)?;
    each(&mut client, show, screen, async |_, entry| Table::facts(explain::facts(entry))).await
}

/// `container explain`.
pub(super) async fn explain(options: &Options, show: &Show, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &show.at)?;
    each(&mut client, show, screen, async |client, entry| {
        let instances = places(client, entry).await;
        explain::text(entry, &instances)
    })
    .await
}

/// Those instances that have a process of it. If they cannot be told, their names must do.
async fn places(client: &mut Client, entry: &Value) -> Vec<Instance> {
    let named = entry["explain"]["instances"].as_array().cloned().unwrap_or_default();
    if named.is_empty() {
        return Vec::new();
    }
    let all = client.list(instances::PATH).await.unwrap_or_default();
    let there = all.iter().filter(|item| named.contains(&item["instance"]));
    there.filter_map(|item| instances::read(client, item).ok()).collect()
}

/// Asks for each, and shows each. Exit 1 if one is not there.
async fn each(
    client: &mut Client,
    show: &Show,
    screen: &Screen,
    describe: impl AsyncFn(&mut Client, &Value) -> String,
) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    let mut is_first = true;
    for id in &show.ids {
        match client.show(ONE, &[("container_uuid", id)]).await {
            Ok(entry) if entry["container"].is_object() => {
                let text = if show.json { entry.to_string() } else { describe(client, &entry).await };
                let gap = if is_first || show.json { "" } else { "\n" };
                screen.print(&format!("{gap}{text}"))?;
                is_first = false;
            }
            Ok(_) => return Err(client.strange("its answer is no container")),
            Err(failure) if failure.is_of_one_id() => {
                code = ExitCode::FAILURE;
                cli::complain(format!(
                    "{id}: {failure}; container list has those that are wanted, and what has left the queue is known for \
                     an hour"
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(code)
}

fn table(client: &Client, items: &[Value]) -> Result<Table, Failure> {
    if items.iter().any(|item| !item["container"]["uuid"].is_string()) {
        return Err(client.strange("an item of its list is no container"));
    }
    Ok(Table { columns: COLUMNS, rows: items.iter().map(row).collect() })
}

fn row(entry: &Value) -> Vec<Cell> {
    let (container, explain) = (&entry["container"], &entry["explain"]);
    let state = explain::plain(&container["state"]);
    vec![
        Cell::plain(&explain::plain(&container["uuid"])),
        Cell::toned(&state, tone(&state)),
        Cell::plain(&explain::plain(&container["priority"])),
        Cell::plain(&explain::moment(&container["created_at"])),
        Cell::plain(&explain::plain(&explain["position"])),
        Cell::plain(&explain::plain(&explain["reason"])),
        // The one that would be created.
        Cell::plain(&explain::plain(&entry["instance_types"][0]["Name"])),
        Cell::plain(&explain::plain(&explain["instances"]).replace(", ", ",")),
    ]
}

/// How a state is coloured.
pub(super) fn tone(state: &str) -> Tone {
    match state {
        "Running" => Tone::Good,
        "Locked" => Tone::Changing,
        "Cancelled" => Tone::Stopped,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_has_exact_priorities_and_dashes_for_what_is_not_there() {
        let entry = json!({
            "container": {
                "uuid": "zzzzz-dz642-a", "state": "Locked", "priority": i64::MAX - 1, "created_at": "2026-11-30T06:00:00.5Z"
            },
            "instance_types": [{ "Name": "small" }, { "Name": "large" }],
            "explain": { "reason": "allocated", "position": null, "instances": ["i-1", "i-2"] }
        });
        let older = json!({ "container": { "uuid": "zzzzz-dz642-b" } });
        let table = Table { columns: COLUMNS, rows: vec![row(&entry), row(&older)] };
        let expected = "zzzzz-dz642-a\tLocked\t9223372036854775806\t2026-11-30T06:00:00Z\t-\tallocated\tsmall\ti-1,i-2\n\
                        zzzzz-dz642-b\t-\t-\t-\t-\t-\t-\t-";
        assert_eq!(table.separated(false), expected);
    }
}

//! `instance list` and `instance show`.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Number, Value};

use super::explain;
use super::failure::Failure;
use super::http::Client;
use super::lists::Kind;
use super::screen::Screen;
use super::table::{Cell, Table, Tone};
use crate::cli::service::{ListOptions, Show};
use crate::cli::{self, Options};

/// Where they are listed.
pub(super) const PATH: &str = "/arvados/v1/dispatch/instances";

const LISTED: Kind = Kind { path: PATH, nothing: "no instances", table: listed };

/// Scripts read them by their place.
const COLUMNS: &[&str] = &[
    "instance",
    "address",
    "state",
    "idle-behavior",
    "config-type",
    "provider-type",
    "price",
    "running-containers",
    "renewal",
];

/// What the service says of an instance. An older service may leave out what it does not know.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Instance {
    pub(super) instance: String,
    pub(super) address: String,
    pub(super) price: Number,
    pub(super) arvados_instance_type: String,
    provider_instance_type: String,
    last_container_uuid: String,
    last_busy: String,
    pub(super) running_container_uuids: Vec<String>,
    pub(super) worker_state: String,
    pub(super) idle_behavior: String,
    pub(super) idle_behavior_by: String,
    pub(super) idle_behavior_reason: String,
    idle_behavior_at: String,
    pub(super) appeared_at: String,
    launched_at: String,
    drifted: bool,
    renewal: String,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            instance: String::new(),
            address: String::new(),
            price: 0.into(),
            arvados_instance_type: String::new(),
            provider_instance_type: String::new(),
            last_container_uuid: String::new(),
            last_busy: String::new(),
            running_container_uuids: Vec::new(),
            worker_state: String::new(),
            idle_behavior: String::new(),
            idle_behavior_by: String::new(),
            idle_behavior_reason: String::new(),
            idle_behavior_at: String::new(),
            appeared_at: String::new(),
            launched_at: String::new(),
            drifted: false,
            renewal: String::new(),
        }
    }
}

/// `instance list`.
pub(super) async fn list(
    options: &Options,
    list: &ListOptions,
    screen: &Screen,
) -> Result<ExitCode, Failure> {
    LISTED.show(options, list, screen).await
}

/// `instance show`.
pub(super) async fn show(options: &Options, show: &Show, screen: &Screen) -> Result<ExitCode, Failure> {
    let mut client = Client::of(options, &show.at)?;
    let items = client.list(PATH).await?;
    let mut code = ExitCode::SUCCESS;
    let mut shown = Vec::new();
    for id in &show.ids {
        // A create in progress has no id, and nobody asks for it.
        let found = items.iter().find(|item| !id.is_empty() && item["instance"] == id.as_str());
        match found {
            Some(item) if show.json => shown.push(item.to_string()),
            Some(item) => shown.push(described(&read(&client, item)?)),
            None => {
                code = ExitCode::FAILURE;
                cli::complain(format!("{id}: no such instance; instance list shows all"));
            }
        }
    }
    screen.print(&shown.join(if show.json { "\n" } else { "\n\n" }))?;
    Ok(code)
}

/// What the service says of one.
pub(super) fn read(client: &Client, item: &Value) -> Result<Instance, Failure> {
    Instance::deserialize(item)
        .map_err(|error| client.strange(&format!("an instance of its list is none: {error}")))
}

fn listed(client: &Client, items: &[Value]) -> Result<Table, Failure> {
    let instances = items.iter().map(|item| read(client, item)).collect::<Result<Vec<_>, _>>()?;
    Ok(table(&instances))
}

fn table(instances: &[Instance]) -> Table {
    let row = |it: &Instance| {
        vec![
            Cell::plain(&it.instance),
            Cell::plain(&it.address),
            Cell::toned(&it.worker_state, tone(&it.worker_state)),
            Cell::toned(
                &it.idle_behavior,
                if it.idle_behavior == "run" { Tone::Plain } else { Tone::Stopped },
            ),
            Cell::plain(&it.arvados_instance_type),
            Cell::plain(&it.provider_instance_type),
            Cell::plain(&it.price.to_string()),
            Cell::plain(&it.running_container_uuids.join(",")),
            Cell::toned(renewal(it), Tone::Stopped),
        ]
    };
    Table { columns: COLUMNS, rows: instances.iter().map(row).collect() }
}

/// Why it is being renewed, or else whether it has drifted.
fn renewal(it: &Instance) -> &str {
    match it.renewal.as_str() {
        "" if it.drifted => "drifted",
        why => why,
    }
}

/// How a state is coloured.
pub(super) fn tone(state: &str) -> Tone {
    match state {
        "running" => Tone::Good,
        "booting" => Tone::Changing,
        "idle" => Tone::Idle,
        "shutdown" => Tone::Stopped,
        _ => Tone::Plain,
    }
}

/// All that is known of one.
pub(super) fn described(it: &Instance) -> String {
    let rows = [
        ("instance", it.instance.clone()),
        ("address", it.address.clone()),
        ("state", it.worker_state.clone()),
        ("idle-behavior", it.idle_behavior.clone()),
        ("asked by", it.idle_behavior_by.clone()),
        ("asked at", explain::moment(&Value::from(it.idle_behavior_at.as_str()))),
        ("reason", it.idle_behavior_reason.clone()),
        ("config-type", it.arvados_instance_type.clone()),
        ("provider-type", it.provider_instance_type.clone()),
        ("price", format!("{} an hour", it.price)),
        ("appeared", explain::moment(&Value::from(it.appeared_at.as_str()))),
        ("launched", explain::moment(&Value::from(it.launched_at.as_str()))),
        ("renewal", renewal(it).to_owned()),
        ("last busy", explain::moment(&Value::from(it.last_busy.as_str()))),
        ("last container", it.last_container_uuid.clone()),
    ];
    let running = it.running_container_uuids.iter().map(|uuid| ("running", uuid.clone()));
    Table::facts(rows.into_iter().chain(running))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance(fields: Value) -> Instance {
        Instance::deserialize(fields).unwrap()
    }

    #[test]
    fn columns_are_those_that_scripts_know() {
        let busy = instance(json!({
            "instance": "i-1", "address": "10.0.0.4", "price": 0.15, "arvados_instance_type": "small",
            "provider_instance_type": "m4.large", "worker_state": "running", "idle_behavior": "hold",
            "running_container_uuids": ["zzzzz-dz642-a", "zzzzz-dz642-b"], "later": {}
        }));
        let drifted = instance(json!({ "instance": "i-2", "worker_state": "idle", "drifted": true }));
        let renewed = instance(
            json!({ "instance": "i-3", "worker_state": "running", "drifted": true, "renewal": "age" }),
        );
        let creating = instance(json!({ "instance": "", "worker_state": "booting", "price": 1 }));
        let expected = "i-1\t10.0.0.4\trunning\thold\tsmall\tm4.large\t0.15\tzzzzz-dz642-a,zzzzz-dz642-b\t-\n\
                        -\t-\tbooting\t-\t-\t-\t1\t-\t-\n\
                        i-2\t-\tidle\t-\t-\t-\t0\t-\tdrifted\n\
                        i-3\t-\trunning\t-\t-\t-\t0\t-\tage";
        assert_eq!(table(&[busy, creating, drifted, renewed]).separated(false), expected);
    }

    #[test]
    fn all_that_is_known_of_one_is_shown() {
        let text = described(&instance(json!({
            "instance": "i-1", "price": 0.5, "running_container_uuids": ["a", "b"], "last_busy": "yesterday"
        })));
        for line in
            ["instance        i-1", "address         -", "price           0.5 an hour", "running         b"]
        {
            assert!(text.lines().any(|it| it == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn what_is_no_instance_is_not_taken_for_one() {
        for wrong in [json!({"instance": 1}), json!({"running_container_uuids": "a"}), json!({"price": "1"})]
        {
            assert!(Instance::deserialize(wrong).is_err());
        }
    }
}

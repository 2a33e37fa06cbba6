//! The whole cluster section as the site's other programs would have it (it is sent to the VMs).

use serde_json::{Map, Value, json};

use dispatch_core::instance::Catalog;

use super::merge;
use super::report::Report;
use super::table;
use super::template;
use super::yaml::Node;

/// All sections, defaults merged in, entries of maps completed, types and URLs as those programs print them.
pub fn to_json(merged: &Node, types: &Catalog, path: &str, report: &Report) -> Value {
    let mut cluster = merge::to_json(merged, Some(template::cluster()), path, report);
    cluster["InstanceTypes"] = types_to_json(types);
    for service in entries(&mut cluster, "Services") {
        complete_url_keys(service.get_mut("InternalURLs"));
        if let Some(Value::String(url)) = service.get_mut("ExternalURL") {
            *url = complete_url(url);
        }
    }
    for volume in entries(&mut cluster, "Volumes") {
        complete_url_keys(volume.get_mut("AccessViaHosts"));
    }
    complete_url_keys(cluster.get_mut("Login").and_then(|login| login.get_mut("TrustedClients")));
    add_storage_class(&mut cluster);
    table::remove_private(&mut cluster);
    cluster
}

fn types_to_json(types: &Catalog) -> Value {
    let to_json = |it: &dispatch_core::instance::InstanceType| {
        serde_json::to_value(it).expect("a plain struct with text keys is JSON")
    };
    let mut map: Vec<_> = types.types().iter().map(|it| (it.name.to_string(), to_json(it))).collect();
    map.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(Map::from_iter(map))
}

fn entries<'a>(cluster: &'a mut Value, section: &str) -> impl Iterator<Item = &'a mut Value> {
    let map = cluster.get_mut(section).and_then(Value::as_object_mut);
    map.into_iter().flat_map(|map| map.values_mut())
}

/// `http://host` means `http://host/`: those programs compare the texts.
fn complete_url(text: &str) -> String {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    if rest.is_empty() || rest.contains(['/', '?', '#']) { text.to_owned() } else { format!("{text}/") }
}

fn complete_url_keys(map: Option<&mut Value>) {
    if let Some(Value::Object(map)) = map {
        *map = std::mem::take(map).into_iter().map(|(url, value)| (complete_url(&url), value)).collect();
    }
}

/// Without any class of the site's own there is one, and every volume offers it; the storage server refuses
/// to start otherwise.
fn add_storage_class(cluster: &mut Value) {
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_object).is_none_or(Map::is_empty);
    let named_by_site = !is_empty(cluster.get("StorageClasses"));
    let named_by_volume = entries(cluster, "Volumes").any(|volume| !is_empty(volume.get("StorageClasses")));
    if named_by_site || named_by_volume {
        return;
    }
    cluster["StorageClasses"] = json!({"default": {"Default": true, "Priority": 0}});
    for volume in entries(cluster, "Volumes").filter(|volume| volume.is_object()) {
        volume["StorageClasses"] = json!({"default": true});
    }
}

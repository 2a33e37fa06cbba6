//! What a cluster's section looks like: every key that the site's services know, with its default.
//!
//! `cluster-defaults.json` is the section that they make of an empty one. `entries.json` adds what an entry
//! of each map looks like, under the name `SAMPLE` (which no site can use: samples are dropped). Defaults that are
//! ours alone come from the tables of our keys.

use std::sync::LazyLock;

use serde_json::Value;

use super::table;

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let read = |text| serde_json::from_str(text).expect("data of this crate, read by every test");
    let mut template: Value = read(include_str!("cluster-defaults.json"));
    overlay(&mut template, read(include_str!("entries.json")));
    table::add_own_defaults(&mut template);
    // Named by the site or not there at all: a default class beside the site's own would be wrong.
    template["StorageClasses"].as_object_mut().expect("it is a map").shift_remove("default");
    for (_, service) in template["Services"].as_object_mut().expect("it is a map") {
        let sample = serde_json::json!({"InternalURLs": {"SAMPLE": {"ListenURL": ""}}});
        overlay(service, sample);
    }
    template
});

/// The name of entries that are examples.
pub const SAMPLE: &str = "SAMPLE";

/// The section with all defaults.
pub fn cluster() -> &'static Value {
    &TEMPLATE
}

/// What stands under a key, or what an entry of that map looks like.
pub fn child<'a>(template: Option<&'a Value>, key: &str) -> Option<&'a Value> {
    let map = template?.as_object()?;
    map.get(key).or_else(|| map.get(SAMPLE))
}

fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_maps_have_a_shape_and_named_keys_win() {
        let services = child(Some(cluster()), "Services");
        let urls = child(child(services, "Keepstore"), "InternalURLs");
        assert_eq!(child(urls, "http://anything/"), Some(&serde_json::json!({"ListenURL": ""})));
        let remotes = child(Some(cluster()), "RemoteClusters");
        assert_eq!(child(child(remotes, "*"), "Scheme"), Some(&"https".into()));
        assert_eq!(child(child(remotes, "aaaaa"), "Scheme"), Some(&"".into()));
        assert_eq!(child(Some(cluster()), "NoSuchSection"), None);
    }
}

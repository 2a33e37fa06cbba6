//! The site's tree over the defaults: maps key by key, lists replaced, nulls as if absent, samples dropped. In a
//! map of which only the keys count ([`SETS`]) a key without a value is there all the same.

use serde_json::{Map, Value};

use super::report::Report;
use super::template::{self, SAMPLE};
use super::yaml::plain::{self, Disagreement, Meaning};
use super::yaml::{Entry, Kind, Node, Scalar};

/// What may be written as such a map, whatever the case of its letters: `{sg-1: , sg-2: }` says as much as `[sg-1, sg-2]`.
const SETS: [&str; 2] = ["SecurityGroupIDs", "SubnetID"];

/// What a program that knows the defaults makes of the site's tree.
pub fn merge(site: Option<&Node>, defaults: Option<&Value>) -> Node {
    let site = site.filter(|node| !node.is_null());
    match (site.map(|node| &node.kind), defaults) {
        (None, None) => Node { at: None, kind: Kind::Null },
        (None, Some(defaults)) => from_default(defaults),
        (Some(Kind::Map(entries)), defaults) => Node {
            at: site.and_then(|node| node.at),
            kind: Kind::Map(merge_maps(entries, defaults.filter(|it| it.is_object()))),
        },
        (Some(Kind::List(items)), _) => Node {
            at: site.and_then(|node| node.at),
            kind: Kind::List(
                items.iter().filter(|it| !it.is_null()).map(|it| merge(Some(it), None)).collect(),
            ),
        },
        (Some(kind @ (Kind::Scalar(_) | Kind::Null)), _) => {
            Node { at: site.and_then(|node| node.at), kind: kind.clone() }
        }
    }
}

fn merge_maps(entries: &[Entry], defaults: Option<&Value>) -> Vec<Entry> {
    let site = |key: &str| entries.iter().find(|entry| entry.key.text == key && !entry.value.is_null());
    let known = defaults.and_then(Value::as_object);
    let mut merged = Vec::new();
    for (key, default) in known.into_iter().flatten().filter(|(key, _)| *key != SAMPLE) {
        let entry = site(key);
        merged.push(Entry {
            key: Scalar { text: key.clone(), quoted: true },
            at: entry.and_then(|it| it.at),
            value: merge_value(key, entry.map(|it| &it.value), Some(default)),
        });
    }
    let is_new = |entry: &&Entry| {
        let key = entry.key.text.as_str();
        key != SAMPLE && !entry.value.is_null() && known.is_none_or(|map| !map.contains_key(key))
    };
    merged.extend(entries.iter().filter(is_new).map(|entry| Entry {
        key: entry.key.clone(),
        at: entry.at,
        value: merge_value(&entry.key.text, Some(&entry.value), template::child(defaults, SAMPLE)),
    }));
    merged
}

fn merge_value(key: &str, site: Option<&Node>, defaults: Option<&Value>) -> Node {
    match site {
        Some(Node { at, kind: Kind::Map(entries) }) if SETS.iter().any(|it| it.eq_ignore_ascii_case(key)) => {
            let entries = entries.iter().filter(|entry| entry.key.text != SAMPLE).map(set_member);
            Node { at: *at, kind: Kind::Map(entries.collect()) }
        }
        site => merge(site, defaults),
    }
}

fn set_member(entry: &Entry) -> Entry {
    let nothing = || Node { at: entry.value.at, kind: Kind::Map(Vec::new()) };
    let value = if entry.value.is_null() { nothing() } else { merge(Some(&entry.value), None) };
    Entry { key: entry.key.clone(), at: entry.at, value }
}

fn from_default(value: &Value) -> Node {
    let scalar = |text: String, quoted| Kind::Scalar(Scalar { text, quoted });
    let kind = match value {
        Value::Null => Kind::Null,
        Value::Bool(flag) => scalar(flag.to_string(), false),
        Value::Number(number) => scalar(number.to_string(), false),
        Value::String(text) => scalar(text.clone(), true),
        Value::Array(items) => Kind::List(items.iter().map(from_default).collect()),
        Value::Object(map) => Kind::Map(
            map.iter()
                .filter(|(key, _)| *key != SAMPLE)
                .map(|(key, value)| Entry {
                    key: Scalar { text: key.clone(), quoted: true },
                    at: None,
                    value: from_default(value),
                })
                .collect(),
        ),
    };
    Node { at: None, kind }
}

/// A merged tree as JSON: an unquoted scalar takes the type that its key has in the template, elsewhere
/// YAML 1.1's. What readers disagree about becomes a problem of the report.
pub fn to_json(node: &Node, template: Option<&Value>, path: &str, report: &Report) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar(scalar) => {
            warn_of_other_readers(node, scalar, path, report);
            scalar_to_json(scalar, template).unwrap_or_else(|disagreement| {
                report.problem(node.at, path, shown(path, scalar, disagreement, report));
                Value::Null
            })
        }
        Kind::List(items) => {
            let like = template.and_then(Value::as_array).and_then(|items| items.first());
            let paths = (0..items.len()).map(|index| format!("{path}[{index}]"));
            items.iter().zip(paths).map(|(item, path)| to_json(item, like, &path, report)).collect()
        }
        Kind::Map(entries) => Value::Object(map_to_json(entries, template, path, report)),
    }
}

fn map_to_json(
    entries: &[Entry],
    template: Option<&Value>,
    path: &str,
    report: &Report,
) -> Map<String, Value> {
    let mut map = Map::new();
    for entry in entries {
        let key = &entry.key.text;
        if !entry.key.quoted
            && let Err(disagreement) = plain::as_text(key)
        {
            report.problem(entry.at, path, format!("the key `{key}`: {disagreement}"));
        }
        let value = to_json(&entry.value, template::child(template, key), &format!("{path}.{key}"), report);
        map.insert(key.clone(), value);
    }
    map
}

/// The site's other services and we agree about such a scalar, but a reader of YAML 1.2 does not.
fn warn_of_other_readers(node: &Node, scalar: &Scalar, path: &str, report: &Report) {
    let text = scalar.text.as_str();
    if node.at.is_none() || scalar.quoted || plain::is_the_same_in_yaml_1_2(text) {
        return;
    }
    let meaning = match plain::meaning(text) {
        Ok(Meaning::Flag(flag)) => flag.to_string(),
        Ok(Meaning::Integer(integer)) => integer.to_string(),
        Ok(Meaning::Fraction(fraction)) => fraction.to_string(),
        Ok(Meaning::Text) | Err(_) => return,
    };
    let message = if report.is_secret(path) {
        "(secret): readers of YAML 1.2 take it for something else: quote it".to_owned()
    } else {
        format!(
            "`{text}` is {meaning} here, as for the site's other services; readers of YAML 1.2 take it for something else"
        )
    };
    report.doubt(node.at, path, message);
}

fn shown(path: &str, scalar: &Scalar, disagreement: Disagreement, report: &Report) -> String {
    if report.is_secret(path) {
        return format!("(secret): {disagreement}");
    }
    format!("`{}`: {disagreement}", scalar.text)
}

fn scalar_to_json(scalar: &Scalar, template: Option<&Value>) -> Result<Value, Disagreement> {
    let text = scalar.text.as_str();
    if scalar.quoted {
        return Ok(text.into());
    }
    if template.is_some_and(Value::is_string) {
        return Ok(plain::as_text(text)?.into());
    }
    Ok(match plain::meaning(text)? {
        Meaning::Flag(flag) => flag.into(),
        Meaning::Integer(integer) => integer_to_json(integer),
        Meaning::Fraction(fraction) => fraction.into(),
        Meaning::Text => text.into(),
    })
}

fn integer_to_json(integer: i128) -> Value {
    match (u64::try_from(integer), i64::try_from(integer)) {
        (Ok(unsigned), _) => unsigned.into(),
        (_, Ok(signed)) => signed.into(),
        (Err(_), Err(_)) => unreachable!("plain::meaning keeps integers within 64 bits"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::yaml::read;
    use super::*;

    fn merged(site: &str, defaults: Value) -> Result<Value, super::super::report::SettingsError> {
        let report = Report::new("x.yml".into());
        let node = merge(Some(&read(site).unwrap().tree), Some(&defaults));
        let value = to_json(&node, Some(&defaults), "Clusters.zzzzz", &report);
        report.finish().map(|_| value)
    }

    #[test]
    fn maps_merge_key_by_key_and_lists_replace() {
        let value = merged(
            "m: {a: 2}\nl: [9]\nn: ~\nnew: {x: [1, ~]}\nSAMPLE: {q: 1}\n",
            json!({"m": {"a": 1, "b": 1}, "l": [1, 2], "n": 5}),
        );
        assert_eq!(value.unwrap(), json!({"m": {"a": 2, "b": 1}, "l": [9], "n": 5, "new": {"x": [1]}}));
    }

    #[test]
    fn a_key_without_a_value_is_a_member_where_only_keys_count() {
        let value = merged(
            "SecurityGroupIDs: {sg-1: , sg-2: ~, sg-3: {}, SAMPLE: {}}\nSubnetID: {subnet-1: }\nOther: {a: }\n",
            json!({"SecurityGroupIDs": {}, "SubnetID": "", "Other": {}}),
        );
        let groups = json!({"sg-1": {}, "sg-2": {}, "sg-3": {}});
        let expected = json!({"SecurityGroupIDs": groups, "SubnetID": {"subnet-1": {}}, "Other": {}});
        assert_eq!(value.unwrap(), expected);
    }

    #[test]
    fn zero_empty_and_false_are_values() {
        let value = merged("a: 0\nb: ''\nc: no\n", json!({"a": 1, "b": "x", "c": true}));
        assert_eq!(value.unwrap(), json!({"a": 0, "b": "", "c": false}));
    }

    #[test]
    fn an_unquoted_scalar_takes_its_keys_type() {
        let value = merged("text: 22\nfree: 22\nflag: on\noctal: 010\n", json!({"text": "", "flag": false}));
        assert_eq!(value.unwrap(), json!({"text": "22", "flag": true, "free": 22, "octal": 8}));
    }

    #[test]
    fn entries_of_maps_are_completed_from_the_sample() {
        let value = merged("v: {one: {r: 1}}\n", json!({"v": {"SAMPLE": {"r": 0, "w": false}}}));
        assert_eq!(value.unwrap(), json!({"v": {"one": {"r": 1, "w": false}}}));
    }

    #[test]
    fn disagreements_are_told_with_place_path_and_value_but_without_secrets() {
        let error = merged("a: {b: .inf}\nToken: 123e45\n", json!({"Token": ""})).unwrap_err().to_string();
        assert!(error.contains("x.yml:1:8: Clusters.zzzzz.a.b: `.inf`: not a number"), "{error}");
        assert!(error.contains("x.yml:2:8: Clusters.zzzzz.Token: (secret)"), "{error}");
        assert!(!error.contains("123e45"));
    }
}

//! What the tests share: tools, files, children.

pub mod children;
pub mod expressions;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use arvados_dispatch_cloud::settings::yaml::{Kind, Node, read};
use serde_json::Value;

/// Something that must come soon: generous, because other tests run beside us on a few cores.
pub const SOON: Duration = Duration::from_secs(120);

/// A file of the repository.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Its text.
pub fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a YAML file says, by the reader of the site's configuration; each scalar is a text.
pub fn yaml(name: &str) -> Value {
    fn json(node: Node) -> Value {
        match node.kind {
            Kind::Null => Value::Null,
            Kind::Scalar(scalar) => scalar.text.clone().into(),
            Kind::List(items) => items.into_iter().map(json).collect(),
            Kind::Map(entries) => {
                entries.into_iter().map(|entry| (entry.key.text.clone(), json(entry.value))).collect()
            }
        }
    }
    let document = read(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(document.notes, [], "{name}");
    json(document.tree)
}

/// The items of a list.
#[track_caller]
pub fn items(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

/// The alert rules.
pub fn alerts() -> Vec<Value> {
    let groups = yaml("config/prometheus/alerts.yml");
    let rules = items(&groups["groups"]).iter().flat_map(|group| items(&group["rules"])).cloned();
    rules.filter(|rule| rule["alert"].is_string()).collect()
}

/// Seconds of `90m`, `1d6h`.
pub fn seconds(duration: &str) -> u64 {
    let (mut sum, mut number) = (0, 0);
    for c in duration.chars() {
        let unit = match c {
            'd' => 86_400,
            'h' => 3600,
            'm' => 60,
            's' => 1,
            digit => {
                number = number * 10 + u64::from(digit.to_digit(10).unwrap());
                continue;
            }
        };
        sum += number * unit;
        number = 0;
    }
    assert!(sum > 0 && number == 0, "{duration}");
    sum
}

/// Runs promtool to its end with that input.
pub fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool runs: apt-get install prometheus");
    // It may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

//! The alert rules, their cases and the runbook.

use std::collections::{BTreeMap, BTreeSet};

use dispatch_actors::catalogue::ALL;
use serde_json::Value;

use crate::support::{alerts, items, promtool, seconds, text, yaml};

const RULES: &str = "config/prometheus/alerts.yml";
const CASES: &str = "config/prometheus/alerts_test.yml";
const RUNBOOK: &str = "docs/runbook.md";

#[track_caller]
fn judged(arguments: &[&str]) -> String {
    let output = promtool(arguments, "");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules_and_every_case_is_as_expected() {
    let said = judged(&["check", "rules", RULES]);
    assert!(said.contains(&format!("{} rules found", alerts().len())), "{said}");
    judged(&["test", "rules", CASES]);
}

#[test]
fn the_example_for_prometheus_is_one() {
    judged(&["check", "config", "--syntax-only", "config/prometheus/prometheus.example.yml"]);
}

fn name(rule: &Value) -> &str {
    rule["alert"].as_str().unwrap()
}

/// Such a case may fire: its series are there for longer than the alert waits.
fn is_long_enough(case: &Value, rule: &Value) -> bool {
    seconds(case["eval_time"].as_str().unwrap()) >= seconds(rule["for"].as_str().unwrap())
}

#[test]
fn each_alert_has_a_case_that_fires_and_one_that_does_not() {
    let cases = yaml(CASES);
    let tests = items(&cases["tests"]).iter().flat_map(|test| items(&test["alert_rule_test"]));
    let mut by_alert = BTreeMap::<&str, Vec<&Value>>::new();
    for case in tests {
        by_alert.entry(case["alertname"].as_str().unwrap()).or_default().push(case);
    }
    let rules = alerts();
    for rule in &rules {
        let cases = by_alert.remove(name(rule)).unwrap_or_else(|| panic!("{} has no case", name(rule)));
        let fires = |case: &&&Value| !items(&case["exp_alerts"]).is_empty();
        assert!(cases.iter().any(|case| fires(&case)), "{} has no case that fires", name(rule));
        let silent = |case: &&Value| !fires(&case) && is_long_enough(case, rule);
        assert!(cases.iter().any(silent), "{} has no case that does not fire", name(rule));
    }
    assert_eq!(by_alert.into_keys().collect::<Vec<_>>(), [""; 0], "cases of alerts that are not there");
}

/// Sections of the runbook, by heading.
fn sections() -> BTreeMap<String, String> {
    let text = text(RUNBOOK);
    let sections = text.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap());
    sections.map(|(heading, body)| (heading.to_owned(), body.to_owned())).collect()
}

#[test]
fn each_alert_leads_to_its_section_of_the_runbook() {
    let (rules, sections) = (alerts(), sections());
    let names: BTreeSet<_> = rules.iter().map(|rule| name(rule).to_owned()).collect();
    assert_eq!(names, sections.keys().cloned().collect());
    for rule in &rules {
        let annotations = &rule["annotations"];
        let url = format!("{RUNBOOK}#{}", name(rule).to_lowercase());
        assert_eq!(annotations["runbook_url"], url.as_str());
        for words in ["What it means.", "Look first.", "What to do.", "What not to do."] {
            assert!(sections[name(rule)].contains(&format!("**{words}**")), "{}: {words}", name(rule));
        }
    }
}

#[test]
fn each_alert_says_how_severe_it_is_and_what_was_seen() {
    for rule in alerts() {
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{rule}");
        let annotation = |name: &str| rule["annotations"][name].as_str().unwrap().to_owned();
        assert!(!annotation("summary").is_empty(), "{rule}");
        assert!(annotation("description").contains("{{ $value"), "{rule}");
    }
}

/// What looks like a message of the log: words, not a command, not a state or key.
fn is_message(quoted: &str) -> bool {
    let is_worded = |c: char| c.is_ascii_lowercase() || " -,.;:=()'".contains(c);
    let is_other = quoted.starts_with("systemctl ") || command(quoted).is_some();
    quoted.contains(' ') && quoted.chars().all(is_worded) && !is_other
}

fn is_known(message: &str) -> bool {
    ALL.iter().any(|event| event.message == message)
}

/// The words of a command of ours; what follows its name are options and ids.
fn command(quoted: &str) -> Option<Vec<&str>> {
    const GROUPS: [&str; 4] = ["instance", "container", "creates", "type"];
    if is_known(quoted) {
        return None;
    }
    let words: Vec<_> = quoted.split(' ').collect();
    match words.as_slice() {
        ["arvados-dispatch-cloud", words @ ..] if !words.is_empty() => Some(words.to_vec()),
        [group, _, ..] if GROUPS.contains(group) => Some(words),
        _ => None,
    }
}

#[test]
fn commands_that_the_runbook_names_are_there_with_their_options() {
    let text = text(RUNBOOK);
    let commands: BTreeSet<_> = text.split('`').skip(1).step_by(2).filter_map(command).collect();
    assert!(commands.len() > 8, "only {commands:?}");
    for words in commands {
        let (options, words): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.starts_with("--"));
        let is_name = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase());
        let names: Vec<_> = words.iter().take_while(is_name).collect();
        let mut help = std::process::Command::new(env!("CARGO_BIN_EXE_arvados-dispatch-cloud"));
        let output = help.args(&names).arg("--help").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        // The help of a group would do for a wrong name after it.
        let usage =
            names.iter().fold("Usage: arvados-dispatch-cloud".to_owned(), |all, it| format!("{all} {it}"));
        assert!(output.status.success() && said.contains(&usage), "{names:?}: {said}");
        assert!(options.iter().all(|option| said.contains(option)), "{names:?} has no {options:?}: {said}");
    }
}

#[test]
fn messages_that_the_runbook_names_are_in_the_catalogue() {
    let text = text(RUNBOOK);
    let quoted = text.split('`').skip(1).step_by(2);
    let messages: BTreeSet<_> = quoted.filter(|it| is_message(it)).collect();
    assert!(messages.len() > 20, "only {messages:?}");
    let unknown: Vec<_> = messages.iter().filter(|message| !is_known(message)).collect();
    assert!(unknown.is_empty(), "no such events: {unknown:?}");
}

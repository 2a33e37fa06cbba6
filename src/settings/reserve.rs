//! `IdleReserve`: how many VMs of each type are kept without work, and when.
//!
//! ```text
//!   SAMPLE: {Instances: 2}                                     one rule
//!   SAMPLE: {day: {Instances: 4, Hours: …}, night: {…}}        several, under names of the site's own
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;

use dispatch_core::reserve::{Calendar, IdleReserve, ReserveRule, Spares};
use serde_json::{Value, json};

use super::section::Section;

const KEYS: [&str; 5] = ["Instances", "PercentOfBusy", "Days", "Hours", "TimeZone"];

/// More percent than anybody means.
const MOST_PERCENT: u32 = 1_000;

/// Reads the section of that name.
pub fn read(cloud_vms: &Section<'_>, key: &str) -> IdleReserve {
    let types = cloud_vms.section(key);
    let of_type = |(name, _): (&str, _)| {
        let Ok(type_name) = name.parse() else {
            types.fail(name, "an instance type's name is wanted");
            return None;
        };
        let section = types.section(name);
        // What is no map has been told.
        types.is_map(name).then(|| (type_name, rules(&section)))
    };
    IdleReserve::new(types.keys().into_iter().filter_map(of_type).collect())
}

fn rules(of_type: &Section<'_>) -> Vec<ReserveRule> {
    let keys = of_type.keys();
    if keys.is_empty() || keys.iter().any(|(key, _)| KEYS.contains(key)) {
        return vec![rule(of_type)];
    }
    keys.into_iter().map(|(name, _)| rule(&of_type.section(name))).collect()
}

fn rule(section: &Section<'_>) -> ReserveRule {
    for (key, _) in section.keys().into_iter().filter(|(key, _)| !KEYS.contains(key)) {
        section.fail(key, &format!("no such key: accepted are {}", KEYS.join(", ")));
    }
    let spares =
        Spares { instances: section.count("Instances"), percent_of_busy: section.count("PercentOfBusy") };
    if spares == Spares::default() {
        section.missing("Instances", "a number of VMs, or PercentOfBusy, above 0");
    }
    if spares.percent_of_busy > MOST_PERCENT {
        section.refuse("PercentOfBusy", &format!("a whole number from 0 to {MOST_PERCENT}"));
    }
    let calendar = Calendar {
        days: parsed(section, "Days"),
        hours: parsed(section, "Hours"),
        zone: parsed(section, "TimeZone"),
    };
    ReserveRule { spares, calendar }
}

fn parsed<T: Default + FromStr<Err = &'static str>>(section: &Section<'_>, key: &str) -> T {
    section.text(key).parse().unwrap_or_else(|wanted| {
        section.refuse(key, wanted);
        T::default()
    })
}

/// As a file has it.
pub fn dump(reserve: &IdleReserve) -> Value {
    let of_type = |rules: &Vec<ReserveRule>| match rules.as_slice() {
        [one] => dump_rule(one),
        all => all.iter().enumerate().map(|(n, rule)| (format!("rule{}", n + 1), dump_rule(rule))).collect(),
    };
    let types: BTreeMap<_, _> =
        reserve.rules().iter().map(|(name, rules)| (name.to_string(), of_type(rules))).collect();
    json!(types)
}

fn dump_rule(ReserveRule { spares, calendar }: &ReserveRule) -> Value {
    json!({
        "Instances": spares.instances,
        "PercentOfBusy": spares.percent_of_busy,
        "Days": calendar.days.to_string(),
        "Hours": calendar.hours.to_string(),
        "TimeZone": calendar.zone.to_string(),
    })
}

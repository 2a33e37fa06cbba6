//! All that is known of one thing, in place of the list.

use serde_json::Value;

use super::data::Vm;
use super::events::Happening;
use super::model::Model;
use super::text::{age, each, plain, wrap};
use crate::client::table::Table;
use crate::client::{creates, explain, instances};

/// Where the values of facts begin: lines that go on are indented so far.
const INDENT: usize = 16;
/// How many of an instance's events are shown.
const EVENTS: usize = 30;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// By its UUID.
    Container(String),
    /// By its id.
    Instance(String),
    /// By its name.
    Type(String),
    /// Of which all is told that there is.
    Event,
    /// The keys.
    Help,
}

/// A look at one thing.
#[derive(Debug)]
pub(super) struct Pane {
    pub(super) subject: Subject,
    /// What the service has told of it, if it was asked.
    pub(super) told: String,
    /// The first line in sight.
    pub(super) scroll: usize,
}

impl Pane {
    /// From the beginning.
    pub fn of(subject: Subject, told: String) -> Self {
        Self { subject, told, scroll: 0 }
    }

    /// What is looked at, in a few words.
    pub fn title(&self) -> String {
        match &self.subject {
            Subject::Container(uuid) => format!("container {uuid}"),
            Subject::Instance(id) => format!("instance {id}"),
            Subject::Type(name) => format!("instance type {name}"),
            Subject::Event => "event".to_owned(),
            Subject::Help => "keys and words".to_owned(),
        }
    }

    /// All of it, fitted to the width of the screen.
    pub fn lines(&self, model: &Model) -> Vec<String> {
        let text = match &self.subject {
            Subject::Container(_) if self.told.is_empty() => "The service is asked ...".to_owned(),
            Subject::Container(_) | Subject::Event | Subject::Help => self.told.clone(),
            Subject::Instance(id) => instance(model, id),
            Subject::Type(name) => instance_type(model, name),
        };
        wrap(&text, usize::from(model.size.width), INDENT)
    }
}

/// An event with a line for each fact.
pub(super) fn event(event: &Happening) -> String {
    let mut lines = vec![format!("{}  {}", event.time, event.level), event.message.clone(), String::new()];
    lines.extend(event.facts.iter().cloned());
    lines.join("\n")
}

fn instance(model: &Model, id: &str) -> String {
    let mut text = match model.data.instance(id) {
        Some(vm) => known(model, vm),
        None => format!("{id} is not there any more."),
    };
    let about: Vec<_> = model.events.iter().filter(|event| event.mentions(id)).collect();
    if !about.is_empty() {
        text += "\n\nIts last events, the newest first:\n";
        let line =
            |event: &&Happening| format!("{}  {}  {}", event.clock(), event.message, event.facts.join("  "));
        text += &about.iter().rev().take(EVENTS).map(line).collect::<Vec<_>>().join("\n");
    }
    text
}

fn known(model: &Model, vm: &Vm) -> String {
    let more = [
        ("age", age(model.service_now(), vm.appeared)),
        ("full", vm.full.map_or_else(|| "not known".to_owned(), |percent| format!("{percent} %"))),
    ];
    format!("{}\n{}", instances::described(&vm.is), Table::facts(more))
}

fn instance_type(model: &Model, name: &str) -> String {
    let Some(group) = model.data.fleet.iter().find(|group| group.name == name) else {
        return format!("{name} is not configured, and has no instance any more.");
    };
    let offer = &group.offer;
    if offer.is_null() {
        return format!("{name} is not configured, and has {} instances.", group.instances.len());
    }
    let market = if offer["preemptible"] == true { "spot" } else { "on-demand" };
    let facts = [
        ("type", name.to_owned()),
        ("provider-type", plain(&offer["provider_type"])),
        ("price", format!("{} an hour, {market}", plain(&offer["price"]))),
        ("size", format!("{} VCPUs, {} RAM", plain(&offer["vcpus"]), explain::size(&offer["ram"]))),
        ("instances", plain(&offer["instances"])),
        ("containers", plain(&offer["running"])),
        ("creates", creates::gate(&offer["creates"])),
    ];
    Table::facts(facts.into_iter().chain(drained(model, name)))
}

/// Who has drained the type, and why.
fn drained(model: &Model, name: &str) -> Option<(&'static str, String)> {
    let all: &Value = &model.data.drained;
    let note = each(all).find(|it| it["instance_type"] == name)?;
    Some(("drained", format!("by {}: {}", plain(&note["by"]), plain(&note["reason"]))))
}

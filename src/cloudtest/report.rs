//! What it came to: lines as it goes on, for people; one JSON object at the end, for programs.

use std::sync::Arc;
use std::time::Duration;

use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::InstanceType;
use serde_json::{Value, json};

use super::ending::GONE_WITHIN;
use crate::cli;

/// What is to be tried.
pub(super) struct Plan {
    pub driver: &'static str,
    pub image: String,
    pub instance_type: Arc<InstanceType>,
    pub set: InstanceSetId,
    pub subnets: Vec<Option<String>>,
}

/// What went wrong, and what to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub message: String,
    pub check: String,
}

impl Trouble {
    pub fn new(message: impl Into<String>, check: impl Into<String>) -> Self {
        Self { message: message.into(), check: check.into() }
    }

    /// The same, of something that was waited for.
    pub fn not_within(self, patience: Duration) -> Self {
        let message = format!("not within {} s: {}", patience.as_secs_f64(), self.message);
        Self { message, ..self }
    }

    /// The same, of an instance that may be left over.
    pub fn with_instance(self, id: &str) -> Self {
        let check = format!("{}; instance {id} may still cost money", self.check);
        Self { check, ..self }
    }

    pub fn map(self, change: impl Fn(String) -> String) -> Self {
        Self { message: change(self.message), check: change(self.check) }
    }
}

/// A step that was tried.
#[derive(Debug)]
pub(super) struct Step {
    pub name: &'static str,
    pub took: Duration,
    pub result: Result<String, Trouble>,
}

/// What `--command` left.
#[derive(Debug)]
pub(super) struct CommandOutput {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// What became of one instance.
#[derive(Debug)]
pub(super) struct Outcome {
    pub subnet: Option<String>,
    pub instance: Option<String>,
    pub address: Option<String>,
    pub ssh: Option<String>,
    pub command: Option<CommandOutput>,
    pub found_leftovers: bool,
    pub steps: Vec<Step>,
}

impl Outcome {
    pub fn new(subnet: Option<String>) -> Self {
        Self {
            subnet,
            instance: None,
            address: None,
            ssh: None,
            command: None,
            found_leftovers: false,
            steps: Vec::new(),
        }
    }

    fn is_good(&self) -> bool {
        !self.steps.is_empty() && self.steps.iter().all(|step| step.result.is_ok())
    }

    fn to_json(&self) -> Value {
        let steps: Vec<_> = self.steps.iter().map(Step::to_json).collect();
        let command = self.command.as_ref().map(
            |output| json!({ "status": output.status, "stdout": output.stdout, "stderr": output.stderr }),
        );
        json!({
            "subnet": self.subnet,
            "ok": self.is_good(),
            "instance": self.instance,
            "address": self.address,
            "ssh": self.ssh,
            "command": command,
            "steps": steps,
        })
    }
}

impl Step {
    fn to_json(&self) -> Value {
        let (detail, trouble) = match &self.result {
            Ok(detail) => (Some(detail), None),
            Err(trouble) => (None, Some(trouble)),
        };
        json!({
            "step": self.name,
            "ok": trouble.is_none(),
            "seconds": (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            "detail": detail,
            "error": trouble.map(|it| &it.message),
            "check": trouble.map(|it| &it.check),
        })
    }
}

/// What became of all.
pub(super) struct Report {
    pub plan: Plan,
    pub trials: Vec<Outcome>,
    pub interrupted: bool,
}

impl Report {
    pub fn new(plan: Plan) -> Self {
        Self { plan, trials: Vec::new(), interrupted: false }
    }

    /// Every subnet was tried, and every step held.
    pub fn is_good(&self) -> bool {
        !self.interrupted
            && self.trials.len() == self.plan.subnets.len()
            && self.trials.iter().all(Outcome::is_good)
    }

    pub fn to_json(&self) -> Value {
        let trials: Vec<_> = self.trials.iter().map(Outcome::to_json).collect();
        json!({
            "ok": self.is_good(),
            "interrupted": self.interrupted,
            "driver": self.plan.driver,
            "image_id": self.plan.image,
            "instance_type": self.plan.instance_type.name.as_str(),
            "provider_type": self.plan.instance_type.provider_type.as_str(),
            "instance_set_id": self.plan.set.as_str(),
            "trials": trials,
        })
    }

    /// A line for each failure, for stderr.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for trial in &self.trials {
            let place = trial.subnet.as_ref().map_or_else(String::new, |subnet| format!("{subnet}: "));
            for step in &trial.steps {
                if let Err(trouble) = &step.result {
                    let Trouble { message, check } = trouble.clone().map(|it| one_line(&it));
                    lines.push(format!("{place}{}: {message}; check: {check}", step.name));
                }
            }
        }
        if self.interrupted {
            lines.push("interrupted".to_owned());
        }
        lines
    }
}

/// Lines for people while it goes on; silent if a program reads.
pub(super) struct Screen {
    is_on: bool,
}

impl Screen {
    pub fn new(is_on: bool) -> Self {
        Self { is_on }
    }

    fn say(&self, text: &str) {
        if self.is_on {
            cli::print(text);
        }
    }

    pub fn plan(&self, plan: &Plan) {
        let Plan { driver, image, instance_type, set, .. } = plan;
        let image = if image.is_empty() { "(none)" } else { image };
        let provider_type = &instance_type.provider_type;
        self.say(&format!(
            "driver {driver}, image {image}, type {} ({provider_type}), set {set}",
            instance_type.name
        ));
    }

    pub fn subnet(&self, subnet: Option<&str>) {
        if let Some(subnet) = subnet {
            self.say(&format!("subnet {subnet}"));
        }
    }

    pub fn step(&self, step: &Step) {
        let seconds = step.took.as_secs_f64();
        match &step.result {
            Ok(detail) => {
                self.say(&format!("  ok      {seconds:7.2} s  {}: {}", step.name, one_line(detail)))
            }
            Err(Trouble { message, check }) => {
                self.say(&format!("  FAILED  {seconds:7.2} s  {}: {}", step.name, one_line(message)));
                self.say(&format!("                     check: {}", one_line(check)));
            }
        }
    }

    pub fn output(&self, output: &CommandOutput) {
        let streams = [("stdout", &output.stdout), ("stderr", &output.stderr)];
        for (name, text) in streams.into_iter().filter(|(_, text)| !text.is_empty()) {
            self.say(&format!("--- {name}\n{}\n---", text.trim_end()));
        }
    }

    /// On stderr: also when a program reads the result, a person is to press Enter.
    pub fn pause(&self, instance: &str) {
        cli::complain(format!("cloudtest: press Enter to destroy instance {instance}"));
    }

    /// On stderr, as a warning while the work goes on.
    pub fn not_destroyed_yet(&self, instance: &str, trouble: &Trouble) {
        let Trouble { message, check } = trouble.clone().map(|it| one_line(&it));
        let seconds = GONE_WITHIN.as_secs();
        cli::complain(format!(
            "cloudtest: cannot destroy instance {instance} yet, trying for {seconds} s: {message}; check: {check}"
        ));
    }

    pub fn verdict(&self, report: &Report) {
        self.say(if report.is_good() { "all is well" } else { "not all is well" });
    }
}

/// Without line ends and what else might move a terminal's cursor.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

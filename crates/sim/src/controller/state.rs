//! One container record and the rules by which it may change.
//!
//! ```text
//!            lock, PUT Locked            PUT Running
//!   Queued ───────────────────→ Locked ───────────────→ Running ──→ Complete
//!     │  ↖───────────────────────┘ │ unlock                │            │
//!     │       unlock (attempts left) │ (attempts used up)  │            │ (really: the server lets it)
//!     └──────────────────────────────┴───→ Cancelled ←─────┴────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::{ContainerState, MountNeeds, RuntimeConstraints, SchedulingParameters};
use dispatch_core::id::{ContainerUuid, TokenUuid};
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value};

use super::errors::Refusal;

/// What a user submits: the part of a container that never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The working directory.
    pub cwd: String,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// A portable data hash, `32hex+SIZE`.
    pub container_image: String,
    /// Mounts by path, as JSON.
    pub mounts: Map<String, Value>,
    /// The resources that it asks for.
    pub runtime_constraints: RuntimeConstraints,
    /// How it is to be scheduled.
    pub scheduling: SchedulingParameters,
}

impl Default for ContainerSpec {
    /// One CPU, 1 MB of RAM and no disk: it fits nearly every instance type.
    fn default() -> Self {
        Self {
            command: vec!["true".to_owned()],
            cwd: ".".to_owned(),
            environment: BTreeMap::new(),
            container_image: "d740a57097711e08eb9b2a93518f20ab+174".to_owned(),
            mounts: Map::new(),
            runtime_constraints: RuntimeConstraints { vcpus: 1, ram: 1_000_000, ..Default::default() },
            scheduling: SchedulingParameters::default(),
        }
    }
}

impl ContainerSpec {
    /// What the dispatcher needs to know of the mounts to choose a type.
    pub fn mount_needs(&self) -> MountNeeds {
        let is_tmp = |mount: &&Value| mount.get("kind").and_then(Value::as_str) == Some("tmp");
        let capacity = |mount: &Value| mount.get("capacity").and_then(Value::as_u64).unwrap_or(0);
        MountNeeds { tmp_bytes: self.mounts.values().filter(is_tmp).map(capacity).sum() }
    }
}

/// A container record.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its identifier.
    pub uuid: ContainerUuid,
    /// The request (`…-xvhdp-…`) that it is an attempt of.
    pub request: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// What was submitted.
    pub spec: Arc<ContainerSpec>,
    /// Its state.
    pub state: ContainerState,
    /// Its priority; it is to be run if this is above 0.
    pub priority: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub modified_at: Timestamp,
    /// When it became Running.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// The token that has locked it.
    pub locked_by: Option<TokenUuid>,
    /// How often it was locked.
    pub lock_count: u32,
    /// The token for its own calls, while it is Locked or Running.
    pub auth_uuid: Option<TokenUuid>,
    /// What users see about its condition.
    pub runtime_status: Map<String, Value>,
    /// The exit status of its process.
    pub exit_code: Option<i64>,
    /// What it has cost.
    pub cost: f64,
    /// Other attributes that updates have set, shown as they came.
    pub attributes: BTreeMap<String, Value>,
    /// Attributes that are shown with these values, whatever the record has: bad values, or a fixture's
    /// unusual ones.
    pub overrides: BTreeMap<String, Value>,
}

/// What an update asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// A new state, or the present one.
    pub state: Option<ContainerState>,
    /// The new status as a whole: hashes are replaced, not merged.
    pub runtime_status: Option<Map<String, Value>>,
    /// A new priority.
    pub priority: Option<i64>,
    /// The exit status.
    pub exit_code: Option<i64>,
    /// What it has cost.
    pub cost: Option<f64>,
    /// All other attributes, as they came.
    pub attributes: BTreeMap<String, Value>,
}

/// The attributes that an update may set besides the named fields of [`Changes`].
const PLAIN_ATTRIBUTES: [&str; 9] = [
    "gateway_address",
    "interactive_session_started",
    "log",
    "output",
    "output_properties",
    "output_storage_classes",
    "progress",
    "published_ports",
    "subrequests_cost",
];

impl Changes {
    /// Reads the `container` parameter of a PUT.
    ///
    /// # Errors
    /// If an attribute cannot be set, or a value does not fit it.
    pub fn from_json(container: &Value) -> Result<Self, Refusal> {
        let object = container.as_object().ok_or_else(|| Refusal::argument("container is not a hash"))?;
        let mut changes = Self::default();
        for (name, value) in object {
            changes.take(name, value)?;
        }
        Ok(changes)
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        let wrong = || Refusal::Invalid(format!("{name} is invalid"));
        match name {
            "state" => {
                let state = value.as_str().and_then(ContainerState::from_name);
                self.state = Some(state.ok_or_else(|| Refusal::Invalid(format!("Invalid state {value}")))?);
            }
            "runtime_status" => match value {
                Value::Null => self.runtime_status = Some(Map::new()),
                value => self.runtime_status = Some(value.as_object().ok_or_else(wrong)?.clone()),
            },
            "priority" => self.priority = Some(value.as_i64().ok_or_else(wrong)?),
            "exit_code" => self.exit_code = Some(value.as_i64().ok_or_else(wrong)?),
            "cost" => self.cost = Some(value.as_f64().ok_or_else(wrong)?),
            "locked_by_uuid" => {
                return Err(Refusal::Invalid(format!(
                    "Locked by uuid set to {value}, expected the current lock owner"
                )));
            }
            name if PLAIN_ATTRIBUTES.contains(&name) => {
                self.attributes.insert(name.to_owned(), value.clone());
            }
            name => {
                return Err(Refusal::Invalid(format!(
                    "#<ActiveModel::UnknownAttributeError: unknown attribute '{name}' for Container.>"
                )));
            }
        }
        Ok(())
    }
}

/// Who changes a container, when, and under which limit of the site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// The token of the call.
    pub by: TokenUuid,
    /// The token for the container's own calls, if this change locks it.
    pub auth: TokenUuid,
    /// `MaxDispatchAttempts`.
    pub max_attempts: u32,
    /// When the change is made.
    pub now: Timestamp,
}

impl Container {
    /// A Queued container, which is the first attempt of that request.
    pub fn new(
        uuid: ContainerUuid,
        request: String,
        spec: Arc<ContainerSpec>,
        priority: i64,
        now: Timestamp,
    ) -> Self {
        Self {
            uuid,
            request,
            attempt: 1,
            spec,
            state: ContainerState::Queued,
            priority,
            created_at: now,
            modified_at: now,
            started_at: None,
            finished_at: None,
            locked_by: None,
            lock_count: 0,
            auth_uuid: None,
            runtime_status: Map::new(),
            exit_code: None,
            cost: 0.0,
            attributes: BTreeMap::new(),
            overrides: BTreeMap::new(),
        }
    }

    /// Whether that token holds the lock.
    pub fn is_held_by(&self, token: TokenUuid) -> bool {
        self.locked_by == Some(token)
    }

    pub(super) fn lock(&mut self, change: &Change) -> Result<(), Refusal> {
        if self.state != ContainerState::Queued {
            return Err(Refusal::CannotLock(self.state));
        }
        if self.priority <= 0 {
            return Err(Refusal::CannotLockPriority);
        }
        self.enter(ContainerState::Locked, change);
        Ok(())
    }

    pub(super) fn unlock(&mut self, change: &Change) -> Result<(), Refusal> {
        if self.state != ContainerState::Locked {
            return Err(Refusal::CannotUnlock(self.state));
        }
        if !self.is_held_by(change.by) {
            return Err(Refusal::LockedByAnother);
        }
        self.enter(ContainerState::Queued, change);
        Ok(())
    }

    pub(super) fn update(&mut self, changes: &Changes, change: &Change) -> Result<(), Refusal> {
        let target = changes.state.unwrap_or(self.state);
        self.check_transition(target, change)?;
        self.check_runtime_status(changes, target, change)?;
        self.take_values(changes);
        if target != self.state {
            self.enter(target, change);
        }
        // An error that comes with a cancel stays. `enter` clears it only on the way to Queued.
        if let Some(status) = &changes.runtime_status {
            self.runtime_status = status.clone();
        }
        self.modified_at = change.now;
        Ok(())
    }

    fn check_transition(&self, target: ContainerState, change: &Change) -> Result<(), Refusal> {
        use ContainerState::{Cancelled, Complete, Locked, Queued, Running};
        match (self.state, target) {
            (from, to) if from == to => Ok(()),
            (Queued | Locked | Running | Complete, Cancelled) => Ok(()),
            (Queued, Locked) if self.priority <= 0 => Err(Refusal::CannotLockPriority),
            (Queued, Locked) => Ok(()),
            (Locked, Queued | Running) | (Running, Complete) if !self.is_held_by(change.by) => Err(
                Refusal::Invalid(format!("{target} cannot be set by a token that does not hold the lock")),
            ),
            (Locked, Queued | Running) | (Running, Complete) => Ok(()),
            (from, to) => Err(Refusal::IllegalTransition(from, to)),
        }
    }

    /// Only the holder of the lock may change it, and only in Locked and Running. A cancel may set it, too.
    fn check_runtime_status(
        &self,
        changes: &Changes,
        target: ContainerState,
        change: &Change,
    ) -> Result<(), Refusal> {
        let Some(wanted) = &changes.runtime_status else { return Ok(()) };
        if *wanted == self.runtime_status {
            return Ok(());
        }
        let allowed = match (self.state, target) {
            (ContainerState::Queued, ContainerState::Cancelled) => true,
            (ContainerState::Locked | ContainerState::Running, _) => self.is_held_by(change.by),
            _ => false,
        };
        if allowed { Ok(()) } else { Err(self.status_refusal(wanted, target)) }
    }

    fn status_refusal(&self, wanted: &Map<String, Value>, target: ContainerState) -> Refusal {
        let ruby = |map: &Map<String, Value>| {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("\"{key}\"=>{value}")).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        let (old, new) = (ruby(&self.runtime_status), ruby(wanted));
        Refusal::Invalid(format!("Runtime status cannot be modified in state '{target}' ({old}, {new})"))
    }

    fn take_values(&mut self, changes: &Changes) {
        self.priority = changes.priority.unwrap_or(self.priority);
        self.exit_code = changes.exit_code.or(self.exit_code);
        self.cost = changes.cost.unwrap_or(self.cost);
        self.attributes.extend(changes.attributes.clone());
    }

    /// Makes the transition, with everything that the server changes along with it.
    fn enter(&mut self, target: ContainerState, change: &Change) {
        self.modified_at = change.now;
        match target {
            ContainerState::Queued => self.enter_queued(change),
            ContainerState::Locked => {
                self.locked_by = Some(change.by);
                self.auth_uuid = Some(change.auth);
                self.lock_count += 1;
                self.state = target;
            }
            ContainerState::Running => {
                self.started_at = Some(change.now);
                self.state = target;
            }
            ContainerState::Complete | ContainerState::Cancelled => self.end(target, change.now),
        }
    }

    fn enter_queued(&mut self, change: &Change) {
        self.runtime_status.clear();
        if self.lock_count >= change.max_attempts {
            let count = self.lock_count;
            let text = format!(
                "Failed to start container.  Cancelled after exceeding 'Containers.MaxDispatchAttempts' (lock_count={count})"
            );
            self.runtime_status.insert("error".to_owned(), text.into());
            self.end(ContainerState::Cancelled, change.now);
        } else {
            self.locked_by = None;
            self.auth_uuid = None;
            self.state = ContainerState::Queued;
        }
    }

    fn end(&mut self, target: ContainerState, now: Timestamp) {
        self.state = target;
        self.locked_by = None;
        self.auth_uuid = None;
        self.finished_at = Some(now);
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

//! What the event feed tells: an event for each saved change of a record, and what goes wrong with them.
//!
//! ```text
//!   a record is created, saved, deleted ──→ lost? late? doubled? a false one beside it? ──→ Events::take
//!   priorities that the server recomputes by SQL ──→ nothing (the event of the request comes)
//! ```
//! It owns the events that nobody has taken yet; it keeps none before somebody listens. Never does: sending them.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::records::time_text;
use super::state::Container;
use crate::chance::{Chance, Span};

/// What was done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It was created.
    Create,
    /// It was saved with another content.
    Update,
    /// It was deleted.
    Delete,
}

impl Deed {
    /// The service's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The attributes of a record that the service passes on.
type Attributes = Map<String, Value>;

/// Something that has happened to a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its number in the site's log.
    pub id: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub deed: Deed,
    /// The record's identifier.
    pub object: String,
    /// What the record was before.
    pub old: Option<Attributes>,
    /// What it is afterwards.
    pub new: Option<Attributes>,
    /// How much later than usual it is told.
    pub delay: Duration,
}

impl Event {
    /// The message that a client gets, as its `number`th event.
    pub fn message(&self, number: u64) -> String {
        let cluster = &self.object[..5];
        let mut properties = Map::new();
        let attributes = [("new_attributes", &self.new), ("old_attributes", &self.old)];
        for (name, attributes) in attributes {
            if let Some(attributes) = attributes {
                properties.insert(name.to_owned(), attributes.clone().into());
            }
        }
        // The service's library sorts the keys.
        let message = json!({
            "event_at": time_text(self.at),
            "event_type": self.deed.as_str(),
            "id": self.id,
            "msgID": number,
            "object_kind": kind(&self.object),
            "object_owner_uuid": owner(cluster),
            "object_uuid": self.object,
            "properties": properties,
            "uuid": format!("{cluster}-57u5n-{:015}", self.id),
        });
        message.to_string()
    }
}

fn kind(object: &str) -> &'static str {
    match object.get(6..11) {
        Some("dz642") => "arvados#container",
        Some("xvhdp") => "arvados#containerRequest",
        _ => "arvados#collection",
    }
}

fn owner(cluster: &str) -> String {
    format!("{cluster}-tpzed-000000000000000")
}

/// What goes wrong on the way. By default nothing does.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    /// How likely an event is never told.
    pub lost: f64,
    /// How likely it is told twice.
    pub doubled: f64,
    /// How likely it is told late, after others.
    pub late: f64,
    /// How late.
    pub late_by: Span,
    /// How likely another one comes beside it that tells a state in which the container is not.
    pub lies: f64,
    /// How many events of other objects there are a second (as far as a clock of a millisecond allows).
    pub others_per_second: u32,
    /// Whether the service is down: connections end, and no new one is accepted.
    pub is_down: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            lost: 0.0,
            doubled: 0.0,
            late: 0.0,
            late_by: Span::between_millis(100, 3000),
            lies: 0.0,
            others_per_second: 0,
            is_down: false,
        }
    }
}

/// The events that wait to be told.
#[derive(Debug)]
pub struct Events {
    /// What goes wrong; it may be changed at any time.
    pub knobs: Knobs,
    listeners: usize,
    is_cut: bool,
    last_id: u64,
    waiting: Vec<Event>,
    chance: Chance,
}

impl Events {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            knobs: Knobs::default(),
            listeners: 0,
            is_cut: false,
            last_id: 12_344,
            waiting: Vec::new(),
            // A stream of its own: a feed that is switched on does not change what the controller does.
            chance: Chance::new(seed, 5),
        }
    }

    /// Says how many listen. What happens while nobody does is told to nobody.
    pub fn listen(&mut self, listeners: usize) {
        self.listeners = listeners;
        if listeners == 0 {
            self.waiting.clear();
        }
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.listeners
    }

    /// Ends all connections once.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Whether the connections are to be ended now.
    pub fn take_cut(&mut self) -> bool {
        std::mem::take(&mut self.is_cut) || self.knobs.is_down
    }

    /// What has happened since the last call, in order. Each is to be told after its delay.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.waiting)
    }

    /// That many changes of collections, as a site has them by the thousand.
    pub fn stir(&mut self, cluster: &str, count: usize, now: Timestamp) {
        for _ in 0..count {
            let object = format!("{cluster}-4zz18-{}", self.chance.uuid_tail());
            let attributes = json!({
                "name": "output of a job",
                "owner_uuid": owner(cluster),
                "portable_data_hash": "d41d8cd98f00b204e9800998ecf8427e+0",
            });
            let Value::Object(attributes) = attributes else { unreachable!("it was written as one") };
            self.tell(Deed::Update, object, [Some(attributes.clone()), Some(attributes)], now);
        }
    }

    /// A container was saved: `old` before, `new` afterwards. If nothing has changed, nothing was saved.
    pub(super) fn note_container(
        &mut self,
        old: Option<&Container>,
        new: Option<&Container>,
        now: Timestamp,
    ) {
        let deed = match (old, new) {
            (None, Some(_)) => Deed::Create,
            (Some(old), Some(new)) if !is_same(old, new) => Deed::Update,
            (Some(_), None) => Deed::Delete,
            (Some(_), Some(_)) | (None, None) => return,
        };
        let Some(Container { uuid, .. }) = new.or(old) else { return };
        let attributes = [old, new].map(|it| it.map(|it| container_attributes(*uuid, it.state)));
        self.tell(deed, uuid.to_string(), attributes, now);
        if let Some(new) = new.filter(|_| self.listeners > 0 && self.chance.hits(self.knobs.lies)) {
            self.lie(new, now);
        }
    }

    /// Tells that a Running container is Complete, and of others that they are Running.
    fn lie(&mut self, container: &Container, now: Timestamp) {
        let state = match container.state {
            ContainerState::Running => ContainerState::Complete,
            _ => ContainerState::Running,
        };
        let states = [container.state, state].map(|it| Some(container_attributes(container.uuid, it)));
        self.tell(Deed::Update, container.uuid.to_string(), states, now);
    }

    /// A container request was created or saved.
    pub(super) fn note_request(&mut self, deed: Deed, request: &str, is_final: bool, now: Timestamp) {
        let attributes = |state: &str| {
            let mut attributes = Map::new();
            attributes.insert("name".to_owned(), Value::Null);
            attributes.insert("owner_uuid".to_owned(), owner(&request[..5]).into());
            attributes.insert("requesting_container_uuid".to_owned(), Value::Null);
            attributes.insert("state".to_owned(), state.into());
            Some(attributes)
        };
        let old = if deed == Deed::Create { None } else { attributes("Committed") };
        let new = attributes(if is_final { "Final" } else { "Committed" });
        self.tell(deed, request.to_owned(), [old, new], now);
    }

    fn tell(&mut self, deed: Deed, object: String, [old, new]: [Option<Attributes>; 2], now: Timestamp) {
        if self.listeners == 0 {
            return;
        }
        self.last_id += 1;
        if self.chance.hits(self.knobs.lost) {
            return;
        }
        let event = Event { id: self.last_id, at: now, deed, object, old, new, delay: self.delay() };
        if self.chance.hits(self.knobs.doubled) {
            let again = Event { delay: self.delay(), ..event.clone() };
            self.waiting.push(again);
        }
        self.waiting.push(event);
    }

    fn delay(&mut self) -> Duration {
        if self.chance.hits(self.knobs.late) { self.chance.draw(self.knobs.late_by) } else { Duration::ZERO }
    }
}

/// Whether a save of `new` over `old` saves nothing.
fn is_same(old: &Container, new: &Container) -> bool {
    let as_before = Container { modified_at: old.modified_at, ..new.clone() };
    as_before == *old
}

fn container_attributes(uuid: ContainerUuid, state: ContainerState) -> Attributes {
    let mut attributes = Map::new();
    attributes.insert("owner_uuid".to_owned(), owner(uuid.cluster()).into());
    attributes.insert("state".to_owned(), state.as_str().into());
    attributes
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;

//! The tags of an instance, and those that dispatchers set there: all that a dispatcher knows of it after a restart.

use std::collections::BTreeMap;
use std::fmt;

use super::IdleBehavior;
use crate::id::{InstanceSetId, TypeName};
use crate::note::Note;
use crate::secret::Secret;

/// Tags of an instance. Its `Debug` hides what stands under a key ending in `InstanceSecret`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets one tag.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    /// Whether every tag of `filter` is here with the same value.
    pub fn matches(&self, filter: &Self) -> bool {
        filter.0.iter().all(|(key, value)| self.get(key) == Some(value))
    }

    /// For people: what stands under a key ending in `InstanceSecret` is hidden.
    pub fn without_secrets(&self) -> BTreeMap<String, String> {
        let shown = |(key, value): (&String, &String)| {
            let is_secret = key.ends_with("InstanceSecret");
            (key.clone(), if is_secret { "(secret)".to_owned() } else { value.clone() })
        };
        self.0.iter().map(shown).collect()
    }

    /// Adds the others' tags, replacing equal keys.
    pub fn merge(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.without_secrets()).finish()
    }
}

/// The names of the tags that dispatchers set: `TagKeyPrefix` and a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagKeys {
    /// Whose VM it is.
    pub instance_set_id: String,
    /// The name of its configured type.
    pub instance_type: String,
    /// The operator's wish.
    pub idle_behavior: String,
    /// The secret that the VM proves itself with.
    pub instance_secret: String,
    /// Who has asked for the behaviour, and why; the reference has no such tag, and ignores it.
    pub idle_note: String,
    /// What it was made from; the reference has no such tag either.
    pub blueprint: String,
}

impl TagKeys {
    /// The keys under a prefix.
    pub fn new(prefix: &str) -> Self {
        Self {
            instance_set_id: format!("{prefix}InstanceSetID"),
            instance_type: format!("{prefix}InstanceType"),
            idle_behavior: format!("{prefix}IdleBehavior"),
            instance_secret: format!("{prefix}InstanceSecret"),
            idle_note: format!("{prefix}IdleBehaviorNote"),
            blueprint: format!("{prefix}InstanceBlueprint"),
        }
    }

    /// All of them: what is no site's own tag.
    pub fn all(&self) -> [&String; 6] {
        let Self { instance_set_id, instance_type, idle_behavior, instance_secret, idle_note, blueprint } =
            self;
        [instance_set_id, instance_type, idle_behavior, instance_secret, idle_note, blueprint]
    }

    /// The tags of a new instance.
    pub fn for_new(&self, set: &InstanceSetId, type_name: &TypeName, secret: &Secret) -> Tags {
        let mut tags = Tags::default();
        tags.insert(&*self.instance_set_id, set.as_str());
        tags.insert(&*self.instance_type, type_name.as_str());
        tags.insert(&*self.idle_behavior, IdleBehavior::Run.as_str());
        tags.insert(&*self.instance_secret, secret.expose());
        tags
    }

    /// The tags that an instance's type and behaviour are saved as.
    pub fn for_saving(&self, type_name: Option<&TypeName>, behavior: IdleBehavior) -> Tags {
        let mut tags = Tags::default();
        if let Some(name) = type_name {
            tags.insert(&*self.instance_type, name.as_str());
        }
        tags.insert(&*self.idle_behavior, behavior.as_str());
        tags
    }

    /// Adds who has asked for the behaviour, and why. An instance that has never had such a tag gets none as long as
    /// there is nothing to say; one that is over is emptied, as tags are not removed.
    pub fn add_note(&self, note: Option<&Note>, present: &Tags, tags: &mut Tags) {
        let is_there = present.get(&self.idle_note).is_some_and(|tag| !tag.is_empty());
        match note.filter(|note| note.says_something() || is_there) {
            Some(note) => tags.insert(&*self.idle_note, note.to_tag()),
            None if is_there => tags.insert(&*self.idle_note, ""),
            None => {}
        }
    }

    /// Who has asked for the behaviour of an instance, and why, as its tag says.
    pub fn note_of(&self, tags: &Tags) -> Option<Note> {
        tags.get(&self.idle_note).and_then(Note::from_tag)
    }

    /// The secret of an instance; `None` if there is none, or an empty one.
    pub fn secret_of(&self, tags: &Tags) -> Option<Secret> {
        tags.get(&self.instance_secret).filter(|text| !text.is_empty()).map(Secret::new)
    }
}

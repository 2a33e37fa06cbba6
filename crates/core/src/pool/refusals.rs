//! What the cloud said last when it refused a create, for each type: shown to whoever asks why a container waits.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::TypeName;
use crate::ports::{CloudError, CloudErrorKind};
use crate::time::Timestamp;

/// More of an error's text helps nobody.
const LONGEST_TEXT: usize = 1_000;

/// The last refusal of a create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When.
    pub at: Timestamp,
    /// The cloud's code.
    pub code: String,
    /// The cloud's text, cut at 1,000 characters.
    pub message: String,
}

/// The last refusal for each type. Bounded by the number of configured types.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<TypeName, Refusal>);

impl Refusals {
    /// A create of that type has failed; one that we have not sent is no refusal.
    pub(super) fn note(&mut self, type_name: &TypeName, error: &CloudError, now: Timestamp) {
        if error.kind != CloudErrorKind::NotSent {
            let message = error.message.chars().take(LONGEST_TEXT).collect();
            self.0.insert(type_name.clone(), Refusal { at: now, code: error.code.clone(), message });
        }
    }

    /// A create of that type has succeeded that was sent at `sent`: what was refused later still holds.
    pub(super) fn forget(&mut self, type_name: &TypeName, sent: Timestamp) {
        if self.0.get(type_name).is_some_and(|refusal| refusal.at <= sent) {
            self.0.remove(type_name);
        }
    }

    pub(super) fn by_type(&self) -> &BTreeMap<TypeName, Refusal> {
        &self.0
    }
}

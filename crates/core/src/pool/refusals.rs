//! What the cloud said last when it refused a create, or ended an instance that had not booted yet, for each type: shown to
//! whoever asks why a container waits.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::TypeName;
use crate::ports::{CloudError, CloudErrorKind};
use crate::time::Timestamp;

/// More of an error's text helps nobody.
const LONGEST_TEXT: usize = 1_000;

/// The code of an instance that the cloud has accepted, and ended while it was booting: the reason is its text.
const ENDED_WHILE_BOOTING: &str = "EndedWhileBooting";

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

impl Refusal {
    /// Whether the cloud has taken the order, and ended the instance while it was booting.
    pub fn is_end(&self) -> bool {
        self.code == ENDED_WHILE_BOOTING
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// The last refusal for each type. Bounded by the number of configured types.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<TypeName, Refusal>);

impl Refusals {
    /// A create of that type has failed; one that we have not sent is no refusal.
    pub(super) fn note(&mut self, type_name: &TypeName, error: &CloudError, now: Timestamp) {
        if error.kind != CloudErrorKind::NotSent {
            let message = cut(&error.message);
            self.0.insert(type_name.clone(), Refusal { at: now, code: error.code.clone(), message });
        }
    }

    /// The cloud has ended an instance of that type while it was booting, and has said why.
    pub(super) fn note_end(&mut self, type_name: &TypeName, reason: &str, now: Timestamp) {
        let (code, message) = (ENDED_WHILE_BOOTING.to_owned(), cut(reason));
        self.0.insert(type_name.clone(), Refusal { at: now, code, message });
    }

    /// A create of that type has succeeded that was sent at `sent`: what was refused later still holds, and so does what is
    /// accepted first.
    pub(super) fn forget(&mut self, type_name: &TypeName, sent: Timestamp) {
        if self.0.get(type_name).is_some_and(|refusal| refusal.at <= sent && !refusal.is_end()) {
            self.0.remove(type_name);
        }
    }

    /// An instance of that type has booted.
    pub(super) fn booted(&mut self, type_name: &TypeName) {
        if self.0.get(type_name).is_some_and(Refusal::is_end) {
            self.0.remove(type_name);
        }
    }

    pub(super) fn by_type(&self) -> &BTreeMap<TypeName, Refusal> {
        &self.0
    }
}

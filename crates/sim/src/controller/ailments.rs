//! What is wrong with single containers for ever, while the controller serves all others well.
//!
//! ```text
//!   a call about a container ──→ has it an ailment for that kind of call? ──yes──→ always the same refusal
//!   a read of its record     ──→ has its record one? ──→ the bad value: always, or in about every other read
//! ```
//! It never heals by itself: stopping the faults of the controller leaves it as it is.

use std::collections::{BTreeMap, BTreeSet};

use dispatch_core::id::ContainerUuid;
use serde_json::Value;

use super::errors::Refusal;
use super::faults::CallKind;

/// The settings. By default every container is well.
#[derive(Debug, Clone, Default)]
pub struct Ailments {
    answers: BTreeMap<(ContainerUuid, CallKind), u16>,
    records: BTreeMap<ContainerUuid, RecordAilment>,
    /// The answers to lists that name it.
    lists: BTreeMap<ContainerUuid, u16>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq)]
struct RecordAilment {
    attribute: String,
    value: Value,
    alternates: bool,
}

impl Ailments {
    /// Answers every call of that kind about that container with that status from now on. [`CallKind::List`]
    /// stands for the questions for its mounts. Processes on VMs are answered as usual.
    pub fn answer(&mut self, uuid: ContainerUuid, call: CallKind, status: u16) {
        self.answers.insert((uuid, call), status);
    }

    /// Answers every list of records that asks for that container by its uuid with that status from now on.
    pub fn hide(&mut self, uuid: ContainerUuid, status: u16) {
        self.lists.insert(uuid, status);
    }

    /// Gives one attribute of the record a bad value in every read, or in about every other one.
    pub fn record(&mut self, uuid: ContainerUuid, attribute: &str, value: Value, alternates: bool) {
        let attribute = attribute.to_owned();
        self.records.insert(uuid, RecordAilment { attribute, value, alternates });
    }

    /// All containers that have one.
    pub fn containers(&self) -> BTreeSet<ContainerUuid> {
        let named = self.records.keys().chain(self.lists.keys()).copied();
        self.answers.keys().map(|(uuid, _)| *uuid).chain(named).collect()
    }

    /// Heals everything.
    pub fn heal(&mut self) {
        *self = Self::default();
    }

    pub(super) fn refuse(&self, uuid: ContainerUuid, call: CallKind) -> Result<(), Refusal> {
        self.answers.get(&(uuid, call)).map_or(Ok(()), |status| Err(Refusal::Ailing(*status)))
    }

    /// Whether a list that asks for these containers by their uuids can be answered.
    pub(super) fn refuse_list(&self, uuids: &[ContainerUuid]) -> Result<(), Refusal> {
        let ailing = uuids.iter().find_map(|uuid| self.lists.get(uuid));
        ailing.map_or(Ok(()), |status| Err(Refusal::Ailing(*status)))
    }

    /// The bad values of the next read: container, attribute, and the value or `None` for the true one.
    pub(super) fn of_next_read(
        &self,
        mut is_bad: impl FnMut() -> bool,
    ) -> Vec<(ContainerUuid, String, Option<Value>)> {
        let shown = |(uuid, ailment): (&ContainerUuid, &RecordAilment)| {
            let bad = !ailment.alternates || is_bad();
            (*uuid, ailment.attribute.clone(), bad.then(|| ailment.value.clone()))
        };
        self.records.iter().map(shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid() -> ContainerUuid {
        "zzzzz-dz642-000000000000001".parse().unwrap()
    }

    #[test]
    fn only_the_calls_that_it_names_are_refused_until_it_heals() {
        let mut ailments = Ailments::default();
        ailments.answer(uuid(), CallKind::Lock, 502);
        assert_eq!(ailments.refuse(uuid(), CallKind::Lock), Err(Refusal::Ailing(502)));
        assert_eq!(ailments.refuse(uuid(), CallKind::Unlock), Ok(()));
        ailments.heal();
        assert_eq!(ailments.refuse(uuid(), CallKind::Lock), Ok(()));
    }

    #[test]
    fn a_record_that_alternates_is_bad_in_some_reads_only() {
        let mut ailments = Ailments::default();
        ailments.record(uuid(), "priority", Value::Null, true);
        let good = ailments.of_next_read(|| false);
        assert_eq!(good, [(uuid(), "priority".to_owned(), None)]);
        let bad = ailments.of_next_read(|| true);
        assert_eq!(bad, [(uuid(), "priority".to_owned(), Some(Value::Null))]);
    }
}

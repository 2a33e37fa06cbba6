//! What the things of an instance set are called. The names are those of the Go program, so that each cleans up what the
//! other has left:
//!
//! ```text
//!   VM    compute-SET-0123456789abcde          SET: the set's id, as far as Azure takes its characters
//!   NIC   compute-SET-0123456789abcde-nic      the last part: from the order's secret, so that the same order sent twice
//!   disks compute-SET-0123456789abcde-os       names the same VM
//!         compute-SET-0123456789abcde-scratch
//! ```
//! The last part has no `-`, so a name belongs to one set, even if that set's id is the beginning of another's.

use dispatch_core::secret::Secret;
use sha2::{Digest as _, Sha256};

/// A host's name is at most 64 characters on Linux.
const LONGEST: usize = 64;
const BEGINNING: &str = "compute-";
/// Length of the last part.
const OWN: usize = 15;
const LONGEST_LABEL: usize = LONGEST - BEGINNING.len() - 1 - OWN;
/// Length of what tells apart ids that Azure does not take as they are.
const HASH: usize = 8;

/// What the name of a NIC ends with.
pub(crate) const NIC: &str = "-nic";
/// What the name of a system disk ends with.
pub(crate) const OS_DISK: &str = "-os";
/// What the name of a disk of `AddedScratch` ends with.
pub(crate) const SCRATCH_DISK: &str = "-scratch";

/// The names of a set's things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetNames {
    prefix: String,
}

impl SetNames {
    /// Those of the set of that id.
    pub fn new(set: &str) -> Self {
        Self { prefix: format!("{BEGINNING}{}-", label(set)) }
    }

    /// The name of the VM of that order.
    pub fn machine(&self, set: &str, secret: &Secret) -> String {
        format!("{}{}", self.prefix, base36(&[set, secret.expose()], OWN))
    }

    /// The VM that a thing is or was for, if its name says that it is one of this set's, with that ending. Azure does not
    /// keep the case of letters.
    pub fn machine_of(&self, name: &str, ending: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let machine = name.strip_suffix(ending)?;
        let own = machine.strip_prefix(&self.prefix)?;
        let is_own = own.len() == OWN && own.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        is_own.then(|| machine.to_owned())
    }
}

/// The set's id, if it may be a part of a name; else what remains of it, and a hash of the whole.
fn label(set: &str) -> String {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !set.is_empty() && set.len() <= LONGEST_LABEL && set.chars().all(is_fine) {
        return set.to_owned();
    }
    let lower = set.to_ascii_lowercase();
    let kept = lower.chars().map(|c| if is_fine(c) { c } else { '-' }).take(LONGEST_LABEL - 1 - HASH);
    format!("{}-{}", kept.collect::<String>(), base36(&[set], HASH))
}

/// Letters and digits that follow from these texts; nobody finds the texts by them.
fn base36(texts: &[&str], length: usize) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let digest = hash.finalize();
    digest.iter().take(length).map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(set: &str, secret: &str) -> String {
        SetNames::new(set).machine(set, &Secret::new(secret))
    }

    #[test]
    fn the_same_order_has_the_same_name_and_no_other_has() {
        let name = machine("zzzzz-gj3su-0123456789abcde", "a secret");
        assert_eq!(name, machine("zzzzz-gj3su-0123456789abcde", "a secret"));
        assert_ne!(name, machine("zzzzz-gj3su-0123456789abcde", "another secret"));
        assert!(name.starts_with("compute-zzzzz-gj3su-0123456789abcde-") && name.len() == 51, "{name}");
        assert!(!name.contains("secret"));
    }

    #[test]
    fn whatever_the_set_is_called_azure_takes_the_names() {
        let long = "x".repeat(200);
        let mut seen = std::collections::BTreeSet::new();
        for set in
            ["cloudtest-USER@HOST.example.com", "cloudtest-user@host.example.com", "", "ü", "A", "a", &long]
        {
            let name = machine(set, "s");
            assert!(name.len() <= LONGEST, "{name}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{name}"
            );
            let ours = SetNames::new(set).machine_of(&format!("{name}-nic"), NIC);
            assert_eq!(ours.as_deref(), Some(name.as_str()));
            assert!(seen.insert(name), "two sets have one name");
        }
    }

    #[test]
    fn only_names_of_this_very_set_are_its_own() {
        let names = SetNames::new("a");
        let of = |name: &str| names.machine_of(name, OS_DISK);
        assert!(of("compute-a-0123456789abcde-os").is_some());
        assert!(of("COMPUTE-A-0123456789ABCDE-OS").is_some());
        for name in [
            "compute-a-b-0123456789abcde-os",
            "compute-a-bc-123456789abcd-os",
            "compute-ab-0123456789abcde-os",
            "compute-a-0123456789abcd-os",
            "compute-a-0123456789abcdef-os",
            "compute-a-0123456789abcde-nic",
            "compute-a-0123456789abcde",
            "xcompute-a-0123456789abcde-os",
            "compute-a--os",
            "",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }
}

//! What a VM is made from, as a short text in a tag of the VM: when the site would make it otherwise today, it has drifted.
//!
//! ```text
//!   ImageID, InstanceInitCommand ─► Blueprint ─┐
//!   the type's definition ─────────────────────┴─► of ─► 1-9f86d081884c7d65   written when the VM is created
//!                                                        │ └ first 64 bits of a SHA-256
//!                                                        └ the recipe's number
//!   the same, of today's configuration ── differs_from ── the VM's tag
//! ```
//! Only what cannot be changed on a VM that exists, or describes what it has, belongs to it. Its price does not, because a
//! new price holds for the VMs that there are. What every VM has of its own (its secret, our key) does not either.
//!
//! A VM without the tag was made by another dispatcher, or by an older release: nobody knows what it was made from, so it
//! is never called drifted. The same holds for a tag with another recipe's number: the two cannot be compared.

use sha2::{Digest, Sha256};

use crate::instance::InstanceType;

/// The recipe's number. Whoever changes what [`Blueprint::of`] puts together, or how, takes the next one: otherwise every
/// VM of the release before would seem to have drifted.
const RECIPE: &str = "1-";
/// As many bytes of the digest are kept. Two blueprints of one site are never the same by accident.
const KEPT: usize = 8;

/// What all VMs of a site are made from, whatever their type. It keeps a digest only: the command may have secrets in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blueprint([u8; 32]);

impl Blueprint {
    /// Of these values of `ImageID` and `InstanceInitCommand`.
    pub fn new(image: &str, init_command: &str) -> Self {
        let mut digest = Sha256::new();
        add(&mut digest, "image", image);
        add(&mut digest, "init command", init_command);
        Self(digest.finalize().into())
    }

    /// The tag of a VM of that type that is made today.
    pub fn of(&self, it: &InstanceType) -> String {
        let mut digest = Sha256::new();
        digest.update(self.0);
        add(&mut digest, "provider type", it.provider_type.as_str());
        add(&mut digest, "vcpus", &it.vcpus.to_string());
        add(&mut digest, "ram", &it.ram.to_string());
        add(&mut digest, "included scratch", &it.included_scratch.to_string());
        add(&mut digest, "added scratch", &it.added_scratch.to_string());
        add(&mut digest, "preemptible", if it.preemptible { "yes" } else { "no" });
        add(&mut digest, "gpu stack", &it.gpu.stack);
        add(&mut digest, "gpu driver version", &it.gpu.driver_version);
        add(&mut digest, "gpu hardware target", &it.gpu.hardware_target);
        add(&mut digest, "gpu device count", &it.gpu.device_count.to_string());
        add(&mut digest, "gpu vram", &it.gpu.vram.to_string());
        let hex: String = digest.finalize().iter().take(KEPT).map(|byte| format!("{byte:02x}")).collect();
        format!("{RECIPE}{hex}")
    }

    /// Whether a VM of that type with this tag would be made otherwise today. Not if nobody knows what it was made from.
    pub fn differs_from(&self, tag: Option<&str>, it: &InstanceType) -> bool {
        tag.is_some_and(|tag| tag.starts_with(RECIPE) && tag != self.of(it))
    }
}

/// With its length, so that no two lists of values look alike.
fn add(digest: &mut Sha256, name: &str, value: &str) {
    digest.update(format!("{name} {}\n{value}\n", value.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{policy, typed};
    use crate::id::ProviderType;
    use crate::instance::Price;

    fn small() -> InstanceType {
        InstanceType::clone(&typed(&policy(), "small"))
    }

    /// A release that gives another text for the same VM would renew every fleet.
    #[test]
    fn the_text_is_the_same_in_every_release() {
        let blueprint = Blueprint::new("ami-1", "mount /scratch");
        assert_eq!(blueprint.of(&small()), "1-08abb30a52fb4874");
    }

    #[test]
    fn whatever_a_vm_is_made_from_makes_another_text() {
        let blueprint = Blueprint::new("ami-1", "mount /scratch");
        let gpu = |change: fn(&mut crate::instance::Gpu)| {
            let mut it = small();
            change(&mut it.gpu);
            it
        };
        let types = [
            small(),
            InstanceType { provider_type: ProviderType::new("other").unwrap(), ..small() },
            InstanceType { vcpus: 77, ..small() },
            InstanceType { ram: 77, ..small() },
            InstanceType { included_scratch: 77, ..small() },
            InstanceType { added_scratch: 77, ..small() },
            InstanceType { preemptible: true, ..small() },
            gpu(|gpu| gpu.stack = "cuda".to_owned()),
            gpu(|gpu| gpu.driver_version = "12.0".to_owned()),
            gpu(|gpu| gpu.hardware_target = "9.0".to_owned()),
            gpu(|gpu| gpu.device_count = 1),
            gpu(|gpu| gpu.vram = 1),
        ];
        let mut texts: Vec<_> = types.iter().map(|it| blueprint.of(it)).collect();
        texts.push(Blueprint::new("ami-2", "mount /scratch").of(&small()));
        texts.push(Blueprint::new("ami-1", "mount /data").of(&small()));
        texts.push(Blueprint::new("ami-1mount /scratch", "").of(&small()));
        let different: std::collections::BTreeSet<_> = texts.iter().collect();
        assert_eq!(different.len(), texts.len(), "{texts:?}");
    }

    #[test]
    fn another_price_is_no_drift() {
        let blueprint = Blueprint::new("ami-1", "");
        let tag = blueprint.of(&small());
        let dearer = InstanceType { price: Price::new(77.0).unwrap(), ..small() };
        assert!(!blueprint.differs_from(Some(&tag), &dearer));
    }

    #[test]
    fn what_nobody_knows_is_no_drift() {
        let blueprint = Blueprint::new("ami-2", "");
        let before = Blueprint::new("ami-1", "").of(&small());
        assert!(blueprint.differs_from(Some(&before), &small()));
        for unknown in [None, Some(""), Some("2-9f86d081884c7d65"), Some("by hand")] {
            assert!(!blueprint.differs_from(unknown, &small()), "{unknown:?}");
        }
    }

    /// The command may have secrets in it, and a policy is printed.
    #[test]
    fn a_blueprint_does_not_keep_what_it_was_made_from() {
        let blueprint = Blueprint::new("ami-1", "export PASSWORD=hunter2");
        assert!(!format!("{blueprint:?}").contains("hunter2"));
    }
}

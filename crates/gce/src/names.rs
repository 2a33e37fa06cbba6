//! The names that this cloud knows things by: which are possible, and those of our own VMs.
//!
//! ```text
//!   set, secret ─ SHA-256 ─┬─► arvados-0123…   the VM's name: the same for an order that is sent twice
//!   and zone ──────────────┴─► 0123…-…         the request's id: the same for one that is sent twice there
//! ```

use dispatch_core::id::InstanceId;
use dispatch_core::secret::Secret;
use sha2::{Digest as _, Sha256};

/// Whether that is the name of a resource: `[a-z]([-a-z0-9]{0,61}[a-z0-9])?`.
pub(crate) fn is_resource_name(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(is_inner)
        && !text.ends_with('-')
}

/// Whether that can be a project's id: `lab-1`, or one of a domain's, `example.com:lab-1`.
pub(crate) fn is_project(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:".contains(c);
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(is_inner)
        && !text.contains("..")
}

/// The region of a zone: `us-central1` of `us-central1-a`. `None` = that is no zone's name.
pub(crate) fn region_of(zone: &str) -> Option<&str> {
    let (region, letter) = zone.rsplit_once('-')?;
    let is_zone = is_resource_name(zone) && region.contains('-') && !letter.is_empty();
    is_zone.then_some(region)
}

/// The last part of a resource's URL, which is its name.
pub(crate) fn last_part(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// A VM, as calls name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vm {
    /// Such as `us-central1-a`.
    pub zone: String,
    /// Its name, which is unique in its zone only.
    pub name: String,
}

impl Vm {
    /// A VM of that name in that zone, if both are names.
    pub fn new(zone: &str, name: &str) -> Option<Self> {
        let is_one = region_of(zone).is_some() && is_resource_name(name);
        is_one.then(|| Self { zone: zone.to_owned(), name: name.to_owned() })
    }

    /// The VM of an id: `ZONE/NAME`.
    pub fn of_id(id: &InstanceId) -> Option<Self> {
        let (zone, name) = id.as_str().split_once('/')?;
        Self::new(zone, name)
    }

    /// Its id, `ZONE/NAME`.
    pub fn id(&self) -> InstanceId {
        InstanceId::new(&format!("{}/{}", self.zone, self.name)).expect("two short names make an id")
    }
}

/// The name of the VM of an order: the same whenever it is sent.
pub(crate) fn of_order(set: &str, secret: &Secret) -> String {
    let digest = digest(&["name", set, secret.expose()]);
    format!("arvados-{}", hex::encode(&digest[..16]))
}

/// The id of the request that makes it in a zone: a request that is sent twice there is one. In another zone it is another
/// request.
pub(crate) fn request_id(set: &str, secret: &Secret, zone: &str) -> String {
    let digest = digest(&["request", set, secret.expose(), zone]);
    let mut bytes: [u8; 16] = digest[..16].try_into().expect("a digest has 32 bytes");
    // A UUID of version 8, which is made as its maker likes.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    let part = |from: usize, to: usize| &text[from..to];
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn digest(parts: &[&str]) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update("arvados-dispatch-cloud instances.insert");
    for part in parts {
        digest.update("\0");
        digest.update(part);
    }
    digest.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_would_lead_elsewhere_in_a_url() {
        for name in ["a", "arvados-0", &"a".repeat(63)] {
            assert!(is_resource_name(name), "{name}");
        }
        for name in ["", "A", "0a", "a-", "a/b", "a..", "a b", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_resource_name(name), "{name}");
        }
        for project in ["lab-1", "example.com:lab", "123456"] {
            assert!(is_project(project), "{project}");
        }
        for project in ["", "Lab", "a/b", "..", "a..b", "a?b", "-a"] {
            assert!(!is_project(project), "{project}");
        }
    }

    #[test]
    fn a_zone_has_a_region() {
        assert_eq!(region_of("us-central1-a"), Some("us-central1"));
        assert_eq!(region_of("me-central2-ai1a"), Some("me-central2"));
        for zone in ["", "a", "us-central1", "us-central1-", "us/central1-a", "US-CENTRAL1-A"] {
            assert_eq!(region_of(zone), None, "{zone}");
        }
    }

    #[test]
    fn an_id_names_zone_and_vm_and_nothing_else() {
        let vm = Vm::new("us-central1-a", "arvados-1").unwrap();
        assert_eq!(vm.id().as_str(), "us-central1-a/arvados-1");
        assert_eq!(Vm::of_id(&vm.id()), Some(vm));
        for id in ["i-1", "us-central1-a/", "/x", "us-central1-a/x/y", "../x", "us-central1-a/../x"] {
            assert_eq!(Vm::of_id(&InstanceId::new(id).unwrap()), None, "{id}");
        }
    }

    #[test]
    fn an_order_sent_twice_has_one_name_and_in_one_zone_one_request() {
        let (secret, other) = (Secret::new("0123456789abcdef"), Secret::new("another"));
        assert_eq!(of_order("set", &secret), of_order("set", &secret));
        assert_ne!(of_order("set", &secret), of_order("set", &other));
        assert_ne!(of_order("set", &secret), of_order("another", &secret));
        assert!(is_resource_name(&of_order("set", &secret)) && of_order("set", &secret).len() == 40);
        let in_zone = |zone| request_id("set", &secret, zone);
        assert_eq!(in_zone("a-b-c"), in_zone("a-b-c"));
        assert_ne!(in_zone("a-b-c"), in_zone("a-b-d"));
        assert_ne!(in_zone("a-b-c")[..8], of_order("set", &secret)[8..16], "one does not tell the other");
        assert!(!in_zone("a-b-c").contains("0123456789abcdef"));
    }

    #[test]
    fn a_requests_id_is_a_uuid() {
        let id = request_id("set", &Secret::new("secret"), "a-b-c");
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(id.as_bytes()[14] == b'8' && "89ab".contains(&id[19..20]), "{id}");
    }
}

//! Whether a host key is a VM's: Google's guest agent publishes it as a guest attribute.
//!
//! ```text
//!   VM and key ─ found genuine before ─────────────────────────► Genuine
//!       │ judged less than half a minute ago ──────────────────► the same again
//!       │ more than a call allows, or not to be asked now ─────► NotSupported: the secret on the VM decides
//!       └─ getGuestAttributes ─┬─ the same key ────────────────► Genuine
//!                              ├─ another key of its algorithm ► Forged
//!                              ├─ none of its algorithm ───────► NotSupported
//!                              └─ 404 (not yet), 403 (we may not) ─► NotSupported
//! ```
//! The question is asked outside the pacing of calls, for each connection: so it is limited here. What is let through
//! unasked is proven as on clouds that publish no keys.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_cloud_kit::{Failure, Meaning};
use dispatch_core::id::InstanceId;
use dispatch_core::ports::{HostKey, HostKeyVerdict};
use dispatch_core::time::{Timestamp, after, since};

use crate::errors::is_absent;

/// A minute has about 1,500 questions of all kinds for all of the project.
const EACH_MINUTE: u32 = 300;
const MINUTE: Duration = Duration::from_secs(60);
/// How long a verdict holds that may change: a key is published some time after sshd has begun to answer.
const HOLDS: Duration = Duration::from_secs(30);
/// The longest that the cloud is believed when it asks for patience; whoever answers may be a proxy.
const LONGEST_QUIET: Duration = Duration::from_secs(300);
/// How many verdicts are remembered.
const MOST: usize = 20_000;

/// A VM, and the algorithm and text of a key that it has shown.
type Shown = (InstanceId, String, String);

/// What was found, and how often was asked.
#[derive(Debug, Default)]
pub(crate) struct HostKeys {
    verdicts: RefCell<BTreeMap<Shown, (HostKeyVerdict, Timestamp)>>,
    /// When the minute began, and how many questions it has seen.
    minute: Cell<Option<(Timestamp, u32)>>,
    /// Not asked before: the cloud has asked for patience.
    quiet_until: Cell<Option<Timestamp>>,
}

impl HostKeys {
    /// The verdict without a question; `None` = ask.
    pub fn known(&self, id: &InstanceId, key: &HostKey, now: Timestamp) -> Option<HostKeyVerdict> {
        let verdicts = self.verdicts.borrow();
        let known = verdicts
            .get(&named(id, key))
            .filter(|(verdict, found)| *verdict == HostKeyVerdict::Genuine || since(now, *found) < HOLDS);
        if let Some((verdict, _)) = known {
            return Some(*verdict);
        }
        (!self.may_ask(now)).then_some(HostKeyVerdict::NotSupported)
    }

    /// Counts a question, if one more is allowed.
    fn may_ask(&self, now: Timestamp) -> bool {
        if self.quiet_until.get().is_some_and(|until| now < until) {
            return false;
        }
        let (began, asked) = match self.minute.get() {
            Some((began, asked)) if since(now, began) < MINUTE => (began, asked),
            _ => (now, 0),
        };
        if asked >= EACH_MINUTE {
            return false;
        }
        self.minute.set(Some((began, asked + 1)));
        true
    }

    /// What an answer says of the key.
    pub fn judge(
        &self,
        id: &InstanceId,
        key: &HostKey,
        answer: Result<Vec<(String, String)>, Failure>,
        now: Timestamp,
    ) -> Result<HostKeyVerdict, Failure> {
        let verdict = match answer {
            Ok(published) => compare(key, &published),
            Err(failure) => self.unanswered(failure, now)?,
        };
        let mut verdicts = self.verdicts.borrow_mut();
        if verdicts.len() >= MOST {
            verdicts.clear();
        }
        verdicts.insert(named(id, key), (verdict, now));
        Ok(verdict)
    }

    /// Not published yet, not ours to read, or not now.
    fn unanswered(&self, failure: Failure, now: Timestamp) -> Result<HostKeyVerdict, Failure> {
        let wait = match failure.meaning {
            Meaning::ThrottledFor(wait) => Some(wait),
            Meaning::Throttled => Some(MINUTE),
            _ => None,
        };
        if let Some(wait) = wait {
            self.quiet_until.set(Some(after(now, wait.min(LONGEST_QUIET))));
        }
        let is_no_answer = wait.is_some() || is_absent(&failure) || is_forbidden(&failure);
        if is_no_answer { Ok(HostKeyVerdict::NotSupported) } else { Err(failure) }
    }
}

fn is_forbidden(failure: &Failure) -> bool {
    ["forbidden", "insufficientPermissions", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED"]
        .contains(&failure.code.as_str())
}

fn named(id: &InstanceId, key: &HostKey) -> Shown {
    (id.clone(), key.algorithm.clone(), key.base64.clone())
}

/// A VM may have several keys, one of each algorithm.
fn compare(key: &HostKey, published: &[(String, String)]) -> HostKeyVerdict {
    let of_algorithm = published.iter().filter(|(algorithm, _)| *algorithm == key.algorithm);
    let values: Vec<_> = of_algorithm.filter_map(|(_, value)| value.split_whitespace().next()).collect();
    match values.contains(&key.base64.trim()) {
        true => HostKeyVerdict::Genuine,
        false if values.is_empty() => HostKeyVerdict::NotSupported,
        false => HostKeyVerdict::Forged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> InstanceId {
        InstanceId::new("us-central1-a/arvados-1").unwrap()
    }

    fn key(base64: &str) -> HostKey {
        HostKey { algorithm: "ssh-ed25519".to_owned(), base64: base64.to_owned() }
    }

    fn at(second: u64) -> Timestamp {
        after(Timestamp::UNIX_EPOCH, Duration::from_secs(second))
    }

    fn published(pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
        Ok(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_key_is_compared_with_the_published_one_of_its_algorithm() {
        let judge =
            |pairs: &[(&str, &str)]| HostKeys::default().judge(&id(), &key("AAAA"), published(pairs), at(0));
        assert_eq!(judge(&[("ssh-rsa", "BBBB"), ("ssh-ed25519", "AAAA")]), Ok(HostKeyVerdict::Genuine));
        assert_eq!(judge(&[("ssh-ed25519", "AAAA root@host\n")]), Ok(HostKeyVerdict::Genuine));
        assert_eq!(judge(&[("ssh-ed25519", "BBBB")]), Ok(HostKeyVerdict::Forged));
        assert_eq!(judge(&[("ssh-ed25519", "AAAAA")]), Ok(HostKeyVerdict::Forged));
        assert_eq!(judge(&[("ssh-rsa", "AAAA")]), Ok(HostKeyVerdict::NotSupported));
        assert_eq!(judge(&[]), Ok(HostKeyVerdict::NotSupported));
    }

    #[test]
    fn what_is_not_published_or_not_ours_to_read_is_not_supported_and_other_failures_are_told() {
        let judge = |meaning, code: &str| {
            let answer = Err(Failure::ours(meaning, code, ""));
            HostKeys::default().judge(&id(), &key("AAAA"), answer, at(0)).map_err(|failure| failure.code)
        };
        let not_supported = Ok(HostKeyVerdict::NotSupported);
        assert_eq!(judge(Meaning::Other, "notFound"), not_supported);
        assert_eq!(judge(Meaning::Other, "forbidden"), not_supported);
        assert_eq!(judge(Meaning::Throttled, "rateLimitExceeded"), not_supported);
        assert_eq!(judge(Meaning::Unknown, "timeout"), Err("timeout".to_owned()));
        assert_eq!(judge(Meaning::Unauthorized, "authError"), Err("authError".to_owned()));
    }

    #[test]
    fn a_genuine_key_is_asked_for_once_and_any_other_verdict_holds_for_half_a_minute() {
        let keys = HostKeys::default();
        for (value, verdict, later) in [
            ("AAAA", HostKeyVerdict::Genuine, Some(HostKeyVerdict::Genuine)),
            ("BBBB", HostKeyVerdict::Forged, None),
        ] {
            let shown = key(value);
            assert_eq!(keys.known(&id(), &shown, at(0)), None);
            keys.judge(&id(), &shown, published(&[("ssh-ed25519", "AAAA")]), at(0)).unwrap();
            assert_eq!(keys.known(&id(), &shown, at(29)), Some(verdict));
            assert_eq!(keys.known(&id(), &shown, at(3600)), later);
        }
        let other = InstanceId::new("us-central1-b/arvados-1").unwrap();
        assert_eq!(keys.known(&other, &key("AAAA"), at(0)), None, "another VM's is another");
    }

    #[test]
    fn more_than_a_minute_allows_is_not_asked() {
        let keys = HostKeys::default();
        let asked = |second| {
            let unasked = |it: &u32| keys.known(&id(), &key(&it.to_string()), at(second)).is_none();
            (0..1000).filter(unasked).count()
        };
        assert_eq!([asked(0), asked(59), asked(60)], [300, 0, 300]);
    }

    #[test]
    fn nothing_is_asked_as_long_as_the_cloud_wants() {
        let keys = HostKeys::default();
        let slow = Failure::ours(Meaning::ThrottledFor(Duration::from_secs(10)), "rateLimitExceeded", "");
        keys.judge(&id(), &key("AAAA"), Err(slow), at(0)).unwrap();
        assert_eq!(keys.known(&id(), &key("BBBB"), at(9)), Some(HostKeyVerdict::NotSupported));
        assert_eq!(keys.known(&id(), &key("BBBB"), at(10)), None);
    }

    #[test]
    fn nobody_makes_it_ask_nothing_for_ever() {
        let keys = HostKeys::default();
        let slow = Failure::ours(Meaning::ThrottledFor(Duration::MAX), "rateLimitExceeded", "");
        keys.judge(&id(), &key("AAAA"), Err(slow), at(0)).unwrap();
        assert_eq!(keys.known(&id(), &key("BBBB"), at(299)), Some(HostKeyVerdict::NotSupported));
        assert_eq!(keys.known(&id(), &key("BBBB"), at(300)), None);
    }

    #[test]
    fn verdicts_do_not_fill_the_memory() {
        let keys = HostKeys::default();
        for number in 0..=MOST {
            keys.judge(&id(), &key(&number.to_string()), published(&[]), at(0)).unwrap();
        }
        assert_eq!(keys.verdicts.borrow().len(), 1);
    }
}

//! What comes back with every order is logged once, and then once a minute with a count.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use dispatch_core::time::{Timestamp, since};

const QUIET: Duration = Duration::from_secs(60);
/// Codes are a cloud's, and it has hundreds: nobody fills our memory with them.
const MOST: usize = 1000;

/// When what was logged last, by subject.
#[derive(Debug, Default)]
pub struct Repeats(RefCell<BTreeMap<String, Seen>>);

#[derive(Debug)]
struct Seen {
    logged: Timestamp,
    left_out: u64,
}

impl Repeats {
    /// It has happened again. `Some(n)`: log it now, n times have been left out since the last; `None`: leave it out.
    pub fn note(&self, subject: &str, now: Timestamp) -> Option<u64> {
        let mut seen = self.0.borrow_mut();
        if let Some(it) = seen.get_mut(subject) {
            if since(now, it.logged) < QUIET {
                it.left_out += 1;
                return None;
            }
            it.logged = now;
            return Some(std::mem::take(&mut it.left_out));
        }
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(subject.to_owned(), Seen { logged: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use dispatch_core::time::after;

    use super::*;

    #[test]
    fn a_subject_is_told_once_and_then_once_a_minute_with_a_count() {
        let repeats = Repeats::default();
        let at = |seconds| after(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds));
        let told = [0, 1, 59, 60, 61, 120].map(|second| repeats.note("a", at(second)));
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
        assert_eq!(repeats.note("b", at(121)), Some(0), "each subject on its own");
    }
}

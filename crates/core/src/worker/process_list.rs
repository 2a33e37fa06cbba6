//! What `--list` printed, read so that nothing that lives is taken for ended.
//!
//! ```text
//!   UUID             lives              UUID stale    is dead, a helper holds its lock
//!   UUID and more    lives              broken        the instance calls itself broken
//!   another cluster's UUID: left out    anything else: skipped, and told once
//!
//!   the last line has no newline, or there are too many ─► cut: proves who lives, and nobody's end
//! ```
//! A runner of another version may say more of a process than we know, and a login shell may say something before.

use crate::id::ContainerUuid;

/// No instance runs as many. What follows is not read: one instance must not keep us busy for seconds.
const MOST_LINES: usize = 1000;
const MOST_BYTES: usize = 1 << 20;
/// How much of a line is quoted, in characters.
const QUOTED: usize = 200;

/// What `--list` printed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessList {
    /// Living processes, by container, sorted.
    pub running: Vec<ContainerUuid>,
    /// Processes that are dead while a helper holds their lock, sorted.
    pub stale: Vec<ContainerUuid>,
    /// The instance calls itself broken.
    pub broken: bool,
    /// Some of it is missing: nothing has ended because it is not here.
    pub is_cut: bool,
    /// The first line that makes no sense, cut to 200 characters.
    pub strange: Option<String>,
}

impl ProcessList {
    /// Reads it; `cluster` are the five characters that our uuids begin with.
    pub fn read(stdout: &[u8], cluster: &str) -> Self {
        let read = &stdout[..stdout.len().min(MOST_BYTES)];
        let text = String::from_utf8_lossy(read);
        let ends_well = text.is_empty() || text.ends_with('\n');
        let mut list = Self { is_cut: !ends_well || read.len() < stdout.len(), ..Self::default() };
        let mut lines = text.split_inclusive('\n');
        for line in lines.by_ref().take(MOST_LINES) {
            list.take_line(line, cluster);
        }
        list.is_cut |= lines.next().is_some();
        for uuids in [&mut list.running, &mut list.stale] {
            uuids.sort_unstable();
            uuids.dedup();
        }
        list
    }

    fn take_line(&mut self, line: &str, cluster: &str) {
        // What has no end proves nothing: the rest may have been ` stale`.
        let Some(line) = line.strip_suffix('\n').map(str::trim) else { return };
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (first.parse::<ContainerUuid>(), rest.trim()) {
            (Ok(uuid), _) if uuid.cluster() != cluster => {}
            (Ok(uuid), "stale") => self.stale.push(uuid),
            (Ok(uuid), _) => self.running.push(uuid),
            (Err(_), "") if first == "broken" => self.broken = true,
            (Err(_), "") if first.is_empty() => {}
            (Err(_), _) => {
                self.strange.get_or_insert_with(|| line.chars().take(QUOTED).collect());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "zzzzz-dz642-000000000000001";
    const TWO: &str = "zzzzz-dz642-000000000000002";

    fn read(text: &str) -> ProcessList {
        ProcessList::read(text.as_bytes(), "zzzzz")
    }

    fn uuids(texts: &[&str]) -> Vec<ContainerUuid> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_uuid_of_ours_lives_whatever_follows_except_stale_alone() {
        for rest in ["", " paused", " stale extra", "\tstale-ish", " broken", " \u{fffd}"] {
            let list = read(&format!("{ONE}{rest}\n"));
            assert_eq!((list.running, list.stale, list.is_cut), (uuids(&[ONE]), vec![], false), "{rest:?}");
        }
        let list = read(&format!("{ONE} stale\n"));
        assert_eq!((list.running, list.stale), (vec![], uuids(&[ONE])));
    }

    #[test]
    fn other_lines_are_skipped_and_the_first_is_quoted() {
        let list = read(&format!("Welcome to Debian\n\n{ONE}\nother-dz642-000000000000003\nhello\nbroken\n"));
        assert_eq!((list.running, list.broken, list.is_cut), (uuids(&[ONE]), true, false));
        assert_eq!(list.strange.as_deref(), Some("Welcome to Debian"));
        assert_eq!(read(&format!("{}\n", "x".repeat(9_000))).strange.map(|it| it.len()), Some(200));
    }

    #[test]
    fn a_list_whose_last_line_has_no_newline_is_cut() {
        assert!(!read("").is_cut);
        let whole = format!("{ONE}\n{TWO} stale\nbroken\n");
        for length in 1..whole.len() {
            let list = read(&whole[..length]);
            assert_eq!(list.is_cut, !whole[..length].ends_with('\n'), "{length}");
            assert_eq!((list.strange, list.broken), (None, false), "{length}");
            let lines = whole[..length].matches('\n').count();
            assert_eq!(
                (list.running.len(), list.stale.len()),
                (lines.min(1), lines.saturating_sub(1)),
                "{length}"
            );
        }
    }

    #[test]
    fn a_list_without_end_is_cut_after_a_thousand_lines_or_a_mebibyte() {
        let many: String = (0..20_000).map(|n| format!("zzzzz-dz642-{n:015}\n")).collect();
        let list = read(&many);
        assert_eq!((list.running.len(), list.is_cut), (1_000, true));
        let wide = format!("{}\n{ONE}\n", "x".repeat(2 << 20));
        let list = read(&wide);
        assert_eq!((list.running.len(), list.is_cut), (0, true));
        let most: String = (0..1_000).map(|n| format!("zzzzz-dz642-{n:015}\n")).collect();
        assert_eq!((read(&most).running.len(), read(&most).is_cut), (1_000, false));
    }
}

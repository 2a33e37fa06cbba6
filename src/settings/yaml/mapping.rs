//! The entries of one map: own keys, keys given twice, and what `<<` merges.
//!
//! The libraries that read the same file agree about a merge only if it stands before the keys of its own: the site's
//! other services let what comes later win, YAML lets own keys win wherever they stand. Where that makes a difference
//! the map is refused.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{YamlError, refuse};
use super::{Entry, Kind, Node, Position, Scalar};

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is new.
    New,
    /// It stands where the same key, from that place, stood.
    InPlaceOf(Position),
}

/// A map that is being read.
#[derive(Default)]
pub(super) struct Mapping {
    /// The entries, each with where it, or the `<<` that brings it in, stands.
    entries: Vec<(Position, Entry)>,
    /// Where each key is in `entries`.
    places: BTreeMap<String, usize>,
    /// What each `<<` brings in, earlier sources first.
    merges: Vec<(Position, Vec<Entry>)>,
}

impl Mapping {
    /// Takes an entry in, or what `<<` merges.
    pub(super) fn place(&mut self, key: Scalar, at: Position, value: Node) -> Result<Placed, YamlError> {
        if key.text == "<<" && !key.quoted {
            self.merges.push((at, sources(value, at)?));
            return Ok(Placed::New);
        }
        let entry = Entry { key, at: Some(at), value };
        let Some(place) = self.places.get(&entry.key.text).copied() else {
            self.add(at, entry);
            return Ok(Placed::New);
        };
        let (earlier, _) = std::mem::replace(&mut self.entries[place], (at, entry));
        Ok(Placed::InPlaceOf(earlier))
    }

    /// All entries; refused if what an entry is depends on the reader.
    pub(super) fn finish(mut self) -> Result<Vec<Entry>, YamlError> {
        for (at, sources) in std::mem::take(&mut self.merges) {
            let mut seen = BTreeSet::new();
            // Within one `<<` the earlier source wins, for every reader.
            for entry in sources.into_iter().filter(|entry| seen.insert(entry.key.text.clone())) {
                match self.places.get(&entry.key.text) {
                    None => self.add(at, entry),
                    Some(place) => check_order(&self.entries[*place], at, &entry)?,
                }
            }
        }
        Ok(self.entries.into_iter().map(|(_, entry)| entry).collect())
    }

    fn add(&mut self, at: Position, entry: Entry) {
        self.places.insert(entry.key.text.clone(), self.entries.len());
        self.entries.push((at, entry));
    }
}

/// An entry that stands before a `<<` must not be another than what that merges under the same key.
fn check_order(
    (stands, entry): &(Position, Entry),
    merge: Position,
    merged: &Entry,
) -> Result<(), YamlError> {
    if *stands > merge || means_the_same(&entry.value, &merged.value) {
        return Ok(());
    }
    let line = |at: Option<Position>| at.map_or(0, |at| at.line);
    let (at, key, from, own) = (merge.line, &entry.key.text, line(merged.at), line(entry.at));
    refuse(
        merge,
        format!(
            "the `<<` of line {at} brings in the key `{key}` (from line {from}), and line {own} has it with another \
             value: the site's other services would take the merged one, other YAML readers the one in line {own}; \
             move `<<` before the other keys, so that they win, or delete the key that you do not mean"
        ),
    )
}

/// Whether two values are the same, wherever they stand.
fn means_the_same(a: &Node, b: &Node) -> bool {
    match (&a.kind, &b.kind) {
        (Kind::Null, Kind::Null) => true,
        (Kind::Scalar(a), Kind::Scalar(b)) => a == b,
        (Kind::List(a), Kind::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| means_the_same(a, b))
        }
        (Kind::Map(a), Kind::Map(b)) => {
            let same = |(a, b): (&Entry, &Entry)| a.key == b.key && means_the_same(&a.value, &b.value);
            a.len() == b.len() && a.iter().zip(b).all(same)
        }
        (Kind::Null | Kind::Scalar(_) | Kind::List(_) | Kind::Map(_), _) => false,
    }
}

/// The entries that `<<: *map` or `<<: [*map, *map]` brings in.
fn sources(value: Node, at: Position) -> Result<Vec<Entry>, YamlError> {
    let sources = match value.kind {
        Kind::List(items) => items,
        kind => vec![Node { at: value.at, kind }],
    };
    let mut entries = Vec::new();
    for source in sources {
        match source.kind {
            Kind::Map(more) => entries.extend(more),
            Kind::Null | Kind::Scalar(_) | Kind::List(_) => {
                return refuse(at, "what `<<` merges has to be a map or a list of maps");
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn a_merge_before_own_keys_lets_them_win_everywhere() {
        for text in [
            "b: &b {x: 1}\nm:\n  <<: *b\n  x: 2\n",
            "b: &b {x: 2}\nm:\n  x: 2\n  <<: *b\n",
            "b: &b {x: 1}\nm:\n  x: 0\n  <<: *b\n  x: 2\n",
        ] {
            let tree = read(text).unwrap().tree;
            let merged = format!("{:?}", tree.get("m").unwrap().get("x").unwrap().kind);
            assert!(merged.contains("\"2\""), "{text:?}: {merged}");
        }
    }

    #[test]
    fn a_merge_after_own_keys_is_refused_with_both_lines_where_it_makes_a_difference() {
        for text in [
            "b: &b {y: 0,\n  x: 1}\nm:\n  x: 2\n  <<: *b\n",
            "b: &b {y: 0,\n  x: 1}\nm:\n  x: {z: 1}\n  <<: [{w: 1}, *b]\n",
            "b: &b {y: 0,\n  x: 1}\nm:\n  <<: {x: 2}\n  <<: *b\n",
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.at.unwrap().line, 5, "{error}");
            for words in ["line 5", "line 2", "line 4", "key `x`", "move `<<` before"] {
                assert!(error.message.contains(words), "{words} is not in: {error}");
            }
        }
    }
}

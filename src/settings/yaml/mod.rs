//! The site's file as a tree of our own, whose scalars keep text, quoting and position.
//!
//! ```text
//!   bytes ── read ──> Document ──> notes                      a key given twice, a second document
//!                       |          (mapping: `<<` and keys given twice)
//!                     Node (text, quoted?, line, column)      anchors and merge keys resolved
//!                       |
//!                     plain                                   what a YAML 1.1 reader makes of an unquoted scalar,
//!                                                             or that readers disagree about it
//! ```
//! The file is read by several programs with several YAML libraries. None of them is guessed at here: what
//! an unquoted scalar means is decided late, when the type that its key wants is known.

mod mapping;
pub mod plain;
mod read;

pub use read::{YamlError, read};

use zeroize::Zeroize as _;

/// Where something stands in the file; both count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// The first document of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its value.
    pub tree: Node,
    /// What is odd about how it is written, in the order of the text.
    pub notes: Vec<Note>,
}

/// Something odd about how a text is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is.
    pub kind: NoteKind,
    /// Where it stands.
    pub at: Position,
    /// The keys that lead to it; empty = the text as a whole.
    pub path: String,
    /// A sentence about it.
    pub message: String,
}

/// What is odd about how a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// A key is given twice in one map.
    Twice,
    /// A second document follows.
    AnotherDocument,
}

/// A value of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands; `None` = it is a default.
    pub at: Option<Position>,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `null`, `~` or nothing.
    Null,
    /// A text, number or truth value: which of them is for its key to say.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// The text of a scalar, escapes resolved. It may be a secret: the memory that it lies in is overwritten when it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Whether it is a text whatever it looks like: quoted, a block, or tagged `!!str`.
    pub quoted: bool,
}

impl Drop for Scalar {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Scalar,
    /// Where the key stands; `None` = it is a default.
    pub at: Option<Position>,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The value under a key of a map; nulls are as if absent.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries
            .iter()
            .find(|entry| entry.key.text == key)
            .map(|entry| &entry.value)
            .filter(|it| !it.is_null())
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Kind::Map(entries) = &mut self.kind else { return None };
        entries
            .iter_mut()
            .find(|entry| entry.key.text == key)
            .map(|entry| &mut entry.value)
            .filter(|it| !it.is_null())
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.kind == Kind::Null
    }

    /// How many values it consists of, itself included.
    pub fn size(&self) -> usize {
        1 + match &self.kind {
            Kind::Null | Kind::Scalar(_) => 0,
            Kind::List(items) => items.iter().map(Self::size).sum::<usize>(),
            Kind::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
        }
    }

    /// What it is, for error texts.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }
}

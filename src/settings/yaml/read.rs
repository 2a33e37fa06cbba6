//! Events of the parser → tree. Bounded in depth and size, so that no file can exhaust us.

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag, options};

use super::mapping::{Mapping, Placed};
use super::{Document, Kind, Node, Note, NoteKind, Position, Scalar};

/// More values than any site has; aliases count as what they stand for.
const MAX_VALUES: usize = 500_000;
const MAX_DEPTH: usize = 64;

/// Why a file is not a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// The position in the file.
    pub at: Option<Position>,
    /// What is wrong, and what is accepted.
    pub message: String,
}

/// Reads the first document of a text; an empty text is null. Of a key that is given twice the last value counts.
/// Both are noted, with the place, because they are rarely meant.
///
/// # Errors
/// If it is not YAML, has complex keys, foreign tags, an alias within what it stands for, or a merge whose result
/// depends on the reader, or is too deep or too large once its aliases are resolved.
pub fn read(text: &str) -> Result<Document, YamlError> {
    let options = options! {
        emit_comments: false,
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let reader = Reader {
        parser,
        anchors: BTreeMap::new(),
        budget: MAX_VALUES,
        path: String::new(),
        notes: Vec::new(),
    };
    reader.stream()
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

pub(super) fn refuse<T>(at: Position, message: impl Into<String>) -> Result<T, YamlError> {
    Err(YamlError { at: Some(at), message: message.into() })
}

struct Reader<'text> {
    parser: Parser<'text, StrInput<'text>>,
    /// What each finished anchor stands for.
    anchors: BTreeMap<usize, Node>,
    budget: usize,
    /// The keys that lead to what is being read.
    path: String,
    notes: Vec<Note>,
}

impl<'text> Reader<'text> {
    fn stream(mut self) -> Result<Document, YamlError> {
        let mut tree = Node { at: None, kind: Kind::Null };
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentEnd => {
                    self.note_another_document();
                    break;
                }
                Event::StreamStart | Event::DocumentStart(..) => {}
                event => tree = self.node(event, span, 0)?,
            }
        }
        Ok(Document { tree, notes: self.notes })
    }

    /// What follows the first document is not read, and need not even be YAML.
    fn note_another_document(&mut self) {
        let at = match self.parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => return,
            Some(Ok((_, span))) => position(&span.start),
            Some(Err(error)) => position(error.marker()),
        };
        let message = "a second document begins here: only the first is read".to_owned();
        self.notes.push(Note { kind: NoteKind::AnotherDocument, at, path: String::new(), message });
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => refuse(
                position(error.marker()),
                format!(
                    "not YAML: {}; quote a text that has signs such as , : # & * ! @ in it",
                    error.info()
                ),
            ),
            None => Err(YamlError { at: None, message: "not YAML: it ends too early".to_owned() }),
        }
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, YamlError> {
        let at = position(&span.start);
        self.spend(1, at)?;
        if depth > MAX_DEPTH {
            return refuse(at, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        let anchor = event.anchor_id().filter(|id| *id != 0 && !event.is_alias());
        let kind = match event {
            Event::Scalar(text, style, _, tag) => scalar(text.into_owned(), style, tag.as_deref(), at)?,
            Event::SequenceStart(_, _, tag) => {
                check_collection_tag(tag.as_deref(), at)?;
                self.list(depth)?
            }
            Event::MappingStart(_, _, tag) => {
                check_collection_tag(tag.as_deref(), at)?;
                self.map(depth)?
            }
            Event::Alias(id) => return self.alias(id, at),
            _ => return refuse(at, "a value was expected here"),
        };
        let node = Node { at: Some(at), kind };
        if let Some(id) = anchor {
            self.spend(node.size(), at)?;
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Kind, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, span) => {
                    let step = format!("[{}]", items.len());
                    items.push(self.below(&step, event, span, depth)?);
                }
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, YamlError> {
        let mut mapping = Mapping::default();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Kind::Map(mapping.finish()?));
            }
            let at = position(&span.start);
            let Kind::Scalar(key) = self.key(event, span, depth)? else {
                return refuse(at, "a key has to be a text");
            };
            let (event, span) = self.next()?;
            let step = if self.path.is_empty() { key.text.clone() } else { format!(".{}", key.text) };
            let value = self.below(&step, event, span, depth)?;
            if let Placed::InPlaceOf(first) = mapping.place(key, at, value)? {
                let (first, last) = (first.line, at.line);
                let message = format!("given twice, in lines {first} and {last}: the last value counts");
                let path = format!("{}{step}", self.path);
                self.notes.push(Note { kind: NoteKind::Twice, at, path, message });
            }
        }
    }

    /// Reads a value one step further down.
    fn below(
        &mut self,
        step: &str,
        event: Event<'text>,
        span: Span,
        depth: usize,
    ) -> Result<Node, YamlError> {
        let here = self.path.len();
        self.path.push_str(step);
        let node = self.node(event, span, depth + 1);
        self.path.truncate(here);
        node
    }

    fn key(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Kind, YamlError> {
        // An empty or null-like key is a text, too, but nobody means one.
        let at = position(&span.start);
        match self.node(event, span, depth + 1)?.kind {
            Kind::Null => refuse(at, "a key has to be a text: quote it"),
            kind => Ok(kind),
        }
    }

    fn alias(&mut self, id: usize, at: Position) -> Result<Node, YamlError> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return refuse(at, "an alias within what it stands for");
        };
        self.spend(node.size(), at)?;
        Ok(node)
    }

    fn spend(&mut self, values: usize, at: Position) -> Result<(), YamlError> {
        match self.budget.checked_sub(values) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => refuse(at, format!("more than {MAX_VALUES} values once aliases are resolved")),
        }
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Result<Kind, YamlError> {
    let quoted = match tag {
        None => style != ScalarStyle::Plain,
        Some(tag) if tag.is_yaml_core_schema_tag("str") => true,
        Some(tag) => return refuse(at, foreign_tag(tag)),
    };
    let is_null = !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    Ok(if is_null { Kind::Null } else { Kind::Scalar(Scalar { text, quoted }) })
}

fn check_collection_tag(tag: Option<&Tag>, at: Position) -> Result<(), YamlError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag("map") && !tag.is_yaml_core_schema_tag("seq") => {
            refuse(at, foreign_tag(tag))
        }
        Some(_) | None => Ok(()),
    }
}

/// A tag of the file's own may be a password that nobody has quoted: it is not shown.
fn foreign_tag(tag: &Tag) -> String {
    let known = ["binary", "bool", "float", "int", "null", "omap", "pairs", "set", "timestamp"];
    let original = tag.original();
    if known.iter().any(|name| original.strip_prefix("!!") == Some(name)) {
        return format!("the tag {original} is not read: write the value without it");
    }
    "a tag (an exclamation mark before a value) is not read: quote a text that begins with one, else leave the tag out"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        read(text).unwrap().tree
    }

    fn text_of(node: &Node) -> (&str, bool) {
        match &node.kind {
            Kind::Scalar(scalar) => (&scalar.text, scalar.quoted),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_text_quoting_and_position() {
        let tree = tree("a:\n  b: yes\n  c: 'yes'\n  d: |\n    yes\n  e: !!str 010\n");
        let a = tree.get("a").unwrap();
        assert_eq!(text_of(a.get("b").unwrap()), ("yes", false));
        assert_eq!(text_of(a.get("c").unwrap()), ("yes", true));
        assert_eq!(text_of(a.get("d").unwrap()), ("yes\n", true));
        assert_eq!(text_of(a.get("e").unwrap()), ("010", true));
        assert_eq!(a.get("b").unwrap().at, Some(Position { line: 2, column: 6 }));
    }

    #[test]
    fn nulls_are_as_if_absent() {
        let tree = tree("a: ~\nb:\nc: null\nd: 'null'\n");
        assert!(tree.get("a").is_none() && tree.get("b").is_none() && tree.get("c").is_none());
        assert!(tree.get("d").is_some());
        assert!(read("").unwrap().tree.is_null());
    }

    #[test]
    fn merge_keys_bring_in_what_is_not_said_otherwise() {
        let tree = tree("base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nall:\n  <<: [*b, *m]\n  y: 9\n");
        let all = tree.get("all").unwrap();
        let values: Vec<_> = ["x", "y", "z"].iter().map(|key| text_of(all.get(key).unwrap()).0).collect();
        assert_eq!(values, ["1", "9", "4"]);
    }

    #[test]
    fn what_has_no_single_meaning_is_refused_with_its_place() {
        for (text, line, expected) in [
            ("a: !site x\n", 1, "a tag (an exclamation mark"),
            ("a: !hunter2\n", 1, "quote a text that begins with one"),
            ("a: !!binary x\n", 1, "tag !!binary"),
            ("? [1, 2]\n: 3\n", 1, "key has to be a text"),
            ("a: &x\n  b: *x\n", 2, "alias within"),
            ("a: {<<: 1}\n", 1, "has to be a map"),
            ("a: [1\nb: 2\n", 2, "not YAML"),
            ("a: *nobody\n", 1, "not YAML"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.message.contains(expected), "{text:?}: {error}");
            assert_eq!(error.at.unwrap().line, line, "{text:?}: {error}");
        }
    }

    #[test]
    fn a_tag_is_not_shown_because_it_may_be_a_password() {
        for text in ["password: !hunter2\n", "a: !hunter2! x\n", "a: !<hunter2> x\n", "a: *hunter2\n"] {
            assert!(!read(text).unwrap_err().message.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn of_a_key_that_is_given_twice_the_last_value_counts_and_both_lines_are_noted() {
        let document = read("a: 1\nb:\n  - {c: 1}\n  - d: {x: 1}\n    d: {y: 2}\na: 3\n").unwrap();
        assert_eq!(text_of(document.tree.get("a").unwrap()).0, "3");
        let notes: Vec<_> = document.notes.iter().map(|it| (it.path.as_str(), it.at.line, it.kind)).collect();
        assert_eq!(notes, [("b[1].d", 5, NoteKind::Twice), ("a", 6, NoteKind::Twice)]);
        assert!(document.notes[1].message.contains("lines 1 and 6"), "{:?}", document.notes);
        let Kind::List(items) = &document.tree.get("b").unwrap().kind else { panic!() };
        assert!(items[1].get("d").unwrap().get("x").is_none(), "a map is replaced, not merged");
    }

    #[test]
    fn only_the_first_document_is_read_and_another_is_noted() {
        for (text, line) in [
            ("a: 1\n---\nb: 2\n", Some(2)),
            ("---\na: 1\n---\n", Some(3)),
            ("a: 1\n---\n\t{nonsense\n", Some(2)),
            ("---\na: 1\n...\n", None),
            ("a: 1\n# the end\n", None),
        ] {
            let document = read(text).unwrap();
            assert_eq!(text_of(document.tree.get("a").unwrap()).0, "1", "{text:?}");
            assert_eq!(document.notes.first().map(|it| it.at.line), line, "{text:?}: {:?}", document.notes);
        }
    }

    #[test]
    fn a_bomb_of_aliases_and_a_deep_nest_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(read(&bomb).unwrap_err().message.contains("aliases"));
        assert!(read(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_err());
    }
}

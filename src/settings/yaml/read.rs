//! Events of the parser → tree. Bounded in depth and size, so that no file can exhaust us.

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag, options};

use super::{Entry, Kind, Node, Position, Scalar};

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

/// Reads the one document of a text; an empty text is null.
///
/// # Errors
/// If it is not YAML, has several documents, duplicate or complex keys, foreign tags, an alias within what
/// it stands for, or is too deep or too large once its aliases are resolved.
pub fn read(text: &str) -> Result<Node, YamlError> {
    let options = options! {
        emit_comments: false,
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    Reader { parser, anchors: BTreeMap::new(), budget: MAX_VALUES }.stream()
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn refuse<T>(at: Position, message: impl Into<String>) -> Result<T, YamlError> {
    Err(YamlError { at: Some(at), message: message.into() })
}

struct Reader<'text> {
    parser: Parser<'text, StrInput<'text>>,
    /// What each finished anchor stands for.
    anchors: BTreeMap<usize, Node>,
    budget: usize,
}

impl<'text> Reader<'text> {
    fn stream(mut self) -> Result<Node, YamlError> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(document.unwrap_or(Node { at: None, kind: Kind::Null })),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                _ if document.is_some() => {
                    return refuse(position(&span.start), "a second document: only one is read");
                }
                event => document = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => refuse(position(error.marker()), format!("not YAML: {}", error.info())),
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
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, YamlError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = BTreeSet::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let at = position(&span.start);
            let Kind::Scalar(key) = self.key(event, span, depth)? else {
                return refuse(at, "a key has to be a text");
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if key.text == "<<" && !key.quoted {
                merged.extend(merge_sources(value, at)?);
                continue;
            }
            if !keys.insert(key.text.clone()) {
                return refuse(at, format!("the key `{}` is here twice", key.text));
            }
            entries.push(Entry { key, at: Some(at), value });
        }
        // Own keys win over merged ones, earlier sources over later ones.
        entries.extend(merged.into_iter().filter(|entry| keys.insert(entry.key.text.clone())));
        Ok(Kind::Map(entries))
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

fn foreign_tag(tag: &Tag) -> String {
    format!("the tag {} is not read: write the value without it", tag.original())
}

/// The entries that `<<: *map` or `<<: [*map, *map]` brings in.
fn merge_sources(value: Node, at: Position) -> Result<Vec<Entry>, YamlError> {
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
    use super::*;

    fn text_of(node: &Node) -> (&str, bool) {
        match &node.kind {
            Kind::Scalar(scalar) => (&scalar.text, scalar.quoted),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_text_quoting_and_position() {
        let tree = read("a:\n  b: yes\n  c: 'yes'\n  d: |\n    yes\n  e: !!str 010\n").unwrap();
        let a = tree.get("a").unwrap();
        assert_eq!(text_of(a.get("b").unwrap()), ("yes", false));
        assert_eq!(text_of(a.get("c").unwrap()), ("yes", true));
        assert_eq!(text_of(a.get("d").unwrap()), ("yes\n", true));
        assert_eq!(text_of(a.get("e").unwrap()), ("010", true));
        assert_eq!(a.get("b").unwrap().at, Some(Position { line: 2, column: 6 }));
    }

    #[test]
    fn nulls_are_as_if_absent() {
        let tree = read("a: ~\nb:\nc: null\nd: 'null'\n").unwrap();
        assert!(tree.get("a").is_none() && tree.get("b").is_none() && tree.get("c").is_none());
        assert!(tree.get("d").is_some());
        assert!(read("").unwrap().is_null());
    }

    #[test]
    fn merge_keys_bring_in_what_is_not_said_otherwise() {
        let tree =
            read("base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nall:\n  y: 9\n  <<: [*b, *m]\n").unwrap();
        let all = tree.get("all").unwrap();
        let values: Vec<_> = ["x", "y", "z"].iter().map(|key| text_of(all.get(key).unwrap()).0).collect();
        assert_eq!(values, ["1", "9", "4"]);
    }

    #[test]
    fn what_has_no_single_meaning_is_refused_with_its_place() {
        for (text, line, expected) in [
            ("a: 1\nb: 2\na: 3\n", 3, "twice"),
            ("a: 1\n---\nb: 2\n", 3, "second document"),
            ("a: !site x\n", 1, "tag !site"),
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

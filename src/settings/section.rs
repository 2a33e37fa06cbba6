//! Typed reading of the merged tree. A wrong value becomes a finding with place, path, value and what is
//! accepted; reading goes on with the default, so that everything that is wrong is told at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use dispatch_core::secret::Secret;

use super::report::Report;
use super::template;
use super::units::{self, parse_duration, parse_size};
use super::yaml::plain::{self, Meaning};
use super::yaml::{Entry, Kind, Node, Position, Scalar};

const NUMBER: &str = "a number from 0 on, without quotes or commas";

static NOTHING: Node = Node { at: None, kind: Kind::Map(Vec::new()) };

/// A map of the merged tree, with its path and its defaults.
#[derive(Clone)]
pub struct Section<'a> {
    node: &'a Node,
    template: Option<&'a Value>,
    path: String,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The section at that path.
    pub fn new(node: &'a Node, template: Option<&'a Value>, path: String, report: &'a Report) -> Self {
        Self { node, template, path, report }
    }

    /// A section within; an empty one if there is none.
    pub fn section(&self, key: &str) -> Self {
        let node = match self.node.get(key) {
            Some(node) if matches!(node.kind, Kind::Map(_)) => node,
            Some(node) => {
                self.report.problem(
                    node.at,
                    &self.key_path(key),
                    format!("{} where a map is wanted", node.kind_name()),
                );
                &NOTHING
            }
            None => &NOTHING,
        };
        Self {
            node,
            template: template::child(self.template, key),
            path: self.key_path(key),
            report: self.report,
        }
    }

    /// Its keys, in the order of defaults and file, with where each stands.
    pub fn keys(&self) -> Vec<(&'a str, Option<Position>)> {
        match &self.node.kind {
            Kind::Map(entries) => entries.iter().map(|entry| (entry.key.text.as_str(), entry.at)).collect(),
            Kind::Null | Kind::Scalar(_) | Kind::List(_) => Vec::new(),
        }
    }

    /// Whether that key has keys of its own.
    pub fn is_map(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(|node| matches!(node.kind, Kind::Map(_)))
    }

    /// Whether the site says something about that key.
    pub fn is_set(&self, key: &str) -> bool {
        self.node.get(key).is_some_and(|node| node.at.is_some())
    }

    /// Notes that a key's value is not what is accepted.
    pub fn refuse(&self, key: &str, wanted: &str) {
        let node = self.node.get(key);
        let at = node.and_then(|node| node.at).or(self.node.at);
        self.report.problem(
            at,
            &self.key_path(key),
            format!("{} is not accepted: {wanted}", self.shown(key, node)),
        );
    }

    /// Notes a problem with a key in words of its own.
    pub fn fail(&self, key: &str, message: &str) {
        let at = self.node.get(key).and_then(|node| node.at).or(self.node.at);
        self.report.problem(at, &self.key_path(key), message);
    }

    /// Notes that a key has no value.
    pub fn missing(&self, key: &str, wanted: &str) {
        let at = self.node.get(key).and_then(|node| node.at).or(self.node.at);
        self.report.problem(at, &self.key_path(key), format!("missing: {wanted}"));
    }

    /// Notes something odd about a key.
    pub fn warn(&self, key: &str, message: &str) {
        let at = self.node.get(key).and_then(|node| node.at).or(self.node.at);
        self.report.doubt(at, &self.key_path(key), message);
    }

    /// Notes that a key makes the service easier to attack.
    pub fn warn_unsafe(&self, key: &str, message: &str) {
        let at = self.node.get(key).and_then(|node| node.at).or(self.node.at);
        self.report.unsafe_setting(at, &self.key_path(key), message);
    }

    /// Notes that nobody knows a key.
    pub fn unknown(&self, key: &str, message: &str) {
        let at = self.node.get(key).and_then(|node| node.at).or(self.node.at);
        self.report.unknown_key(at, &self.key_path(key), message);
    }

    /// Whether some service of the site knows that key.
    pub fn is_known(&self, key: &str) -> bool {
        template::child(self.template, key).is_some()
    }

    /// A text; empty if there is none.
    pub fn text(&self, key: &str) -> String {
        let text = self.scalar(key).and_then(|scalar| text_of(scalar, key, self));
        text.unwrap_or_default().to_owned()
    }

    /// A text that is not to be shown.
    pub fn secret(&self, key: &str) -> Secret {
        Secret::new(self.text(key))
    }

    /// A truth value.
    pub fn flag(&self, key: &str) -> bool {
        let Some(scalar) = self.scalar(key) else { return false };
        match meaning_of(scalar) {
            Some(Meaning::Flag(flag)) => flag,
            _ => self.refused(key, "true or false, without quotes"),
        }
    }

    /// An integer, possibly negative.
    pub fn integer(&self, key: &str) -> i64 {
        let Some(scalar) = self.scalar(key) else { return 0 };
        let integer = match meaning_of(scalar) {
            Some(Meaning::Integer(integer)) => i64::try_from(integer).ok(),
            Some(Meaning::Fraction(it)) if it.fract() == 0.0 && it.abs() < 9e15 => Some(it as i64),
            _ => None,
        };
        integer.unwrap_or_else(|| self.refused(key, "a whole number, without quotes or commas"))
    }

    /// An integer from 0 on.
    pub fn count(&self, key: &str) -> u32 {
        let integer = self.integer(key);
        u32::try_from(integer).unwrap_or_else(|_| self.refused(key, "a whole number from 0 to 4294967295"))
    }

    /// A number, possibly negative.
    pub fn fraction(&self, key: &str) -> f64 {
        let Some(scalar) = self.scalar(key) else { return 0.0 };
        match meaning_of(scalar) {
            Some(Meaning::Integer(integer)) => integer as f64,
            Some(Meaning::Fraction(fraction)) => fraction,
            Some(Meaning::Flag(_) | Meaning::Text) | None => self.refused(key, NUMBER),
        }
    }

    /// A number from 0 on.
    pub fn number(&self, key: &str) -> f64 {
        let number = self.fraction(key);
        if number < 0.0 { self.refused(key, NUMBER) } else { number }
    }

    /// A limit: a negative one is none, as 0 is.
    pub fn limit(&self, key: &str) -> u32 {
        let integer = self.integer(key).max(0);
        u32::try_from(integer).unwrap_or_else(|_| self.refused(key, "a whole number up to 4294967295, or 0"))
    }

    /// A size in bytes.
    pub fn size(&self, key: &str) -> u64 {
        let Some(scalar) = self.scalar(key) else { return 0 };
        let size = match meaning_of(scalar) {
            Some(Meaning::Integer(bytes)) => u64::try_from(bytes).ok(),
            Some(Meaning::Fraction(bytes)) if bytes.fract() == 0.0 && (0.0..1.8e19).contains(&bytes) => {
                Some(bytes as u64)
            }
            Some(Meaning::Flag(_)) => None,
            Some(Meaning::Fraction(_) | Meaning::Text) | None => parse_size(&scalar.text),
        };
        size.unwrap_or_else(|| self.refused(key, units::SIZE))
    }

    /// A duration; what is not positive counts as the default.
    pub fn interval(&self, key: &str) -> Duration {
        let default = || {
            let text = template::child(self.template, key).and_then(Value::as_str).unwrap_or("0");
            parse_duration(text).unwrap_or(0)
        };
        let nanoseconds = Some(self.nanoseconds(key)).filter(|it| *it > 0).unwrap_or_else(default);
        Duration::from_nanos(nanoseconds.unsigned_abs())
    }

    /// A duration; what is negative counts as none.
    pub fn duration(&self, key: &str) -> Duration {
        Duration::from_nanos(self.nanoseconds(key).max(0).unsigned_abs())
    }

    fn nanoseconds(&self, key: &str) -> i64 {
        let Some(scalar) = self.scalar(key) else { return 0 };
        let text = text_of(scalar, key, self);
        text.map_or(0, |text| parse_duration(text).unwrap_or_else(|| self.refused(key, units::DURATION)))
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Vec<String> {
        match self.node.get(key).map(|node| &node.kind) {
            None => Vec::new(),
            Some(Kind::List(items)) => items.iter().filter_map(|item| self.item(item, key)).collect(),
            Some(Kind::Null | Kind::Scalar(_) | Kind::Map(_)) => self.refused(key, "a list of texts"),
        }
    }

    fn item(&self, item: &Node, key: &str) -> Option<String> {
        match &item.kind {
            Kind::Scalar(scalar) => text_of(scalar, key, self).map(str::to_owned),
            Kind::Null | Kind::List(_) | Kind::Map(_) => {
                let message = format!("{} is not accepted: a list of texts", self.shown(key, Some(item)));
                self.report.problem(item.at, &self.key_path(key), message);
                None
            }
        }
    }

    /// A list of texts, a map whose keys are they, or a single text; empty ones left out.
    pub fn texts_in_any_form(&self, key: &str) -> Vec<String> {
        let texts = match self.node.get(key).map(|node| &node.kind) {
            Some(Kind::Map(entries)) => entries.iter().map(|entry: &Entry| entry.key.text.clone()).collect(),
            Some(Kind::Scalar(_)) => vec![self.text(key)],
            Some(Kind::List(_) | Kind::Null) | None => self.texts(key),
        };
        texts.into_iter().filter(|text| !text.is_empty()).collect()
    }

    /// All entries as texts.
    pub fn text_map(&self) -> BTreeMap<String, String> {
        self.keys().into_iter().map(|(key, _)| (key.to_owned(), self.text(key))).collect()
    }

    fn scalar(&self, key: &str) -> Option<&'a Scalar> {
        let node = self.node.get(key)?;
        match &node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::Null => None,
            Kind::List(_) | Kind::Map(_) => {
                self.refuse(key, "a single value is wanted");
                None
            }
        }
    }

    /// Notes the refusal and goes on with a nothing.
    fn refused<T: Default>(&self, key: &str, wanted: &str) -> T {
        self.refuse(key, wanted);
        T::default()
    }

    /// The value for an error text: short, quoted as in the file, and no secret.
    fn shown(&self, key: &str, node: Option<&Node>) -> String {
        let Some(node) = node else { return "nothing".to_owned() };
        match &node.kind {
            _ if self.report.is_secret(&self.key_path(key)) => "(secret)".to_owned(),
            Kind::Scalar(scalar) => {
                let text: String = scalar.text.chars().take(80).collect();
                if scalar.quoted { format!("{text:?}") } else { format!("`{text}`") }
            }
            Kind::Null | Kind::List(_) | Kind::Map(_) => node.kind_name().to_owned(),
        }
    }

    fn key_path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }
}

fn meaning_of(scalar: &Scalar) -> Option<Meaning> {
    if scalar.quoted { None } else { plain::meaning(&scalar.text).ok() }
}

fn text_of<'a>(scalar: &'a Scalar, key: &str, section: &Section<'_>) -> Option<&'a str> {
    if scalar.quoted {
        return Some(&scalar.text);
    }
    match plain::as_text(&scalar.text) {
        Ok(text) => Some(text),
        Err(disagreement) => {
            section.refuse(key, &disagreement.to_string());
            None
        }
    }
}

//! Reads a JSON value, remembers the path to it, and accepts null as an empty value.
//!
//! Almost any field of a container may be null. Any other value must be of the right kind. If it is not, the
//! error names its path: `runtime_constraints.ram: expected a whole number, found "many"`.

use serde_json::Value;

/// The path in the JSON, and what is wrong there.
pub(super) type DecodeError = String;

/// A place in a JSON text.
#[derive(Clone)]
pub(super) struct Place<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Place<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    /// The field of that name. It is null if there is no such field, or if this is not an object.
    pub(super) fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            value: self.value.get(name).unwrap_or(&Value::Null),
            path: format!("{}{dot}{name}", self.path),
        }
    }

    /// The fields of an object; null has none.
    pub(super) fn fields(&self) -> Result<Vec<Self>, DecodeError> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Object(map) => Ok(map.keys().map(|name| self.field(name)).collect()),
            _ => Err(self.unexpected("an object")),
        }
    }

    /// Checks that this is an object or null.
    pub(super) fn object(self) -> Result<Self, DecodeError> {
        if self.value.is_object() || self.value.is_null() {
            Ok(self)
        } else {
            Err(self.unexpected("an object"))
        }
    }

    /// The value as JSON.
    pub(super) fn as_json(&self) -> String {
        self.value.to_string()
    }

    /// A text; null is the empty text.
    pub(super) fn text(&self) -> Result<String, DecodeError> {
        match self.value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.unexpected("a string")),
        }
    }

    /// A list of texts; null is the empty list, and an item that is null becomes an empty text.
    pub(super) fn texts(&self) -> Result<Vec<String>, DecodeError> {
        let items = match self.value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(items) => items,
            _ => return Err(self.unexpected("a list")),
        };
        let place = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        items.iter().enumerate().map(|item| place(item).text()).collect()
    }

    /// True or false; null is false.
    pub(super) fn truth(&self) -> Result<bool, DecodeError> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(truth) => Ok(*truth),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// A signed whole number, exact; null is 0.
    pub(super) fn integer(&self) -> Result<i64, DecodeError> {
        match self.value {
            Value::Null => Ok(0),
            value => value.as_i64().ok_or_else(|| self.unexpected("a whole number of 64 bits")),
        }
    }

    /// A size or count; null is 0.
    pub(super) fn size(&self) -> Result<u64, DecodeError> {
        match self.value {
            Value::Null => Ok(0),
            value => value.as_u64().ok_or_else(|| self.unexpected("a whole number, not negative")),
        }
    }

    /// Whether this is null.
    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// A value that is parsed from a text; `None` if the text is null or empty.
    pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
        &self,
    ) -> Result<Option<T>, DecodeError> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error| format!("{}: {error}", self.path))
    }

    /// The error text for a value that is missing, or is of another kind than expected.
    pub(super) fn unexpected(&self, wanted: &str) -> DecodeError {
        let path = if self.path.is_empty() { "(the whole)" } else { &self.path };
        let found: String = self.value.to_string().chars().take(60).collect();
        format!("{path}: expected {wanted}, found {found}")
    }
}

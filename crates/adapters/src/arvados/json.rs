//! A look into a JSON value that knows where it is, and takes null for nothing.
//!
//! Almost any field of a container may be null; what is there must be of the right kind, and if it is not,
//! the error says where: `runtime_constraints.ram: expected a whole number, found "many"`.

use serde_json::Value;

/// Where in the JSON, and what is wrong there.
pub(super) type Trouble = String;

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

    /// The field of that name; null if there is none, or no object here.
    pub(super) fn field(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            value: self.value.get(name).unwrap_or(&Value::Null),
            path: format!("{}{dot}{name}", self.path),
        }
    }

    /// The fields of an object; none of null.
    pub(super) fn fields(&self) -> Result<Vec<Self>, Trouble> {
        match self.value {
            Value::Null => Ok(Vec::new()),
            Value::Object(map) => Ok(map.keys().map(|name| self.field(name)).collect()),
            _ => Err(self.unexpected("an object")),
        }
    }

    /// Checks that this is an object or null.
    pub(super) fn object(self) -> Result<Self, Trouble> {
        if self.value.is_object() || self.value.is_null() {
            Ok(self)
        } else {
            Err(self.unexpected("an object"))
        }
    }

    /// A text; null is empty.
    pub(super) fn text(&self) -> Result<String, Trouble> {
        match self.value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            _ => Err(self.unexpected("a string")),
        }
    }

    /// Texts; null is none, and none is left out for being null.
    pub(super) fn texts(&self) -> Result<Vec<String>, Trouble> {
        let items = match self.value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(items) => items,
            _ => return Err(self.unexpected("a list")),
        };
        let place = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
        items.iter().enumerate().map(|item| place(item).text()).collect()
    }

    /// True or false; null is false.
    pub(super) fn truth(&self) -> Result<bool, Trouble> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(truth) => Ok(*truth),
            _ => Err(self.unexpected("true or false")),
        }
    }

    /// A whole number with sign, exact; null is 0.
    pub(super) fn integer(&self) -> Result<i64, Trouble> {
        match self.value {
            Value::Null => Ok(0),
            value => value.as_i64().ok_or_else(|| self.unexpected("a whole number of 64 bits")),
        }
    }

    /// A size or count; null is 0.
    pub(super) fn size(&self) -> Result<u64, Trouble> {
        match self.value {
            Value::Null => Ok(0),
            value => value.as_u64().ok_or_else(|| self.unexpected("a whole number, not negative")),
        }
    }

    /// Whether there is nothing here.
    pub(super) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// Something that is read from a text; `None` if that is null or empty.
    pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self) -> Result<Option<T>, Trouble> {
        let text = self.text()?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error| format!("{}: {error}", self.path))
    }

    /// What is said of a value that must be there, and is not, or is of another kind.
    pub(super) fn unexpected(&self, wanted: &str) -> Trouble {
        let path = if self.path.is_empty() { "(the whole)" } else { &self.path };
        let found: String = self.value.to_string().chars().take(60).collect();
        format!("{path}: expected {wanted}, found {found}")
    }
}

//! What a list asks for: filters, order, paging and select. They are read from parameters and applied to
//! records.

use std::cmp::Ordering;

use dispatch_core::time::Timestamp;
use serde_json::Value;

use super::errors::Refusal;
use super::records::{Scalar, attribute, is_field, scalar};
use super::state::Container;

/// How many items a list has if the client sets no limit.
pub const DEFAULT_LIMIT: usize = 100;

/// One condition: `[attr, op, operand]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    attr: String,
    op: Op,
    operand: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Like,
    Ilike,
    Exists,
    Contains,
}

impl Op {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "=" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "in" => Self::In,
            "not in" => Self::NotIn,
            "like" => Self::Like,
            "ilike" => Self::Ilike,
            "exists" => Self::Exists,
            "contains" => Self::Contains,
            _ => return None,
        })
    }
}

impl Filter {
    /// A condition. The attribute may name a member of a hash (`runtime_status.error`).
    ///
    /// # Errors
    /// If there is no such attribute or operator, or the operand does not fit it.
    pub fn new(attr: &str, op: &str, operand: Value) -> Result<Self, Refusal> {
        let column = attr.split('.').next().unwrap_or(attr);
        if !is_field(column) || matches!(column, "kind" | "etag") {
            return Err(Refusal::argument(format!("Invalid attribute '{attr}' in filter")));
        }
        let op = Op::from_name(op)
            .ok_or_else(|| Refusal::argument(format!("Invalid operator '{op}' in filter for '{attr}'")))?;
        let filter = Self { attr: attr.to_owned(), op, operand };
        filter.check_operand()?;
        Ok(filter)
    }

    fn check_operand(&self) -> Result<(), Refusal> {
        let fits = match self.op {
            Op::In | Op::NotIn => self.operand.is_array(),
            Op::Like | Op::Ilike => self.operand.is_string(),
            Op::Exists => self.operand.is_boolean() || self.operand.is_string(),
            Op::Contains => true,
            Op::Equal | Op::NotEqual => !self.operand.is_array() && self.comparable(),
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
                !self.operand.is_null() && self.comparable()
            }
        };
        let Self { attr, operand, .. } = self;
        let refusal = || Refusal::argument(format!("Invalid operand {operand} in filter for '{attr}'"));
        if fits { Ok(()) } else { Err(refusal()) }
    }

    /// Whether the operand can be converted to the column's type.
    fn comparable(&self) -> bool {
        match self.attr.as_str() {
            "priority" | "lock_count" | "exit_code" => {
                self.operand.is_null() || whole(&self.operand).is_some()
            }
            attr if attr.ends_with("_at") => self.operand.is_null() || time(&self.operand).is_some(),
            _ => true,
        }
    }

    fn matches(&self, container: &Container) -> bool {
        let value = self.value(container);
        match self.op {
            Op::Equal => equals(&value, &self.operand),
            Op::NotEqual => !equals(&value, &self.operand),
            Op::Less => compare(&value, &self.operand).is_some_and(Ordering::is_lt),
            Op::LessOrEqual => compare(&value, &self.operand).is_some_and(Ordering::is_le),
            Op::Greater => compare(&value, &self.operand).is_some_and(Ordering::is_gt),
            Op::GreaterOrEqual => compare(&value, &self.operand).is_some_and(Ordering::is_ge),
            Op::In => self.operands().any(|operand| equals(&value, operand)),
            Op::NotIn => !self.operands().any(|operand| equals(&value, operand)),
            Op::Like => self.is_like(&value, false),
            Op::Ilike => self.is_like(&value, true),
            Op::Exists => self.exists(container, &value),
            Op::Contains => contains(&value, &self.operand),
        }
    }

    fn value<'a>(&self, container: &'a Container) -> Scalar<'a> {
        match self.attr.split_once('.') {
            None => scalar(container, &self.attr),
            Some((column, path)) => match member(&attribute(container, column), path) {
                None | Some(Value::Null) => Scalar::Null,
                Some(Value::String(text)) => Scalar::Text(text.into()),
                Some(other) => Scalar::Json(other),
            },
        }
    }

    fn operands(&self) -> impl Iterator<Item = &Value> {
        self.operand.as_array().into_iter().flatten()
    }

    fn is_like(&self, value: &Scalar<'_>, ignore_case: bool) -> bool {
        let (Scalar::Text(text), Some(pattern)) = (value, self.operand.as_str()) else { return false };
        if ignore_case { like(&text.to_lowercase(), &pattern.to_lowercase()) } else { like(text, pattern) }
    }

    /// `["runtime_status.error","exists",true]`, or the older `["runtime_status","exists","error"]`.
    fn exists(&self, container: &Container, value: &Scalar<'_>) -> bool {
        match &self.operand {
            Value::String(key) => member(&attribute(container, &self.attr), key).is_some(),
            wanted => (*value != Scalar::Null) == (*wanted == Value::Bool(true)),
        }
    }
}

fn member(value: &Value, path: &str) -> Option<Value> {
    path.split('.').try_fold(value.clone(), |value, key| value.get(key).cloned())
}

/// A whole number, or a string that holds one: `["priority",">","0"]` is accepted.
fn whole(operand: &Value) -> Option<i64> {
    operand.as_i64().or_else(|| operand.as_str()?.trim().parse().ok())
}

fn time(operand: &Value) -> Option<Timestamp> {
    operand.as_str()?.parse().ok()
}

fn equals(value: &Scalar<'_>, operand: &Value) -> bool {
    match (value, operand) {
        (Scalar::Null, operand) => operand.is_null(),
        (Scalar::Json(value), operand) => value == operand,
        (value, operand) => compare(value, operand).is_some_and(Ordering::is_eq),
    }
}

/// `None` = they cannot be compared. As with SQL's null, no condition holds then.
fn compare(value: &Scalar<'_>, operand: &Value) -> Option<Ordering> {
    match value {
        Scalar::Null | Scalar::Json(_) => None,
        Scalar::Text(text) => Some((**text).cmp(operand.as_str()?)),
        Scalar::Whole(number) => Some(number.cmp(&whole(operand)?)),
        Scalar::Time(at) => Some(at.cmp(&time(operand)?)),
    }
}

fn contains(value: &Scalar<'_>, operand: &Value) -> bool {
    let Scalar::Json(value) = value else { return false };
    let holds = |wanted: &Value| match value {
        Value::Array(items) => items.contains(wanted),
        Value::Object(members) => wanted.as_str().is_some_and(|key| members.contains_key(key)),
        _ => false,
    };
    match operand {
        Value::Array(wanted) => wanted.iter().all(holds),
        wanted => holds(wanted),
    }
}

/// SQL's LIKE: `%` matches any text, `_` matches one character.
fn like(text: &str, pattern: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = &pattern[1..];
            let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            starts.any(|at| like(&text[at..], rest))
        }
        Some(wanted) => {
            let mut characters = text.chars();
            let first = characters.next();
            let fits = first.is_some_and(|found| wanted == '_' || wanted == found);
            fits && like(characters.as_str(), &pattern[wanted.len_utf8()..])
        }
    }
}

/// One column to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortBy {
    attr: String,
    descending: bool,
}

impl SortBy {
    /// Reads `priority desc`.
    ///
    /// # Errors
    /// If there is no such column or direction.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        let mut words = text.split_whitespace();
        let column = words.next().unwrap_or_default();
        let attr = column.strip_prefix("containers.").unwrap_or(column);
        let invalid = || Refusal::argument(format!("Invalid order '{text}'"));
        let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => return Err(invalid()),
        };
        if !is_field(attr) || words.next().is_some() {
            return Err(invalid());
        }
        Ok(Self { attr: attr.to_owned(), descending })
    }

    fn compare(&self, a: &Container, b: &Container) -> Ordering {
        let order = order_of(&scalar(a, &self.attr), &scalar(b, &self.attr));
        if self.descending { order.reverse() } else { order }
    }
}

/// PostgreSQL's order, in which null is greater than everything.
fn order_of(a: &Scalar<'_>, b: &Scalar<'_>) -> Ordering {
    match (a, b) {
        (Scalar::Null, Scalar::Null) => Ordering::Equal,
        (Scalar::Null, _) => Ordering::Greater,
        (_, Scalar::Null) => Ordering::Less,
        (Scalar::Text(a), Scalar::Text(b)) => a.cmp(b),
        (Scalar::Whole(a), Scalar::Whole(b)) => a.cmp(b),
        (Scalar::Time(a), Scalar::Time(b)) => a.cmp(b),
        (a, b) => format!("{a:?}").cmp(&format!("{b:?}")),
    }
}

/// A list as a client asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// The filters. All of them must hold.
    pub filters: Vec<Filter>,
    /// The columns to sort by. A column that is not selected is silently ignored.
    pub order: Vec<SortBy>,
    /// The most items that the client wants. The server caps it silently.
    pub limit: usize,
    /// How many items are skipped.
    pub offset: usize,
    /// Whether the answer says how many items there are in all.
    pub count: bool,
    /// The keys that are wanted; `None` = all.
    pub select: Option<Vec<String>>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { filters: vec![], order: vec![], limit: DEFAULT_LIMIT, offset: 0, count: true, select: None }
    }
}

impl ListQuery {
    /// Reads a request's parameters; unknown ones are ignored, as the server does.
    ///
    /// # Errors
    /// If a parameter cannot be read.
    pub fn from_params<'a>(params: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Refusal> {
        let mut query = Self::default();
        for (name, value) in params {
            match name {
                "filters" => query.filters = read_filters(value)?,
                "order" => query.order = read_order(value)?,
                "limit" => query.limit = read_number(name, value)?,
                "offset" => query.offset = read_number(name, value)?,
                "count" => query.count = read_count(value)?,
                "select" => query.select = read_select(value)?,
                _ => {}
            }
        }
        Ok(query)
    }

    /// Whether that container matches all filters.
    pub fn matches(&self, container: &Container) -> bool {
        self.filters.iter().all(|filter| filter.matches(container))
    }

    /// Sorts as the server does: by the columns asked for and selected, then by latest change, then by uuid.
    pub fn sort(&self, containers: &mut [&Container]) {
        let asked: Vec<&SortBy> = self.order.iter().filter(|by| self.selects(&by.attr)).collect();
        let knows_changes = self.selects("modified_at");
        containers.sort_by(|a, b| {
            let by_request = asked.iter().map(|by| by.compare(a, b)).find(|order| order.is_ne());
            let by_change =
                || if knows_changes { b.modified_at.cmp(&a.modified_at) } else { Ordering::Equal };
            by_request.unwrap_or(Ordering::Equal).then_with(by_change).then_with(|| b.uuid.cmp(&a.uuid))
        });
    }

    fn selects(&self, attr: &str) -> bool {
        self.select.as_ref().is_none_or(|selected| selected.iter().any(|it| it == attr))
    }
}

/// Reads JSON text; an empty text is null.
fn read_json(name: &str, text: &str) -> Result<Value, Refusal> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|_| Refusal::argument(format!("{name} is not valid JSON")))
}

fn read_filters(text: &str) -> Result<Vec<Filter>, Refusal> {
    let value = read_json("filters", text)?;
    let no_filters = vec![];
    let items = match &value {
        Value::Null => &no_filters,
        value => value.as_array().ok_or_else(|| Refusal::argument("filters is not an array"))?,
    };
    items.iter().map(read_filter).collect()
}

fn read_filter(item: &Value) -> Result<Filter, Refusal> {
    let parts = item.as_array().map(Vec::as_slice);
    let Some([Value::String(attr), Value::String(op), operand]) = parts else {
        return Err(Refusal::argument(format!("Invalid element in filters array: {item}")));
    };
    Filter::new(attr, op, operand.clone())
}

/// `priority desc`, `a,b desc`, or either as a JSON array.
fn read_order(text: &str) -> Result<Vec<SortBy>, Refusal> {
    let parts: Vec<String> = match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(items)) => items.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        Ok(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
        _ => text.split(',').map(str::to_owned).collect(),
    };
    parts.iter().filter(|part| !part.trim().is_empty()).map(|part| SortBy::new(part)).collect()
}

fn read_number(name: &str, text: &str) -> Result<usize, Refusal> {
    text.parse().map_err(|_| Refusal::argument(format!("Invalid value for {name}: {text}")))
}

fn read_count(text: &str) -> Result<bool, Refusal> {
    match text {
        "none" => Ok(false),
        "exact" | "" => Ok(true),
        other => Err(Refusal::argument(format!("Invalid value for count: {other}"))),
    }
}

/// Reads a `select`.
///
/// # Errors
/// If it is not a list of attributes.
pub fn read_select(text: &str) -> Result<Option<Vec<String>>, Refusal> {
    let value = read_json("select", text)?;
    let items = match &value {
        Value::Null => return Ok(None),
        value => value.as_array().ok_or_else(|| Refusal::argument("select is not an array"))?,
    };
    let read = |item: &Value| {
        let name = item.as_str().filter(|name| is_field(name));
        let invalid = || Refusal::argument(format!("Invalid attribute {item} in select"));
        name.map(str::to_owned).ok_or_else(invalid)
    };
    items.iter().map(read).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
#[path = "filters_tests.rs"]
mod tests;

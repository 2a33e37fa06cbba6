//! Parameters: from the form or the JSON object in the body first, then from the query.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use dispatch_actors::clock;
use dispatch_core::note::Note;
use dispatch_core::secret::Secret;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use url::form_urlencoded;

use super::description::parameters::{NO, Parameter, YES};
use super::error::Refusal;
use super::redact::Redact;

/// More than any form of ours needs.
const LARGEST_BODY: usize = 64 * 1024;
/// A body that comes more slowly holds up a thread's memory for nothing.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Reasons go into logs.
const LONGEST_REASON: usize = 500;

/// What was asked.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    fn parse(form: Form, body: &[u8], query: &[u8]) -> Result<Self, Refusal> {
        let mut parameters = match form {
            Form::None => Vec::new(),
            Form::Urlencoded => each_once(body)?,
            Form::Json => from_json(body)?,
        };
        parameters.extend(each_once(query)?);
        Ok(Self(parameters))
    }

    /// The first of that name that is not empty: an empty one is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given(name).filter(|value| !value.is_empty())
    }

    /// The same, or `""` if it is there and empty.
    pub fn given(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next()?;
        Some(if first.is_empty() { values.find(|it| !it.is_empty()).unwrap_or("") } else { first })
    }

    /// The first of that name.
    pub fn need(&self, name: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or(Refusal::MissingParameter(name))
    }

    /// Whether a flag is set. A word that says neither yes nor no is a mistake: whoever makes it wants something.
    pub fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        let text = self.get(name).unwrap_or(NO[0]);
        let wanted = "1, true or yes, or 0, false or no";
        let is_known = YES.contains(&text) || NO.contains(&text);
        if is_known { Ok(YES.contains(&text)) } else { Err(Refusal::BadParameter(name, wanted)) }
    }

    /// Refuses what is none of these. For orders whose scope is wider without a parameter: one that is misspelt must not
    /// make it so.
    pub fn only(&self, known: &[Parameter]) -> Result<(), Refusal> {
        let is_known = |name: &str| known.iter().any(|it| it.name == name);
        if self.0.iter().all(|(name, _)| is_known(name)) {
            return Ok(());
        }
        Err(Refusal::UnknownParameter(known.iter().map(|it| it.name).collect()))
    }

    /// Who asks, as claimed, when and why. The token, wherever it stands, is not kept: a note goes into lists, tags and
    /// the log.
    pub fn note(&self, token: &Secret) -> Note {
        let redact = Redact::new(token);
        let by = redact.text(self.get("by").unwrap_or_default());
        Note::new(clock::now(), &by, &redact.text(&self.reason()))
    }

    /// The operator's words, fit for one line of a log.
    fn reason(&self) -> String {
        let words = self.get("reason").unwrap_or_default();
        words.chars().map(|it| if it.is_control() { ' ' } else { it }).take(LONGEST_REASON).collect()
    }
}

impl FromRequest for Params {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let query = request.query_string().to_owned();
        let payload = payload.take();
        let form = Form::of(request);
        Box::pin(async move {
            let body = if form == Form::None { Bytes::new() } else { read(payload).await? };
            Self::parse(form, &body, query.as_bytes())
        })
    }
}

/// How parameters are written in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// There are none.
    None,
    /// As browsers write them.
    Urlencoded,
    /// As the members of an object.
    Json,
}

impl Form {
    fn of(request: &HttpRequest) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Self::Urlencoded,
            "application/json" => Self::Json,
            _ => Self::None,
        }
    }
}

/// What is written in a form. What stands there twice with different values is refused: one of the two would count for
/// nothing, and whoever sends it does not know which.
fn each_once(form: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(form).into_owned() {
        let before = parameters.insert(name, value.clone());
        if before.is_some_and(|before| before != value) {
            return Err(Refusal::GivenTwice);
        }
    }
    Ok(parameters.into_iter().collect())
}

fn from_json(body: &[u8]) -> Result<Vec<(String, String)>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let members: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Refusal::NotAnObject)?;
    let text = |value: Value| match value {
        Value::Null => Some(String::new()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text),
        Value::Array(_) | Value::Object(_) => None,
    };
    let member = |(name, value)| Some((name, text(value)?));
    members.into_iter().map(|it| member(it).ok_or(Refusal::NotAnObject)).collect()
}

async fn read(payload: Payload) -> Result<Bytes, Refusal> {
    tokio::time::timeout(BODY_WITHIN, read_all(payload)).await.map_err(|_| Refusal::SlowBody)?
}

async fn read_all(mut payload: Payload) -> Result<Bytes, Refusal> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Refusal::UnreadableBody(error.to_string()))?;
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(Refusal::TooLarge(LARGEST_BODY));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

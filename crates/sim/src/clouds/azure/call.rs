//! A call as the fake hears it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::stub::header;

/// A call as it came over the wire.
#[derive(Debug, Clone)]
pub struct Call {
    /// Such as `PUT`.
    pub method: String,
    /// Without its query.
    pub path: String,
    /// The query.
    pub query: BTreeMap<String, String>,
    /// The body, if it is JSON.
    pub body: Value,
    /// The body.
    pub text: String,
    head: String,
}

impl Call {
    pub(super) fn read(head: &str, body: &[u8]) -> Option<Self> {
        let mut words = head.lines().next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let text = String::from_utf8_lossy(body).into_owned();
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
            head: head.to_owned(),
        })
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Method and last part of the path, which is a name or a kind.
    pub fn what(&self) -> String {
        format!("{} {}", self.method, self.path.rsplit('/').next().unwrap_or_default())
    }

    /// How the caller calls us: answers name URLs of that host.
    pub(super) fn host(&self) -> String {
        format!("http://{}", self.header("host").unwrap_or_default())
    }
}

//! What Compute Engine answers: read whole or not at all. Each answer says what it is (`kind`), so that `{}` from somebody
//! else is no empty list.

pub(crate) mod attributes;
pub(crate) mod error;
pub(crate) mod instances;
pub(crate) mod operation;

use dispatch_cloud_kit::{Malformed, json};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: String,
}

/// Reads an answer of that kind.
fn read<T: DeserializeOwned>(kind: &str, body: &str) -> Result<T, Malformed> {
    let found: Kind = json::read(body)?;
    if found.kind != kind {
        let found: String = found.kind.chars().filter(|c| !c.is_control()).take(60).collect();
        return Err(Malformed(format!("it is of kind `{found}` and not `{kind}`")));
    }
    json::read(body)
}

//! Key pairs that EC2 knows.

use dispatch_cloud_kit::Malformed;
use serde::Deserialize;

use super::{Items, read};
use crate::request::Action;

#[derive(Deserialize)]
struct DescribeKeyPairsResponse {
    #[serde(rename = "keySet")]
    keys: Items<KeyPair>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyPair {
    key_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImportKeyPairResponse {
    key_name: String,
}

/// The name of the first, if there is one.
pub(crate) fn found(body: &str) -> Result<Option<String>, Malformed> {
    let response: DescribeKeyPairsResponse = read(Action::DescribeKeyPairs, body)?;
    Ok(response.keys.item.into_iter().map(|it| it.key_name).find(|name| !name.is_empty()))
}

/// The name of the one that has been imported.
pub(crate) fn imported(body: &str) -> Result<String, Malformed> {
    let response: ImportKeyPairResponse = read(Action::ImportKeyPair, body)?;
    Ok(response.key_name)
}

//! The host keys that a VM has published as guest attributes.

use dispatch_cloud_kit::Malformed;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    #[serde(default)]
    query_value: Values,
}

#[derive(Deserialize, Default)]
struct Values {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    namespace: String,
    key: String,
    #[serde(default)]
    value: String,
}

/// Algorithm and key of each.
pub(crate) fn read(body: &str) -> Result<Vec<(String, String)>, Malformed> {
    let response: Response = super::read("compute#guestAttributes", body)?;
    let keys = response.query_value.items.into_iter().filter(|it| it.namespace == "hostkeys");
    Ok(keys.map(|it| (it.key, it.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_namespaces_are_none() {
        let body = r#"{"kind":"compute#guestAttributes","queryPath":"hostkeys/","queryValue":{"items":[
            {"namespace":"hostkeys","key":"ssh-ed25519","value":"AAAA"},
            {"namespace":"mine","key":"ssh-rsa","value":"BBBB"}]}}"#;
        assert_eq!(read(body).unwrap(), [("ssh-ed25519".to_owned(), "AAAA".to_owned())]);
        assert!(read(r#"{"kind":"compute#guestAttributes"}"#).unwrap().is_empty());
        assert!(read("{}").is_err() && read("<html>").is_err());
    }
}

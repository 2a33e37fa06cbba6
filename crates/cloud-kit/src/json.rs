//! Answers in JSON. As in XML: what is not what was asked for is an error, and an answer that lacks its list is no empty
//! list. So a list in an answer's type has no default.
//!
//! ```text
//!   text ─ one whole value ─ serde ─► value
//! ```

use serde::de::DeserializeOwned;

use crate::answer::Malformed;

/// Reads a whole answer.
///
/// # Errors
/// If it is not one, or breaks off.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Malformed> {
    serde_json::from_str(text).map_err(|error| Malformed(error.to_string()))
}

/// Reads what may be an answer, such as the words of a refusal; `None` = it is none.
pub fn maybe<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        value: Vec<u32>,
        next_link: Option<String>,
    }

    #[test]
    fn a_whole_answer_is_read_and_none_of_its_beginnings() {
        let text = r#"{"value":[1,2],"nextLink":"https://a.example/?after=2","more":{"a":null}}"#;
        let page: Page = read(text).unwrap();
        assert_eq!((page.value, page.next_link.as_deref()), (vec![1, 2], Some("https://a.example/?after=2")));
        for length in 0..text.len() {
            assert!(read::<Page>(&text[..length]).is_err(), "the first {length} bytes pass");
        }
    }

    #[test]
    fn what_lacks_the_list_is_no_empty_list() {
        for text in
            ["", "{}", "null", "[]", r#"{"value":null}"#, r#"{"error":{"code":"x"}}"#, "<html></html>"]
        {
            assert!(read::<Page>(text).is_err(), "{text}");
        }
        assert_eq!(read::<Page>(r#"{"value":[]}"#).unwrap().value, Vec::<u32>::new());
        assert!(read::<Page>(r#"{"value":[]}{"value":[]}"#).is_err(), "two are none");
    }
}

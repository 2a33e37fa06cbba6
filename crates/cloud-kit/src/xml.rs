//! Answers in XML. Whatever is not what was asked for is an error: a page of somebody's proxy, or a listing that broke
//! off, must never look like an empty cloud.
//!
//! ```text
//!   text ─ well-formed to its end ─ under the wanted root ─ serde ─► value
//! ```

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::DeserializeOwned;

use crate::answer::Malformed;

/// Reads a whole document with that root.
///
/// # Errors
/// If it is not one, or breaks off.
pub fn read<T: DeserializeOwned>(root: &str, text: &str) -> Result<T, Malformed> {
    check(root, text)?;
    quick_xml::de::from_str(text).map_err(|error| Malformed(error.to_string()))
}

/// Whether it is a whole document: well-formed to its end, under that root.
///
/// # Errors
/// If not.
pub fn check(root: &str, text: &str) -> Result<(), Malformed> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut found: Option<String> = None;
    loop {
        match reader.read_event().map_err(|error| Malformed(error.to_string()))? {
            Event::Start(start) => {
                depth += 1;
                found.get_or_insert_with(|| start.local_name().as_ref().to_owned());
            }
            Event::Empty(empty) => {
                found.get_or_insert_with(|| empty.local_name().as_ref().to_owned());
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Eof if depth > 0 => return Err(Malformed("the answer breaks off".to_owned())),
            Event::Eof => break,
            _ => {}
        }
    }
    let found = found.unwrap_or_default();
    if found == root { Ok(()) } else { Err(Malformed(format!("expected {root}, found `{found:.60}`"))) }
}

/// Reads what may be a document, such as the words of a refusal; `None` = it is none.
pub fn maybe<T: DeserializeOwned>(text: &str) -> Option<T> {
    quick_xml::de::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Things {
        #[serde(default)]
        thing: Vec<String>,
    }

    #[test]
    fn a_whole_document_is_read_and_none_of_its_beginnings() {
        let text = "<?xml version=\"1.0\"?>\n<Things xmlns=\"x\"><thing>a &amp; b</thing><thing/></Things>";
        let things: Things = read("Things", text).unwrap();
        assert_eq!(things.thing, ["a & b", ""]);
        for length in 0..text.len() {
            assert!(read::<Things>("Things", &text[..length]).is_err(), "the first {length} bytes pass");
        }
    }

    #[test]
    fn what_has_another_root_is_no_empty_answer() {
        for text in
            ["", "Service Unavailable", "<html><body><hr></body></html>", "<Others/>", "{\"things\":[]}"]
        {
            assert!(read::<Things>("Things", text).is_err(), "{text}");
        }
        assert_eq!(read::<Things>("Things", "<Things/>").unwrap().thing, Vec::<String>::new());
    }
}

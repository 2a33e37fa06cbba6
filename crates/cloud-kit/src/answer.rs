//! What a cloud's server has answered, before anybody knows whether it is what was asked for.
//!
//! ```text
//!   status 2xx ─ UTF-8 ─► text, for xml or json     (a body that is none: Failure, the deed may be done)
//!   else ─ the cloud's own words, if there are any ─ table ─► Failure, without secrets
//!          └ Retry-After, Date: how long to wait, and whose clock is wrong
//! ```

use std::time::{Duration, SystemTime};

use awc::http::header::{self, HeaderMap};
use dispatch_core::secret::Secret;

use crate::clock;
use crate::failure::{Failure, Meaning, repeatable};
use crate::table::{ErrorTable, by_status};

/// Why an answer cannot be used: for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// What a cloud says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its own word for it.
    pub code: String,
    /// The whole message; it is cut after secrets were removed from it.
    pub message: String,
    /// The request's id, for the cloud's support; may be empty.
    pub request_id: String,
}

impl Refusal {
    /// The longest code that is one.
    const LONGEST_CODE: usize = 80;

    /// A refusal, if that code is a word: it becomes a label of a metric. What is said stands on one line.
    pub fn new(code: &str, message: &str, request_id: &str) -> Option<Self> {
        let is_of_words = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        let is_word = !code.is_empty() && code.len() <= Self::LONGEST_CODE && code.chars().all(is_of_words);
        let on_a_line = |text: &str| text.chars().filter(|c| !c.is_control()).collect();
        is_word.then(|| Self {
            code: code.to_owned(),
            message: on_a_line(message),
            request_id: on_a_line(request_id),
        })
    }
}

/// An answer, whatever it says.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text, if it is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the server wants to be left alone (`Retry-After`): in seconds, or until a time of its clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.header(header::RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = clock::read(text)?;
        let now = clock::read(self.header(header::DATE.as_str())?)?;
        Duration::try_from(until.duration_since(now)).ok()
    }

    /// A good answer's text, or what a refusal means; it is told without these secrets. `refusal` reads the cloud's words
    /// in a body, `sent` is when the call was made, by the clock that signatures and tokens bear.
    ///
    /// # Errors
    /// If it is a refusal, or no text.
    pub fn judged(
        self,
        errors: &ErrorTable,
        refusal: impl FnOnce(&str) -> Option<Refusal>,
        secrets: &[Secret],
        sent: SystemTime,
    ) -> Result<String, Failure> {
        if (200..300).contains(&self.status) {
            return String::from_utf8(self.body)
                .map_err(|_| Failure::ours(Meaning::Unknown, "malformed", "an answer that is not UTF-8"));
        }
        // The status of a refusal says enough without its text.
        let refusal = std::str::from_utf8(&self.body).ok().and_then(refusal);
        let failure = match refusal {
            Some(refusal) => self.refused(errors, refusal, secrets),
            None => {
                let text = format!("status {}, without an error code of {}'s", self.status, errors.cloud);
                Failure::ours(by_status(self.status), &format!("http_{}", self.status), text)
            }
        };
        Err(self.with_time(failure, sent))
    }

    fn refused(&self, errors: &ErrorTable, refusal: Refusal, secrets: &[Secret]) -> Failure {
        let Refusal { code, message, request_id } = refusal;
        let meaning = errors.meaning(&code, &message, self.status);
        let [message, id] = [message, request_id].map(|words| repeatable(words, secrets));
        let id = if id.is_empty() { String::new() } else { format!(" (request {id})") };
        Failure { meaning, message: format!("{code}: {message}{id}"), code }
    }

    /// Adds what the headers say of time. A clock that is wrong looks like wrong keys: the cloud says that a signature has
    /// expired, or is none.
    fn with_time(&self, failure: Failure, sent: SystemTime) -> Failure {
        match failure.meaning {
            Meaning::Throttled => match self.retry_after() {
                Some(wait) => Failure { meaning: Meaning::ThrottledFor(wait), ..failure },
                None => failure,
            },
            Meaning::Unauthorized => {
                let date = self.header(header::DATE.as_str()).and_then(clock::read);
                match date.and_then(|date| clock::skew(sent, date)) {
                    Some(skew) => Failure { message: format!("{}; {skew}", failure.message), ..failure },
                    None => failure,
                }
            }
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use awc::http::header::{HeaderName, HeaderValue};

    use super::*;

    const TABLE: ErrorTable = ErrorTable { cloud: "the cloud", rows: &[("Slow", None, Meaning::Throttled)] };

    fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        Answer { status, headers: headers.collect(), body: body.to_vec() }
    }

    fn judged(answer: Answer) -> Result<String, Failure> {
        let read = |body: &str| Refusal::new(body.split(' ').next()?, body, "id-1");
        answer.judged(&TABLE, read, &[Secret::new("0123456789")], SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_good_answer_is_text_or_nobody_knows_what_was_done() {
        assert_eq!(judged(answer(200, &[], b"done")).unwrap(), "done");
        let failure = judged(answer(201, &[], b"\xff")).unwrap_err();
        assert_eq!((failure.meaning, failure.code.as_str()), (Meaning::Unknown, "malformed"));
    }

    #[test]
    fn a_refusal_has_the_clouds_words_without_secrets_or_its_status() {
        let failure = judged(answer(400, &[], b"Bad value 0123456789")).unwrap_err();
        assert_eq!(failure.message, "Bad: Bad value (secret) (request id-1)");
        let failure = judged(answer(502, &[], b"<html>")).unwrap_err();
        assert_eq!((failure.meaning, failure.code.as_str()), (Meaning::Unknown, "http_502"));
        assert!(failure.message.contains("status 502, without an error code of the cloud's"));
        assert_eq!(judged(answer(403, &[], b"\xff")).unwrap_err().code, "http_403");
    }

    #[test]
    fn what_a_server_says_of_patience_is_obeyed_and_of_nothing_else() {
        let of = |status, headers: &[(&str, &str)], body: &[u8]| {
            judged(answer(status, headers, body)).unwrap_err().meaning
        };
        let wait = |seconds| Meaning::ThrottledFor(Duration::from_secs(seconds));
        assert_eq!(of(400, &[("retry-after", "17")], b"Slow down"), wait(17));
        assert_eq!(of(429, &[("retry-after", " 17 ")], b""), wait(17));
        let date = ("date", "Sun, 22 Nov 2026 21:09:52 GMT");
        assert_eq!(of(429, &[date, ("retry-after", "Sun, 22 Nov 2026 21:10:22 GMT")], b""), wait(30));
        for text in ["", "soon", "-1", "Sun, 22 Nov 2026 21:00:00 GMT"] {
            assert_eq!(of(429, &[date, ("retry-after", text)], b""), Meaning::Throttled, "{text}");
        }
        assert_eq!(of(503, &[("retry-after", "17")], b"Broken"), Meaning::Unknown, "the deed may be done");
    }

    #[test]
    fn a_wrong_clock_is_named_where_credentials_are_refused() {
        let date = ("date", "Thu, 01 Jan 1970 02:00:00 GMT");
        let told = judged(answer(401, &[date], b"")).unwrap_err().message;
        assert!(told.ends_with("this host's clock is 7200 s behind the cloud's: set it right"), "{told}");
        let told = judged(answer(400, &[date], b"Bad")).unwrap_err().message;
        assert!(!told.contains("clock"), "{told}");
    }

    #[test]
    fn a_code_is_a_word_and_words_stand_on_one_line() {
        for code in ["", "a b", "a\n", &"A".repeat(81)] {
            assert_eq!(Refusal::new(code, "", ""), None, "{code}");
        }
        assert_eq!(Refusal::new("a.B-c_1:", "two\nlines", "").unwrap().message, "twolines");
    }
}

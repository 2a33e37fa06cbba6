//! How events are written, and how a client says which it has.

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;

use super::number;

/// How lines are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One JSON object a line.
    Ndjson,
    /// Server-sent events.
    Sse,
}

impl Framing {
    /// As the client accepts it.
    pub fn of(request: &HttpRequest) -> Self {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accept.contains("text/event-stream") { Self::Sse } else { Self::Ndjson }
    }

    /// Its name.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Sse => "text/event-stream",
        }
    }

    /// A line with its id.
    pub fn frame(self, id: &str, line: &str) -> String {
        match self {
            Self::Ndjson => format!("{line}\n"),
            Self::Sse => format!("id: {id}\ndata: {line}\n\n"),
        }
    }

    /// What is no event.
    pub fn sign_of_life(self) -> &'static str {
        match self {
            Self::Ndjson => "\n",
            Self::Sse => ":\n\n",
        }
    }
}

/// The last event that a client of server-sent events has received: its process, and its number. What is no id of ours is
/// of no process.
pub(super) fn last_received(request: &HttpRequest) -> Option<(String, u64)> {
    let id = request.headers().get("Last-Event-ID")?.to_str().unwrap_or_default();
    let parts = id.split_once(':').and_then(|(boot, seq)| Some((boot.to_owned(), number(seq).ok()?)));
    Some(parts.unwrap_or_default())
}

//! One connection, from the subscription to its end.
//!
//! ```text
//!   subscribe ── {"status":200} ──► Connected ── events, {} ──► hints … ── silence, end, error ──► why it ended
//!       └─ another status, no JSON, no answer ──────────────────────────────────────────────────────────┘
//! ```

use std::time::Duration;

use actix_codec::{AsyncRead, AsyncWrite};
use actix_http::ws::{Message, ProtocolError};
use dispatch_core::ports::Hint;
use tokio::time::{Instant, timeout};

use super::frames::{self, Frames, Incoming};
use super::inbox::Inbox;
use super::message::{self, Told};

/// Other filters than this one and `created_at` are ignored by the service: kinds of objects are sorted out here.
const SUBSCRIBE: &str =
    r#"{"method":"subscribe","filters":[["event_type","in",["create","update","delete"]]]}"#;

/// What a session goes by.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// Our cluster's five characters.
    pub cluster: String,
    /// How long the answer to the subscription may take.
    pub answer: Duration,
    /// How long nothing at all may come.
    pub silence: Duration,
}

/// Why a connection has ended. No text of the server's is repeated.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("no answer to the subscription in {} s", .0.as_secs_f64())]
    Unanswered(Duration),
    #[error("the subscription was answered with status {0}")]
    Refused(u16),
    #[error("what answered the subscription is not the event service")]
    NotTheService,
    #[error("nothing heard for {} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("closed by the server{}", .0.map(|code| format!(" (code {code})")).unwrap_or_default())]
    Closed(Option<u16>),
    #[error("{}", frames::text_of(.0))]
    Broken(#[from] ProtocolError),
}

/// A connection that is being read.
pub(super) struct Session<'a, Io> {
    frames: Frames<Io>,
    inbox: &'a Inbox,
    terms: &'a Terms,
    since: Option<Instant>,
}

impl<'a, Io: AsyncRead + AsyncWrite + Unpin> Session<'a, Io> {
    pub fn new(frames: Frames<Io>, inbox: &'a Inbox, terms: &'a Terms) -> Self {
        Self { frames, inbox, terms, since: None }
    }

    /// Subscribes and tells the inbox all that comes, until the connection ends. Also says how long it was subscribed.
    pub async fn run(mut self) -> (Duration, Ended) {
        let ended = self.work().await;
        (self.since.map_or(Duration::ZERO, |since| since.elapsed()), ended)
    }

    async fn work(&mut self) -> Ended {
        let deadline = self.terms.answer;
        match timeout(deadline, self.subscribe()).await {
            Err(_) => return Ended::Unanswered(deadline),
            Ok(Err(ended)) => return ended,
            Ok(Ok(())) => {}
        }
        self.since = Some(Instant::now());
        self.inbox.add(Hint::Connected);
        loop {
            match timeout(self.terms.silence, self.message()).await {
                Err(_) => return Ended::Silent(self.terms.silence),
                Ok(Err(ended)) => return ended,
                Ok(Ok(told)) => self.inbox.tell(told),
            }
        }
    }

    /// Events may come before the answer.
    async fn subscribe(&mut self) -> Result<(), Ended> {
        self.frames.send(Message::Text(SUBSCRIBE.into()))?;
        loop {
            match self.message().await? {
                Told::Answer(200) => return Ok(()),
                Told::Answer(status) => return Err(Ended::Refused(status)),
                Told::Malformed => return Err(Ended::NotTheService),
                told => self.inbox.tell(told),
            }
        }
    }

    async fn message(&mut self) -> Result<Told, Ended> {
        // We share the thread: a flood that has filled the buffer must not keep it for itself.
        tokio::task::consume_budget().await;
        match self.frames.next().await {
            None => Err(Ended::Closed(None)),
            Some(Ok(Incoming::Message(message))) => Ok(message::read(&message, &self.terms.cluster)),
            Some(Ok(Incoming::Alive)) => Ok(Told::Ping),
            Some(Ok(Incoming::Close(code))) => Err(Ended::Closed(code)),
            Some(Err(error)) => Err(error.into()),
        }
    }
}

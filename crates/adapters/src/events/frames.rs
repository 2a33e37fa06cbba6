//! The websocket's frames, within bounds, and the messages that they make.

use std::io;
use std::pin::Pin;

use actix_codec::{AsyncRead, AsyncWrite, Decoder, Encoder, Framed};
use actix_http::ws::{Codec, Frame, Item, Message, ProtocolError};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::future::poll_fn;

/// The longest message that is accepted. An event has at most some kilobytes.
pub(super) const LONGEST: usize = 2 << 20;

/// The codec of the websocket. It refuses a frame as soon as its length is known, where the one inside would first take
/// in all of it, however long it is.
pub(super) struct Bounded(pub Codec);

impl Decoder for Bounded {
    type Item = Frame;
    type Error = ProtocolError;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
        if announced(bytes) > LONGEST as u64 {
            return Err(ProtocolError::Overflow);
        }
        self.0.decode(bytes)
    }
}

impl Encoder<Message> for Bounded {
    type Error = ProtocolError;

    fn encode(&mut self, message: Message, bytes: &mut BytesMut) -> Result<(), ProtocolError> {
        self.0.encode(message, bytes)
    }
}

/// The length of the frame that begins here, as far as it is known (RFC 6455, section 5.2).
fn announced(bytes: &[u8]) -> u64 {
    match bytes {
        [_, short, rest @ ..] => match (short & 0x7f, rest) {
            (126, [a, b, ..]) => u16::from_be_bytes([*a, *b]).into(),
            (127, rest) => rest.first_chunk().map_or(0, |length| u64::from_be_bytes(*length)),
            (126, _) => 0,
            (short, _) => short.into(),
        },
        _ => 0,
    }
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A message.
    Message(Bytes),
    /// A question of the protocol whether we are there, or the answer to one: a sign of life.
    Alive,
    /// The server is about to close the connection; its code, if it has given one.
    Close(Option<u16>),
}

/// The frames of one connection. Nothing here waits for the peer to read: what cannot be written at once is written
/// when it can be, while we go on reading.
pub(super) struct Frames<Io> {
    link: Framed<Io, Bounded>,
    /// The beginning of a message that comes in several frames.
    begun: BytesMut,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Frames<Io> {
    pub fn new(link: Framed<Io, Bounded>) -> Self {
        Self { link, begun: BytesMut::new() }
    }

    /// Sends it with the next look at what has come. If the peer takes nothing, what it would not take is left out: an
    /// answer to a ping, and the next one does as well.
    pub fn send(&mut self, message: Message) -> Result<(), ProtocolError> {
        if self.link.is_write_ready() {
            Pin::new(&mut self.link).write(message)?;
        }
        Ok(())
    }

    /// What comes next; `None`: the connection has ended.
    pub async fn next(&mut self) -> Option<Result<Incoming, ProtocolError>> {
        loop {
            match self.frame().await?.and_then(|frame| self.take(frame)) {
                Ok(None) => {}
                Ok(Some(incoming)) => return Some(Ok(incoming)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn frame(&mut self) -> Option<Result<Frame, ProtocolError>> {
        poll_fn(|cx| {
            if !self.link.is_write_buf_empty() {
                // It goes on when it can; if it cannot any more, reading will say so.
                let _ = Pin::new(&mut self.link).flush(cx);
            }
            Pin::new(&mut self.link).poll_next(cx)
        })
        .await
    }

    fn take(&mut self, frame: Frame) -> Result<Option<Incoming>, ProtocolError> {
        Ok(match frame {
            Frame::Text(message) | Frame::Binary(message) => Some(Incoming::Message(message)),
            Frame::Continuation(Item::FirstText(part) | Item::FirstBinary(part) | Item::Continue(part)) => {
                self.add(&part)?;
                None
            }
            Frame::Continuation(Item::Last(part)) => {
                self.add(&part)?;
                Some(Incoming::Message(self.begun.split().freeze()))
            }
            Frame::Ping(text) => {
                self.send(Message::Pong(text))?;
                Some(Incoming::Alive)
            }
            Frame::Pong(_) => Some(Incoming::Alive),
            Frame::Close(reason) => Some(Incoming::Close(reason.map(|it| it.code.into()))),
        })
    }

    /// The codec below has checked that the parts come in order.
    fn add(&mut self, part: &Bytes) -> Result<(), ProtocolError> {
        if self.begun.len() + part.len() > LONGEST {
            return Err(ProtocolError::Overflow);
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }
}

/// What is wrong, for people. It repeats nothing that the peer has sent.
pub(super) fn text_of(error: &ProtocolError) -> String {
    match error {
        ProtocolError::Overflow => format!("message of more than {} MiB", LONGEST >> 20),
        ProtocolError::Io(error) if error.kind() == io::ErrorKind::Other => "connection broke".into(),
        ProtocolError::Io(error) => format!("connection broke: {}", error.kind()),
        error => format!("not a websocket's frame: {error}"),
    }
}

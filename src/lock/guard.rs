//! What a server may ask of us before it has let us in: looked at as it arrives, before the client below sees it.
//!
//! ```text
//!   server ──► Guarded ── a question that is not allowed ──► the connection ends, nothing is answered
//!                  └───── all else ─────────────────────────► the PostgreSQL client
//! ```
//! The client answers every question that it understands, and sends the password itself to whoever asks for it. On a
//! connection without TLS that is anybody on the way.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::settings::AuthMethod;

/// What is allowed on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    /// The ways in which the server may ask who we are.
    pub methods: Vec<AuthMethod>,
    /// Whether it may ask for the password itself.
    pub cleartext: bool,
}

impl Rules {
    /// Why a server may not ask so; `None`: it may.
    fn objection(&self, method: AuthMethod) -> Option<String> {
        if !self.methods.contains(&method) {
            return Some(format!(
                "the server asks for {}, which require_auth does not allow",
                method.as_str()
            ));
        }
        (method == AuthMethod::Password && !self.cleartext).then(|| {
            "the server has no TLS and asks for the password itself: not sent in clear (sslmode=disable would send it)"
                .to_owned()
        })
    }
}

/// Where in the server's words we are.
#[derive(Debug)]
enum Stage {
    /// The one byte that says whether the server has TLS.
    TlsAnswer,
    /// Messages: a byte for the kind, four for the length, and the rest. What there is of the head of the next one.
    Head(Vec<u8>),
    /// So many bytes of a message are of no interest.
    Skip(usize),
    /// We have been let in, or all is encrypted.
    Over,
}

/// Reads along.
#[derive(Debug)]
struct Watch {
    stage: Stage,
    rules: Rules,
    /// Whether the server has asked who we are.
    asked: bool,
}

/// The kind of the messages by which the server asks who we are.
const AUTHENTICATION: u8 = b'R';
/// A kind, a length and a code.
const HEAD: usize = 9;

impl Watch {
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while let Some(first) = bytes.first() {
            match &mut self.stage {
                Stage::Over => return Ok(()),
                Stage::TlsAnswer if *first == b'S' => self.stage = Stage::Over,
                Stage::TlsAnswer => {
                    self.stage = Stage::Head(Vec::new());
                    bytes = &bytes[1..];
                }
                Stage::Skip(left) => {
                    let skipped = bytes.len().min(*left);
                    bytes = &bytes[skipped..];
                    *left -= skipped;
                    if *left == 0 {
                        self.stage = Stage::Head(Vec::new());
                    }
                }
                Stage::Head(head) => {
                    head.push(*first);
                    bytes = &bytes[1..];
                    let head = std::mem::take(head);
                    self.stage = self.after(head)?;
                }
            }
        }
        Ok(())
    }

    /// What comes after so much of a message.
    fn after(&mut self, head: Vec<u8>) -> Result<Stage, String> {
        let Some(length) = head.get(1..5).and_then(|it| <[u8; 4]>::try_from(it).ok()) else {
            return Ok(Stage::Head(head));
        };
        let whole = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX).saturating_add(1);
        if head[0] != AUTHENTICATION {
            return Ok(if whole > head.len() {
                Stage::Skip(whole - head.len())
            } else {
                Stage::Head(Vec::new())
            });
        }
        let Some(code) = head.get(5..HEAD).and_then(|it| <[u8; 4]>::try_from(it).ok()) else {
            return Ok(Stage::Head(head));
        };
        if let Some(stage) = self.asked_for(u32::from_be_bytes(code))? {
            return Ok(stage);
        }
        Ok(if whole > HEAD { Stage::Skip(whole - HEAD) } else { Stage::Head(Vec::new()) })
    }

    fn asked_for(&mut self, code: u32) -> Result<Option<Stage>, String> {
        let method = match code {
            0 if self.asked => return Ok(Some(Stage::Over)),
            0 => AuthMethod::None,
            3 => AuthMethod::Password,
            5 => AuthMethod::Md5,
            7 => AuthMethod::Gss,
            9 => AuthMethod::Sspi,
            10 => AuthMethod::ScramSha256,
            // The next step of what has been judged already.
            8 | 11 | 12 if self.asked => return Ok(None),
            other => return Err(format!("the server asks in a way that is not known ({other})")),
        };
        self.asked = true;
        match self.rules.objection(method) {
            Some(objection) => Err(objection),
            None => Ok((code == 0).then_some(Stage::Over)),
        }
    }
}

/// A connection whose other end is watched until it has let us in.
pub(super) struct Guarded<S> {
    stream: S,
    watch: Watch,
}

impl<S> Guarded<S> {
    /// A connection without TLS, or one that is asked for it first.
    pub fn plain(stream: S, rules: Rules, asks_for_tls: bool) -> Self {
        let stage = if asks_for_tls { Stage::TlsAnswer } else { Stage::Head(Vec::new()) };
        Self { stream, watch: Watch { stage, rules, asked: false } }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let judged = self.watch.read(&buffer.filled()[before..]);
        if judged.is_err() {
            buffer.set_filled(before);
        }
        Poll::Ready(judged.map_err(|reason| io::Error::new(io::ErrorKind::PermissionDenied, reason)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Guarded<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// TLS whose inside is watched too.
pub(super) struct GuardedTls<T> {
    pub tls: T,
    pub rules: Rules,
}

impl<S, T> TlsConnect<S> for GuardedTls<T>
where
    T: TlsConnect<S>,
    T::Future: 'static,
    T::Error: 'static,
{
    type Stream = Guarded<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>>>>;

    fn connect(self, stream: S) -> Self::Future {
        let (connecting, rules) = (self.tls.connect(stream), Rules { cleartext: true, ..self.rules });
        Box::pin(async move { Ok(Guarded::plain(connecting.await?, rules, false)) })
    }
}

#[cfg(test)]
mod tests;

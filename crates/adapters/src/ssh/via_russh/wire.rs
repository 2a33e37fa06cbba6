//! The socket of one connection: what comes over it is counted, and it can be closed from outside.
//!
//! The crate serves a connection in a task of its own, which can hang for ever: in a key exchange that its server does
//! not go on with, or in a write that nobody reads. Only closing the socket ends that task for certain.
//!
//! **A flood** is what a server sends beyond the output of our commands: requests, channels that it wants to open,
//! banners, debug messages. Every packet of them costs time, and the crate answers most of them. A bucket holds
//! [`FLOOD`] bytes of it and leaks [`LEAK`] a second; when it is full, the connection ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How much a server may send at once that is no output. It is four times the longest packet, and four times what may be
/// under way in a session when we close it.
const FLOOD: u64 = 1 << 20;
/// How much of it is forgotten each second. A connection at rest has some ten bytes a second, one with many commands
/// some thousand.
const LEAK: u64 = 64 << 10;
/// What a packet of output has beside the output: lengths, padding, and its authentication code.
const BESIDE_OUTPUT: u64 = 64;

/// What is known of one connection's traffic: on both sides of the crate.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Bytes that came and were output of commands, and were not yet told to the bucket.
    output: AtomicU64,
    flooded: AtomicBool,
}

impl Traffic {
    /// A packet with so much output has come.
    pub(super) fn note_output(&self, bytes: usize) {
        if bytes > 0 {
            self.output.fetch_add(bytes as u64 + BESIDE_OUTPUT, Ordering::Relaxed);
        }
    }

    /// Whether the connection was ended for a flood.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }
}

/// How full the bucket is.
struct Bucket {
    level: u64,
    at: Instant,
}

impl Bucket {
    /// Whether so many bytes more, of which some were output, make it overflow.
    fn overflows(&mut self, bytes: u64, output: u64, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_millis() as u64;
        let leaked = elapsed.saturating_mul(LEAK) / 1000;
        if leaked > 0 {
            self.at = now;
        }
        self.level = self.level.saturating_add(bytes).saturating_sub(output).saturating_sub(leaked);
        self.level > FLOOD
    }
}

/// The stream that the crate is given.
pub(super) struct Wire {
    stream: Arc<TcpStream>,
    traffic: Arc<Traffic>,
    bucket: Bucket,
}

/// Closes the socket when it is dropped, whoever else holds it.
pub(super) struct Closer(Arc<TcpStream>);

impl Drop for Closer {
    fn drop(&mut self) {
        // An error means that it is closed already.
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Both);
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream, traffic: Arc<Traffic>) -> (Self, Closer) {
        let stream = Arc::new(stream);
        let closer = Closer(Arc::clone(&stream));
        let bucket = Bucket { level: 0, at: Instant::now() };
        (Self { stream, traffic, bucket }, closer)
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        let output = self.traffic.output.swap(0, Ordering::Relaxed);
        if self.bucket.overflows(bytes as u64, output, Instant::now()) {
            self.traffic.flooded.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        loop {
            ready!(wire.stream.poll_read_ready(context))?;
            match wire.stream.try_read(buffer.initialize_unfilled()) {
                Ok(bytes) => {
                    buffer.advance(bytes);
                    return Poll::Ready(wire.count(bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&*self.stream, Shutdown::Write).map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn requests_without_end_overflow_and_output_does_not() {
        let mut now = Instant::now();
        let mut bucket = Bucket { level: 0, at: now };
        for _ in 0..1_000_000 {
            assert!(!bucket.overflows(32_768, 32_768 + BESIDE_OUTPUT, now), "gigabytes of output");
            assert!(!bucket.overflows(44, 1 + BESIDE_OUTPUT, now), "byte by byte");
        }
        let requests = (1..).find(|_| bucket.overflows(68, 0, now)).unwrap();
        assert_eq!(requests, FLOOD / 68 + 1);
        now += Duration::from_secs(FLOOD / LEAK + 1);
        assert!(!bucket.overflows(68, 0, now), "it is empty again");
    }

    #[test]
    fn a_slow_trickle_leaks_away_however_finely_it_is_cut() {
        let mut now = Instant::now();
        let mut bucket = Bucket { level: 0, at: now };
        for _ in 0..200_000 {
            now += Duration::from_micros(500);
            assert!(!bucket.overflows(LEAK / 2_000, 0, now));
        }
        assert!(bucket.level < FLOOD / 100, "{}", bucket.level);
    }

    #[actix_rt::test]
    async fn whoever_reads_or_writes_is_woken_when_it_is_closed_from_outside() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_silent, _) = listener.accept().await.unwrap();
        let (wire, closer) = Wire::new(stream, Arc::default());
        let (mut read, mut write) = tokio::io::split(wire);
        let reading = actix_rt::spawn(async move { read.read_u8().await });
        let writing = actix_rt::spawn(async move { while write.write_all(&[0; 65_536]).await.is_ok() {} });
        tokio::task::yield_now().await;
        drop(closer);
        assert!(reading.await.unwrap().is_err());
        writing.await.unwrap();
    }
}

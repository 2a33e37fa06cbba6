//! The two ends of a watch, for every adapter that has one: what the port's user holds, and what speaks with the VM.
//!
//! ```text
//!   Handle (ports::Watch) ── lines to add ──► Remote ──► stdin of the command
//!                         ◄── lines, the end ──      ◄── its stdout
//!      └ dropped: the lines to add end, and with them the command
//! ```
//! What waits between the two is bounded: by what a watch may print in all, and by [`WATCH_BACKLOG`].

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;

use async_trait::async_trait;
use dispatch_core::ports::{WATCH_BACKLOG, Watch, WatchEnd, WatchLines};
use tokio::sync::mpsc;

/// Makes the two ends.
pub(crate) fn ends() -> (Rc<dyn Watch>, Remote) {
    let (adding, to_add) = mpsc::channel(WATCH_BACKLOG);
    let (tell, told) = mpsc::unbounded_channel();
    let handle = Handle { adding, told: RefCell::new(told), ended: Cell::new(None) };
    (Rc::new(handle), Remote { to_add, tell, lines: WatchLines::default() })
}

struct Handle {
    adding: mpsc::Sender<String>,
    told: RefCell<mpsc::UnboundedReceiver<Result<String, WatchEnd>>>,
    ended: Cell<Option<WatchEnd>>,
}

#[async_trait(?Send)]
impl Watch for Handle {
    fn add(&self, line: &str) {
        // If so many wait to be written, the command does not read them, and the watch is about to end for that.
        let _ = self.adding.try_send(line.to_owned());
    }

    async fn next(&self) -> Result<String, WatchEnd> {
        if let Some(end) = self.ended.get() {
            return Err(end);
        }
        let next = poll_fn(|context| self.told.borrow_mut().poll_recv(context)).await;
        // Who speaks with the VM has gone without a word only if this thread is ending.
        let next = next.unwrap_or(Err(WatchEnd::ConnectionLost));
        if let Err(end) = next {
            self.ended.set(Some(end));
        }
        next
    }
}

/// The end at which the command is.
pub(crate) struct Remote {
    to_add: mpsc::Receiver<String>,
    tell: mpsc::UnboundedSender<Result<String, WatchEnd>>,
    lines: WatchLines,
}

impl Remote {
    /// The next line for the command's stdin; `None` = the watch was dropped. Safe to drop.
    pub(crate) async fn added(&mut self) -> Option<String> {
        self.to_add.recv().await
    }

    /// Passes on what the command has printed.
    ///
    /// # Errors
    /// If that is too much.
    pub(crate) fn printed(&mut self, bytes: &[u8]) -> Result<(), WatchEnd> {
        for line in self.lines.take(bytes)? {
            // An error means that the watch was dropped, which is noticed elsewhere.
            let _ = self.tell.send(Ok(line));
        }
        Ok(())
    }

    /// Tells that the watch has ended.
    pub(crate) fn end(&self, end: WatchEnd) {
        let _ = self.tell.send(Err(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn lines_arrive_in_order_and_the_end_stays_the_end() {
        let (watch, mut remote) = ends();
        remote.printed(b"one\ntwo\nthr").unwrap();
        remote.end(WatchEnd::Exited(Some(3)));
        assert_eq!(watch.next().await, Ok("one".to_owned()));
        assert_eq!(watch.next().await, Ok("two".to_owned()));
        for _ in 0..2 {
            assert_eq!(watch.next().await, Err(WatchEnd::Exited(Some(3))));
        }
    }

    #[actix_rt::test]
    async fn what_is_added_arrives_and_then_that_the_watch_was_dropped() {
        let (watch, mut remote) = ends();
        watch.add("one");
        drop(watch);
        assert_eq!(remote.added().await, Some("one".to_owned()));
        assert_eq!(remote.added().await, None);
    }
}

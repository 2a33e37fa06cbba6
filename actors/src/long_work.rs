//! Where long work is done that needs nothing but immutable snapshots: on another thread, so that no message waits for it.
//!
//! ```text
//!   actor: takes snapshots ─► work (moved there, with all that it needs) ─► result comes back to the same actor
//!            └ other messages are handled meanwhile ──────────────────────┘
//! ```
//! The state stays with the actor: what the work changes is moved into it and comes back with the result. Where time is
//! not real (simulator, tests) it is done here and at once, so that a seed gives the same history.

use std::future::{Future, pending};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;

/// Where long work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongWork {
    /// On a thread of the runtime's pool.
    Elsewhere,
    /// On this thread, at once.
    Here,
    /// On this thread, at once, and its result comes so much later: others go on meanwhile, as if it were done elsewhere.
    Late(Duration),
}

impl LongWork {
    /// Begins the work, which goes on to its end even if the returned future is dropped.
    pub fn run<T, W>(self, work: W) -> impl Future<Output = T> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Here => Either::Left(std::future::ready(work())),
            Self::Late(by) => {
                let result = work();
                Either::Right(Either::Left(tokio::time::sleep(by).map(|()| result)))
            }
            Self::Elsewhere => {
                let done = tokio::task::spawn_blocking(work);
                Either::Right(Either::Right(async move {
                    match done.await {
                        Ok(result) => result,
                        Err(error) => match error.try_into_panic() {
                            Ok(panic) => std::panic::resume_unwind(panic),
                            // The runtime is ending, and this actor with it.
                            Err(_) => pending().await,
                        },
                    }
                }))
            }
        }
    }

    /// Lets a large value go: that takes as long as it took to make it.
    pub fn discard<T: Send + 'static>(self, it: T) {
        match self {
            Self::Here | Self::Late(_) => drop(it),
            Self::Elsewhere => drop(tokio::task::spawn_blocking(move || drop(it))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn elsewhere_means_that_this_thread_goes_on_meanwhile() {
        let (go, wait) = mpsc::channel::<u32>();
        let work = LongWork::Elsewhere.run(move || wait.recv().map(|n| n + 1));
        let others = async { go.send(1) };
        let (done, sent) = tokio::join!(work, others);
        assert_eq!((done, sent), (Ok(2), Ok(())));
    }

    #[tokio::test]
    async fn here_means_on_this_thread_and_at_once() {
        let here = std::thread::current().id();
        let work = LongWork::Here.run(move || std::thread::current().id() == here);
        assert_eq!(work.now_or_never(), Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn late_means_now_and_told_later() {
        let began = tokio::time::Instant::now();
        let mut work = std::pin::pin!(LongWork::Late(Duration::from_secs(3)).run(|| 7));
        assert_eq!(work.as_mut().now_or_never(), None);
        assert_eq!((work.await, began.elapsed().as_secs()), (7, 3));
    }

    #[tokio::test]
    #[should_panic(expected = "its own words")]
    async fn a_panic_elsewhere_is_a_panic_here() {
        LongWork::Elsewhere.run(|| panic!("its own words")).await
    }

    #[tokio::test]
    async fn what_is_discarded_is_dropped_elsewhere() {
        struct Tell(mpsc::Sender<std::thread::ThreadId>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.send(std::thread::current().id());
            }
        }
        for (work, is_here) in [(LongWork::Here, true), (LongWork::Elsewhere, false)] {
            let (tell, told) = mpsc::channel();
            work.discard(Tell(tell));
            let dropped_on = told.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(dropped_on == std::thread::current().id(), is_here, "{work:?}");
        }
    }
}

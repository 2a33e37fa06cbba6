//! The thread on which all connections are served.
//!
//! The actors' thread does no cryptography: a key exchange takes it a millisecond, a signature with a long RSA key
//! forty, and after a restart there are hundreds of both at once. A server that floods us keeps this thread busy, and
//! no actor waits for it.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A thread with a runtime of its own. It ends, with everything on it, when this is dropped.
pub(super) struct Thread {
    runtime: Handle,
    /// Dropping it ends the thread.
    _stop: oneshot::Sender<()>,
}

impl Thread {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("ssh".to_owned()).spawn(move || {
            // An error means that the other side was dropped, which is what we wait for.
            let _ = runtime.block_on(stopped);
        })?;
        Ok(Self { runtime: handle, _stop: stop })
    }

    /// Begins something there that ends by itself.
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// Runs a future there; it is dropped there when this one is dropped. `None` = the thread has ended. If the future
    /// panics so does this one: that is a bug in this program, and no news of the VM or of our own side.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(future, &self.runtime);
        match tasks.join_next().await? {
            Ok(answer) => Some(answer),
            Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    #[should_panic(expected = "a bug")]
    async fn a_panic_there_is_one_here() {
        let thread = Thread::start().unwrap();
        let _: Option<()> = thread.run(async { panic!("a bug") }).await;
    }

    #[actix_rt::test]
    async fn what_is_not_waited_for_any_more_is_dropped_there_and_everything_with_the_thread() {
        let thread = Thread::start().unwrap();
        assert_eq!(thread.run(async { 7 }).await, Some(7));
        let (held, dropped) = oneshot::channel::<()>();
        let forever = thread.run(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), forever).await.is_err());
        assert!(dropped.await.is_err());
        let (held, dropped) = oneshot::channel::<()>();
        thread.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(thread);
        assert!(dropped.await.is_err());
    }
}

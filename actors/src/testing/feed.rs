//! An event feed that says what a test has it say.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use async_trait::async_trait;
use dispatch_core::ports::{EventFeed, FeedCounts, Hint};
use tokio::sync::Notify;

/// The feed.
#[derive(Default)]
pub struct FakeFeed {
    hints: RefCell<VecDeque<Hint>>,
    more: Notify,
    pub counts: Cell<FeedCounts>,
}

impl FakeFeed {
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    pub fn says(&self, hints: impl IntoIterator<Item = Hint>) {
        self.hints.borrow_mut().extend(hints);
        self.more.notify_one();
    }

    pub fn waiting(&self) -> usize {
        self.hints.borrow().len()
    }
}

#[async_trait(?Send)]
impl EventFeed for FakeFeed {
    async fn next(&self) -> Hint {
        loop {
            if let Some(hint) = self.hints.borrow_mut().pop_front() {
                return hint;
            }
            self.more.notified().await;
        }
    }

    fn counts(&self) -> FeedCounts {
        self.counts.get()
    }
}

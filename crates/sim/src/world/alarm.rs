//! A panicking actor is simply gone, and its task keeps the panic to itself: here it is heard of.

use std::cell::RefCell;
use std::sync::Once;

static INSTALLED: Once = Once::new();

thread_local! {
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Listens from now on; forgets what this thread has heard so far.
pub(super) fn install() {
    INSTALLED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            HEARD.with_borrow_mut(|heard| *heard = Some(panic.to_string()));
            before(panic);
        }));
    });
    HEARD.take();
}

/// What was heard on this thread since the last time.
pub(super) fn take() -> Option<String> {
    HEARD.take()
}

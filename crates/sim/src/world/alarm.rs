//! Remembers panics: an actor that panics disappears, and its task does not report the panic.

use std::cell::RefCell;
use std::sync::Once;

static INSTALLED: Once = Once::new();

thread_local! {
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Remembers panics from now on, and forgets those that this thread has had so far.
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

/// The latest panic on this thread since the last call.
pub(super) fn take() -> Option<String> {
    HEARD.take()
}

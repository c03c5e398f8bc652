//! Panics that are caught: one hands its member back and is counted, and nothing is printed of it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

thread_local! {
    static CATCHES: Cell<bool> = const { Cell::new(false) };
}

/// Let panics be printed as before, but those that this thread catches by `caught`.
pub fn install() {
    let before = take_hook();
    set_hook(Box::new(move |panic| {
        if !CATCHES.get() {
            before(panic);
        }
    }));
}

/// Return what a function comes to; None where it panics, and what it has changed is then not to be used.
pub fn caught<T>(function: impl FnOnce() -> T) -> Option<T> {
    CATCHES.set(true);
    let done = catch_unwind(AssertUnwindSafe(function));
    CATCHES.set(false);
    done.ok()
}

//! wasm without atomics: there is one thread, which nobody could wake.

use core::time::Duration;

use core::sync::atomic::Ordering;

use crate::{AtomicU32, Wait};

/// Only reached when a hook claims that this thread may block. Sleeping would be for ever, so it returns at once.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    match (word.load(Ordering::Relaxed) == expected, timeout) {
        (false, _) => Wait::Mismatch,
        (true, Some(_)) => Wait::TimedOut,
        (true, None) => Wait::Woken,
    }
}

pub(crate) fn notify(_word: &AtomicU32, _count: u32) -> u32 {
    0
}

//! Targets with nothing to sleep on: a short spin, and back to the caller's loop as if woken.

use core::hint;
use core::sync::atomic::Ordering;
use core::time::Duration;

use crate::{AtomicU32, Wait};

pub(crate) const CAN_SLEEP: bool = true;

const TURNS: u32 = 1000;

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    // Relaxed: the caller looks at the word again with the ordering that he needs.
    if word.load(Ordering::Relaxed) != expected {
        return Wait::Mismatch;
    }
    for _ in 0..TURNS {
        hint::spin_loop();
        if word.load(Ordering::Relaxed) != expected {
            return Wait::Woken;
        }
    }
    if timeout.is_some() { Wait::TimedOut } else { Wait::Woken }
}

pub(crate) fn notify(_word: &AtomicU32, _count: u32) -> u32 {
    0
}

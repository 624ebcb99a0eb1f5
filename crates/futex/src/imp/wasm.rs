//! wasm with atomics: two instructions.

use core::arch::wasm32::{memory_atomic_notify, memory_atomic_wait32};
use core::time::Duration;

use crate::{AtomicU32, Wait, growth};

pub(crate) const CAN_SLEEP: bool = true;

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    // Nanoseconds; negative is for ever. More than 292 years are as good as that.
    let nanoseconds = timeout.map_or(-1, |timeout| i64::try_from(timeout.as_nanos()).unwrap_or(-1));
    growth::reach(word);
    // SAFETY: the address is that of a live, aligned 32-bit atomic, and the caller has made sure that this thread may block.
    match unsafe { memory_atomic_wait32(word.as_ptr().cast(), expected as i32, nanoseconds) } {
        0 => Wait::Woken,
        1 => Wait::Mismatch,
        _ => Wait::TimedOut,
    }
}

pub(crate) fn notify(word: &AtomicU32, count: u32) -> u32 {
    growth::reach(word);
    // SAFETY: the address is that of a live, aligned 32-bit atomic.
    unsafe { memory_atomic_notify(word.as_ptr().cast(), count) }
}

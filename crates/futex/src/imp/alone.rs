//! wasm without atomics: there is one thread, which nobody could wake, so it never may wait.

use core::time::Duration;

use crate::{AtomicU32, Wait};

/// Makes `can_block` false, and so every wait an error.
pub(crate) const CAN_SLEEP: bool = false;

/// Never reached; if it were, a return at once is right, and sleeping would be for ever.
pub(crate) fn wait(_word: &AtomicU32, _expected: u32, _timeout: Option<Duration>) -> Wait {
    Wait::Woken
}

pub(crate) fn notify(_word: &AtomicU32, _count: u32) -> u32 {
    0
}

#![doc = include_str!("../README.md")]
#![no_std]
// The wait instruction is the one part of wasm's atomics that has no stable name in `core::arch`.
#![cfg_attr(all(target_arch = "wasm32", target_feature = "atomics"), feature(stdarch_wasm_atomic_wait))]

#[cfg(any(loom, all(feature = "web", target_arch = "wasm32")))]
extern crate std;

mod block;
#[cfg_attr(loom, path = "imp/model.rs")]
#[cfg_attr(all(not(loom), target_arch = "wasm32", target_feature = "atomics"), path = "imp/wasm.rs")]
#[cfg_attr(all(not(loom), target_arch = "wasm32", not(target_feature = "atomics")), path = "imp/alone.rs")]
#[cfg_attr(all(not(loom), target_os = "linux"), path = "imp/linux.rs")]
#[cfg_attr(all(not(loom), not(target_os = "linux"), not(target_arch = "wasm32")), path = "imp/spin.rs")]
mod imp;
#[cfg(all(feature = "web", target_arch = "wasm32"))]
pub mod web;

use core::fmt;
use core::time::Duration;

pub use block::{can_block, set_can_block};

#[cfg(not(loom))]
pub use core::sync::atomic::AtomicU32;
#[cfg(loom)]
pub mod model_atomic;
/// The atomic of models, a wrapper of loom's.
#[cfg(loom)]
pub use model_atomic::AtomicU32;

/// Whether this build is for loom models, where nothing works outside a model. For doc tests, which cannot ask `cfg`.
#[doc(hidden)]
pub const MODEL: bool = cfg!(loom);

/// Why a wait returned. Whatever it says, the word may have changed again: look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Somebody notified, or the system woke the thread for no reason of its own ("spuriously").
    Woken,
    /// The word did not have the expected value; the thread has not slept.
    Mismatch,
    /// The time was up.
    TimedOut,
}

/// The error of a wait on a thread that may not block, such as the browser's main thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MayNotBlock;

impl fmt::Display for MayNotBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this thread may not block: it is the browser's main thread, or nobody has said that it may \
             (`weblane_futex::set_can_block`); wait in a worker, poll, or await instead",
        )
    }
}

impl core::error::Error for MayNotBlock {}

/// Sleeps while `word` holds `expected`, until somebody notifies, or for `timeout`.
///
/// The comparison and going to sleep are one step with respect to [`notify`]: a change of the word that is followed by a
/// notification is not missed. May return [`Wait::Woken`] for no reason, so call it in a loop. On targets with nothing to
/// sleep on (see the crate's documentation) it returns early, time-out or not.
///
/// # Errors
///
/// [`MayNotBlock`] where [`can_block`] is false. The thread has not slept, and the word has not been looked at.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// use std::time::Duration;
/// use weblane_futex::{AtomicU32, Wait, wait};
///
/// let word = AtomicU32::new(7);
/// assert_eq!(wait(&word, 6, None), Ok(Wait::Mismatch));
/// # #[cfg(target_os = "linux")]
/// assert_eq!(wait(&word, 7, Some(Duration::from_millis(1))), Ok(Wait::TimedOut));
/// ```
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<Wait, MayNotBlock> {
    if !can_block() {
        return Err(MayNotBlock);
    }
    Ok(imp::wait(word, expected, timeout))
}

/// Wakes at most `count` threads that sleep on `word`, and returns how many it woke (0 where the target cannot tell).
///
/// Never blocks; may be called on any thread, the browser's main thread included. Change the word first.
///
/// ```
/// # if weblane_futex::MODEL { return }
/// # use weblane_futex::{AtomicU32, notify};
/// assert_eq!(notify(&AtomicU32::new(0), 5), 0); // nobody sleeps here
/// ```
pub fn notify(word: &AtomicU32, count: u32) -> u32 {
    imp::notify(word, count)
}

/// Wakes one thread that sleeps on `word`; returns whether there was one.
pub fn notify_one(word: &AtomicU32) -> bool {
    notify(word, 1) != 0
}

/// Wakes every thread that sleeps on `word`; returns how many.
pub fn notify_all(word: &AtomicU32) -> u32 {
    notify(word, u32::MAX)
}

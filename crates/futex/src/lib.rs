#![doc = include_str!("../README.md")]
#![no_std]
// The wait instruction is the one part of wasm's atomics that has no stable name in `core::arch`. And thread-locals without `std`, for `growth`.
#![cfg_attr(all(target_arch = "wasm32", target_feature = "atomics"), feature(stdarch_wasm_atomic_wait, thread_local))]

#[cfg(any(loom, shuttle, feature = "std"))]
extern crate alloc;
#[cfg(any(loom, shuttle, feature = "std"))]
extern crate std;

mod block;
pub mod growth;
#[cfg_attr(any(loom, shuttle), path = "imp/model.rs")]
#[cfg_attr(all(not(any(loom, shuttle)), target_arch = "wasm32", target_feature = "atomics"), path = "imp/wasm.rs")]
#[cfg_attr(
    all(not(any(loom, shuttle)), target_arch = "wasm32", not(target_feature = "atomics")),
    path = "imp/alone.rs"
)]
#[cfg_attr(all(not(any(loom, shuttle)), any(target_os = "linux", target_os = "android")), path = "imp/linux.rs")]
#[cfg_attr(all(not(any(loom, shuttle)), target_vendor = "apple"), path = "imp/apple.rs")]
#[cfg_attr(all(not(any(loom, shuttle)), windows), path = "imp/windows.rs")]
#[cfg_attr(
    not(any(
        loom,
        shuttle,
        target_arch = "wasm32",
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        windows
    )),
    cfg_attr(feature = "std", path = "imp/table.rs"),
    cfg_attr(not(feature = "std"), path = "imp/spin.rs")
)]
mod imp;
#[cfg(any(loom, shuttle))]
pub mod model;
// The table is tried on systems that do not need it.
#[cfg(all(test, any(loom, all(not(shuttle), feature = "std"))))]
#[path = "imp/table.rs"]
mod table;
#[cfg(test)]
#[path = "imp/table_tests.rs"]
mod table_tests;
// And what systems without threads have.
#[cfg(all(test, not(any(loom, shuttle)), feature = "std"))]
#[path = "imp/spin.rs"]
mod spin;
#[cfg(all(feature = "web", target_arch = "wasm32"))]
pub mod web;

use core::fmt;
use core::time::Duration;

pub use block::{can_block, set_can_block};

#[cfg(not(any(loom, shuttle)))]
pub use core::sync::atomic::AtomicU32;
#[cfg(any(loom, shuttle))]
pub mod model_atomic;
/// The atomic of models: a wrapper of loom's, or shuttle's own.
#[cfg(any(loom, shuttle))]
pub use model_atomic::AtomicU32;

/// Whether this build is for models, where nothing works outside a model. For doc tests, which cannot ask `cfg`.
#[doc(hidden)]
pub const MODEL: bool = cfg!(any(loom, shuttle));

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
/// # Panics
///
/// On the web, with the feature `web`: if this thread has a waiter of `web::wait_async` on this word, which would take the notification.
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
    #[cfg(all(feature = "web", target_arch = "wasm32", target_feature = "atomics"))]
    web::assert_not_armed(word);
    Ok(imp::wait(word, expected, timeout))
}

/// Sleeps as [`wait`] does, for at most `timeout`.
///
/// # Errors
///
/// [`MayNotBlock`] where [`can_block`] is false.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// use std::time::Duration;
/// use weblane_futex::{AtomicU32, Wait, wait_timeout};
///
/// let word = AtomicU32::new(7);
/// assert_eq!(wait_timeout(&word, 6, Duration::from_secs(1)), Ok(Wait::Mismatch));
/// ```
pub fn wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> Result<Wait, MayNotBlock> {
    wait(word, expected, Some(timeout))
}

/// Wakes at most `count` threads that sleep on `word`, and returns how many it woke, as far as the target tells.
///
/// The number is exact on wasm, on Linux, in models, and where this crate keeps a table of sleepers. macOS is exact below `u32::MAX`, and tells then
/// only whether there was anybody; Windows and targets with nothing to sleep on say 0.
///
/// Never blocks; may be called on any thread, the browser's main thread included. Change the word first.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// # use weblane_futex::{AtomicU32, notify};
/// assert_eq!(notify(&AtomicU32::new(0), 5), 0); // nobody sleeps here
/// ```
pub fn notify(word: &AtomicU32, count: u32) -> u32 {
    imp::notify(word, count)
}

/// Wakes one thread that sleeps on `word`; returns whether there was one, as far as the target tells.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// # use weblane_futex::{AtomicU32, notify_one};
/// assert!(!notify_one(&AtomicU32::new(0)));
/// ```
pub fn notify_one(word: &AtomicU32) -> bool {
    notify(word, 1) != 0
}

/// Wakes every thread that sleeps on `word`; returns how many, as far as the target tells.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// # use weblane_futex::{AtomicU32, notify_all};
/// assert_eq!(notify_all(&AtomicU32::new(0)), 0);
/// ```
pub fn notify_all(word: &AtomicU32) -> u32 {
    notify(word, u32::MAX)
}

//! Windows: `WaitOnAddress` and its two wakes, since Windows 8.
//!
//! The system does not tell whom a wake reached, so `notify` returns 0. It does not tell either whether a wait slept: the word is compared
//! before, which makes [`Wait::Mismatch`] the usual answer where it differs, but a change in between reads as [`Wait::Woken`].

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;
use core::time::Duration;

use crate::{AtomicU32, Wait};

pub(crate) const CAN_SLEEP: bool = true;

#[link(name = "api-ms-win-core-synch-l1-2-0", kind = "raw-dylib")]
unsafe extern "system" {
    fn WaitOnAddress(address: *const c_void, compare: *const c_void, size: usize, milliseconds: u32) -> i32;
    fn WakeByAddressSingle(address: *const c_void);
    fn WakeByAddressAll(address: *const c_void);
}

#[link(name = "kernel32", kind = "raw-dylib")]
unsafe extern "system" {
    fn GetLastError() -> u32;
}

const INFINITE: u32 = u32::MAX;
const ERROR_TIMEOUT: u32 = 1460;
/// More single wakes than this are one wake of everybody: a wake too many is spurious, a call too many is slow.
const SINGLES: u32 = 16;

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    // Relaxed: the caller looks at the word again with the ordering that he needs.
    if word.load(Ordering::Relaxed) != expected {
        return Wait::Mismatch;
    }
    // Milliseconds, rounded up. A longer time than fits (49 days) ends early, as if woken.
    let milliseconds = timeout.map(|timeout| timeout.as_nanos().div_ceil(1_000_000));
    let cut = milliseconds.is_some_and(|milliseconds| milliseconds >= INFINITE.into());
    let milliseconds = milliseconds.map_or(INFINITE, |fits| u32::try_from(fits).unwrap_or(INFINITE).min(INFINITE - 1));
    // SAFETY: both addresses are those of four live, aligned bytes.
    let woken = unsafe { WaitOnAddress(word.as_ptr().cast(), ptr::from_ref(&expected).cast(), 4, milliseconds) } != 0;
    // SAFETY: reads a figure of the calling thread.
    if !woken && !cut && unsafe { GetLastError() } == ERROR_TIMEOUT { Wait::TimedOut } else { Wait::Woken }
}

pub(crate) fn notify(word: &AtomicU32, count: u32) -> u32 {
    let address: *const c_void = word.as_ptr().cast();
    if count > SINGLES {
        // SAFETY: the address is only a name.
        unsafe { WakeByAddressAll(address) };
    } else {
        // SAFETY: the same.
        (0..count).for_each(|_| unsafe { WakeByAddressSingle(address) });
    }
    0
}

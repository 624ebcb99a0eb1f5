//! Linux and Android: the futex system call, process-private.

use core::ptr;
use core::time::Duration;

use crate::{AtomicU32, Wait};

pub(crate) const CAN_SLEEP: bool = true;

/// The `timespec` of this system call: two `long`s, also where the C library's has a 64-bit time on a 32-bit machine.
#[repr(C)]
struct Timespec {
    seconds: libc::c_long,
    nanoseconds: libc::c_long,
}

#[cfg(target_os = "android")]
use libc::__errno as errno;
#[cfg(target_os = "linux")]
use libc::__errno_location as errno;

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    let time = timeout.map(|timeout| Timespec {
        // More seconds than fit are as good as the end of time.
        seconds: libc::c_long::try_from(timeout.as_secs()).unwrap_or(libc::c_long::MAX),
        nanoseconds: timeout.subsec_nanos() as _,
    });
    let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: futex(2) with FUTEX_WAIT reads an aligned 32-bit word and a timespec or null; both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, expected, time) };
    if result == 0 {
        return Wait::Woken;
    }
    // SAFETY: the address of this thread's errno is always valid.
    match unsafe { *errno() } {
        libc::EAGAIN => Wait::Mismatch,
        libc::ETIMEDOUT => Wait::TimedOut,
        // EINTR: a signal handler ran. Spurious, as far as the caller is concerned.
        _ => Wait::Woken,
    }
}

pub(crate) fn notify(word: &AtomicU32, count: u32) -> u32 {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // The kernel takes a signed number.
    let count = count.min(i32::MAX as u32);
    // SAFETY: futex(2) with FUTEX_WAKE uses the word's address only as a name.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
    u32::try_from(woken).unwrap_or(0)
}

//! macOS and its kin: `os_sync_wait_on_address` where the system has it (macOS 14.4, iOS 17.4), else `__ulock_wait`, which it stands on.
//!
//! Both are looked up when first needed, so that a program starts on systems without the one or the other. The older call is not in any
//! public header; every Apple system since macOS 10.12 has it, and LLVM's C++ library uses it. Without either, a wait spins a little.
//!
//! Neither call says whether it slept: where the word differs they return as from a wake-up. So the word is compared before, which makes
//! [`Wait::Mismatch`] the usual answer then, but a change in between reads as [`Wait::Woken`].

use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use core::time::Duration;

use crate::{AtomicU32, Wait};

pub(crate) const CAN_SLEEP: bool = true;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __error() -> *mut c_int;
}

/// "In any library of this program".
const RTLD_DEFAULT: *mut c_void = ptr::without_provenance_mut(-2_isize as usize);

const ETIMEDOUT: c_int = 60;

const OS_CLOCK_MACH_ABSOLUTE_TIME: u32 = 32;
type WaitOnAddress = unsafe extern "C" fn(*mut c_void, u64, usize, u32) -> c_int;
type WaitOnAddressWithTimeout = unsafe extern "C" fn(*mut c_void, u64, usize, u32, u32, u64) -> c_int;
type WakeByAddress = unsafe extern "C" fn(*mut c_void, usize, u32) -> c_int;

const UL_COMPARE_AND_WAIT: u32 = 1;
const ULF_WAKE_ALL: u32 = 0x100;
const ULF_NO_ERRNO: u32 = 0x0100_0000;
type UlockWait = unsafe extern "C" fn(u32, *mut c_void, u64, u32) -> c_int;
type UlockWake = unsafe extern "C" fn(u32, *mut c_void, u64) -> c_int;

/// A function that the system may have: null before the first look, `MISSING` if it has not.
struct Symbol {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
}

const MISSING: *mut c_void = ptr::without_provenance_mut(1);

impl Symbol {
    const fn new(name: &'static CStr) -> Self {
        Symbol { name, found: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The function's address. Whoever looks first stores it; a second one stores the same.
    fn get(&self) -> Option<*mut c_void> {
        // Relaxed: an address in a library carries no data that would have to be seen first.
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: dlsym(3) with a handle of its own and a string that ends.
            found = unsafe { dlsym(RTLD_DEFAULT, self.name.as_ptr()) };
            if found.is_null() {
                found = MISSING;
            }
            self.found.store(found, Ordering::Relaxed);
        }
        (found != MISSING).then_some(found)
    }
}

static WAIT: Symbol = Symbol::new(c"os_sync_wait_on_address");
static WAIT_WITH_TIMEOUT: Symbol = Symbol::new(c"os_sync_wait_on_address_with_timeout");
static WAKE_ANY: Symbol = Symbol::new(c"os_sync_wake_by_address_any");
static WAKE_ALL: Symbol = Symbol::new(c"os_sync_wake_by_address_all");
static ULOCK_WAIT: Symbol = Symbol::new(c"__ulock_wait");
static ULOCK_WAKE: Symbol = Symbol::new(c"__ulock_wake");

/// The newer four, which come and go together: a sleeper of one family is not woken by the other.
fn newer() -> Option<[*mut c_void; 4]> {
    Some([WAIT.get()?, WAIT_WITH_TIMEOUT.get()?, WAKE_ANY.get()?, WAKE_ALL.get()?])
}

pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    // Relaxed: the caller looks at the word again with the ordering that he needs.
    if word.load(Ordering::Relaxed) != expected {
        return Wait::Mismatch;
    }
    // The newer call takes no time-out of 0.
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        return Wait::TimedOut;
    }
    let address = word.as_ptr().cast();
    let timed_out = if let Some([wait, wait_with_timeout, ..]) = newer() {
        let result = match timeout {
            // SAFETY: the symbol has this type, and reads the four bytes of a live, aligned word.
            None => unsafe { mem::transmute::<*mut c_void, WaitOnAddress>(wait)(address, expected.into(), 4, 0) },
            Some(timeout) => {
                let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
                // SAFETY: as above.
                unsafe {
                    let call = mem::transmute::<*mut c_void, WaitOnAddressWithTimeout>(wait_with_timeout);
                    call(address, expected.into(), 4, 0, OS_CLOCK_MACH_ABSOLUTE_TIME, nanoseconds)
                }
            }
        };
        // SAFETY: the address of this thread's errno is always valid.
        result < 0 && unsafe { *__error() } == ETIMEDOUT
    } else if let Some(wait) = ULOCK_WAIT.get() {
        // Microseconds, rounded up; 0 is for ever. A longer time than fits ends early, as if woken.
        let microseconds = timeout.map_or(0, |timeout| timeout.as_nanos().div_ceil(1000));
        let (microseconds, cut) = u32::try_from(microseconds).map_or((u32::MAX, true), |fits| (fits, false));
        // SAFETY: the symbol has this type, and reads the four bytes of a live, aligned word.
        let result = unsafe {
            let call = mem::transmute::<*mut c_void, UlockWait>(wait);
            call(UL_COMPARE_AND_WAIT | ULF_NO_ERRNO, address, expected.into(), microseconds)
        };
        result == -ETIMEDOUT && !cut
    } else {
        (0..1000).for_each(|_| core::hint::spin_loop());
        false
    };
    if timed_out { Wait::TimedOut } else { Wait::Woken }
}

/// Exact for one; "at least one" where everybody was woken.
pub(crate) fn notify(word: &AtomicU32, count: u32) -> u32 {
    let address: *mut c_void = word.as_ptr().cast();
    let wake = |all: bool| -> bool {
        if let Some([.., any, every]) = newer() {
            // SAFETY: the symbols have this type, and use the word's address only as a name.
            unsafe { mem::transmute::<*mut c_void, WakeByAddress>(if all { every } else { any })(address, 4, 0) >= 0 }
        } else if let Some(wake) = ULOCK_WAKE.get() {
            let operation = UL_COMPARE_AND_WAIT | ULF_NO_ERRNO | if all { ULF_WAKE_ALL } else { 0 };
            // SAFETY: as above.
            unsafe { mem::transmute::<*mut c_void, UlockWake>(wake)(operation, address, 0) >= 0 }
        } else {
            false
        }
    };
    if count == u32::MAX {
        return wake(true).into();
    }
    // Both calls fail when nobody sleeps.
    let mut woken = 0;
    while woken < count && wake(false) {
        woken += 1;
    }
    woken
}

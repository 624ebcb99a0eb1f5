//! Systems with threads but no call of this kind: a table of sleepers, as in `parking_lot`, on the standard library's locks.
//!
//! The words stay plain 32-bit words; who sleeps is kept beside them, in buckets chosen by the word's address.
//!
//! - *wait*: lock the bucket; compare the word **under the lock**; if it differs, go. Else queue a slot of one's own, unlock, and sleep on the
//!   slot until it says "woken". When the time is up: lock the bucket and look for the slot in the queue. If it is there, take it out, and it was a
//!   time-out. If not, a notifier has counted this thread, and it was a wake-up: the word is not looked at, the queue decides (race 41).
//! - *notify*: lock the bucket; take up to `count` slots of this address from the front; mark and wake each.
//!
//! A waiter compares and queues under the lock under which a notifier looks, so a change that is followed by a notification is not
//! missed: either the notifier finds the slot, or its unlock came before the waiter's lock, and then so did its change. Counts are exact, and who
//! came first is woken first. Locks are taken in the order bucket, slot; a sleeper holds its slot's only.

use alloc::collections::VecDeque;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::PoisonError;

use crate::{AtomicU32, Wait};

#[cfg(loom)]
use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What one sleeping thread sleeps on.
struct Slot {
    woken: Mutex<bool>,
    changed: Condvar,
}

struct Sleeper {
    address: usize,
    slot: Arc<Slot>,
}

type Bucket = Mutex<VecDeque<Sleeper>>;

/// A panic inside these locks would be one of the allocator's; what they guard is whole between any two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When a sleep ends by itself; `None` for never.
#[cfg(not(loom))]
struct Deadline(Option<std::time::Instant>);

#[cfg(not(loom))]
impl Deadline {
    fn after(timeout: Option<Duration>) -> Self {
        // A moment that the clock cannot name is as good as never.
        Deadline(timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout)))
    }

    /// Sleeps once, and says whether the time is up.
    fn sleep<'a>(&self, changed: &Condvar, guard: MutexGuard<'a, bool>) -> (MutexGuard<'a, bool>, bool) {
        let Some(end) = self.0 else {
            return (changed.wait(guard).unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return (guard, true);
        }
        let (guard, _) = changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner);
        (guard, false)
    }
}

/// In models time is up when the scheduler has it so.
#[cfg(loom)]
struct Deadline(bool);

#[cfg(loom)]
impl Deadline {
    fn after(timeout: Option<Duration>) -> Self {
        Deadline(timeout.is_some())
    }

    fn sleep<'a>(&self, changed: &Condvar, guard: MutexGuard<'a, bool>) -> (MutexGuard<'a, bool>, bool) {
        if self.0 {
            return (guard, true);
        }
        (changed.wait(guard).unwrap_or_else(PoisonError::into_inner), false)
    }
}

/// Who sleeps, by address.
pub(crate) struct Table<const BUCKETS: usize> {
    buckets: [Bucket; BUCKETS],
}

impl<const BUCKETS: usize> Table<BUCKETS> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Table { buckets: [const { Mutex::new(VecDeque::new()) }; BUCKETS] }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Table { buckets: core::array::from_fn(|_| Mutex::new(VecDeque::new())) }
    }

    fn bucket(&self, address: usize) -> &Bucket {
        // Words are four bytes apart at least; neighbours get different buckets, and so do words that lie a power of two apart.
        let mixed = (address >> 2).wrapping_mul(0x9E37_79B1) >> 16;
        &self.buckets[mixed % BUCKETS]
    }

    pub(crate) fn wait(&self, word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
        let address = core::ptr::from_ref(word).addr();
        let bucket = self.bucket(address);
        let deadline = Deadline::after(timeout);
        let mut sleepers = lock(bucket);
        // Relaxed: a change whose notification came before this lock is seen because the lock orders it; a later notification finds the slot.
        if word.load(Ordering::Relaxed) != expected {
            return Wait::Mismatch;
        }
        let slot = Arc::new(Slot { woken: Mutex::new(false), changed: Condvar::new() });
        sleepers.push_back(Sleeper { address, slot: Arc::clone(&slot) });
        drop(sleepers);

        let mut woken = lock(&slot.woken);
        while !*woken {
            let time_is_up;
            (woken, time_is_up) = deadline.sleep(&slot.changed, woken);
            if time_is_up {
                drop(woken);
                let mut sleepers = lock(bucket);
                let place = sleepers.iter().position(|sleeper| Arc::ptr_eq(&sleeper.slot, &slot));
                return match place {
                    Some(place) => {
                        sleepers.remove(place);
                        Wait::TimedOut
                    }
                    None => Wait::Woken,
                };
            }
        }
        Wait::Woken
    }

    pub(crate) fn notify(&self, word: &AtomicU32, count: u32) -> u32 {
        let address = core::ptr::from_ref(word).addr();
        let mut sleepers = lock(self.bucket(address));
        let (mut woken, mut at) = (0, 0);
        while woken < count && at < sleepers.len() {
            if sleepers[at].address != address {
                at += 1;
                continue;
            }
            if let Some(sleeper) = sleepers.remove(at) {
                *lock(&sleeper.slot.woken) = true;
                sleeper.slot.changed.notify_one();
                woken += 1;
            }
        }
        woken
    }
}

#[cfg(not(loom))]
mod process {
    use super::{AtomicU32, Duration, Table, Wait};

    pub(crate) const CAN_SLEEP: bool = true;

    static TABLE: Table<64> = Table::new();

    pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
        TABLE.wait(word, expected, timeout)
    }

    pub(crate) fn notify(word: &AtomicU32, count: u32) -> u32 {
        TABLE.notify(word, count)
    }
}
#[cfg(not(loom))]
#[cfg_attr(test, allow(unused_imports, dead_code, reason = "in tests it may stand beside the system's own"))]
pub(crate) use process::{CAN_SLEEP, notify, wait};

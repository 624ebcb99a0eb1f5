//! A lock of one word, after Drepper's "Futexes Are Tricky" (2011), third version.
//!
//! | word | means |
//! |---|---|
//! | FREE | unlocked |
//! | HELD | locked, nobody sleeps |
//! | WAITED | locked, somebody may sleep |
//!
//! *Lock*: FREE → HELD by compare-and-swap. Held: spin a little while nobody sleeps; then `swap(WAITED)`; it was FREE: ours; else sleep
//! while WAITED, and again. *Unlock*: `swap(FREE)`; it was WAITED: wake one.
//!
//! *No wake-up is lost.* A sleeper slept on the value WAITED, and whoever replaces WAITED by FREE notifies. A thread that takes the
//! lock after sleeping leaves WAITED in the word, because it cannot know whether others sleep; that costs at most one vain
//! notification. A thread that takes the lock without sleeping while others are about to wake writes HELD; the woken thread then
//! writes WAITED over it.
//!
//! *A thread that may not block* only ever does the compare-and-swap: it never writes WAITED and never sleeps, so no unlock can owe
//! it a wake-up (race 42), and it gives up after a bounded number of turns.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;

use weblane_futex::MayNotBlock;

use crate::primitive::{AtomicU32, MutPtr, UnsafeCell, spin};

const FREE: u32 = 0;
const HELD: u32 = 1;
const WAITED: u32 = 2;

/// Turns before a thread sleeps: about the length of a short critical section.
const SPINS: u32 = if cfg!(loom) { 1 } else { 100 };
/// Turns before a thread that may not block gives up: some hundred microseconds, many times a short critical section.
const PATIENCE: u32 = if cfg!(loom) { 2 } else { 20_000 };

/// A lock around a value.
///
/// # Progress
///
/// Blocking: a thread that stops while it holds the lock keeps the others out. Not fair: whoever comes at the right moment may
/// overtake threads that sleep. Uncontended, `lock` and the guard's drop are one read-modify-write each.
///
/// # Examples
///
/// ```
/// use weblane_sync::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// *TOTAL.lock()? += 5;
/// assert_eq!(*TOTAL.lock()?, 5);
/// # Ok::<(), weblane_sync::MayNotBlock>(())
/// ```
pub struct Mutex<T> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time, which for a `Send` value is all that sharing needs.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: a lock that is moved takes its value along.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked lock.
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// An unlocked lock.
    #[cfg(loom)]
    pub fn new(value: T) -> Mutex<T> {
        Mutex { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Takes the lock if nobody has it. Never blocks, on any thread.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // Acquire: pairs with the Release in `unlock`; who has the lock sees what its last holder wrote.
        let taken = self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok();
        taken.then(|| self.guard())
    }

    /// Takes the lock, waiting for it: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] on a thread that may not block, when the lock stayed held for all of that time (some hundred microseconds). Try
    /// again in a later task of the event loop, or do without.
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, MayNotBlock> {
        if let Some(guard) = self.try_lock() {
            return Ok(guard);
        }
        if weblane_futex::can_block() {
            self.lock_asleep();
            return Ok(self.guard());
        }
        for _ in 0..PATIENCE {
            spin();
            // Relaxed: only a hint that `try_lock` may succeed.
            if self.word.load(Ordering::Relaxed) == FREE
                && let Some(guard) = self.try_lock()
            {
                return Ok(guard);
            }
        }
        Err(MayNotBlock)
    }

    /// Waits for the lock on a thread that may block.
    #[cold]
    fn lock_asleep(&self) {
        for _ in 0..SPINS {
            // Relaxed: a hint. When somebody sleeps already, spinning would only delay joining him.
            match self.word.load(Ordering::Relaxed) {
                // Acquire: as in `try_lock`.
                FREE if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok() => return,
                WAITED => break,
                _ => spin(),
            }
        }
        // Acquire: as in `try_lock`.
        while self.word.swap(WAITED, Ordering::Acquire) != FREE {
            // Whatever it returns, the swap decides. It may block: the caller has asked.
            let _ = weblane_futex::wait(&self.word, WAITED, None);
        }
    }

    /// The calling thread has just taken the lock.
    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { value: self.value.get_mut(), hold: Hold { mutex: self }, stays: PhantomData }
    }

    fn unlock(&self) {
        // Release: pairs with the Acquire of whoever locks next.
        if self.word.swap(FREE, Ordering::Release) == WAITED {
            weblane_futex::notify_one(&self.word);
        }
    }

    /// The value, without locking: nobody else has the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("Mutex").field("value", &&*guard).finish(),
            None => f.write_str("Mutex { <locked> }"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

/// The lock, held; dropping it unlocks. Stays on its thread.
#[must_use = "dropping the guard unlocks at once"]
pub struct MutexGuard<'a, T> {
    // Dropped before `hold`: the access ends before the lock is given up.
    value: MutPtr<T>,
    hold: Hold<'a, T>,
    stays: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives shared access to the value, which is `Sync`.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

struct Hold<'a, T> {
    mutex: &'a Mutex<T>,
}

impl<T> Drop for Hold<'_, T> {
    fn drop(&mut self) {
        self.mutex.unlock();
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// The lock that this guard holds.
    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.hold.mutex
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock, and the borrow of the guard keeps mutable access away meanwhile.
        unsafe { self.value.deref() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock, and has the guard for itself.
        unsafe { self.value.deref() }
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

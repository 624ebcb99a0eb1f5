//! A lock of one word, after Drepper's "Futexes Are Tricky" (2011), with three additions: futures wait for it too, threads that may not
//! block spin, and the word says who holds it.
//!
//! The word's bits are those of [`word`](crate::word); WRITERS and DONE are not used here.
//!
//! *Lock*: 0 → HELD + number, by one exchange. If that fails, and nobody holds it, with the waiters' bits left in. Held: spin a little while nobody
//! waits; then set SLEEPERS and sleep while the word is what it was, and again. *Unlock*: `swap(0)`; there were sleepers: notify one; there
//! were futures: wake the first, and set FUTURES again if others are left.
//!
//! *No wake-up is lost.* A sleeper slept on a value with SLEEPERS, and whoever replaces it by 0 notifies. A thread that takes the lock after
//! sleeping sets SLEEPERS, because it cannot know whether others sleep; that costs at most one vain notification. A future is listed while the
//! word is HELD and has FUTURES, both seen under the table's lock; whoever replaces it by 0 comes to the table. Between that `swap` and the table
//! the bit may be missing, but that one is about to wake a future, which takes the lock, or waits again, or passes its turn on.
//!
//! *Neither sort starves the other.* Where both wait an unlock wakes one of each. A thread must not depend on a future whose event
//! loop is busy, nor a future on threads that hand the lock to one another. A future that comes too late goes back to the front.
//!
//! *A thread that may not block* only ever exchanges a free word: it never sets SLEEPERS and never sleeps, so no unlock can owe it a wake-up
//! (race 42), and it gives up after a bounded number of turns.
//!
//! *A holder that died*: [`owner`](crate::owner). Its word stays as it was, or has ABANDONED too. Everybody who comes looks whether the
//! holder is dead before he waits, and gets an error; the word is only changed by `recover`, from the dead number to one's own.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;

use crate::error::LockError;
use crate::owner;
use crate::primitive::{AtomicU32, MutPtr, PATIENCE, SPINS, UnsafeCell, constructor, spin};
use crate::waiters::{self, Whom};
use crate::word::{ABANDONED, FUTURES, HELD, SLEEPERS, State};

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
/// # Ok::<(), weblane_sync::LockError>(())
/// ```
pub struct Mutex<T: ?Sized> {
    pub(crate) raw: RawMutex,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time, which for a `Send` value is all that sharing needs.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: a lock that is moved takes its value along.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

/// The lock without the value.
pub(crate) struct RawMutex {
    pub(crate) word: AtomicU32,
}

impl RawMutex {
    constructor! {
        pub(crate) fn new() -> RawMutex {
            RawMutex { word: AtomicU32::new(0) }
        }
    }

    /// Takes the lock if nobody has it, and leaves `waiters` in the word. Else returns what the word is. Lock-free.
    #[inline]
    pub(crate) fn acquire(&self, waiters: u32) -> Result<(), State> {
        let mine = HELD | owner::current() | waiters;
        // Acquire: pairs with the Release in `unlock`; who has the lock sees what its last holder wrote.
        match self.word.compare_exchange(0, mine, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(seen) => self.acquire_waited(State(seen), mine),
        }
    }

    /// The same for a word that may have waiters' bits.
    #[cold]
    fn acquire_waited(&self, mut seen: State, mine: u32) -> Result<(), State> {
        while seen.is_free() {
            // Acquire: as in `acquire`.
            match self.word.compare_exchange(seen.0, seen.with(mine).0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = State(now),
            }
        }
        Err(seen)
    }

    #[inline]
    fn lock(&self) -> Result<(), LockError> {
        match self.acquire(0) {
            Ok(()) => Ok(()),
            Err(_) => self.lock_contended(),
        }
    }

    #[cold]
    fn lock_contended(&self) -> Result<(), LockError> {
        if weblane_futex::can_block() {
            return self.lock_asleep();
        }
        self.lock_spinning(PATIENCE).map_err(|error| match error {
            LockError::Held => LockError::MayNotBlock,
            other => other,
        })
    }

    /// Waits for the lock on a thread that may block.
    pub(crate) fn lock_asleep(&self) -> Result<(), LockError> {
        for _ in 0..SPINS {
            // Relaxed: a hint. When somebody sleeps already, spinning would only delay joining him.
            let seen = State(self.word.load(Ordering::Relaxed));
            if seen.is_free() && self.acquire(0).is_ok() {
                return Ok(());
            }
            if seen.any(SLEEPERS | ABANDONED) {
                break;
            }
            spin();
        }
        let mut waiters = 0;
        loop {
            let Err(seen) = self.acquire(waiters) else {
                return Ok(());
            };
            if seen.is_abandoned() {
                return Err(LockError::Abandoned);
            }
            let expected = seen.with(SLEEPERS).0;
            // Relaxed: the mark is for whoever changes the word next, and carries nothing.
            if seen.has(SLEEPERS)
                || self.word.compare_exchange(seen.0, expected, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                owner::sleep(&self.word, &self.word, expected);
                waiters = SLEEPERS;
            }
        }
    }

    fn lock_spinning(&self, turns: u32) -> Result<(), LockError> {
        let mut left = turns;
        loop {
            // Relaxed: only a hint that `acquire` may succeed.
            let mut seen = State(self.word.load(Ordering::Relaxed));
            if seen.is_free() {
                match self.acquire(0) {
                    Ok(()) => return Ok(()),
                    Err(now) => seen = now,
                }
            }
            if left == 0 || seen.any(ABANDONED) {
                return Err(if seen.is_abandoned() { LockError::Abandoned } else { LockError::Held });
            }
            left -= 1;
            spin();
        }
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        // Release: pairs with the Acquire of whoever locks next.
        let before = State(self.word.swap(0, Ordering::Release));
        if before.any(SLEEPERS | FUTURES) {
            self.wake(before);
        }
    }

    #[cold]
    fn wake(&self, before: State) {
        if before.has(SLEEPERS) {
            weblane_futex::notify_one(&self.word);
        }
        if before.has(FUTURES) {
            self.wake_future();
        }
    }

    /// Wakes the first of the futures; also the way to pass a turn on.
    pub(crate) fn wake_future(&self) {
        waiters::wake(&self.word, Whom::First, |others| {
            if others {
                // Relaxed: the table's lock orders it against who waits; and whoever unlocks next reads the word by a read-modify-write.
                self.word.fetch_or(FUTURES, Ordering::Relaxed);
            }
        });
    }

    /// Takes the lock over from a dead holder.
    fn recover(&self) -> bool {
        loop {
            // Relaxed: the exchange decides.
            let seen = State(self.word.load(Ordering::Relaxed));
            if !seen.is_abandoned() {
                return false;
            }
            let mine = HELD | owner::current() | seen.waiters();
            // Acquire: pairs with the Release of the mark; without a mark, `is_abandoned` has paired with that of the dead thread's number.
            if self.word.compare_exchange(seen.0, mine, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }
}

impl<T> Mutex<T> {
    constructor! {
        /// An unlocked lock.
        pub fn new(value: T) -> Mutex<T> {
            Mutex { raw: RawMutex::new(), value: UnsafeCell::new(value) }
        }
    }

    /// The value, without locking: nobody else has the lock.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock if nobody has it. Never blocks, on any thread. `None` also if it [is abandoned](Mutex::is_abandoned).
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.acquire(0).is_ok().then(|| self.guard())
    }

    /// Takes the lock, waiting for it: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// # Errors
    ///
    /// - [`LockError::MayNotBlock`] on a thread that may not block, when the lock stayed held for all of that time (some hundred
    ///   microseconds). Await [`lock_async`](Mutex::lock_async), try again in a later task of the event loop, or do without.
    /// - [`LockError::Abandoned`] if the thread that held the lock has died: see [`recover`](Mutex::recover).
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError> {
        self.raw.lock().map(|()| self.guard())
    }

    /// Takes the lock, looking for at most `turns` turns of a spin (a few nanoseconds each). Never sleeps, on any thread.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if it stayed held, [`LockError::Abandoned`] as for [`lock`](Mutex::lock).
    pub fn lock_spinning(&self, turns: u32) -> Result<MutexGuard<'_, T>, LockError> {
        self.raw.lock_spinning(turns).map(|()| self.guard())
    }

    /// Whether the thread that held the lock has died, and nobody has recovered it. May be out of date at once, unless this thread is
    /// the only one that recovers.
    pub fn is_abandoned(&self) -> bool {
        // Relaxed: a figure.
        State(self.raw.word.load(Ordering::Relaxed)).is_abandoned()
    }

    /// Takes over the lock that a dead thread held, with the value as it was left: whoever calls this makes it good. `None` if the lock is
    /// not abandoned; so of many who try only one gets it.
    pub fn recover(&self) -> Option<MutexGuard<'_, T>> {
        self.raw.recover().then(|| self.guard())
    }

    /// The calling thread has just taken the lock.
    pub(crate) fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard { value: self.value.get_mut(), hold: Hold { mutex: self }, stays: PhantomData }
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> Mutex<T> {
    /// The value, without locking: the borrow shows that nobody else has the lock.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_exclusive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("Mutex").field("value", &&*guard).finish(),
            None if self.is_abandoned() => f.write_str("Mutex { <abandoned> }"),
            None => f.write_str("Mutex { <locked> }"),
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

/// The lock, held; dropping it unlocks. Stays on its thread.
#[must_use = "dropping the guard unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    // Dropped before `hold`: the access ends before the lock is given up.
    value: MutPtr<T>,
    hold: Hold<'a, T>,
    stays: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives shared access to the value, which is `Sync`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

struct Hold<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

impl<T: ?Sized> Drop for Hold<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.unlock();
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The lock that this guard holds.
    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.hold.mutex
    }

    /// Ends the guard and leaves the lock held: the caller answers for it. Visible for models of threads that die.
    #[doc(hidden)]
    pub fn keep(self) {
        mem::forget(self.hold);
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock, and the borrow of the guard keeps mutable access away meanwhile.
        unsafe { self.value.deref() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock, and has the guard for itself.
        unsafe { self.value.deref() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

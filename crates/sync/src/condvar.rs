//! A condition: one word that counts notifications, and says who waits.
//!
//! | bits | name | set by | cleared by |
//! |---|---|---|---|
//! | 0 | SLEEPERS | a thread, before it unlocks and sleeps | a notification that finds nobody asleep, or calls all |
//! | 1 | FUTURES | a future, under the table's lock, before it unlocks | the same lock's holder who takes out the last one |
//! | 2 to 31 | count | +1 by every notification | – |
//!
//! *Wait*: **while holding the lock**, set one's bit and read the count; unlock; sleep while the word is the same; lock again. *Notify*: add
//! one; who waits, by the word as it was: wake. Whoever changes what the condition is about does so under the lock, so after a waiter has read the count, a change
//! is followed by a new count, and the sleep ends or does not begin. Whether a timed wait was notified is decided by the count and not by
//! what the sleep returned (race 41). A count that goes round exactly once, 2^30 notifications between reading it and falling asleep,
//! would be missed; that takes many seconds of doing nothing else.
//!
//! *The bit for sleepers* may be cleared while somebody is between setting it and falling asleep. That changes the word on which he is to sleep, so he
//! does not; and whoever was asleep by then is woken by the notification to all which follows the clearing.
//!
//! *Futures* are listed before they unlock. One that was chosen goes on to wait for the lock; dropped before it has it, it notifies another
//! one, for it may have been the only one that was told. Where threads and futures wait, `notify_one` wakes one of each: nobody can know which of the two
//! goes on sooner, and waiters look at the condition anyway.

use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;

use weblane_futex::{MayNotBlock, Wait};

use crate::error::LockError;
use crate::primitive::{AtomicU32, constructor};
use crate::waiters::{self, Whom};
use crate::{Mutex, MutexGuard};

const SLEEPERS: u32 = 1 << 0;
pub(crate) const FUTURES: u32 = 1 << 1;
const ONE: u32 = 1 << 2;
const COUNT: u32 = !(ONE - 1);

/// Waits under a lock for something to become true.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use weblane_sync::{Condvar, Mutex};
///
/// let shared = Arc::new((Mutex::new(false), Condvar::new()));
/// let worker = std::thread::spawn({
///     let shared = Arc::clone(&shared);
///     move || {
///         let (done, changed) = &*shared;
///         let guard = done.lock().expect("may block");
///         drop(changed.wait_while(guard, |done| !*done).expect("may block"));
///     }
/// });
/// *shared.0.lock().expect("may block") = true;
/// shared.1.notify_all();
/// worker.join().unwrap();
/// ```
pub struct Condvar {
    pub(crate) word: AtomicU32,
}

impl Condvar {
    constructor! {
        /// A condition that nobody waits for.
        #[must_use]
        pub fn new() -> Condvar {
            Condvar { word: AtomicU32::new(0) }
        }
    }

    /// Unlocks, sleeps until somebody notifies, and locks again. May return for no reason: loop, or use
    /// [`wait_while`](Condvar::wait_while).
    ///
    /// # Errors
    ///
    /// [`WaitError::MayNotBlock`] on a thread that may not block. It has the guard: the lock was not given up for a moment. Await
    /// [`wait_async`](Condvar::wait_async). [`WaitError::Abandoned`] if the lock's holder has died when this thread wants it back.
    pub fn wait<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, WaitError<MutexGuard<'a, T>>> {
        self.sleep(guard, None).map(|(guard, _)| guard)
    }

    /// As [`wait`](Condvar::wait), for at most `timeout`. The second value tells whether a notification came (which may have been meant
    /// for another waiter); look at the condition in both cases.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait).
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a, T>, bool), WaitError<MutexGuard<'a, T>>> {
        self.sleep(guard, Some(timeout))
    }

    /// Waits while `condition` is true of the value.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait), if it would have to wait.
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, WaitError<MutexGuard<'a, T>>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    fn sleep<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> Result<(MutexGuard<'a, T>, bool), WaitError<MutexGuard<'a, T>>> {
        if !weblane_futex::can_block() {
            return Err(WaitError::MayNotBlock(guard));
        }
        // Relaxed: the lock orders it. A notifier who changed the condition before we locked has added already, or his adding
        // comes after this, sees the bit, and changes the word that we sleep on.
        let mut seen = self.word.fetch_or(SLEEPERS, Ordering::Relaxed) | SLEEPERS;
        let count = seen & COUNT;
        let mutex = guard.mutex();
        drop(guard);
        loop {
            // Whatever it returns, the count decides. It may block: asked above.
            let outcome = weblane_futex::wait(&self.word, seen, timeout);
            if outcome == Ok(Wait::Mismatch) {
                // Perhaps only the bits have changed, before it could fall asleep.
                seen = self.word.fetch_or(SLEEPERS, Ordering::Relaxed) | SLEEPERS;
                if seen & COUNT == count {
                    continue;
                }
            }
            let guard = lock(mutex).map_err(|_| WaitError::Abandoned)?;
            // Read with the lock held: what was notified under it before is in the count.
            return Ok((guard, self.word.load(Ordering::Relaxed) & COUNT != count));
        }
    }

    /// Wakes one waiter, if there is one; one of each kind if threads and futures wait. Never blocks, on any thread.
    pub fn notify_one(&self) {
        // Relaxed: the lock orders what the condition is about.
        let before = self.word.fetch_add(ONE, Ordering::Relaxed);
        if before & SLEEPERS != 0 && !weblane_futex::notify_one(&self.word) {
            self.call_sleepers();
        }
        if before & FUTURES != 0 {
            self.wake_futures(Whom::First);
        }
    }

    /// Wakes every waiter. Never blocks, on any thread.
    pub fn notify_all(&self) {
        // Relaxed: as in `notify_one`.
        let before = self.word.fetch_add(ONE, Ordering::Relaxed);
        if before & SLEEPERS != 0 {
            self.call_sleepers();
        }
        if before & FUTURES != 0 {
            self.wake_futures(Whom::All);
        }
    }

    /// Wakes every thread, and says that none sleeps. First the word, then the call: who slips in between does not fall asleep, or is woken.
    #[cold]
    fn call_sleepers(&self) {
        // Relaxed: carries nothing.
        self.word.fetch_and(!SLEEPERS, Ordering::Relaxed);
        weblane_futex::notify_all(&self.word);
    }

    #[cold]
    pub(crate) fn wake_futures(&self, whom: Whom) {
        waiters::wake(&self.word, whom, |others| {
            if !others {
                // Relaxed: the table's lock orders it against who waits.
                self.word.fetch_and(!FUTURES, Ordering::Relaxed);
            }
        });
    }
}

/// Locks on a thread that was allowed to block a moment ago, whatever the hook says now. Fails for an abandoned lock.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, LockError> {
    match mutex.raw.acquire(0) {
        Ok(()) => Ok(mutex.guard()),
        Err(_) => mutex.raw.lock_asleep().map(|()| mutex.guard()),
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar { .. }")
    }
}

/// Why a wait did not end with the lock held again.
pub enum WaitError<G> {
    /// This thread may not block. The lock is still held, by the guard in here.
    MayNotBlock(G),
    /// The wait is over, but the thread that held the lock then has died: see [`Mutex::recover`].
    Abandoned,
}

impl<G> WaitError<G> {
    /// The guard as it was given, if the lock is still held.
    #[must_use]
    pub fn into_guard(self) -> Option<G> {
        match self {
            WaitError::MayNotBlock(guard) => Some(guard),
            WaitError::Abandoned => None,
        }
    }
}

impl<G> From<WaitError<G>> for LockError {
    fn from(error: WaitError<G>) -> LockError {
        match error {
            WaitError::MayNotBlock(_) => LockError::MayNotBlock,
            WaitError::Abandoned => LockError::Abandoned,
        }
    }
}

impl<G> fmt::Debug for WaitError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WaitError::MayNotBlock(_) => "MayNotBlock",
            WaitError::Abandoned => "Abandoned",
        })
    }
}

impl<G> fmt::Display for WaitError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::MayNotBlock(_) => write!(f, "did not wait for the condition: {MayNotBlock}"),
            WaitError::Abandoned => fmt::Display::fmt(&LockError::Abandoned, f),
        }
    }
}

impl<G> core::error::Error for WaitError<G> {}

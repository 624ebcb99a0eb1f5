//! A condition: one word that counts notifications.
//!
//! *Wait*: read the count **while holding the lock**; unlock; sleep while the count is the same; lock again. *Notify*: add one;
//! wake. Whoever changes what the condition is about does so under the lock, so after a waiter has read the count, a change is
//! followed by a new count, and the sleep ends or does not begin. Whether a timed wait was notified is decided by the count
//! and not by what the sleep returned (race 41). A count that goes round exactly once, 2^32 notifications between reading it and
//! falling asleep, would be missed; that takes minutes of doing nothing else.

use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;

use weblane_futex::MayNotBlock;

use crate::primitive::{AtomicU32, spin};
use crate::{Mutex, MutexGuard};

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
    count: AtomicU32,
}

impl Condvar {
    /// A condition that nobody waits for.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Condvar {
        Condvar { count: AtomicU32::new(0) }
    }

    /// A condition that nobody waits for.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Condvar {
        Condvar { count: AtomicU32::new(0) }
    }

    /// Unlocks, sleeps until somebody notifies, and locks again. May return for no reason: loop, or use
    /// [`wait_while`](Condvar::wait_while).
    ///
    /// # Errors
    ///
    /// [`NotWaited`] on a thread that may not block. It has the guard: the lock was not given up for a moment.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>, NotWaited<MutexGuard<'a, T>>> {
        self.sleep(guard, None).map(|(guard, _)| guard)
    }

    /// As [`wait`](Condvar::wait), for at most `timeout`. The second value tells whether a notification came (which may have been meant
    /// for another waiter); look at the condition in both cases.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait).
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a, T>, bool), NotWaited<MutexGuard<'a, T>>> {
        self.sleep(guard, Some(timeout))
    }

    /// Waits while `condition` is true of the value.
    ///
    /// # Errors
    ///
    /// As for [`wait`](Condvar::wait), if it would have to wait.
    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Result<MutexGuard<'a, T>, NotWaited<MutexGuard<'a, T>>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    fn sleep<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Option<Duration>,
    ) -> Result<(MutexGuard<'a, T>, bool), NotWaited<MutexGuard<'a, T>>> {
        if !weblane_futex::can_block() {
            return Err(NotWaited { guard });
        }
        // Relaxed: the lock orders it. A notifier who changed the condition before we locked has added already, or his adding
        // comes after this and changes the word that we sleep on.
        let seen = self.count.load(Ordering::Relaxed);
        let mutex = guard.mutex();
        drop(guard);
        // Whatever it returns, the count decides.
        let _ = weblane_futex::wait(&self.count, seen, timeout);
        let notified = self.count.load(Ordering::Relaxed) != seen;
        Ok((lock(mutex), notified))
    }

    /// Wakes one waiter, if there is one. Never blocks, on any thread.
    pub fn notify_one(&self) {
        // Relaxed: the lock orders what the condition is about.
        self.count.fetch_add(1, Ordering::Relaxed);
        weblane_futex::notify_one(&self.count);
    }

    /// Wakes every waiter. Never blocks, on any thread.
    pub fn notify_all(&self) {
        // Relaxed: as in `notify_one`.
        self.count.fetch_add(1, Ordering::Relaxed);
        weblane_futex::notify_all(&self.count);
    }
}

/// Locks on a thread that was allowed to block a moment ago.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    loop {
        if let Ok(guard) = mutex.lock() {
            return guard;
        }
        // Only if the hook has changed its mind meanwhile.
        spin();
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

/// The error of a wait on a thread that may not block. The lock is still held, by the guard in here.
pub struct NotWaited<G> {
    guard: G,
}

impl<G> NotWaited<G> {
    /// The guard as it was given.
    #[must_use]
    pub fn into_guard(self) -> G {
        self.guard
    }
}

impl<G> From<NotWaited<G>> for MayNotBlock {
    fn from(_: NotWaited<G>) -> MayNotBlock {
        MayNotBlock
    }
}

impl<G> fmt::Debug for NotWaited<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotWaited")
    }
}

impl<G> fmt::Display for NotWaited<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did not wait for the condition: {MayNotBlock}")
    }
}

impl<G> core::error::Error for NotWaited<G> {}

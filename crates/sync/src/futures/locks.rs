//! Futures of the locks, [`Mutex`] and [`RwLock`].
//!
//! *Announce*: set FUTURES in a word that is **held**, and held by somebody who lives; for writing WRITERS too, so that reading threads do not pass. Nobody
//! would answer for a bit in a free word.
//!
//! *Pass on*: call the next one, whatever the word is. If the lock is held, that is in vain, and he waits again.

use core::future::Future;
use core::sync::atomic::Ordering;

use super::{Source, Turn};
use crate::error::LockError;
use crate::mutex::{Mutex, MutexGuard, RawMutex};
use crate::primitive::AtomicU32;
use crate::rwlock::{RawRwLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::waiters::Kind;
use crate::word::{FUTURES, State, WRITERS};

/// Sets the bits in a word of which `waits` is true. Returns whether it was.
fn announce(word: &AtomicU32, bits: u32, waits: impl Fn(State) -> bool) -> bool {
    // Relaxed, here and below: the table's lock orders it against whoever frees the word and looks.
    let mut seen = State(word.load(Ordering::Relaxed));
    while waits(seen) {
        let marked = seen.with(bits).0;
        if marked == seen.0 {
            return true;
        }
        match word.compare_exchange(seen.0, marked, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => seen = State(now),
        }
    }
    false
}

/// What a failed attempt means.
fn failed(seen: State) -> Option<Result<(), LockError>> {
    seen.is_abandoned().then_some(Err(LockError::Abandoned))
}

pub(crate) struct Locking<'a>(pub(crate) &'a RawMutex);

impl Source for Locking<'_> {
    type Output = Result<(), LockError>;

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<Result<(), LockError>> {
        match self.0.acquire(0) {
            Ok(()) => Some(Ok(())),
            Err(seen) => failed(seen),
        }
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, FUTURES, |seen| !seen.is_free() && !seen.is_abandoned())
    }

    fn cancel(&mut self, chosen: bool) {
        if chosen {
            self.0.wake_future();
        }
    }
}

struct Reading<'a>(&'a RawRwLock);

impl Source for Reading<'_> {
    type Output = Result<(), LockError>;

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<Result<(), LockError>> {
        match self.0.try_read() {
            Ok(()) => Some(Ok(())),
            Err(seen) => failed(seen),
        }
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, FUTURES, |seen| !RawRwLock::may_pass(seen) && !seen.is_abandoned())
    }

    fn cancel(&mut self, chosen: bool) {
        if chosen {
            self.0.wake_futures();
        }
    }

    fn kind(&self) -> Kind {
        Kind::Shared
    }
}

struct Writing<'a>(&'a RawRwLock);

impl Source for Writing<'_> {
    type Output = Result<(), LockError>;

    fn word(&self) -> &AtomicU32 {
        &self.0.word
    }

    fn attempt(&mut self) -> Option<Result<(), LockError>> {
        match self.0.try_write() {
            Ok(()) => Some(Ok(())),
            Err(seen) => failed(seen),
        }
    }

    fn announce(&self) -> bool {
        announce(&self.0.word, FUTURES | WRITERS, |seen| !seen.is_free() && !seen.is_abandoned())
    }

    fn cancel(&mut self, chosen: bool) {
        if chosen {
            self.0.wake_futures();
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, waiting for it without blocking the thread: the way for the browser's main thread.
    ///
    /// Futures take their turns in order, but whoever comes at the right moment may be faster. Dropping the future gives its turn to the next one.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`], as for [`lock`](Mutex::lock).
    pub fn lock_async(&self) -> impl Future<Output = Result<MutexGuard<'_, T>, LockError>> {
        let turn = Turn::new(Locking(&self.raw));
        async move { turn.await.map(|()| self.guard()) }
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, waiting for it without blocking the thread.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`], as for [`read`](RwLock::read).
    pub fn read_async(&self) -> impl Future<Output = Result<RwLockReadGuard<'_, T>, LockError>> {
        let turn = Turn::new(Reading(&self.raw));
        async move { turn.await.map(|()| self.read_guard()) }
    }

    /// Locks for writing, waiting for it without blocking the thread.
    ///
    /// # Errors
    ///
    /// As for [`read_async`](RwLock::read_async).
    pub fn write_async(&self) -> impl Future<Output = Result<RwLockWriteGuard<'_, T>, LockError>> {
        let turn = Turn::new(Writing(&self.raw));
        async move { turn.await.map(|()| self.write_guard()) }
    }
}

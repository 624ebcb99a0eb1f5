//! Something that happens once, and all who need it wait until it has.
//!
//! The word's bits are those of [`word`](crate::word); WRITERS is not used here.
//!
//! | word | means |
//! |---|---|
//! | 0 | not begun; or begun, and ended in a panic |
//! | HELD + number | a thread is at it |
//! | DONE | done, for ever |
//!
//! *Begin*: 0 → HELD by an exchange, with the waiters' bits left in. *End*: `swap(DONE)`, or `swap(0)` after a panic; there were sleepers: notify
//! all; there were futures: wake all. They look again: it is done, or one of them begins.
//!
//! *Wait*: set SLEEPERS and sleep while the word is what it was; or list a future under the table's lock, with FUTURES set. Either bit is there
//! when the word changes, and whoever changes it clears both and wakes all; so nobody is forgotten, and no turns need be passed on.
//!
//! *A thread that died at it*: the next who comes begins anew, as after a panic; who sleeps is woken by the mark
//! ([`owner`](crate::owner)) and does the same. Nothing half made was ever visible.
//!
//! *No poisoning*: std's `Once` refuses after a panic for ever; here, as in its `OnceLock`, the next who comes tries.

use core::fmt;
use core::mem;
use core::sync::atomic::Ordering;

use weblane_futex::MayNotBlock;

use crate::error::{LockError, NotYet};
use crate::owner;
use crate::primitive::{AtomicU32, PATIENCE, constructor, spin};
use crate::waiters::{self, Whom};
use crate::word::{DONE, FUTURES, HELD, SLEEPERS, State};

/// Something that happens once.
///
/// # Examples
///
/// ```
/// use weblane_sync::Once;
///
/// static GREETED: Once = Once::new();
/// for _ in 0..3 {
///     GREETED.call_once(|| println!("hello"))?;
/// }
/// assert!(GREETED.is_completed());
/// # Ok::<(), weblane_sync::MayNotBlock>(())
/// ```
pub struct Once {
    pub(crate) word: AtomicU32,
}

/// What a thread finds that wants something done.
pub(crate) enum Begin<'a> {
    Done,
    /// This thread is to do it.
    Mine(Running<'a>),
    /// Another thread is at it.
    Busy(State),
}

/// The right and duty to do it. Dropped without [`complete`](Running::complete): somebody else may try.
pub(crate) struct Running<'a>(&'a Once);

impl Running<'_> {
    pub(crate) fn complete(self) {
        self.0.end(DONE);
        mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.end(0);
    }
}

impl Once {
    constructor! {
        /// Not done yet.
        #[must_use]
        pub fn new() -> Once {
            Once { word: AtomicU32::new(0) }
        }
    }

    /// Done before anybody can see it.
    #[cfg(not(loom))]
    pub(crate) const fn completed() -> Once {
        Once { word: AtomicU32::new(DONE) }
    }

    /// Whether it is done. Once true, always true.
    #[inline]
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.load().has(DONE)
    }

    pub(crate) fn load(&self) -> State {
        // Acquire: pairs with the Release in `end`.
        State(self.word.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn begin(&self) -> Begin<'_> {
        let seen = self.load();
        if seen.has(DONE) { Begin::Done } else { self.begin_slow(seen) }
    }

    #[cold]
    fn begin_slow(&self, mut seen: State) -> Begin<'_> {
        loop {
            if seen.has(DONE) {
                return Begin::Done;
            }
            if seen.has(HELD) && !seen.is_abandoned() {
                return Begin::Busy(seen);
            }
            let mine = HELD | owner::current() | seen.waiters();
            // Acquire, in both cases: pairs with the Release in `end`, of whoever failed at it or has done it.
            match self.word.compare_exchange(seen.0, mine, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Begin::Mine(Running(self)),
                Err(now) => seen = State(now),
            }
        }
    }

    fn end(&self, result: u32) {
        // Release: pairs with the Acquire of whoever finds it done, or tries again.
        let before = State(self.word.swap(result, Ordering::Release));
        if before.has(SLEEPERS) {
            weblane_futex::notify_all(&self.word);
        }
        if before.has(FUTURES) {
            waiters::wake(&self.word, Whom::All, |_| {});
        }
    }

    /// Does it if nobody has and nobody is at it. Returns whether it is done. Never blocks, on any thread.
    pub fn try_call_once(&self, work: impl FnOnce()) -> bool {
        match self.begin() {
            Begin::Done => true,
            Begin::Mine(running) => {
                work();
                running.complete();
                true
            }
            Begin::Busy(_) => false,
        }
    }

    /// Does it, or waits for the thread that is at it: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// If the other thread panics or dies at it, this one does it.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] on a thread that may not block, when another thread was at it for all of that time (some hundred microseconds). Await
    /// [`call_once_async`](Once::call_once_async), or try again in a later task of the event loop.
    ///
    /// # Panics
    ///
    /// If `work` calls this for the same `Once`, on a thread with a number (else it waits for itself for ever).
    #[inline]
    pub fn call_once(&self, work: impl FnOnce()) -> Result<(), MayNotBlock> {
        if let Some(running) = self.begin_or_wait()? {
            work();
            running.complete();
        }
        Ok(())
    }

    /// As [`call_once`](Once::call_once), but waits by spinning, for at most `turns` turns, on any thread.
    ///
    /// # Errors
    ///
    /// [`NotYet`] if another thread was at it for all of them.
    pub fn call_once_spinning(&self, turns: u32, work: impl FnOnce()) -> Result<(), NotYet> {
        if let Some(running) = self.begin_or_spin(turns)? {
            work();
            running.complete();
        }
        Ok(())
    }

    /// Waits until somebody has done it, without doing it.
    ///
    /// # Errors
    ///
    /// [`LockError::MayNotBlock`] as for [`call_once`](Once::call_once); [`LockError::Abandoned`] if the thread that was at it has died: somebody has to
    /// begin anew.
    pub fn wait(&self) -> Result<(), LockError> {
        loop {
            match self.look() {
                Ok(outcome) => return outcome,
                Err(seen) if weblane_futex::can_block() => self.sleep(seen),
                Err(_) => break,
            }
        }
        self.wait_spinning(PATIENCE).map_err(|error| match error {
            LockError::Held => LockError::MayNotBlock,
            other => other,
        })
    }

    /// As [`wait`](Once::wait), but by spinning, for at most `turns` turns, on any thread. To look without waiting, ask
    /// [`is_completed`](Once::is_completed).
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if nobody was done with it in all of them; [`LockError::Abandoned`] as for `wait`.
    ///
    /// # Examples
    ///
    /// ```
    /// # if weblane_sync::MODEL { return }
    /// use weblane_sync::{LockError, Once};
    ///
    /// let once = Once::new();
    /// assert_eq!(once.wait_spinning(10), Err(LockError::Held));
    /// once.try_call_once(|| ());
    /// assert_eq!(once.wait_spinning(10), Ok(()));
    /// ```
    pub fn wait_spinning(&self, turns: u32) -> Result<(), LockError> {
        for _ in 0..turns {
            if let Ok(outcome) = self.look() {
                return outcome;
            }
            spin();
        }
        self.look().unwrap_or(Err(LockError::Held))
    }

    /// What a wait ends with, if it is over; else what the word is.
    pub(crate) fn look(&self) -> Result<Result<(), LockError>, State> {
        let seen = self.load();
        match seen.has(DONE) {
            true => Ok(Ok(())),
            false if seen.is_abandoned() => Ok(Err(LockError::Abandoned)),
            false => Err(seen),
        }
    }

    /// `None` if it is done, else the right to do it.
    #[inline]
    pub(crate) fn begin_or_wait(&self) -> Result<Option<Running<'_>>, MayNotBlock> {
        if self.is_completed() { Ok(None) } else { self.begin_or_wait_slow() }
    }

    #[cold]
    fn begin_or_wait_slow(&self) -> Result<Option<Running<'_>>, MayNotBlock> {
        loop {
            match self.begin() {
                Begin::Done => return Ok(None),
                Begin::Mine(running) => return Ok(Some(running)),
                Begin::Busy(seen) if weblane_futex::can_block() => {
                    assert!(seen.owner() == 0 || seen.owner() != owner::current(), "it waits for itself");
                    self.sleep(seen);
                }
                Begin::Busy(_) => return self.begin_or_spin(PATIENCE).map_err(|NotYet| MayNotBlock),
            }
        }
    }

    pub(crate) fn begin_or_spin(&self, turns: u32) -> Result<Option<Running<'_>>, NotYet> {
        let mut left = turns;
        loop {
            match self.begin() {
                Begin::Done => return Ok(None),
                Begin::Mine(running) => return Ok(Some(running)),
                Begin::Busy(_) if left == 0 => return Err(NotYet),
                Begin::Busy(_) => {
                    left -= 1;
                    spin();
                }
            }
        }
    }

    /// Sleeps while the word is what it was, apart from the mark.
    fn sleep(&self, seen: State) {
        let expected = seen.with(SLEEPERS).0;
        // Relaxed: the mark carries nothing.
        if seen.has(SLEEPERS)
            || self.word.compare_exchange(seen.0, expected, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            owner::sleep(&self.word, &self.word, expected);
        }
    }
}

impl Default for Once {
    fn default() -> Self {
        Once::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("completed", &self.is_completed()).finish()
    }
}

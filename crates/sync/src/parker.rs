//! A token, for which a thread waits.
//!
//! | bit | name | set by | cleared by |
//! |---|---|---|---|
//! | 0 | TOKEN | `unpark` | whoever takes it |
//! | 1 | SLEEPERS | a thread, before it sleeps | `unpark` |
//! | 2 | FUTURES | a future, under the table's lock | `unpark` |
//!
//! *Unpark*: `swap(TOKEN)`; there were sleepers: notify all; there were futures: wake all. *Park*: take the token, by an exchange that leaves the other
//! bits; there is none: set SLEEPERS and sleep on that very value.
//!
//! *No wake-up is lost.* Who sleeps or is listed has set his bit in a word without TOKEN, and whoever puts the TOKEN in there clears the bit and calls all;
//! those who do not get it set the bit again. The token stays in the word until it is taken: a future that is called and dropped takes
//! nothing along, so there are no turns to pass on.
//!
//! *Unpark on a parked thread's word as it ends* (race 40): after the `swap` the word is a name only; a notification there is at worst spurious.

use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;

use weblane_futex::{MayNotBlock, Wait};

use crate::error::NotYet;
use crate::primitive::{AtomicU32, PATIENCE, constructor, spin};
use crate::waiters::{self, Whom};

pub(crate) const TOKEN: u32 = 1 << 0;
const SLEEPERS: u32 = 1 << 1;
pub(crate) const FUTURES: u32 = 1 << 2;

/// A token that one thread waits for and others give.
///
/// Many tokens are as good as one. Several threads may wait, and each token lets one of them go on.
///
/// # Examples
///
/// ```
/// use weblane_sync::Parker;
///
/// static PARKER: Parker = Parker::new();
/// let unparker = PARKER.unparker();
/// let other = std::thread::spawn(move || unparker.unpark());
/// PARKER.park()?; // returns when it was called, or has been called already
/// other.join().unwrap();
/// # Ok::<(), weblane_sync::MayNotBlock>(())
/// ```
pub struct Parker {
    pub(crate) word: AtomicU32,
}

impl Parker {
    constructor! {
        /// Without a token.
        #[must_use]
        pub fn new() -> Parker {
            Parker { word: AtomicU32::new(0) }
        }
    }

    /// Takes the token if it is there. Else returns what the word is.
    pub(crate) fn take(&self) -> Result<(), u32> {
        // Relaxed: the exchange decides.
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & TOKEN != 0 {
            // Acquire: pairs with the Release in `unpark`; who has the token sees what came before it was given.
            match self.word.compare_exchange(seen, seen & !TOKEN, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
        Err(seen)
    }

    /// Takes the token if it is there. Never blocks, on any thread.
    pub fn try_park(&self) -> bool {
        self.take().is_ok()
    }

    /// Waits for the token and takes it: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] on a thread that may not block, when none came in that time (some hundred microseconds). Await
    /// [`park_async`](Parker::park_async).
    pub fn park(&self) -> Result<(), MayNotBlock> {
        if !weblane_futex::can_block() {
            return self.park_spinning(PATIENCE).map_err(|NotYet| MayNotBlock);
        }
        while let Err(seen) = self.take() {
            self.sleep(seen, None);
        }
        Ok(())
    }

    /// As [`park`](Parker::park), for at most `timeout`, or somewhat longer if it is woken in vain meanwhile. Returns whether it has got the token.
    ///
    /// # Errors
    ///
    /// As for [`park`](Parker::park).
    pub fn park_timeout(&self, timeout: Duration) -> Result<bool, MayNotBlock> {
        if !weblane_futex::can_block() {
            return self.park().map(|()| true);
        }
        while let Err(seen) = self.take() {
            if self.sleep(seen, Some(timeout)) == Wait::TimedOut {
                // The word decides, and not what the sleep returned (race 41).
                return Ok(self.try_park());
            }
        }
        Ok(true)
    }

    /// Waits for the token, for at most `turns` turns of a spin. Never sleeps, on any thread.
    ///
    /// # Errors
    ///
    /// [`NotYet`] if none came.
    pub fn park_spinning(&self, turns: u32) -> Result<(), NotYet> {
        for _ in 0..turns {
            if self.try_park() {
                return Ok(());
            }
            spin();
        }
        if self.try_park() { Ok(()) } else { Err(NotYet) }
    }

    /// Sleeps while the word is what it was, apart from the mark.
    fn sleep(&self, seen: u32, timeout: Option<Duration>) -> Wait {
        let expected = seen | SLEEPERS;
        // Relaxed: the mark carries nothing.
        if seen != expected && self.word.compare_exchange(seen, expected, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return Wait::Mismatch;
        }
        weblane_futex::wait(&self.word, expected, timeout).unwrap_or(Wait::Mismatch)
    }

    /// Gives the token. Never blocks, on any thread.
    pub fn unpark(&self) {
        // Release: pairs with the Acquire in `take`.
        let before = self.word.swap(TOKEN, Ordering::Release);
        if before & SLEEPERS != 0 {
            weblane_futex::notify_all(&self.word);
        }
        if before & FUTURES != 0 {
            waiters::wake(&self.word, Whom::All, |_| {});
        }
    }

    /// The other end, to give away.
    pub fn unparker(&self) -> Unparker<'_> {
        Unparker { parker: self }
    }
}

impl Default for Parker {
    fn default() -> Self {
        Parker::new()
    }
}

impl fmt::Debug for Parker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parker").field("token", &(self.word.load(Ordering::Relaxed) & TOKEN != 0)).finish()
    }
}

/// Gives a [`Parker`] its token.
#[derive(Clone, Copy, Debug)]
pub struct Unparker<'a> {
    parker: &'a Parker,
}

impl Unparker<'_> {
    /// Gives the token. Never blocks, on any thread.
    pub fn unpark(self) {
        self.parker.unpark();
    }
}

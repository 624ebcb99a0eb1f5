//! A place where threads wait for one another, again and again.
//!
//! One word: how many have arrived (12 bits), and how many rounds there have been (20 bits).
//!
//! *Arrive*: one more; or, for the last one, none and the next round, by the same exchange. So there is no moment at which a round is over and its arrivals
//! still count. *Wait*: while the round is the same. *Withdraw*: one less, if the round is the same; a thread that gives up, or a future that
//! is dropped, has not arrived. The last one notifies all sleepers and wakes all futures, in vain if there are none: a round is rare.
//!
//! A sleeper sleeps on the whole word, which changes as others arrive; that only keeps it from falling asleep for a moment. Who sleeps through
//! 2^20 rounds while others go on without it would take the round for its own; with as many threads as the barrier has places, that cannot be.

use core::fmt;
use core::sync::atomic::Ordering;

use weblane_futex::MayNotBlock;

use crate::error::NotYet;
use crate::primitive::{AtomicU32, PATIENCE, SPINS, constructor, spin};
use crate::waiters::{self, Whom};

const ARRIVED: u32 = 0xfff;
const ONE_ROUND: u32 = 0x1000;

/// Where a number of threads wait until all are there.
///
/// A thread that dies (a worker that traps, or is terminated) before it has arrived leaves the others waiting for ever: the barrier counts and
/// does not know whom it waits for. One that dies while it waits has arrived, and counts. Where workers may die, await
/// [`wait_async`](Barrier::wait_async) beside what tells of deaths, and drop it then (who drops it has not arrived), or use what tells by itself,
/// such as the handles of `weblane-pool`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use weblane_sync::Barrier;
///
/// let barrier = Arc::new(Barrier::new(3));
/// let threads: Vec<_> = (0..3)
///     .map(|_| {
///         let barrier = Arc::clone(&barrier);
///         std::thread::spawn(move || barrier.wait().expect("may block").is_leader())
///     })
///     .collect();
/// let leaders = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|leads| *leads);
/// assert_eq!(leaders.count(), 1);
/// ```
pub struct Barrier {
    pub(crate) word: AtomicU32,
    places: u32,
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BarrierWaitResult {
    leader: bool,
}

impl BarrierWaitResult {
    /// Whether this is the one of the round, the last that arrived.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

impl fmt::Debug for BarrierWaitResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWaitResult").field("is_leader", &self.leader).finish()
    }
}

/// The word at some instant.
#[derive(Clone, Copy)]
struct Place(u32);

impl Place {
    const fn round(self) -> Round {
        Round(self.0 & !ARRIVED)
    }

    const fn arrived(self) -> u32 {
        self.0 & ARRIVED
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round(u32);

pub(crate) const LEADER: BarrierWaitResult = BarrierWaitResult { leader: true };
pub(crate) const FOLLOWER: BarrierWaitResult = BarrierWaitResult { leader: false };

impl Barrier {
    /// More threads than this cannot meet.
    pub const MAX: usize = ARRIVED as usize;

    constructor! {
        /// A barrier for this many threads; 0 is as good as 1.
        ///
        /// # Panics
        ///
        /// If there are more than [`MAX`](Barrier::MAX).
        #[must_use]
        pub fn new(threads: usize) -> Barrier {
            assert!(threads <= Barrier::MAX, "a barrier for more threads than it can count");
            Barrier { word: AtomicU32::new(0), places: threads as u32 }
        }
    }

    /// Arrives. `None`: this was the last one, and the others go on. Else the round that must end.
    pub(crate) fn arrive(&self) -> Option<Round> {
        // Relaxed: the exchange decides.
        let mut seen = Place(self.word.load(Ordering::Relaxed));
        loop {
            let last = seen.arrived() + 1 >= self.places;
            let next = if last { seen.round().0.wrapping_add(ONE_ROUND) } else { seen.0 + 1 };
            // Release: pairs with the Acquire in `is_over`; Acquire for the last one, with the Release of all who came before.
            match self.word.compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) if last => break,
                Ok(_) => return Some(seen.round()),
                Err(now) => seen = Place(now),
            }
        }
        weblane_futex::notify_all(&self.word);
        waiters::wake(&self.word, Whom::All, |_| {});
        None
    }

    /// Whether the round has ended.
    pub(crate) fn is_over(&self, round: Round) -> bool {
        // Acquire: pairs with the Release of the last one.
        Place(self.word.load(Ordering::Acquire)).round() != round
    }

    /// Takes one's arrival back. Returns `false` if the round has ended meanwhile.
    pub(crate) fn withdraw(&self, round: Round) -> bool {
        // Acquire, here and for the failure: as in `is_over`. Relaxed on success: who has not arrived tells nothing and is told nothing.
        let mut seen = Place(self.word.load(Ordering::Acquire));
        while seen.round() == round {
            match self.word.compare_exchange(seen.0, seen.0 - 1, Ordering::Relaxed, Ordering::Acquire) {
                Ok(_) => return true,
                Err(now) => seen = Place(now),
            }
        }
        false
    }

    /// Waits until all are there: asleep on threads that may block, else spinning for a bounded time.
    ///
    /// # Errors
    ///
    /// [`MayNotBlock`] on a thread that may not block, when the others did not come in that time (some hundred microseconds). It has not
    /// arrived, then. Await [`wait_async`](Barrier::wait_async).
    pub fn wait(&self) -> Result<BarrierWaitResult, MayNotBlock> {
        if !weblane_futex::can_block() {
            return self.wait_spinning(PATIENCE).map_err(|NotYet| MayNotBlock);
        }
        let Some(round) = self.arrive() else {
            return Ok(LEADER);
        };
        for _ in 0..SPINS {
            if self.is_over(round) {
                return Ok(FOLLOWER);
            }
            spin();
        }
        loop {
            // Acquire: as in `is_over`.
            let seen = Place(self.word.load(Ordering::Acquire));
            if seen.round() != round {
                return Ok(FOLLOWER);
            }
            let _ = weblane_futex::wait(&self.word, seen.0, None);
        }
    }

    /// Arrives if all the others are there. `None`: they are not, and this thread has not arrived. Never blocks, on any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # if weblane_sync::MODEL { return }
    /// use weblane_sync::Barrier;
    ///
    /// assert!(Barrier::new(2).try_wait().is_none());
    /// assert!(Barrier::new(1).try_wait().is_some_and(|result| result.is_leader()));
    /// ```
    pub fn try_wait(&self) -> Option<BarrierWaitResult> {
        self.wait_spinning(0).ok()
    }

    /// Waits until all are there, for at most `turns` turns of a spin. Never sleeps, on any thread.
    ///
    /// # Errors
    ///
    /// [`NotYet`] if the others did not come. This thread has not arrived, then.
    pub fn wait_spinning(&self, turns: u32) -> Result<BarrierWaitResult, NotYet> {
        let Some(round) = self.arrive() else {
            return Ok(LEADER);
        };
        for _ in 0..turns {
            if self.is_over(round) {
                return Ok(FOLLOWER);
            }
            spin();
        }
        if self.withdraw(round) { Err(NotYet) } else { Ok(FOLLOWER) }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived = Place(self.word.load(Ordering::Relaxed)).arrived();
        f.debug_struct("Barrier").field("places", &self.places).field("arrived", &arrived).finish()
    }
}

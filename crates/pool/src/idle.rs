//! Who sleeps and who searches: one word for the whole pool.
//!
//! Announcing sleep and claiming a sleeper must each be one read-modify-write, so both masks live in one 64-bit word. Masks and
//! not counts: a mask cannot count a worker twice, and a dead worker's bits can be cleared.

use core::fmt;
use core::sync::atomic::Ordering;

use crate::primitive::AtomicU64;
use crate::trace::{self, Event};

/// The most workers in one pool: one bit each in two masks.
pub(crate) const MAX_POOL: usize = 32;

/// The idle word as it was at some instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdleState(u64);

impl IdleState {
    const fn sleeper(worker: usize) -> u64 {
        1 << worker
    }

    const fn searcher(worker: usize) -> u64 {
        1 << (worker + 32)
    }

    pub(crate) const fn sleepers(self) -> u32 {
        self.0 as u32
    }

    pub(crate) const fn searchers(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn sleeps(self, worker: usize) -> bool {
        self.0 & Self::sleeper(worker) != 0
    }

    pub(crate) const fn searches(self, worker: usize) -> bool {
        self.0 & Self::searcher(worker) != 0
    }
}

impl fmt::Debug for IdleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Idle {{ sleepers: {:#b}, searchers: {:#b} }}", self.sleepers(), self.searchers())
    }
}

/// The pool's idle word. Every transition is one method, and every method one read-modify-write.
///
/// SeqCst throughout: with the fences in the scheduler, each of these is one side of "publish, then read" (its partner is
/// `Core::wake_one` for the workers' transitions, and the workers' re-check for `claim`).
pub(crate) struct Idle(AtomicU64);

impl Idle {
    pub(crate) fn new() -> Idle {
        Idle(AtomicU64::new(0))
    }

    pub(crate) fn load(&self) -> IdleState {
        IdleState(self.0.load(Ordering::SeqCst))
    }

    /// `worker` starts to search.
    pub(crate) fn start_search(&self, worker: usize) {
        let before = IdleState(self.0.fetch_or(IdleState::searcher(worker), Ordering::SeqCst));
        debug_assert!(!before.searches(worker) && !before.sleeps(worker), "worker {worker}: {before:?}");
    }

    /// `worker` has found something. Returns whether it was the last searcher.
    pub(crate) fn end_search(&self, worker: usize) -> bool {
        let before = IdleState(self.0.fetch_and(!IdleState::searcher(worker), Ordering::SeqCst));
        debug_assert!(before.searches(worker), "worker {worker}: {before:?}");
        before.searchers() == 1 << worker
    }

    /// `worker` announces that it is about to sleep, and is no searcher any more.
    pub(crate) fn announce_sleep(&self, worker: usize, searching: bool) {
        // One addition moves the bit from one mask to the other: the searcher's bit is known to be set, the sleeper's clear.
        let change = if searching {
            IdleState::sleeper(worker).wrapping_sub(IdleState::searcher(worker))
        } else {
            IdleState::sleeper(worker)
        };
        let before = IdleState(self.0.fetch_add(change, Ordering::SeqCst));
        debug_assert!(before.searches(worker) == searching && !before.sleeps(worker), "worker {worker}: {before:?}");
    }

    /// `worker` is awake again. Returns whether a waker had made it a searcher already; the bit is set then.
    pub(crate) fn end_sleep(&self, worker: usize) -> bool {
        let before = IdleState(self.0.fetch_and(!IdleState::sleeper(worker), Ordering::SeqCst));
        debug_assert!(before.sleeps(worker) != before.searches(worker), "worker {worker}: {before:?}");
        !before.sleeps(worker)
    }

    /// `worker` is dead: it neither sleeps nor searches.
    pub(crate) fn bury(&self, worker: usize) {
        self.0.fetch_and(!(IdleState::sleeper(worker) | IdleState::searcher(worker)), Ordering::SeqCst);
    }

    /// Claims one sleeper and makes it a searcher, unless somebody searches already. The claimed worker must be woken.
    pub(crate) fn claim(&self) -> Option<usize> {
        self.claim_beside(0)
    }

    /// The same, not counting on the searchers in the mask `doubtful`, who may be dead.
    ///
    /// One attempt, although the word may have changed since it was read. Whoever changed it looks at the queues after that, so he sees what the caller has
    /// published before he came here (a fence stands between, on both sides): one who fell asleep, by his second look; one who woke up, when he searches
    /// or hands over on his way out; one who began to search, or was claimed, when he searches. What the reaper changes, it follows by a call to
    /// everybody. The protocol's model does the same.
    pub(crate) fn claim_beside(&self, doubtful: u32) -> Option<usize> {
        let seen = trace::step(|| self.load(), |seen| Event::Idle(seen.sleepers(), seen.searchers()));
        // A searcher chains: it will find the task, or wake another when it is the last to stop searching.
        if seen.searchers() & !doubtful != 0 || seen.sleepers() == 0 {
            return None;
        }
        let worker = seen.sleepers().trailing_zeros() as usize;
        let next = seen.0 - IdleState::sleeper(worker) + IdleState::searcher(worker);
        // Relaxed where it fails: what it has become is not looked at.
        let swap = || self.0.compare_exchange(seen.0, next, Ordering::SeqCst, Ordering::Relaxed);
        let swapped = trace::step(swap, |done| if done.is_ok() { Event::Claim(worker) } else { Event::ClaimFailed });
        swapped.is_ok().then_some(worker)
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Races 13 and 14: the reaper clears a dead worker's bits beside the steps of others, and loses none of theirs.
    #[test]
    fn race_14_bury_vs_announce() {
        loom::model(|| {
            let idle = Arc::new(Idle::new());
            idle.announce_sleep(1, false);
            let worker = {
                let idle = Arc::clone(&idle);
                thread::spawn(move || idle.announce_sleep(0, false))
            };
            idle.bury(1);
            worker.join().unwrap();
            assert_eq!((idle.load().sleepers(), idle.load().searchers()), (1, 0));
        });
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn race_13_a_worker_is_in_one_mask_at_a_time() {
        let idle = Idle::new();
        for worker in [0, 5, 31] {
            idle.announce_sleep(worker, false);
        }
        assert_eq!(idle.load().sleepers(), 1 << 31 | 1 << 5 | 1);
        assert_eq!(idle.claim(), Some(0));
        assert_eq!((idle.load().sleepers(), idle.load().searchers()), (1 << 31 | 1 << 5, 1));
        assert_eq!(idle.claim(), None, "race 11: one searcher at a time is woken by a push");
        assert!(idle.end_sleep(0), "the claimed worker learns that it searches");
        assert!(idle.end_search(0), "and was the last one");
        assert!(!idle.end_sleep(31), "nobody claimed worker 31");
        assert_eq!(idle.claim(), Some(5));
    }

    #[test]
    fn race_12_nobody_is_claimed_when_nobody_sleeps() {
        assert_eq!(Idle::new().claim(), None);
    }

    #[test]
    fn a_searcher_that_goes_to_sleep_moves_its_bit() {
        let idle = Idle::new();
        idle.start_search(31);
        idle.announce_sleep(31, true);
        assert_eq!((idle.load().sleepers(), idle.load().searchers()), (1 << 31, 0));
    }
}

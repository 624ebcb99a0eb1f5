//! Workers that must stay in their event loop and run tasks all the same: in slices.
//!
//! # Why
//!
//! Somebody holds the worker (`weblane_workers::hold`: a promise, a timer is awaited there), or messages that were counted do not come. Such a
//! worker must not sleep on its thread's word. Between slices it rests in its event loop, and is called by another way: [`Host::call`].
//!
//! # State
//!
//! `held`, a mask of the workers that rest, beside the idle word and not in it. A held worker is **never a sleeper and never a searcher**: a
//! searcher silences every waker until he has found something or looked again, and the JS that runs on a held worker may take its time (M12).
//!
//! # Steps
//!
//! - *Slice*: run tasks from the own ring, the injector, other rings, until somebody says that it was enough, or messages are under way.
//!   On the way out hand over what is queued. A steal is made without being a searcher, so the thief himself looks at the queues
//!   afterwards, as the last searcher would (M5, M8).
//! - *Rest*: nothing was found. Set the own bit; fence; read STOP; look at all queues again. Anything: clear the bit, go on. Else leave.
//! - *Wake*, in `wake_one`, when nobody sleeps and nobody searches: take one bit out of `held`, call that worker. Whether it comes at
//!   once does not matter to the others: nobody relies on it, every later push calls another, and workers that are busy look at all
//!   queues before they sleep.
//! - A worker that begins a full turn or a slice clears its own bit first.
//!
//! # Why no task is stranded
//!
//! A task's publisher fences and reads `idle`, then `held`; a worker sets its bit in one of the two, fences, and reads the queues. One of
//! them sees the other. A bit that is cleared by a waker is a call that arrives: the worker read its call word before it set the bit, so
//! a call after that ends its rest. A worker with a hold that dies has a bit in `held` for ever, so the reaper clears it.

use core::sync::atomic::Ordering;

use crate::host::{Host, Seat};
use crate::injector::Priority;
use crate::primitive::{AtomicU32, fence_after_publication};
use crate::scheduler::Core;
use crate::task::Task;
use crate::worker::Worker;

/// Who rests in the event loop: a bit for each worker.
///
/// SeqCst throughout, as in `idle`: each of these is one side of "publish, then read".
pub(crate) struct Held(AtomicU32);

impl Held {
    pub(crate) fn new() -> Held {
        Held(AtomicU32::new(0))
    }

    pub(crate) fn load(&self) -> u32 {
        // SeqCst: partner: `announce`.
        self.0.load(Ordering::SeqCst)
    }

    /// `worker` is about to rest.
    pub(crate) fn announce(&self, worker: usize) {
        // SeqCst: partner: `load` and `claim` of a waker, after its publication.
        self.0.fetch_or(1 << worker, Ordering::SeqCst);
    }

    /// `worker` rests no longer, or is dead.
    pub(crate) fn end(&self, worker: usize) {
        // Relaxed: only the worker itself sets its bit, so it cannot miss it.
        if self.0.load(Ordering::Relaxed) & 1 << worker != 0 {
            // SeqCst: partner: `claim`.
            self.0.fetch_and(!(1 << worker), Ordering::SeqCst);
        }
    }

    /// Takes one worker out. It must be called.
    pub(crate) fn claim(&self) -> Option<usize> {
        let mut seen = self.load();
        while seen != 0 {
            let worker = seen.trailing_zeros() as usize;
            // SeqCst: partner: `announce`.
            let before = self.0.fetch_and(!(1 << worker), Ordering::SeqCst);
            if before & 1 << worker != 0 {
                return Some(worker);
            }
            seen = before;
        }
        None
    }
}

/// Why a slice ended.
#[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "only the web has an event loop"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SliceEnd {
    /// JS messages are under way to this worker.
    Messages,
    /// It was enough; there may be more.
    Spent,
    /// Nothing to do, and whoever has something knows that this worker rests.
    Rest,
    /// The pool is closed and nothing is queued.
    Stop,
}

impl<H: Host> Core<H> {
    /// Nobody sleeps or somebody searches: calls a worker that rests, if nobody searches.
    pub(crate) fn wake_held(&self) {
        if self.held.load() != 0
            && self.idle.load().searchers() == 0
            && let Some(worker) = self.held.claim()
        {
            self.host().call(worker);
        }
    }

    /// The pool is closed: who rests must learn it.
    pub(crate) fn call_all_held(&self) {
        fence_after_publication();
        while let Some(worker) = self.held.claim() {
            self.host().call(worker);
        }
    }

    /// Runs tasks on worker `me` without ever sleeping. After each, `more` says whether another may follow.
    #[cfg_attr(not(any(target_arch = "wasm32", loom)), allow(dead_code, reason = "only the web has an event loop"))]
    pub(crate) fn run_slice(&self, me: usize, ignore_messages: bool, more: &mut dyn FnMut() -> bool) -> SliceEnd {
        let seat = Seat { core: core::ptr::from_ref(self), worker: me };
        let before = H::set_seat(Some(seat));
        self.end_rest(me);
        #[cfg(any(feature = "std", target_arch = "wasm32", test))]
        let _stay = crate::fork::hot::enter(&self.host().lane(me).window);
        let end = Worker::new(self, me).slice(ignore_messages, more);
        // Who rests has looked after it had said so.
        if end != SliceEnd::Rest {
            self.hand_over();
        }
        H::set_seat(before);
        H::set_resting((end == SliceEnd::Rest).then_some(seat));
        end
    }

    /// Worker `me` rests no longer: it begins a turn, or somebody's JS is about to block there. (M41: while it blocks it must not be listed as
    /// one that can be called.) The caller then looks at the queues.
    pub(crate) fn end_rest(&self, me: usize) {
        self.held.end(me);
        H::set_resting(None);
    }
}

#[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "only the web has an event loop"))]
impl<H: Host> Worker<'_, H> {
    fn slice(mut self, ignore_messages: bool, more: &mut dyn FnMut() -> bool) -> SliceEnd {
        let (core, me) = (self.core, self.me);
        let word = core.host().word(me);
        // Each slice looks at the shared queue first, once, so that a chain of tasks in the own ring cannot starve it (race 33).
        let mut first = true;
        let end = loop {
            H::adopt_memory();
            if !ignore_messages && word.load().messages() > 0 {
                break SliceEnd::Messages;
            }
            if let Some(task) = self.next_unannounced(core::mem::take(&mut first)) {
                self.execute(task);
                if more() {
                    continue;
                }
                break SliceEnd::Spent;
            }
            core.held.announce(me);
            // Orders the announcement before the second look; partner: `wake_one`.
            fence_after_publication();
            // STOP before the queues, as in `work` (race 28).
            let stop = word.load().stop();
            if core.anything_queued() {
                core.held.end(me);
                continue;
            }
            if stop {
                core.held.end(me);
                break SliceEnd::Stop;
            }
            if core.is_closed() {
                // Perhaps the last one awake. STOP then comes with a call, which ends this rest at once.
                core.end_if_quiet();
            }
            break SliceEnd::Rest;
        };
        self.count_busy();
        self.publish_tally();
        end
    }

    /// The next task, without becoming a searcher (M12).
    fn next_unannounced(&mut self, shared_first: bool) -> Option<Task> {
        let shared = if shared_first { self.pop_injector(Priority::Normal) } else { None };
        shared
            .or_else(|| self.pop_injector(Priority::High))
            .or_else(|| self.pop_own())
            .or_else(|| self.pop_injector(Priority::Normal))
            .or_else(|| {
                let task = self.steal()?;
                // Nobody knows that this worker was looking, so it tells what it has moved, and what it has left (M8).
                self.core.hand_over();
                Some(task)
            })
            .or_else(|| self.pop_injector(Priority::Background))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// Race 53, and holds: tasks run in slices, also while messages are counted that do not come; a worker that rests is called for the next task.
    #[cfg(feature = "std")]
    #[test]
    fn race_53_slices_run_tasks_and_end_for_messages_unless_these_are_overdue() {
        use crate::native::NativeHost;

        let core = Core::new(NativeHost::new(1));
        let count = std::sync::Arc::new(core::sync::atomic::AtomicU32::new(0));
        let task = || {
            let count = std::sync::Arc::clone(&count);
            Task::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
        };
        for _ in 0..5 {
            core.submit(task());
        }
        let mut left = 2;
        let mut two = || {
            left -= 1;
            left > 0
        };
        assert_eq!(core.run_slice(0, false, &mut two), SliceEnd::Spent);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        core.host().word(0).message_posted();
        assert_eq!(core.run_slice(0, false, &mut || true), SliceEnd::Messages);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert_eq!(core.run_slice(0, true, &mut || true), SliceEnd::Rest);
        assert_eq!((count.load(Ordering::Relaxed), core.held.load()), (5, 1));
        core.submit(task());
        assert_eq!(core.held.load(), 0, "whoever rests is called for a task");
    }

    /// Worker 0 of three runs a slice of one task, in which it asks who sleeps. Worker 1 sleeps, as far as the pool knows. Returns who slept during the
    /// task, and afterwards.
    #[cfg(feature = "std")]
    fn sleepers_during_a_slice(queue: impl FnOnce(&Core<crate::native::NativeHost>, &dyn Fn() -> Task)) -> (u32, u32) {
        let core = std::sync::Arc::new(Core::new(crate::native::NativeHost::new(3)));
        let seen = std::sync::Arc::new(core::sync::atomic::AtomicU32::new(u32::MAX));
        queue(&core, &|| {
            // Weak, as most of them stay queued in it: a circle would never be freed.
            let (core, seen) = (std::sync::Arc::downgrade(&core), std::sync::Arc::clone(&seen));
            let sleepers = move || core.upgrade().map(|core| core.idle.load().sleepers());
            Task::new(move || seen.store(sleepers().unwrap_or(u32::MAX), Ordering::Relaxed))
        });
        core.idle.announce_sleep(1, false);
        assert_eq!(core.run_slice(0, false, &mut || false), SliceEnd::Spent);
        (seen.load(Ordering::Relaxed), core.idle.load().sleepers())
    }

    /// Race 32: a batch on the move is in no queue, so whoever moved it wakes somebody, before its first task runs.
    #[cfg(feature = "std")]
    #[test]
    fn race_32_who_moves_a_batch_wakes_somebody_first() {
        let (during, _) = sleepers_during_a_slice(|core, task| (0..9).for_each(|_| core.submit(task())));
        assert_eq!(during, 0);
    }

    /// Race 52: who steals in a slice tells what it has left, before what it took runs.
    #[cfg(feature = "std")]
    #[test]
    fn race_52_who_steals_in_a_slice_wakes_somebody_first() {
        let (during, _) = sleepers_during_a_slice(|core, task| {
            // SAFETY: no other thread is here, so this one is worker 2 for a moment.
            let mut ring = unsafe { core.host().lane(2).ring.owner() };
            (0..8).for_each(|_| assert!(ring.push(task()).is_ok()));
        });
        assert_eq!(during, 0);
    }

    /// Race 8 for slices: one that ends with something queued hands it on.
    #[cfg(feature = "std")]
    #[test]
    fn race_8_a_slice_that_ends_early_wakes_somebody() {
        let (during, afterwards) = sleepers_during_a_slice(|core, task| {
            // SAFETY: as above, worker 0.
            let mut ring = unsafe { core.host().lane(0).ring.owner() };
            (0..2).for_each(|_| assert!(ring.push(task()).is_ok()));
        });
        assert_eq!((during, afterwards), (1 << 1, 0));
    }

    /// Races 28 and 46: who runs is not listed as one that rests; it would count as quiet, and calls to it would be in vain.
    #[cfg(feature = "std")]
    #[test]
    fn race_46_who_runs_does_not_rest() {
        let core = std::sync::Arc::new(Core::new(crate::native::NativeHost::new(1)));
        let seen = std::sync::Arc::new(core::sync::atomic::AtomicU32::new(0));
        let task = || {
            let (core, seen) = (std::sync::Arc::clone(&core), std::sync::Arc::clone(&seen));
            Task::new(move || {
                seen.fetch_add(1 + core.held.load(), Ordering::Relaxed);
            })
        };
        core.submit(task());
        core.held.announce(0);
        assert_eq!(core.run_slice(0, false, &mut || false), SliceEnd::Spent);
        assert_eq!(seen.load(Ordering::Relaxed), 1, "in a slice");
        core.submit(task());
        core.close(false);
        core.held.announce(0);
        assert_eq!(core.run(0), crate::scheduler::Leave::Stop);
        assert_eq!(seen.load(Ordering::Relaxed), 2, "in a turn");
    }

    #[test]
    fn each_worker_that_rests_is_called_once() {
        let held = Held::new();
        held.announce(3);
        held.announce(31);
        held.announce(3);
        assert_eq!((held.claim(), held.claim(), held.claim()), (Some(3), Some(31), None));
        held.announce(5);
        held.end(5);
        held.end(5);
        assert_eq!(held.claim(), None);
    }
}

//! The end of a pool, and the end of a worker: closing, falling quiet, leaving, dying.
//!
//! `shutdown` has the steps of closing as users see them. Here is how it is found out that all is done, and what a death leaves to be settled.

use core::sync::atomic::Ordering;

use crate::ended::Ended;
use crate::host::Host;
use crate::primitive::fence_after_publication;
use crate::scheduler::Core;
use crate::trace::{self, Event};

/// Nothing is accepted from outside any more.
const CLOSED: u32 = 1 << 0;
/// What is queued is dropped instead of run.
const DISCARD: u32 = 1 << 1;
/// The workers have been told to stop. Once: a word may belong to another pool soon after.
const STOPPED: u32 = 1 << 2;

impl<H: Host> Core<H> {
    /// Refuses tasks from outside from now on; the workers stop when nothing is queued and nothing runs. With `discard`, what is queued is
    /// dropped instead of run.
    pub(crate) fn close(&self, discard: bool) {
        self.injector.close();
        self.closing.fetch_or(if discard { CLOSED | DISCARD } else { CLOSED }, Ordering::SeqCst);
        // Publish CLOSED, then read who sleeps; partner: `announce_sleep` and the look at CLOSED in `run`. One of the two finds that all sleep.
        fence_after_publication();
        self.end_if_quiet();
    }

    pub(crate) fn is_closed(&self) -> bool {
        // SeqCst: in `run` it is read after announcing sleep; partner: `close`.
        self.closing.load(Ordering::SeqCst) & CLOSED != 0
    }

    pub(crate) fn discards(&self) -> bool {
        // Relaxed: a task more or less.
        self.closing.load(Ordering::Relaxed) & DISCARD != 0
    }

    /// The workers that have not left for good.
    pub(crate) fn present(&self) -> u32 {
        let all = u32::MAX >> (32 - self.host.workers());
        all & !self.gone.load(Ordering::SeqCst)
    }

    /// Tells everybody to stop, if the pool is closed, all sleep, and nothing is queued.
    ///
    /// Between the two looks at the sleepers a worker may have been woken by a late token and have run a task; then it is not done with
    /// that: a stopped worker empties its own ring, and whatever it spawns is run by itself. Nothing is lost; the others only go home early.
    pub(crate) fn end_if_quiet(&self) {
        // A held worker that rests in its event loop has nothing to do for the pool either; what is awaited there goes on without the pool.
        let all_sleep = || self.idle.load().sleepers() | self.held.load() == self.present();
        if all_sleep() && self.injector.is_finished() && !self.anything_stealable() && all_sleep() {
            self.stop_all();
        }
    }

    /// Whether everybody was told to stop: all is done.
    #[cfg(all(test, loom))]
    pub(crate) fn stopped(&self) -> bool {
        self.closing.load(Ordering::SeqCst) & STOPPED != 0
    }

    fn stop_all(&self) {
        if self.closing.fetch_or(STOPPED, Ordering::SeqCst) & STOPPED != 0 {
            return;
        }
        for worker in 0..self.host.workers() {
            trace::step(|| self.host.word(worker).set_stop(), |_| Event::Stop(worker));
        }
        self.call_all_held();
    }

    /// Worker `me` has left for good, or never came. To be called when its thread is free for others.
    pub(crate) fn left(&self, me: usize) {
        // SeqCst: the last one to leave sees all others' bits.
        let before = self.gone.fetch_or(1 << me, Ordering::SeqCst);
        if (before | 1 << me).count_ones() as usize == self.host.workers() {
            self.ended.set();
        } else if self.is_closed() {
            // Publish that it is gone, then read who sleeps; partner: `announce_sleep` and the look at who is present in `end_if_quiet`.
            fence_after_publication();
            // It may have been the only one that did not sleep.
            self.end_if_quiet();
        }
    }

    pub(crate) fn ended(&self) -> &Ended {
        &self.ended
    }

    /// The reaper: worker `dead` runs nothing any more, and never will. For one thread at a time.
    ///
    /// 1. It neither sleeps nor searches, nobody waits for what it has claimed in the injector, and a ring that it was stealing from is open again
    ///    (race 16: what it had claimed there and not copied is lost).
    /// 2. It may have died between claiming a sleeper and calling it: then a live worker sleeps and is listed as a searcher, and all wake-ups freeze.
    ///    So everybody is called, whatever their words say (M11).
    /// 3. If the pool is closed, it may have been the last one awake.
    #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "native threads do not die alone"))]
    pub(crate) fn bury(&self, dead: usize) {
        if self.gone.load(Ordering::SeqCst) & 1 << dead != 0 {
            return;
        }
        // SAFETY: the dead run nothing, and the mark above keeps a second call out.
        unsafe { crate::fork::branch::bury(self, dead) };
        self.idle.bury(dead);
        self.held.end(dead);
        self.injector.skip_claimed();
        for worker in 0..self.host.workers() {
            // SAFETY: only this pool's worker `dead` steals from its rings under this number, and it runs nothing any more.
            unsafe { self.host.lane(worker).ring.end_turn_of_dead(dead as u32 + 1) };
        }
        fence_after_publication();
        let present = self.present();
        for worker in (0..self.host.workers()).filter(|worker| *worker != dead && present & 1 << worker != 0) {
            self.host.word(worker).call_anyway();
            // It may have died while it called one that rests, and has taken its bit.
            self.host.call(worker);
        }
        self.left(dead);
    }
}

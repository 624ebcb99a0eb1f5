//! The window: the branches of one worker that others may take, the oldest first.
//!
//! # State
//!
//! | name | what |
//! |---|---|
//! | `state` | one 32-bit word: low half, how many branches on this worker's stack were **taken**; high half, how many were **pushed** |
//! | `slots` | a pointer for each of the last [`WINDOW`] pushed branches: branch `i` in slot `i % WINDOW` |
//! | `doorbell` | the futex on which this worker sleeps while it waits for a branch; a count, so that a ring is never missed |
//! | `hint` | the address of the word of the owner's thread that its joins look at (`hot`); a thief sets that to zero |
//! | `running` | the branch that this worker has taken and runs, for whoever buries it |
//! | `taking` | what this worker as a thief is about to claim, or has claimed and not marked: DEAD:1, victim plus one:15, index:16 |
//! | `helpers` | a mask of workers that sleep until a branch of *this* worker is done, and would rather help |
//!
//! Taken ≤ pushed ≤ taken + [`WINDOW`], except that branches which were taken and are not finished stay counted in both until their
//! join has seen their end. So what is taken is always a prefix, and the pending ones are `taken..pushed`.
//!
//! # Steps
//!
//! * *push* (owner): nothing if the window is full, or if the slot is not empty yet (a thief has claimed its former branch and not
//!   yet read the pointer); else pointer into the slot, `pushed += 1`.
//! * *pop* (owner): CAS `pushed -= 1` if `taken < pushed`: the youngest was nobody's, it is the owner's again; else it was taken.
//! * *steal* (anybody else): CAS `taken += 1` if `taken < pushed`; then the branch is claimed for good, and its slot is read by a swap
//!   with null, which is also the receipt that lets the owner use the slot again.
//!   Before the CAS the thief writes down what it wants (`taking`), and strikes it out when the branch is marked with its number (`branch`).
//! * *lost?* (owner, when it waits for a branch that nobody has marked): somebody dead wanted this index, and nobody alive does; then, if the branch
//!   is still not marked, the dead one has claimed it. The receipt is given in its place.
//! * *settle* (owner): the youngest was taken and is done: both counts down by one.
//!
//! # Argument
//!
//! All claims of a branch are changes of one word, so a branch is claimed once. A stale CAS that succeeds by accident (the counts
//! went away and came back) is no accident: a claim speaks of an index and not of a pointer, and the pointer is read after the claim, when the owner
//! can neither pop that index nor, before the receipt, overwrite its slot. A thief's CAS reads the owner's `pushed += 1` or a later
//! read-modify-write of the word, all of one release sequence, so it sees the branch and the slot.
//!
//! *A claim whose thief has died* is found by elimination, since the count does not say who has claimed. The owner knows that its index was claimed (it reads the
//! count with Acquire, so it sees what the claimer wrote down before). Whoever is alive and has claimed it still says so in `taking`, or has
//! struck it out after the mark; so if no living worker says so and there is no mark **afterwards**, the claimer is dead. A dead one who wanted the index and did not get it
//! makes the owner look, and no more: somebody alive has claimed it then. While a living worker wants it too, the owner looks again a little later.

use core::ptr;
use core::sync::atomic::Ordering;
use core::time::Duration;

use super::branch::Header;
use super::hot::InlineOnly;
use crate::primitive::{AtomicU32, AtomicUsize};

/// How many branches of one worker are exposed at a time. Deeper joins run inline until one of these is taken or run. Small, because
/// with the window full a join costs one comparison; large enough that thieves find another branch while they finish one.
pub(crate) const WINDOW: u32 = if cfg!(loom) { 2 } else { 4 };

const TAKEN: u32 = 1;
const PUSHED: u32 = 1 << 16;
/// The most branches that one stack can have pushed; joins beyond it run inline.
const MOST: u32 = 0xfffe;

/// In `taking`: this worker is dead.
const DEAD: u32 = 1 << 31;

/// In `taking`: a branch of a worker.
const fn wish(victim: usize, index: u32) -> u32 {
    (victim as u32 + 1) << 16 | index
}

/// Somebody who may have claimed a branch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Thief {
    Alive,
    Dead,
}

/// The two counts as they were at some instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowState(u32);

impl WindowState {
    const fn taken(self) -> u32 {
        self.0 & 0xffff
    }

    const fn pushed(self) -> u32 {
        self.0 >> 16
    }

    const fn pending(self) -> u32 {
        self.pushed() - self.taken()
    }
}

/// One worker's window. All zero is a valid empty one.
#[repr(align(128))]
pub(crate) struct Window {
    state: AtomicU32,
    slots: [AtomicUsize; WINDOW as usize],
    doorbell: AtomicU32,
    helpers: AtomicU32,
    hint: AtomicUsize,
    running: AtomicUsize,
    taking: AtomicU32,
    #[cfg(loom)]
    never_used: bool,
}

impl Window {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Window {
        Window {
            state: AtomicU32::new(0),
            slots: [const { AtomicUsize::new(0) }; WINDOW as usize],
            doorbell: AtomicU32::new(0),
            helpers: AtomicU32::new(0),
            hint: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            taking: AtomicU32::new(0),
        }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Window {
        Window {
            state: AtomicU32::new(0),
            slots: core::array::from_fn(|_| AtomicUsize::new(0)),
            doorbell: AtomicU32::new(0),
            helpers: AtomicU32::new(0),
            hint: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            taking: AtomicU32::new(0),
            never_used: false,
        }
    }

    /// This model's tasks do not fork: nobody looks.
    #[cfg(loom)]
    pub(crate) fn never_used(&mut self) {
        self.never_used = true;
    }

    /// Where thieves tell the owner that there is room: on the owner's own thread, whose joins look there.
    pub(crate) fn set_hint(&self, hint: &InlineOnly) {
        // Relaxed: published by `push`.
        self.hint.swap(core::ptr::from_ref(hint).expose_provenance(), Ordering::Relaxed);
    }

    /// How many branches the owner has pushed and not popped or settled, as he sees it: exactly.
    pub(crate) fn pushed(&self) -> u32 {
        self.own_state().pushed()
    }

    /// Whether there is no room, as the owner sees it.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.own_state();
        state.pending() >= WINDOW || state.pushed() >= MOST
    }

    /// The counts, as the owner sees them: the pushed ones exactly, the taken ones perhaps too few.
    fn own_state(&self) -> WindowState {
        // Relaxed: the owner reads its own last write, or a thief's later one, and decides nothing but whether to try.
        WindowState(self.state.load(Ordering::Relaxed))
    }

    /// Whether nothing can be taken.
    pub(crate) fn is_empty(&self) -> bool {
        #[cfg(loom)]
        if self.never_used {
            return true;
        }
        // SeqCst: read by a worker's second look after it announced sleep; partner: the addition in `push`, then the look at who sleeps.
        WindowState(self.state.load(Ordering::SeqCst)).pending() == 0
    }

    /// Exposes a branch. Returns whether there was room; whoever pushes must then wake somebody.
    ///
    /// # Safety
    ///
    /// The caller is the window's worker. The header stays where it is until it was popped, or was taken, done, and settled.
    pub(crate) unsafe fn push(&self, branch: *const Header) -> bool {
        if self.is_full() {
            return false;
        }
        let state = self.own_state();
        let slot = &self.slots[(state.pushed() % WINDOW) as usize];
        // Relaxed: only whether it is null counts; the swap in `steal` that made it null is before this in the slot's own order.
        if slot.load(Ordering::Relaxed) != 0 {
            return false;
        }
        // Relaxed: published by the addition. A swap and not a store, which costs eight times as much in one engine.
        slot.swap(branch.expose_provenance(), Ordering::Relaxed);
        // SeqCst: Release gives branch and slot to the thief's CAS; and it is the publication of "publish, then read who sleeps".
        self.state.fetch_add(PUSHED, Ordering::SeqCst);
        true
    }

    /// Takes the youngest branch back. Returns whether it was still there; otherwise somebody has taken it.
    ///
    /// # Safety
    ///
    /// The caller is the window's worker, and has a branch pushed and not settled.
    pub(crate) unsafe fn pop(&self) -> bool {
        let mut seen = self.own_state();
        loop {
            if seen.pending() == 0 {
                return false;
            }
            // Relaxed: the branch is the owner's own memory. (A read-modify-write goes on with the release sequence of `push`.)
            match self.state.compare_exchange(seen.0, seen.0 - PUSHED, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => seen = WindowState(now),
            }
        }
        // Relaxed: nobody reads a slot without a claim of its index.
        self.slots[((seen.pushed() - 1) % WINDOW) as usize].swap(0, Ordering::Relaxed);
        true
    }

    /// The youngest branch was taken, and is done.
    ///
    /// # Safety
    ///
    /// The caller is the window's worker, and so it is.
    pub(crate) unsafe fn settle(&self) {
        // Relaxed: what the thief left came by the branch's own word.
        self.state.fetch_sub(PUSHED + TAKEN, Ordering::Relaxed);
    }

    /// Takes the oldest branch of this window, which is worker `victim`'s, for the worker whose window is `mine`: he must run it at once.
    pub(crate) fn steal(&self, victim: usize, mine: &Window) -> Option<*const Header> {
        self.claim(victim, mine).map(|index| self.receive(index))
    }

    /// The first half of a theft: the branch at this index is claimed.
    pub(crate) fn claim(&self, victim: usize, mine: &Window) -> Option<u32> {
        #[cfg(loom)]
        if self.never_used {
            return None;
        }
        // SeqCst: as in `is_empty`.
        let mut seen = WindowState(self.state.load(Ordering::SeqCst));
        let mut wished = false;
        loop {
            if seen.pending() == 0 {
                if wished {
                    mine.has_marked();
                }
                return None;
            }
            wished = true;
            // Relaxed: published by the claim; whoever sees that sees this. (A read-modify-write goes on with the release sequence of `has_marked`.)
            mine.taking.swap(wish(victim, seen.taken()), Ordering::Relaxed);
            // Acquire: pairs with the Release of `push`: the slot and the branch. Release: pairs with the Acquire in `youngest`.
            match self.state.compare_exchange(seen.0, seen.0 + TAKEN, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(seen.taken()),
                Err(now) => seen = WindowState(now),
            }
        }
    }

    /// The second half: what was claimed, and the receipt.
    fn receive(&self, index: u32) -> *const Header {
        // Relaxed: the claim gave the slot to this thread; the null is the receipt, seen by `push`.
        let branch = self.slots[(index % WINDOW) as usize].swap(0, Ordering::Relaxed);
        debug_assert!(branch != 0, "a claimed branch has a pointer");
        // Relaxed: written before the `push` that the claim has acquired.
        let hint = ptr::with_exposed_provenance::<InlineOnly>(self.hint.load(Ordering::Relaxed));
        // SAFETY: set by the owner to a word of its thread, which is in the join of this branch until the branch is done.
        unsafe { &*hint }.set(false);
        ptr::with_exposed_provenance(branch)
    }

    /// What this worker has claimed is marked with its number, or somebody else was faster.
    pub(crate) fn has_marked(&self) {
        // Release: pairs with the Acquire in `wanted_by`: who sees this sees the mark.
        self.taking.swap(0, Ordering::Release);
    }

    /// What a thief does that dies before, or while, it claims the oldest branch of `victim`. For tests.
    #[cfg(all(test, loom))]
    pub(crate) fn want_and_die(&self, victim: usize, index: u32) {
        self.taking.swap(wish(victim, index), Ordering::Relaxed);
    }

    /// Whether this window's worker wants, or has claimed, that branch of `victim`; and whether it is dead.
    pub(super) fn wanted_by(&self, victim: usize, index: u32) -> Option<Thief> {
        // Acquire: pairs with the Release in `has_marked` (the mark), and in `mark_dead`.
        let taking = self.taking.load(Ordering::Acquire);
        (taking & !DEAD == wish(victim, index)).then_some(if taking & DEAD != 0 { Thief::Dead } else { Thief::Alive })
    }

    /// The worker is dead: what it wanted is to be looked at by whoever waits for it. He must be rung.
    pub(super) fn mark_dead(&self) {
        // Release: pairs with the Acquire in `wanted_by`: all that the dead one did is over.
        self.taking.fetch_or(DEAD, Ordering::Release);
    }

    /// The index of the owner's youngest branch, which has been taken.
    pub(super) fn youngest(&self) -> u32 {
        // Acquire: pairs with the Release of the claim; what the claimer wrote down before is seen.
        WindowState(self.state.load(Ordering::Acquire)).pushed() - 1
    }

    /// The branch at `index` was claimed by somebody who is dead: the slot can be used again, as if he had read it.
    ///
    /// # Safety
    ///
    /// The caller is the window's worker, and so it is.
    pub(super) unsafe fn give_receipt(&self, index: u32) {
        // Relaxed: the owner's own next push reads it.
        self.slots[(index % WINDOW) as usize].swap(0, Ordering::Relaxed);
    }

    /// The branch that the worker runs, or null.
    pub(crate) fn running(&self) -> *const Header {
        // Relaxed: asked by the worker, who wrote it.
        ptr::with_exposed_provenance(self.running.load(Ordering::Relaxed))
    }

    /// The worker begins to run this branch, or goes on with it. Returns the one before.
    pub(crate) fn now_running(&self, branch: *const Header) -> *const Header {
        // Relaxed: written by the worker; read by whoever buries it, and knows of its death.
        ptr::with_exposed_provenance(self.running.swap(branch.expose_provenance(), Ordering::Relaxed))
    }

    /// The worker is dead: what it has exposed cannot be taken any more.
    pub(crate) fn withdraw(&self) {
        // Relaxed: nothing is handed over; a thief who comes first runs what nobody waits for.
        self.state.swap(0, Ordering::Relaxed);
        for slot in &self.slots {
            slot.swap(0, Ordering::Relaxed);
        }
    }

    // ------------------------------------------------------------------------------------------------------------ waiting

    /// How often the bell has rung.
    pub(crate) fn rings(&self) -> u32 {
        // Acquire: pairs with the Release in `ring`. Read before the reason to sleep is checked, so that a ring in between ends the sleep.
        self.doorbell.load(Ordering::Acquire)
    }

    /// Wakes this window's worker, if it waits for a branch.
    pub(crate) fn ring(&self) {
        // Release: pairs with the Acquire in `rings`; what was the reason is seen then.
        self.doorbell.fetch_add(1, Ordering::Release);
        weblane_futex::notify_all(&self.doorbell);
    }

    /// Sleeps until the bell has rung since `rings` was read, or until the time is over, or for no reason at all. The caller has asked whether it may
    /// block.
    pub(crate) fn sleep(&self, rings: u32, at_most: Option<Duration>) {
        let _ = weblane_futex::wait(&self.doorbell, rings, at_most);
    }

    /// `worker` is about to sleep for a branch that this window's worker runs, and would rather help it. Look again afterwards.
    pub(crate) fn add_helper(&self, worker: usize) {
        // SeqCst: the announcement of "announce, then look"; partner: `call_helper`.
        self.helpers.fetch_or(1 << worker, Ordering::SeqCst);
    }

    /// `worker` does not wait here any more.
    pub(crate) fn remove_helper(&self, worker: usize) {
        // Relaxed: a call that is on its way rings once in vain.
        self.helpers.fetch_and(!(1 << worker), Ordering::Relaxed);
    }

    /// A sleeper that would help with what was just pushed; it must be rung.
    pub(crate) fn call_helper(&self) -> Option<usize> {
        // SeqCst: the look of "publish, then look who sleeps"; partner: `add_helper`, then the look at the window.
        let helpers = self.helpers.load(Ordering::SeqCst);
        if helpers == 0 {
            return None;
        }
        let worker = helpers.trailing_zeros();
        // Relaxed: who clears the bit rings. Nothing is handed over.
        let before = self.helpers.fetch_and(!(1 << worker), Ordering::Relaxed);
        (before & 1 << worker != 0).then_some(worker as usize)
    }
}

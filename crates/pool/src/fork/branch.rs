//! A branch: the second half of a join, in the stack frame of the join itself.
//!
//! # State
//!
//! One 32-bit word in the branch's header:
//!
//! | bits | set by | means |
//! |---|---|---|
//! | DONE | the thief, once, last | the result is there; the thief does not touch the branch any more |
//! | SLEEPER | the owner | the owner sleeps on its doorbell, and wants to be rung |
//! | 8.. | the thief, once, first | the thief's worker number plus one |
//!
//! | LOST | whoever buries the thief | the thief is dead, and there is no result; set with DONE |
//!
//! All changes are `fetch_or`. The owner returns from its join, and the header with it is gone, once it has seen DONE; so the thief copies what it
//! needs for ringing before it sets DONE. The doorbell itself is in the owner's window, which lives as long as the pool.

use core::mem::ManuallyDrop;
use core::sync::atomic::Ordering;

use super::window::Thief;
use crate::host::{Host, Payload};
use crate::primitive::{AtomicU32, AtomicUsize, UnsafeCell};
use crate::scheduler::Core;

const DONE: u32 = 1 << 0;
const SLEEPER: u32 = 1 << 1;
const LOST: u32 = 1 << 2;
const THIEF: u32 = 8;

/// What a branch's word said at some instant.
#[derive(Clone, Copy)]
pub(crate) struct BranchState(u32);

impl BranchState {
    pub(crate) const fn done(self) -> bool {
        self.0 & DONE != 0
    }

    /// Whether it will never have a result.
    pub(crate) const fn lost(self) -> bool {
        self.0 & LOST != 0
    }

    /// Who runs it, if he has said so yet.
    pub(crate) const fn thief(self) -> Option<usize> {
        match self.0 >> THIEF {
            0 => None,
            worker => Some(worker as usize - 1),
        }
    }
}

/// The part of a branch that knows no types.
pub(crate) struct Header {
    state: AtomicU32,
    /// The worker whose join this is.
    owner: u32,
    /// The branch that its thief was running before, and goes on with afterwards: a list of what the thief has on its stack, for whoever buries it.
    below: AtomicUsize,
    /// Runs the closure and keeps its result.
    run: unsafe fn(*const Header),
}

impl Header {
    /// The header of a branch that belongs to a join of worker `owner`; `run` is called once, by a thief.
    pub(crate) fn new(owner: usize, run: unsafe fn(*const Header)) -> Header {
        Header { state: AtomicU32::new(0), owner: owner as u32, below: AtomicUsize::new(0), run }
    }

    pub(crate) fn state(&self) -> BranchState {
        // Acquire: pairs with the Release in `run`; who sees DONE sees the result.
        BranchState(self.state.load(Ordering::Acquire))
    }

    /// The owner is about to sleep. Returns the state before.
    pub(crate) fn announce_sleeper(&self) -> BranchState {
        // Acquire: as in `state`.
        BranchState(self.state.fetch_or(SLEEPER, Ordering::Acquire))
    }
}

/// Runs a branch that worker `me` has just taken from another worker's window, and tells its owner.
///
/// # Safety
///
/// `branch` came from [`Window::steal`](super::window::Window::steal) of a worker of `core`, this is its only use, and the
/// calling thread is worker `me` of `core`.
pub(crate) unsafe fn run_taken<H: Host>(core: &Core<H>, me: usize, branch: *const Header) {
    H::adopt_memory();
    // SAFETY: a branch that was taken stays where it is until DONE.
    let (header, owner) = unsafe { (&*branch, (*branch).owner as usize) };
    let window = &core.host().lane(me).window;
    let below = window.running();
    // Relaxed: read by whoever buries this thread, who knows that it has died. Before it is the one that runs: a thread that is ended between the two leaves
    // a list that lacks this branch, whose owner finds that out, and none of the others.
    header.below.swap(below.expose_provenance(), Ordering::Relaxed);
    window.now_running(branch);
    // Relaxed: nothing is handed over; an owner that went to sleep before it knew whom to help must look again.
    if header.state.fetch_or((me as u32 + 1) << THIEF, Ordering::Relaxed) & SLEEPER != 0 {
        core.host().lane(owner).window.ring();
    }
    window.has_marked();
    // SAFETY: taken, so the closure is this thread's; it does not unwind.
    unsafe { (header.run)(branch) };
    H::publish_memory();
    window.now_running(below);
    // Release: gives the result to the owner, who may be gone with the header right after.
    if header.state.fetch_or(DONE, Ordering::Release) & SLEEPER != 0 {
        core.host().lane(owner).window.ring();
    }
}

/// Settles what the dead worker `dead` has on its stack: the branches that it was running are lost, and their owners are told; those that it had exposed are
/// withdrawn, for nobody wants them, and its stack may be used again.
///
/// # Safety
///
/// The thread that was worker `dead` of `core` runs nothing any more, and this is called once.
pub(crate) unsafe fn bury<H: Host>(core: &Core<H>, dead: usize) {
    let window = &core.host().lane(dead).window;
    window.withdraw();
    window.mark_dead();
    let mut branch = window.now_running(core::ptr::null());
    while !branch.is_null() {
        // SAFETY: it was running and is not done, so it is still there until DONE.
        let header = unsafe { &*branch };
        // Relaxed: the death, of which the caller knows, came after.
        branch = core::ptr::with_exposed_provenance(header.below.load(Ordering::Relaxed));
        // Release: as in `run_taken`; what the dead one did with the branch is over.
        header.state.fetch_or(LOST | DONE, Ordering::Release);
    }
    // Also those who wait for a branch that it had claimed and not marked: that is not in the list, and they find out by themselves.
    for worker in 0..core.host().workers() {
        core.host().lane(worker).window.ring();
    }
}

/// What is known of the claimer of a branch that nobody has marked.
pub(crate) enum Lost {
    /// He is dead.
    Yes,
    /// Somebody dead wanted it, and somebody alive does: look again.
    Perhaps,
}

/// Looks whether the youngest branch of worker `me`, which was claimed and not marked with its thief's number, was claimed by a worker that has died since;
/// then it is marked as lost. `None` if nobody dead has wanted it. The argument stands in [`window`](super::window).
pub(crate) fn lost_before_mark<H: Host>(core: &Core<H>, me: usize, header: &Header) -> Option<Lost> {
    let window = &core.host().lane(me).window;
    let index = window.youngest();
    let wanted = |by: Thief| {
        (0..core.host().workers()).any(|worker| core.host().lane(worker).window.wanted_by(me, index) == Some(by))
    };
    if !wanted(Thief::Dead) {
        return None;
    }
    if wanted(Thief::Alive) {
        return Some(Lost::Perhaps);
    }
    // After the look at `taking`: who has struck it out meanwhile has marked the branch before.
    let state = header.state();
    if state.thief().is_none() && !state.done() {
        // SAFETY: this is worker `me`, and the claimer is dead.
        unsafe { window.give_receipt(index) };
        // Relaxed: read by the owner, which is this thread; what the dead one did came by `wanted_by`.
        header.state.fetch_or(LOST | DONE, Ordering::Relaxed);
    }
    Some(Lost::Yes)
}

/// A closure that another worker may run, and the place for its result.
#[repr(C)]
pub(crate) struct Branch<F, R> {
    header: Header,
    closure: UnsafeCell<ManuallyDrop<F>>,
    result: UnsafeCell<Option<Result<R, Payload>>>,
}

impl<F: FnOnce() -> R, R> Branch<F, R> {
    pub(crate) fn new<H: Host>(owner: usize, closure: F) -> Self {
        let branch = Branch {
            header: Header::new(owner, run::<H, F, R>),
            closure: UnsafeCell::new(ManuallyDrop::new(closure)),
            result: UnsafeCell::new(None),
        };
        // loom knows of accesses, and not of a cell's beginning.
        #[cfg(loom)]
        branch.closure.with_mut(|_| ());
        branch
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// As a pointer to the whole, of which the header is the beginning.
    pub(crate) fn as_pointer(&self) -> *const Header {
        core::ptr::from_ref(self).cast()
    }

    /// The closure, of a branch that was never taken.
    ///
    /// # Safety
    ///
    /// The branch was not pushed, or was popped; and this is its closure's only use.
    pub(crate) unsafe fn into_closure(self) -> F {
        self.closure.with_mut(|closure| {
            // SAFETY: passed on to the caller.
            unsafe { ManuallyDrop::take(&mut *closure) }
        })
    }

    /// The result, of a branch that is done.
    pub(crate) fn into_result(self) -> Option<Result<R, Payload>> {
        self.result.with_mut(|result| {
            // SAFETY: `self` is owned.
            unsafe { (*result).take() }
        })
    }
}

/// # Safety
///
/// `header` is the beginning of a `Branch<F, R>` whose closure and result belong to the calling thread, until it sets DONE; and it was not run
/// before.
unsafe fn run<H: Host, F: FnOnce() -> R, R>(header: *const Header) {
    // SAFETY: the caller says so. The closure leaves its cell before it runs.
    let branch = unsafe { &*header.cast::<Branch<F, R>>() };
    // SAFETY: as above.
    let closure = branch.closure.with_mut(|closure| unsafe { ManuallyDrop::take(&mut *closure) });
    let result = H::catch(closure);
    // SAFETY: as above.
    branch.result.with_mut(|place| unsafe { *place = Some(result) });
}

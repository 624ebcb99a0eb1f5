//! Who waits on one side of a channel: threads asleep and wakers, in one line, behind a lock that nobody waits for.
//!
//! # Purpose
//!
//! Waking one of many waiters needs a list, and a list needs somebody to keep it. A lock around it would be met by the browser's main
//! thread while a preempted worker holds it (race 26). So here whoever finds the list being kept **leaves his request and goes**: the keeper
//! looks again before he leaves.
//!
//! # State
//!
//! | name | written by | means |
//! |---|---|---|
//! | `waiting` | who enters, who calls, who leaves | how many wait; 0 is what a send or receive looks at, and then it is done |
//! | `inbox` | who enters, by compare-and-swap; the keeper, by `swap(null)` | waiters that have not been put into the line, last one first |
//! | `wakes` | who wakes | how many are to be called; from `ALL` on, everyone |
//! | `visits` | visitors | how many visits are not yet settled; **who raises it from 0 is the keeper** until he brings it back to 0 |
//! | `line` | the keeper | waiters in the order of their coming |
//! | `Waiter::state` | WAITING → CALLED by the keeper, WAITING → GONE by the waiter itself | also the word on which a waiting thread sleeps |
//! | `Waiter::holders` | the waiter and the list | who lets go last reuses it |
//!
//! # Steps
//!
//! - *Enter*: write the waker (or none: a thread will sleep on `state`), push into `inbox`, `waiting += 1`. Then the caller **must look again** at what it
//!   waits for, and only then sleep or return "pending".
//! - *Wake one*, after a change was published: `waiting` is 0: done. Else `wakes += 1`, *visit*.
//! - *Visit*: `visits += 1`; it was not 0: done, the keeper will see it. Else keep: take `wakes`; take the inbox into the line; call so many
//!   from the front; `visits -= seen`; it was more: again.
//! - *Call*: WAITING → CALLED; `waiting -= 1`; wake the waker or notify the word.
//! - *Leave*: WAITING → GONE; `waiting -= 1`; the waker is dropped at once, the rest when the keeper comes by (every so many leavers visit, so that
//!   garbage is bounded). It was CALLED: the wake-up was used, and the caller **must pass it on** if there is still something to be had.
//!
//! # Argument
//!
//! 1. *Nobody sleeps through a change.* Who enters: `waiting += 1`, then looks at the channel. Who changes: publishes, then looks at `waiting`. Both are SeqCst
//!    read-modify-writes followed by SeqCst loads, so at least one sees the other (store buffering is excluded).
//! 2. *A request finds whom it was made for.* A waiter is in the inbox before it is counted, the requester saw the count (Acquire, from Release) before
//!    it raised `wakes`, and the keeper takes `wakes` before the inbox.
//! 3. *A request is settled.* It is added before the visit; the visit is either the keeper's own, or counted in `visits` while it is not 0, and then
//!    the keeper passes once more after having seen it.
//! 4. *The line has one keeper.* Only who raises `visits` from 0; the Release in bringing it to 0 pairs with the Acquire in raising it.
//! 5. *A waiter is called or gone, once*: one compare-and-swap on its state decides.
//! 6. *A waiter is alive when it is woken*: the list lets go of it after that.
//! 7. *A waker may do what it likes*, also send and receive on the same channel, from inside its wake-up: then it is a visitor, not a second
//!    keeper. If it panics, the keeper's guard goes on with what is left.
//!
//! # Progress
//!
//! Entering and leaving are lock-free. Waking never waits; a keeper who is preempted delays the wake-ups that others have left with him. A keeper
//! that *dies* (a worker that traps) leaves a list that wakes nobody any more: as with any lock, and like there the region is short; only
//! a waker's own code can trap in it.

use alloc::boxed::Box;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;
use core::task::Waker;
use core::time::Duration;

use weblane_futex::{MayNotBlock, Wait, growth};

use super::primitive::{AtomicPtr, AtomicU32, Cell, Padded, model_fence};

const WAITING: u32 = 0;
const CALLED: u32 = 1;
const GONE: u32 = 2;

/// In `wakes`: everybody.
const ALL: u32 = 1 << 30;
/// So many leavers make one visit.
const LEAVERS: u32 = if cfg!(loom) { 1 } else { 16 };

/// One who waits.
struct Waiter {
    state: AtomicU32,
    holders: AtomicU32,
    /// The next one in the inbox or in the line.
    next: Cell<*mut Waiter>,
    /// `None`: a thread, asleep on `state`.
    waker: Cell<Option<Waker>>,
}

/// The keeper's part.
struct Line {
    first: *mut Waiter,
    last: *mut Waiter,
    length: u32,
}

/// The waiters of one side of a channel.
pub(super) struct WaitList {
    // By itself: every send or receive of the other side reads it, and it rarely changes.
    waiting: Padded<AtomicU32>,
    inbox: AtomicPtr<Waiter>,
    wakes: AtomicU32,
    visits: AtomicU32,
    /// Waiters in the line or the inbox that are GONE; off by a few at any moment.
    gone: AtomicU32,
    line: Cell<Line>,
    /// A waiter that is not in use, so that the usual single one is not allocated again and again.
    spare: AtomicPtr<Waiter>,
}

// SAFETY: the pointers are to waiters that the list holds; who may touch what is argued above (4, 5, 6), and wakers are `Send` and `Sync`.
unsafe impl Send for WaitList {}
// SAFETY: as above.
unsafe impl Sync for WaitList {}

/// A place in the list. Give it back by [`WaitList::leave`], or the waiter stays there.
#[must_use = "who has entered has to leave"]
pub(super) struct Place(NonNull<Waiter>);

// SAFETY: a waiter's parts are used as argued above, by whatever thread has its place.
unsafe impl Send for Place {}
// SAFETY: through a shared place only the atomic state and the waker, which is `Sync`, are looked at.
unsafe impl Sync for Place {}

impl Place {
    fn waiter(&self) -> &Waiter {
        growth::reach(self.0.as_ptr());
        // SAFETY: a place holds its waiter until it is given back.
        unsafe { self.0.as_ref() }
    }

    /// Whether this place still waits, for this very waker.
    pub(super) fn waits_for(&self, waker: &Waker) -> bool {
        // Relaxed: whoever finds himself called leaves, which acquires.
        self.waiter().state.load(Ordering::Relaxed) == WAITING
            // SAFETY: shared with at most the keeper, who only looks as well; it is written by nobody before the place is given back.
            && self.waiter().waker.with(|own| unsafe { (*own).as_ref().is_some_and(|own| own.will_wake(waker)) })
    }

    /// Sleeps until called, or for `timeout`; returns whether the time was up.
    pub(super) fn sleep(&self, timeout: Option<Duration>) -> Result<bool, MayNotBlock> {
        let state = &self.waiter().state;
        // Relaxed: as in `waits_for`.
        while state.load(Ordering::Relaxed) == WAITING {
            if weblane_futex::wait(state, WAITING, timeout)? == Wait::TimedOut {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl WaitList {
    pub(super) fn new() -> WaitList {
        WaitList {
            waiting: Padded(AtomicU32::new(0)),
            inbox: AtomicPtr::new(ptr::null_mut()),
            wakes: AtomicU32::new(0),
            visits: AtomicU32::new(0),
            gone: AtomicU32::new(0),
            line: Cell::new(Line { first: ptr::null_mut(), last: ptr::null_mut(), length: 0 }),
            spare: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Whether somebody waits. To be asked after the change that they wait for was published by a SeqCst read-modify-write.
    #[inline]
    pub(super) fn anyone(&self) -> bool {
        // SeqCst: pairs with the one in `enter` (argument 1).
        self.waiting.0.load(Ordering::SeqCst) != 0
    }

    /// Enters the list: with a waker, or none for a thread that is going to sleep. Look again at what you wait for, afterwards.
    pub(super) fn enter(&self, waker: Option<Waker>) -> Place {
        // Acquire: pairs with the Release in `let_go`; who takes the spare one out has it for himself.
        let spare = self.spare.swap(ptr::null_mut(), Ordering::Acquire);
        let place = if let Some(spare) = NonNull::new(spare) {
            growth::reach(spare.as_ptr());
            spare
        } else {
            NonNull::from(Box::leak(Box::new(Waiter {
                state: AtomicU32::new(WAITING),
                holders: AtomicU32::new(0),
                next: Cell::new(ptr::null_mut()),
                waker: Cell::new(None),
            })))
        };
        // A waker leads to memory of this thread (race 55).
        growth::publish();
        // SAFETY: nobody else knows of it before it is in the inbox, and then it is held.
        let waiter = unsafe { place.as_ref() };
        // Relaxed, both: the Release below publishes them.
        waiter.state.store(WAITING, Ordering::Relaxed);
        waiter.holders.store(2, Ordering::Relaxed);
        // SAFETY: as above.
        waiter.waker.with_mut(|own| unsafe { *own = waker });
        let mut last = self.inbox.load(Ordering::Relaxed);
        loop {
            // SAFETY: as above.
            waiter.next.with_mut(|next| unsafe { *next = last });
            // Release: pairs with the Acquire in `pass`. That the same waiter is on top again, after others were, is no harm: what is below it is
            // what we have just written.
            match self.inbox.compare_exchange(last, place.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => last = now,
            }
        }
        // SeqCst: announced before the caller looks again (argument 1), and after the inbox (argument 2).
        self.waiting.0.fetch_add(1, Ordering::SeqCst);
        model_fence();
        Place(place)
    }

    /// Gives a place back; returns whether it had been called. Then what the call was for may still be there, for somebody else.
    pub(super) fn leave(&self, place: Place) -> bool {
        let waiter = place.waiter();
        // Relaxed on success: nothing is passed on but the decision. Acquire on failure: pairs with the Release of the call, so that what it was
        // made for is seen by who finds himself called.
        let left = waiter.state.compare_exchange(WAITING, GONE, Ordering::Relaxed, Ordering::Acquire).is_ok();
        if left {
            self.waiting.0.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: the waiter was not called, so the keeper does not touch the waker; it must not outlive the one who waited.
            drop(waiter.waker.with_mut(|own| unsafe { (*own).take() }));
            self.let_go(place.0);
            if self.gone.fetch_add(1, Ordering::Relaxed) % LEAVERS == LEAVERS - 1 {
                self.visit();
            }
        } else {
            self.let_go(place.0);
        }
        !left
    }

    /// Calls one of those who wait, if there is one.
    #[cold]
    pub(super) fn call_one(&self) {
        self.call(1);
    }

    /// Calls everybody.
    pub(super) fn call_all(&self) {
        if self.anyone() {
            self.call(ALL);
        }
    }

    fn call(&self, many: u32) {
        // Release: pairs with the Acquire in `pass` (argument 2).
        self.wakes.fetch_add(many, Ordering::Release);
        self.visit();
    }

    fn visit(&self) {
        // AcqRel: the list as the last keeper left it; and a visitor's request, to the keeper.
        if self.visits.fetch_add(1, Ordering::AcqRel) == 0 {
            let mut keeper = Keeper { list: self, due: 0, seen: 1 };
            keeper.keep();
            core::mem::forget(keeper);
        }
    }

    /// The waiter's own part, or the list's, is over.
    fn let_go(&self, waiter: NonNull<Waiter>) {
        // SAFETY: whoever lets go has held it until now.
        let held = unsafe { waiter.as_ref() };
        // AcqRel: whoever lets go last sees it as the other one left it.
        if held.holders.fetch_sub(1, Ordering::AcqRel) == 1 {
            growth::adopt();
            // SAFETY: nobody holds it any more.
            drop(held.waker.with_mut(|own| unsafe { (*own).take() }));
            // Release: pairs with the Acquire in `enter`. Acquire: pairs with the Release here, of whoever gave the one that is freed.
            free(self.spare.swap(waiter.as_ptr(), Ordering::AcqRel));
        }
    }
}

/// Frees a waiter that nobody holds, if it is one.
fn free(waiter: *mut Waiter) {
    if !waiter.is_null() {
        // A touch that models see. SAFETY: the caller has it for himself.
        #[cfg(loom)]
        unsafe {
            (*waiter).waker.with_mut(|_| ());
        }
        // SAFETY: it was made by `Box`, and the caller has it for himself.
        drop(unsafe { Box::from_raw(waiter) });
    }
}

/// Whoever has raised `visits` from 0.
struct Keeper<'a> {
    list: &'a WaitList,
    /// So many are still to be called.
    due: u32,
    /// So many visits are settled by the pass under way.
    seen: u32,
}

impl Keeper<'_> {
    fn keep(&mut self) {
        loop {
            self.pass();
            // AcqRel: pairs with `visit`, both ways.
            let before = self.list.visits.fetch_sub(self.seen, Ordering::AcqRel);
            if before == self.seen {
                return;
            }
            self.seen = before - self.seen;
        }
    }

    fn pass(&mut self) {
        let list = self.list;
        // Acquire: pairs with the Release in `call`. Before the inbox (argument 2).
        self.due = self.due.saturating_add(list.wakes.swap(0, Ordering::Acquire));
        self.take_inbox();
        // Relaxed: a guess of how much garbage there is. Signed: a leaver may not have counted himself yet.
        if (list.gone.load(Ordering::Relaxed) as i32).saturating_mul(2) >= self.line(|line| line.length).max(1) as i32 {
            self.sweep();
        }
        while self.due > 0 {
            let Some(front) = self.pop() else {
                // Who is not in line did not wait when the request was made.
                self.due = 0;
                break;
            };
            // SAFETY: the list holds it until `let_go`.
            let waiter = unsafe { front.as_ref() };
            // Release: pairs with the Acquire in `leave`.
            if waiter.state.compare_exchange(WAITING, CALLED, Ordering::Release, Ordering::Relaxed).is_ok() {
                list.waiting.0.fetch_sub(1, Ordering::Relaxed);
                self.due -= 1;
                let held = Held { list, waiter: front };
                growth::adopt();
                // SAFETY: it was called and not gone, so its owner only looks at the waker until both have let go.
                let thread = waiter.waker.with(|waker| match unsafe { &*waker } {
                    Some(waker) => {
                        waker.wake_by_ref();
                        false
                    }
                    None => true,
                });
                if thread {
                    weblane_futex::notify_one(&waiter.state);
                }
                drop(held);
            } else {
                list.gone.fetch_sub(1, Ordering::Relaxed);
                list.let_go(front);
            }
        }
    }

    fn line<R>(&self, act: impl FnOnce(&mut Line) -> R) -> R {
        // SAFETY: there is one keeper (argument 4), and `act` never calls out.
        self.list.line.with_mut(|line| act(unsafe { &mut *line }))
    }

    /// Moves the inbox to the end of the line, in the order of coming.
    fn take_inbox(&self) {
        // Acquire: pairs with the Release in `enter`.
        let mut newest = self.list.inbox.swap(ptr::null_mut(), Ordering::Acquire);
        let (last, mut first, mut count) = (newest, ptr::null_mut(), 0);
        while let Some(waiter) = NonNull::new(newest) {
            newest = set_next(waiter, first);
            first = waiter.as_ptr();
            count += 1;
        }
        let Some(first) = NonNull::new(first) else { return };
        self.line(|line| {
            match NonNull::new(line.last) {
                Some(before) => _ = set_next(before, first.as_ptr()),
                None => line.first = first.as_ptr(),
            }
            line.last = last;
            line.length += count;
        });
    }

    fn pop(&self) -> Option<NonNull<Waiter>> {
        self.line(|line| {
            let first = NonNull::new(line.first)?;
            line.first = set_next(first, ptr::null_mut());
            if line.first.is_null() {
                line.last = ptr::null_mut();
            }
            line.length -= 1;
            // Whoever has made it may just have grown the memory for it (race 55).
            growth::reach(first.as_ptr());
            Some(first)
        })
    }

    /// Takes those out of the line who are gone.
    fn sweep(&self) {
        for _ in 0..self.line(|line| line.length) {
            let Some(waiter) = self.pop() else { return };
            // Relaxed: who is seen WAITING and goes now is found the next time. SAFETY: the list holds it.
            if unsafe { waiter.as_ref() }.state.load(Ordering::Relaxed) == GONE {
                self.list.gone.fetch_sub(1, Ordering::Relaxed);
                self.list.let_go(waiter);
            } else {
                self.line(|line| {
                    match NonNull::new(line.last) {
                        Some(before) => _ = set_next(before, waiter.as_ptr()),
                        None => line.first = waiter.as_ptr(),
                    }
                    line.last = waiter.as_ptr();
                    line.length += 1;
                });
            }
        }
    }
}

/// Links a waiter of the inbox or the line to another one; returns the one before. For the keeper.
fn set_next(waiter: NonNull<Waiter>, next: *mut Waiter) -> *mut Waiter {
    // SAFETY: the list holds it, and links are the keeper's once it is in the inbox.
    unsafe { waiter.as_ref().next.with_mut(|own| ptr::replace(own, next)) }
}

/// Drops a keeper: only when a waker has panicked. What is left is still done.
impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        self.keep();
    }
}

/// The list's hold on a waiter that was taken out, also when its waker panics.
struct Held<'a> {
    list: &'a WaitList,
    waiter: NonNull<Waiter>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.list.let_go(self.waiter);
    }
}

impl Drop for WaitList {
    fn drop(&mut self) {
        // Nobody waits any more: who waits holds the channel. What is left are those who have gone.
        let keeper = Keeper { list: self, due: 0, seen: 0 };
        keeper.take_inbox();
        while let Some(waiter) = keeper.pop() {
            self.let_go(waiter);
        }
        core::mem::forget(keeper);
        // Relaxed: whoever gave up the channel last has ordered everything before.
        free(self.spare.load(Ordering::Relaxed));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};
    use core::task::Waker;
    use std::sync::Arc;
    use std::task::Wake;
    use std::vec::Vec;

    use super::{LEAVERS, Place, WaitList};

    extern crate std;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(list: &WaitList, count: &Arc<Count>) -> Place {
        list.enter(Some(Waker::from(Arc::clone(count))))
    }

    /// How many waiters the list holds, gone ones included.
    fn held(list: &WaitList) -> u32 {
        // SAFETY: nobody else uses the list.
        let mut count = list.line.with_mut(|line| unsafe { (*line).length });
        let mut waiter = list.inbox.load(Ordering::Acquire);
        while !waiter.is_null() {
            count += 1;
            // SAFETY: as above, and the list holds what is in its inbox.
            waiter = unsafe { (*waiter).next.with(|next| *next) };
        }
        count
    }

    #[test]
    fn calls_go_to_those_who_wait_in_the_order_of_coming() {
        let list = WaitList::new();
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count::default())).collect();
        let mut places: Vec<_> = counts.iter().map(|count| enter(&list, count)).collect();
        assert!(!list.leave(places.remove(0)), "not called");
        list.call_one();
        let called = || counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
        assert_eq!(called(), [0, 1, 0]);
        assert_eq!(Arc::strong_count(&counts[0]), 1, "the waker went with him who left");
        list.call_all();
        list.call_one();
        assert_eq!(called(), [0, 1, 1]);
        assert!(!list.anyone());
        assert!(places.into_iter().all(|place| list.leave(place)));
        assert!(counts.iter().all(|count| Arc::strong_count(count) == 1));
    }

    #[test]
    fn those_who_leave_do_not_pile_up() {
        let (list, count) = (WaitList::new(), Arc::new(Count::default()));
        let stays = enter(&list, &count);
        for _ in 0..1000 {
            let place = enter(&list, &count);
            assert!(!list.leave(place));
        }
        assert!(held(&list) <= LEAVERS + 1, "{} waiters", held(&list));
        list.call_one();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(list.leave(stays));
    }

    /// A waker that panics does not keep the others from being called, now and later.
    #[test]
    fn a_waker_that_panics_is_one_waker() {
        struct Bad;
        impl Wake for Bad {
            fn wake(self: Arc<Self>) {
                panic!("on purpose");
            }
        }
        let (list, count) = (WaitList::new(), Arc::new(Count::default()));
        let bad = list.enter(Some(Waker::from(Arc::new(Bad))));
        let good = enter(&list, &count);
        let call = std::panic::AssertUnwindSafe(|| list.call_all());
        assert!(std::panic::catch_unwind(call).is_err());
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "called while unwinding");
        assert!(list.leave(bad) && list.leave(good));
        let later = enter(&list, &count);
        list.call_one();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        assert!(list.leave(later));
    }
}

#[cfg(all(test, loom))]
#[path = "wait_list_tests.rs"]
mod models;

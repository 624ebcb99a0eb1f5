//! Where futures wait: one table for every primitive of this crate.
//!
//! A primitive is a word or two; it has no room for a list. So the lists are in a static table, found by the address of the word that is
//! waited for, as in WebKit's and parking_lot's parking lots; but only futures are parked here, threads sleep on the words themselves. The lists are
//! intrusive: an entry lies in the pinned future, and nothing is allocated.
//!
//! | standing | means |
//! |---|---|
//! | Out | not in the table |
//! | Listed | in the table, with a waker |
//! | Chosen | taken out by somebody who then wakes it: it has a **turn**, and owes to use it or to pass it on |
//!
//! # Steps
//!
//! - *Wait* (`enlist`): clone the waker; under the table's lock, **announce** (look at the word once more, and mark it so that whoever
//!   frees it looks here); still worth waiting: enter. Who had a turn and found nothing enters at the front, for he has waited longest.
//! - *Wake*: after the word was changed; under the lock take out whom to choose, and settle the mark in the word: are there others? Then, without the
//!   lock, wake.
//! - *Leave*: under the lock, take oneself out. Who was chosen meanwhile is told, and passes the turn on if he does not use it.
//!
//! # Why no wake-up is lost
//!
//! Word and list are brought together under the table's lock. Who waits marks the word and is in the list before anybody else looks; whoever changes
//! the word after the mark sees it there and comes. Who changes the word before the mark is seen by the announcement, and nobody waits.
//! A turn ends in use, in a new wait on a word that is marked again, or by being passed on: dropping a future does that.
//!
//! Wakers are the user's code. They are cloned before the lock, woken and dropped after it.

use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomPinned;
use core::mem;
use core::ptr;
use core::task::Waker;

use weblane_futex::growth;

use crate::primitive::AtomicU32;
use crate::tiny::Tiny;

/// How many lists; a power of two.
const LISTS: usize = if cfg!(any(loom, target_os = "none")) { 1 } else { 32 };
/// How many wakers are carried out of the lock at once.
const BATCH: usize = if cfg!(loom) { 2 } else { 8 };

/// What a future waits for, where that makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To have something for itself, or simply to be called.
    Alone,
    /// To share it with others of this kind.
    Shared,
}

/// Whom to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// The first one.
    First,
    /// The first one; if it would share, all up to the first that would not.
    FirstOrSharers,
    /// All that are there now.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Out,
    Listed,
    Chosen,
}

/// One future's entry. Pinned: while it is listed, its neighbours point to it.
pub(crate) struct Waiter {
    /// The address of the word; 0 before the first wait. Only written by the future itself, while nobody can find this.
    key: Cell<usize>,
    /// Only touched under the lock of the key's list.
    entry: UnsafeCell<Entry>,
    _pinned: PhantomPinned,
}

struct Entry {
    previous: *const Waiter,
    next: *const Waiter,
    kind: Kind,
    standing: Standing,
    /// When it was listed, so that a call to all does not go round with those who come back.
    ticket: u32,
    waker: Option<Waker>,
}

// SAFETY: the key is written by the future only while nobody else can find the entry; everything else is behind the list's lock; wakers are `Send`.
unsafe impl Send for Waiter {}
// SAFETY: as for `Send`; sharing gives no access that the lock does not guard.
unsafe impl Sync for Waiter {}

/// All whose keys fall together, oldest first.
struct List {
    first: *const Waiter,
    last: *const Waiter,
    ticket: u32,
}

// SAFETY: the pointers lead to entries that are taken out before they end, which needs the list's lock.
unsafe impl Send for List {}

const EMPTY: List = List { first: ptr::null(), last: ptr::null(), ticket: 0 };

/// On a line of its own, where lines exist.
#[cfg_attr(not(target_os = "none"), repr(align(128)))]
struct Bucket(Tiny<List>);

#[cfg(not(loom))]
static TABLE: [Bucket; LISTS] = [const { Bucket(Tiny::new(EMPTY)) }; LISTS];

#[cfg(loom)]
loom::lazy_static! {
    static ref TABLE: [Bucket; LISTS] = [Bucket(Tiny::new(EMPTY))];
}

#[cfg(loom)]
pub(crate) fn begin_model() {
    let _made = &*TABLE;
}

fn list(key: usize) -> &'static Tiny<List> {
    // Fibonacci hashing; the lowest two bits of an address say nothing.
    let hash = ((key >> 2) as u32).wrapping_mul(0x9e37_79b9) >> 16;
    &TABLE[hash as usize % LISTS].0
}

impl Waiter {
    pub(crate) const fn new() -> Waiter {
        let entry = Entry {
            previous: ptr::null(),
            next: ptr::null(),
            kind: Kind::Alone,
            standing: Standing::Out,
            ticket: 0,
            waker: None,
        };
        Waiter { key: Cell::new(0), entry: UnsafeCell::new(entry), _pinned: PhantomPinned }
    }

    /// Waits for `word`, or goes on waiting, if `announce` says under the lock that there is something to wait for. If not, nothing changes.
    ///
    /// # Safety
    ///
    /// `self` is pinned, and always comes with the same word.
    pub(crate) unsafe fn enlist(
        &self,
        word: &AtomicU32,
        kind: Kind,
        waker: &Waker,
        announce: impl FnOnce() -> bool,
    ) -> bool {
        let key = ptr::from_ref(word) as usize;
        if self.key.get() != key {
            self.key.set(key);
        }
        let waker = waker.clone();
        // It leads to memory of this thread, which another one is about to touch (race 55).
        growth::publish();
        let (waits, _dropped_outside) = list(key).with(|list| {
            if !announce() {
                return (false, Some(waker));
            }
            // SAFETY: under the list's lock, and the reference ends before the list is touched.
            let entry = unsafe { &mut *self.entry.get() };
            let (old, was) = (entry.waker.replace(waker), mem::replace(&mut entry.standing, Standing::Listed));
            entry.kind = kind;
            match was {
                Standing::Listed => {}
                // SAFETY: not in the list; pinned, as the caller promises; and `drop` takes it out.
                Standing::Out => unsafe { list.push_back(self) },
                // SAFETY: the same.
                Standing::Chosen => unsafe { list.push_front(self) },
            }
            (true, old)
        });
        waits
    }

    /// Out of the table. Returns whether it was chosen: if it does not use its turn, it must pass it on.
    pub(crate) fn leave(&self) -> bool {
        let key = self.key.get();
        if key == 0 {
            return false;
        }
        let (was, _dropped_outside) = list(key).with(|list| {
            // SAFETY: under the list's lock, and the reference ends before the list is touched.
            let entry = unsafe { &mut *self.entry.get() };
            let (was, waker) = (mem::replace(&mut entry.standing, Standing::Out), entry.waker.take());
            if was == Standing::Listed {
                // SAFETY: it is in this list.
                unsafe { list.remove(self) };
            }
            (was, waker)
        });
        was == Standing::Chosen
    }

    /// Goes on waiting with another waker. Returns `true` instead if it was chosen: a turn that stays until it leaves.
    pub(crate) fn renew(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        growth::publish();
        let (chosen, _dropped_outside) = list(self.key.get()).with(|_| {
            // SAFETY: under the list's lock, and the reference ends with it.
            let entry = unsafe { &mut *self.entry.get() };
            match entry.standing {
                Standing::Chosen => (true, Some(waker)),
                Standing::Listed | Standing::Out => (false, entry.waker.replace(waker)),
            }
        });
        chosen
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave();
    }
}

impl List {
    /// # Safety
    ///
    /// The waiter is in no list, and stays where it is until it is removed.
    unsafe fn push_back(&mut self, waiter: &Waiter) {
        // SAFETY: the caller's promise; every entry in the list is alive, and nobody holds a reference into one.
        unsafe { self.insert(waiter, self.last, ptr::null()) }
    }

    /// # Safety
    ///
    /// As for `push_back`.
    unsafe fn push_front(&mut self, waiter: &Waiter) {
        // SAFETY: as in `push_back`.
        unsafe { self.insert(waiter, ptr::null(), self.first) }
    }

    unsafe fn insert(&mut self, waiter: &Waiter, previous: *const Waiter, next: *const Waiter) {
        self.ticket = self.ticket.wrapping_add(1);
        // SAFETY: the caller's promise, and the list's lock.
        let entry = unsafe { &mut *waiter.entry.get() };
        (entry.previous, entry.next, entry.ticket) = (previous, next, self.ticket);
        // SAFETY: the neighbours are in the list.
        unsafe { self.join(previous, waiter) };
        // SAFETY: as above.
        unsafe { self.join(waiter, next) };
    }

    /// # Safety
    ///
    /// The waiter is in this list.
    unsafe fn remove(&mut self, waiter: &Waiter) {
        // SAFETY: the list's lock.
        let (previous, next) = unsafe { ((*waiter.entry.get()).previous, (*waiter.entry.get()).next) };
        // SAFETY: the neighbours are in the list.
        unsafe { self.join(previous, next) };
    }

    /// Makes two entries neighbours; null is the end of the list.
    unsafe fn join(&mut self, previous: *const Waiter, next: *const Waiter) {
        if previous.is_null() {
            self.first = next;
        } else {
            // SAFETY: an entry of this list, under its lock.
            unsafe { (*(*previous).entry.get()).next = next };
        }
        if next.is_null() {
            self.last = previous;
        } else {
            // SAFETY: an entry of this list, under its lock.
            unsafe { (*(*next).entry.get()).previous = previous };
        }
    }

    /// Chooses from the oldest on, until `wakers` is full. Returns whether the list was done, and whether others with this key are left.
    fn choose(&mut self, key: Option<usize>, whom: Whom, ticket: u32, wakers: &mut Batch) -> (bool, bool) {
        let (mut at, mut left, mut chosen) = (self.first, false, None);
        while !at.is_null() {
            // SAFETY: an entry of this list, under its lock; it ends after it was taken out.
            let waiter = unsafe { &*at };
            // SAFETY: the list's lock; the reference ends before the list is touched.
            let entry = unsafe { &mut *waiter.entry.get() };
            at = entry.next;
            if key.is_some_and(|key| key != waiter.key.get()) {
                continue;
            }
            let take = match whom {
                Whom::First => chosen.is_none(),
                Whom::FirstOrSharers => chosen.is_none() || (chosen, entry.kind) == (Some(Kind::Shared), Kind::Shared),
                Whom::All => ticket.wrapping_sub(entry.ticket) as i32 >= 0,
            };
            if !take {
                left = true;
                if whom == Whom::All {
                    continue;
                }
                return (true, left);
            }
            let Some(free) = wakers.iter_mut().find(|waker| waker.is_none()) else {
                return (false, true);
            };
            chosen = Some(entry.kind);
            entry.standing = Standing::Chosen;
            *free = entry.waker.take();
            // SAFETY: it is in this list.
            unsafe { self.remove(waiter) };
        }
        (true, left)
    }
}

type Batch = [Option<Waker>; BATCH];

/// Wakes futures that wait for this word. `settle` is called under the table's lock and told whether others are left.
pub(crate) fn wake(word: &AtomicU32, whom: Whom, mut settle: impl FnMut(bool)) {
    let key = ptr::from_ref(word) as usize;
    call(list(key), Some(key), whom, &mut settle);
}

/// Wakes every future of every primitive, to look again.
pub(crate) fn wake_everybody() {
    for bucket in TABLE.iter() {
        call(&bucket.0, None, Whom::All, &mut |_| {});
    }
}

fn call(list: &Tiny<List>, key: Option<usize>, whom: Whom, settle: &mut dyn FnMut(bool)) {
    let mut ticket = None;
    loop {
        let mut wakers = Batch::default();
        let done = list.with(|list| {
            let ticket = *ticket.get_or_insert(list.ticket);
            let (done, left) = list.choose(key, whom, ticket, &mut wakers);
            settle(left);
            done
        });
        growth::adopt();
        wakers.into_iter().flatten().for_each(Waker::wake);
        if done {
            return;
        }
    }
}

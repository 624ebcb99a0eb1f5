//! Where tasks go when a queue's table is full: a list that never refuses, never blocks, and allocates for each task.
//!
//! Half a million tasks are queued already when this is needed. Producers push to a lock-free stack, `incoming`. Consumers, who are workers, take
//! turns by a flag: whoever has it moves what came in to the private list `kept`, oldest first, and takes from there. A worker that finds
//! the flag taken goes on as if the list were empty; whoever has it is awake, looks again, and wakes others (rule M8).
//!
//! `used` says whether anything may be inside, so that asking usually costs one load. A producer sets it after its push and before it wakes
//! anybody. Whoever has the flag clears it **and then** looks what came in; when it leaves something, it sets it again.
//!
//! `incoming` carries a CLOSED mark in its lowest bit, so that to push and to close are each one step on one word.

use alloc::boxed::Box;
use core::ptr;
use core::sync::atomic::Ordering;

use crate::primitive::{AtomicPtr, AtomicU32, UnsafeCell};
use crate::task::Task;

/// One task in a list.
struct Node {
    task: Task,
    next: *mut Node,
}

/// The top of `incoming` as it was at some instant: a node, and the mark.
#[derive(Clone, Copy)]
struct Incoming(*mut Node);

impl Incoming {
    fn closed(self) -> bool {
        self.0.addr() & 1 != 0
    }

    fn node(self) -> *mut Node {
        self.0.map_addr(|address| address & !1)
    }

    /// Another node under the same mark.
    fn with(self, node: *mut Node) -> *mut Node {
        node.map_addr(|address| address | (self.0.addr() & 1))
    }
}

pub(super) struct Overflow {
    incoming: AtomicPtr<Node>,
    /// Whether a worker is taking.
    taking: AtomicU32,
    kept: UnsafeCell<*mut Node>,
    /// Whether something is kept; written by whoever takes.
    has_kept: AtomicU32,
    /// Whether anything may be inside.
    used: AtomicU32,
}

// SAFETY: nodes are reached through `incoming`, by whoever swapped them out, and through `kept`, by whoever has `taking`. Tasks are `Send`.
unsafe impl Send for Overflow {}
// SAFETY: as above.
unsafe impl Sync for Overflow {}

impl Overflow {
    pub(super) fn new() -> Overflow {
        Overflow {
            incoming: AtomicPtr::new(ptr::null_mut()),
            taking: AtomicU32::new(0),
            kept: UnsafeCell::new(ptr::null_mut()),
            has_kept: AtomicU32::new(0),
            used: AtomicU32::new(0),
        }
    }

    /// Appends a task; gives it back if the list is closed and it comes from outside.
    #[cold]
    pub(super) fn push(&self, task: Task, inside: bool) -> Result<(), Task> {
        let node = Box::into_raw(Box::new(Node { task, next: ptr::null_mut() }));
        let mut seen = Incoming(self.incoming.load(Ordering::Relaxed));
        loop {
            if seen.closed() && !inside {
                // SAFETY: made just now, and shared with nobody.
                return Err(unsafe { Box::from_raw(node) }.task);
            }
            // SAFETY: as above.
            unsafe { (*node).next = seen.node() };
            // Release: pairs with the Acquire in `take`; the node. All changes are read-modify-writes, so nodes below are covered too.
            match self.incoming.compare_exchange(seen.0, seen.with(node), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => seen = Incoming(now),
            }
        }
        // Release: pairs with the Acquire in `take`: who clears it sees the node. Before the producer's fence and its look at who sleeps; partner: the
        // second look of a worker, which comes after its announcement and a fence.
        self.used.swap(1, Ordering::Release);
        Ok(())
    }

    /// Takes up to `most` tasks, in the order in which they came. None while another worker takes.
    #[cold]
    pub(super) fn take(&self, most: usize, mut hand: impl FnMut(Task)) -> usize {
        // Acquire: pairs with the Release below; `kept`.
        if self.taking.swap(1, Ordering::Acquire) != 0 {
            return 0;
        }
        let mut kept = self.kept.with_mut(|kept| {
            // SAFETY: this thread has `taking`.
            unsafe { *kept }
        });
        // Acquire: pairs with the Release in `push`: whoever sets it later has pushed later, or is seen below.
        self.used.swap(0, Ordering::Acquire);
        let mut count = 0;
        while count < most {
            if kept.is_null() {
                kept = self.swap_incoming();
                if kept.is_null() {
                    break;
                }
            }
            // SAFETY: nodes in `kept` are this thread's while it has `taking`.
            let node = unsafe { Box::from_raw(kept) };
            kept = node.next;
            hand(node.task);
            count += 1;
        }
        self.kept.with_mut(|place| {
            // SAFETY: this thread has `taking`.
            unsafe { *place = kept };
        });
        // Relaxed, both: `kept` itself goes with the flag below. Before the fence of whoever is told that something is left, so that one who is about
        // to sleep sees it, or is woken.
        self.has_kept.swap(u32::from(!kept.is_null()), Ordering::Relaxed);
        if self.pending() {
            self.used.swap(1, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire above; `kept`.
        self.taking.swap(0, Ordering::Release);
        count
    }

    /// Takes all that came in, oldest first; the mark stays.
    fn swap_incoming(&self) -> *mut Node {
        let mut seen = Incoming(self.incoming.load(Ordering::Relaxed));
        loop {
            if seen.node().is_null() {
                return ptr::null_mut();
            }
            // Acquire: pairs with the Release in `push`.
            match self.incoming.compare_exchange(
                seen.0,
                seen.with(ptr::null_mut()),
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => seen = Incoming(now),
            }
        }
        let (mut newest, mut oldest) = (seen.node(), ptr::null_mut());
        while !newest.is_null() {
            // SAFETY: just taken out of `incoming`, so this thread's.
            let next = core::mem::replace(unsafe { &mut (*newest).next }, oldest);
            oldest = newest;
            newest = next;
        }
        oldest
    }

    /// Whether there is nothing to take. A list that a worker is taking from counts as empty.
    pub(super) fn is_empty(&self) -> bool {
        // Relaxed: a second look comes after a fence; partner: as in `push` and `take`. It may be used and nothing be inside; then whoever takes clears it.
        self.used.load(Ordering::Relaxed) == 0 || self.taking.load(Ordering::Relaxed) != 0
    }

    /// Whether anything is left, for the end of a pool, when nobody takes.
    pub(super) fn pending(&self) -> bool {
        // Relaxed: nothing is taken here. At the end whoever looks has seen all others asleep, which orders it after all that they did.
        !Incoming(self.incoming.load(Ordering::Relaxed)).node().is_null() || self.has_kept.load(Ordering::Relaxed) != 0
    }

    /// Refuses what comes from outside from now on.
    pub(super) fn close(&self) {
        let mut seen = Incoming(self.incoming.load(Ordering::Relaxed));
        while !seen.closed() {
            let closed = seen.0.map_addr(|address| address | 1);
            // Relaxed: only that it comes before or after a push counts.
            match self.incoming.compare_exchange(seen.0, closed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = Incoming(now),
            }
        }
    }
}

impl Drop for Overflow {
    fn drop(&mut self) {
        self.take(usize::MAX, drop);
    }
}

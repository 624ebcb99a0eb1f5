//! Numbers that are free to be used again: a lock-free stack of them.
//!
//! What is recycled (job headers, blocks of the injector) lives for ever and is known by a number. A free thing's own `next` word holds the
//! number below it on the stack.
//!
//! # State
//!
//! `top`: one 64-bit word = tag:32, number:32. Number 0 is "none", so things count from 1. Every change is a compare-and-swap that raises the
//! tag, so a thread that was stopped between reading `top` and swapping it fails when anything happened meanwhile, even if the same number
//! is on top again (the ABA problem; with 2^32 tags it would have to sleep through exactly that many changes).
//!
//! # Steps
//!
//! - *Push n*: read `top`; write its number into `next[n]`; compare-and-swap `top` to `n`.
//! - *Pop*: read `top`; read `next` of its number; compare-and-swap `top` to that. `next` may belong to a thing that somebody else has popped
//!   and pushed meanwhile; then the swap fails, and reading it was harmless because nothing is ever unmapped.
//!
//! # Progress
//!
//! Lock-free: a swap fails only when another thread's has succeeded.
//!
//! # Source
//!
//! R. K. Treiber, "Systems programming: coping with parallelism", 1986, with the tag of IBM's System/370 manual.

use core::sync::atomic::Ordering;

use crate::primitive::{AtomicU32, AtomicU64};

/// The top of the stack as it was at some instant.
#[derive(Clone, Copy)]
struct Top(u64);

impl Top {
    const fn number(self) -> u32 {
        self.0 as u32
    }

    /// The top that follows this one, with another number.
    const fn then(self, number: u32) -> u64 {
        ((self.0 >> 32).wrapping_add(1) << 32) | number as u64
    }
}

/// A stack of free numbers, from 1.
pub(crate) struct FreeList {
    top: AtomicU64,
}

impl FreeList {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> FreeList {
        FreeList { top: AtomicU64::new(0) }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> FreeList {
        FreeList { top: AtomicU64::new(0) }
    }

    /// Frees `number`, whose `next` word this is.
    pub(crate) fn push(&self, number: u32, next: &AtomicU32) {
        let mut top = Top(self.top.load(Ordering::Relaxed));
        loop {
            // Relaxed: published by the swap. By a read-modify-write: on wasm it is cheaper than a store.
            next.swap(top.number(), Ordering::Relaxed);
            // Release: pairs with the Acquire in `pop`; what the freer did with the thing comes before what its next user does. All changes are
            // read-modify-writes, so whoever pops what lay below synchronises with its freer too.
            match self.top.compare_exchange(top.0, top.then(number), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => top = Top(now),
            }
        }
    }

    /// Takes a number; `next` finds the `next` word of any number that was ever pushed.
    pub(crate) fn pop<'a>(&self, next: impl Fn(u32) -> &'a AtomicU32) -> Option<u32> {
        // Acquire, here and below: pairs with the Release in `push`, for the `next` word and for the thing.
        let mut top = Top(self.top.load(Ordering::Acquire));
        while top.number() != 0 {
            // Relaxed: ordered by the Acquire that read `top`; a later value makes the swap fail.
            let below = next(top.number()).load(Ordering::Relaxed);
            match self.top.compare_exchange(top.0, top.then(below), Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(top.number()),
                Err(now) => top = Top(now),
            }
        }
        None
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn last_in_first_out_and_then_nothing() {
        let next: Vec<AtomicU32> = (0..4).map(|_| AtomicU32::new(0)).collect();
        let list = FreeList::new();
        assert_eq!(list.pop(|n| &next[n as usize]), None);
        for number in [1, 3, 2] {
            list.push(number, &next[number as usize]);
        }
        for number in [2, 3, 1] {
            assert_eq!(list.pop(|n| &next[n as usize]), Some(number));
        }
        assert_eq!(list.pop(|n| &next[n as usize]), None);
    }

    /// Race 31 (for the free list): nobody has the same number at the same time as somebody else.
    #[test]
    fn race_31_a_number_has_one_user_at_a_time() {
        const NUMBERS: usize = 3;
        let shared = Arc::new((
            FreeList::new(),
            (0..=NUMBERS).map(|_| AtomicU32::new(0)).collect::<Vec<_>>(),
            (0..=NUMBERS).map(|_| AtomicU32::new(0)).collect::<Vec<_>>(),
        ));
        for number in 1..=NUMBERS {
            shared.0.push(number as u32, &shared.1[number]);
        }
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (list, next, users) = &*shared;
                    for _ in 0..20_000 {
                        let Some(number) = list.pop(|n| &next[n as usize]) else { continue };
                        let number = number as usize;
                        assert_eq!(users[number].fetch_add(1, Ordering::Relaxed), 0, "{number} has two users");
                        users[number].fetch_sub(1, Ordering::Relaxed);
                        list.push(number as u32, &next[number]);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    struct Shared {
        list: FreeList,
        next: [AtomicU32; 3],
        /// What is recycled: a cell, so that loom sees whether each user comes after the one before.
        things: [UnsafeCell<u32>; 3],
    }

    // SAFETY: a thing is used by whoever has its number.
    unsafe impl Sync for Shared {}

    impl Shared {
        fn take(&self) -> Option<u32> {
            let number = self.list.pop(|number| &self.next[number as usize])?;
            // SAFETY: the number is this thread's.
            let users = self.things[number as usize].with_mut(|users| unsafe { core::mem::replace(&mut *users, 1) });
            assert_eq!(users, 0, "{number} has two users");
            Some(number)
        }

        fn give_back(&self, number: u32) {
            // SAFETY: the number is this thread's.
            self.things[number as usize].with_mut(|users| unsafe { *users = 0 });
            self.list.push(number, &self.next[number as usize]);
        }
    }

    /// Race 31: one thread takes two numbers and gives the first one back, with another below it than before; another takes meanwhile. The tag
    /// tells a top that has come again from one that has stayed.
    #[test]
    fn race_31_a_number_has_one_user() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2) + 1);
        builder.check(|| {
            let atomics = || [0; 3].map(|_| AtomicU32::new(0));
            let things = [0; 3].map(|_| UnsafeCell::new(0));
            let shared = Arc::new(Shared { list: FreeList::new(), next: atomics(), things });
            for number in [1, 2] {
                shared.give_back(number);
            }
            let other = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (first, second) = (shared.take(), shared.take());
                    let Some(first) = first else { return };
                    shared.give_back(first);
                    // The second stays with this thread.
                    drop(second);
                })
            };
            if let Some(number) = shared.take() {
                shared.take();
                shared.give_back(number);
            }
            other.join().unwrap();
        });
    }
}

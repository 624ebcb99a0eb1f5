//! What the tests of other bounded queues assert, asserted of ours: those of crossbeam-queue's `ArrayQueue` (0.3), concurrent-queue's bounded queue
//! (2.5), heapless's `mpmc::Queue` (0.9) and thingbuf's `ThingBuf` (0.1), written anew. Also run with `--cfg weblane_narrow`.
//!
//! | here | there |
//! |---|---|
//! | `one_in_one_out` | ArrayQueue and concurrent-queue `smoke`, heapless `sanity` |
//! | `capacities` | ArrayQueue and concurrent-queue `capacity`, `zero_capacity` |
//! | `len_empty_full` | ArrayQueue and concurrent-queue `len_empty_full` |
//! | `len_stays_within_bounds` | ArrayQueue and concurrent-queue `len` |
//! | `in_order_from_one_to_one` | `spsc` of both, thingbuf `spsc` |
//! | `the_oldest_makes_room` | ArrayQueue `spsc_ring_buffer`, `mpmc_ring_buffer`; concurrent-queue `force_push` |
//! | `each_value_comes_once` | `mpmc` of both, thingbuf `mpsc` and `linearizable` |
//! | `drops_what_went_in` | `drops` of both, heapless `memory_leak`, thingbuf `drops` |
//! | `who_has_pushed_can_pop` | `linearizable` of both |
//! | `neither_call_fails_between_full_and_empty` | heapless issue 583, which its queue fails |
//! | `at_the_ends_of_short_counters` | heapless `drain_at_pos255`, `full_at_wrapped_pos0` |
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::Random;
use weblane_ring::mpmc::{self, fast};

const COUNT: usize = if cfg!(miri) { 100 } else { 25_000 };

/// Runs a test of any queue with both.
macro_rules! both {
    ($(#[$attribute:meta])* fn $name:ident($module:ident) $body:block) => {
        $(#[$attribute])*
        mod $name {
            use super::*;
            #[test]
            fn lock_free() {
                use mpmc as $module;
                $body
            }
            #[test]
            fn fast() {
                use fast as $module;
                $body
            }
        }
    };
}

fn until<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    loop {
        match attempt() {
            Some(result) => return result,
            None => thread::yield_now(),
        }
    }
}

both! {
    fn one_in_one_out(rings) {
        let queue = rings::BoxedRing::with_capacity(2);
        queue.push(7).expect("room");
        assert_eq!(queue.pop(), Some(7));
        queue.push(8).expect("room");
        assert_eq!((queue.pop(), queue.pop()), (Some(8), None));
    }
}

both! {
    fn capacities(rings) {
        for log in 0..10 {
            assert_eq!(rings::BoxedRing::<u32>::with_capacity(1 << log).capacity(), 1 << log);
        }
        assert!(catch_unwind(|| rings::BoxedRing::<u32>::with_capacity(0)).is_err());
    }
}

both! {
    fn len_empty_full(rings) {
        let queue = rings::Ring::<u32, 2>::new();
        let figures = || (queue.len(), queue.is_empty(), queue.is_full());
        assert_eq!(figures(), (0, true, false));
        queue.push(1).expect("room");
        assert_eq!(figures(), (1, false, false));
        queue.push(2).expect("room");
        assert_eq!(figures(), (2, false, true));
        queue.pop().expect("a value");
        assert_eq!(figures(), (1, false, false));
    }
}

both! {
    fn len_stays_within_bounds(rings) {
        const CAPACITY: usize = 64;
        let queue = rings::Ring::<usize, CAPACITY>::new();
        for round in 0..CAPACITY / 10 {
            (0..50).for_each(|value| {
                queue.push(value).expect("room");
                assert_eq!(queue.len(), value + 1, "round {round}");
            });
            (0..50).for_each(|value| {
                queue.pop().expect("a value");
                assert_eq!(queue.len(), 50 - value - 1, "round {round}");
            });
        }
        thread::scope(|threads| {
            threads.spawn(|| {
                for value in 0..COUNT {
                    assert_eq!(until(|| queue.pop()), value);
                    assert!(queue.len() <= CAPACITY);
                }
            });
            for value in 0..COUNT {
                until(|| queue.push(value).ok());
                assert!(queue.len() <= CAPACITY);
            }
        });
        assert_eq!(queue.len(), 0);
    }
}

both! {
    fn in_order_from_one_to_one(rings) {
        let queue = rings::Ring::<usize, 4>::new();
        thread::scope(|threads| {
            threads.spawn(|| {
                (0..COUNT).for_each(|value| assert_eq!(until(|| queue.pop()), value));
                assert!(queue.pop().is_none());
            });
            (0..COUNT).for_each(|value| until(|| queue.push(value).ok()));
        });
    }
}

both! {
    /// A push that finds the ring full takes the oldest value out.
    fn the_oldest_makes_room(rings) {
        let queue = rings::Ring::<usize, 4>::new();
        let (times, pushing) = ((0..COUNT).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>(), AtomicUsize::new(2));
        let popped = |value: usize| assert_eq!(times[value].fetch_add(1, Ordering::Relaxed), 0, "{value} came twice");
        thread::scope(|threads| {
            for first in 0..2 {
                let (queue, popped, pushing) = (&queue, &popped, &pushing);
                threads.spawn(move || {
                    for value in (first..COUNT).step_by(2) {
                        while queue.push(value).is_err() {
                            match queue.pop() {
                                Some(oldest) => popped(oldest),
                                None => thread::yield_now(),
                            }
                        }
                    }
                    pushing.fetch_sub(1, Ordering::Release);
                });
            }
            threads.spawn(|| loop {
                let last = pushing.load(Ordering::Acquire) == 0;
                match queue.pop() {
                    Some(value) => popped(value),
                    None if last => break,
                    None => thread::yield_now(),
                }
            });
        });
        assert!(times.iter().all(|times| times.load(Ordering::Relaxed) == 1), "none was lost");
    }
}

both! {
    fn each_value_comes_once(rings) {
        const THREADS: usize = 4;
        let queue = rings::Ring::<usize, 4>::new();
        let times: Vec<AtomicUsize> = (0..COUNT).map(|_| AtomicUsize::new(0)).collect();
        thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| (0..COUNT).for_each(|_| {
                    times[until(|| queue.pop())].fetch_add(1, Ordering::Relaxed);
                }));
                threads.spawn(|| (0..COUNT).for_each(|value| until(|| queue.push(value).ok())));
            }
        });
        assert!(times.iter().all(|times| times.load(Ordering::Relaxed) == THREADS));
    }
}

both! {
    fn drops_what_went_in(rings) {
        struct Counts<'c>(&'c AtomicUsize);
        impl Drop for Counts<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut random = Random::new(0x1234_5678);
        for _ in 0..20 {
            let (steps, more) = (random.below(1_000) as usize, random.below(50) as usize);
            let drops = AtomicUsize::new(0);
            let queue = rings::BoxedRing::with_capacity(50);
            thread::scope(|threads| {
                threads.spawn(|| (0..steps).for_each(|_| drop(until(|| queue.pop()))));
                threads.spawn(|| (0..steps).for_each(|_| until(|| {
                    // One that finds no room comes back and is dropped as well.
                    queue.push(Counts(&drops)).map_err(|back| {
                        std::mem::forget(back);
                    }).ok()
                })));
            });
            (0..more).for_each(|_| assert!(queue.push(Counts(&drops)).is_ok()));
            assert_eq!(drops.load(Ordering::Relaxed), steps);
            drop(queue);
            assert_eq!(drops.load(Ordering::Relaxed), steps + more);
        }
    }
}

/// As many places as threads: each finds one, and after its push a value. (The fast ring says "empty" while the oldest value is on its way in.)
#[test]
fn who_has_pushed_can_pop() {
    let queue = mpmc::Ring::<usize, 4>::new();
    let quick = fast::Ring::<usize, 4>::new();
    thread::scope(|threads| {
        for thread in 0..4 {
            let (queue, quick) = (&queue, &quick);
            threads.spawn(move || {
                for _ in 0..COUNT {
                    queue.push(thread).expect("there are as many places as threads");
                    queue.pop().expect("somebody's value is inside");
                    until(|| quick.push(thread).ok());
                    until(|| quick.pop());
                }
            });
        }
    });
}

/// The ring is never full and never empty, so no call may say that it is: a call that is slow, or was stopped for a while, takes nothing from the
/// others.
#[test]
fn neither_call_fails_between_full_and_empty() {
    let queue = mpmc::Ring::<usize, 16>::new();
    (0..8).for_each(|value| queue.push(value).expect("room"));
    thread::scope(|threads| {
        for _ in 0..6 {
            let queue = &queue;
            threads.spawn(move || {
                for round in 0..COUNT {
                    if round % 64 == 0 {
                        thread::yield_now();
                    }
                    let value = queue.pop().expect("at least two are inside");
                    queue.push(value).expect("there is room for eight more");
                }
            });
        }
    });
    let mut left: Vec<usize> = std::iter::from_fn(|| queue.pop()).collect();
    left.sort_unstable();
    assert!(left.into_iter().eq(0..8));
}

both! {
    fn at_the_ends_of_short_counters(rings) {
        for end in [0xff_u32, 0xffff, u32::MAX >> 1, u32::MAX] {
            for start in [end.wrapping_sub(2), end.wrapping_sub(1), end, end.wrapping_add(1)] {
                // Empty there.
                let queue = rings::Ring::<u8, 2>::starting_at(start);
                assert_eq!((queue.pop(), queue.pop()), (None, None));
                // Full there.
                assert_eq!((queue.push(1), queue.push(2), queue.push(3)), (Ok(()), Ok(()), Err(3)));
                assert_eq!((queue.pop(), queue.push(4), queue.push(5)), (Some(1), Ok(()), Err(5)));
                assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(2), Some(4), None));
            }
        }
    }
}

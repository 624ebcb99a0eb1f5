//! The many-to-many rings by property: against a `VecDeque`, over the wrap, drops, sizes, batches, and under stress. Also run with `--cfg weblane_narrow`.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::Random;
use weblane_ring::mpmc::{self, fast};

/// Where positions begin: at zero, and next to each of the wraps (race 30).
const STARTS: [u32; 6] = [0, u32::MAX, u32::MAX - 3, i32::MAX as u32, 0xffff, 0x7ffe];

/// What both rings can do.
trait Queue<T>: Send + Sync {
    fn push(&self, value: T) -> Result<(), T>;
    fn pop(&self) -> Option<T>;
    /// len, is_empty, is_full, capacity
    fn figures(&self) -> (usize, bool, bool, usize);
}

macro_rules! queue {
    ($module:ident) => {
        impl<T: Send, S: weblane_ring::Storage<$module::Slot<T>>> Queue<T> for $module::Queue<T, S> {
            fn push(&self, value: T) -> Result<(), T> {
                self.push(value)
            }
            fn pop(&self) -> Option<T> {
                self.pop()
            }
            fn figures(&self) -> (usize, bool, bool, usize) {
                (self.len(), self.is_empty(), self.is_full(), self.capacity())
            }
        }
    };
}
queue!(mpmc);
queue!(fast);

/// One thread does everything in random order; a deque tells what must come out.
fn against_a_deque(queue: &dyn Queue<u32>, seed: u32) {
    let (mut model, mut random) = (VecDeque::new(), Random::new(seed));
    let (mut reached_full, mut reached_empty) = (false, false);
    let capacity = queue.figures().3;
    for value in 0..20_000 {
        if random.below(5) < if value % 1000 < 500 { 3 } else { 2 } {
            match queue.push(value) {
                Ok(()) => model.push_back(value),
                Err(back) => {
                    assert_eq!((back, model.len()), (value, capacity), "full only when full");
                    reached_full = true;
                }
            }
        } else {
            let popped = queue.pop();
            assert_eq!(popped, model.pop_front());
            reached_empty |= popped.is_none();
        }
        let len = model.len();
        assert_eq!(queue.figures(), (len, len == 0, len == capacity, capacity));
    }
    assert!(reached_full && reached_empty);
}

#[test]
fn race_30_behaves_as_a_deque_also_over_the_wrap() {
    for seed in [1, 77, 0xdead_beef] {
        for start in STARTS {
            against_a_deque(&mpmc::Ring::<u32, 1>::starting_at(start), seed);
            against_a_deque(&mpmc::Ring::<u32, 2>::starting_at(start), seed);
            against_a_deque(&mpmc::Ring::<u32, 16>::starting_at(start), seed);
            against_a_deque(&fast::Ring::<u32, 1>::starting_at(start), seed);
            against_a_deque(&fast::Ring::<u32, 2>::starting_at(start), seed);
            against_a_deque(&fast::Ring::<u32, 16>::starting_at(start), seed);
        }
        against_a_deque(&mpmc::Ring::<u32, 8>::new(), seed);
        against_a_deque(&fast::Ring::<u32, 8>::new(), seed);
        against_a_deque(&mpmc::BoxedRing::with_capacity(5), seed);
        against_a_deque(&fast::BoxedRing::with_capacity(5), seed);
        against_a_deque(&mpmc::BorrowedRing::new_in(&mut [const { mpmc::Slot::new() }; 8]).expect("8 slots"), seed);
        against_a_deque(&fast::BorrowedRing::new_in(&mut [const { fast::Slot::new() }; 8]).expect("8 slots"), seed);
    }
}

/// One value in and out for longer than 16-bit turns last.
#[test]
fn race_30_once_around_all_short_turns() {
    let (lock_free, quick) = (mpmc::Ring::<u32, 2>::new(), fast::Ring::<u32, 2>::new());
    for value in 0..200_000 {
        assert_eq!((lock_free.push(value), quick.push(value)), (Ok(()), Ok(())));
        assert_eq!((lock_free.pop(), quick.pop()), (Some(value), Some(value)));
    }
}

#[test]
fn capacities_that_cannot_be_are_refused() {
    for count in [0, 3, 12] {
        let mut slots: Vec<mpmc::Slot<u8>> = (0..count).map(|_| mpmc::Slot::new()).collect();
        let error = mpmc::BorrowedRing::new_in(&mut slots).expect_err("no power of two");
        assert!(error.asked() == count && error.to_string().contains("power of two"), "{error}");
        let mut slots: Vec<fast::Slot<u8>> = (0..count).map(|_| fast::Slot::new()).collect();
        assert_eq!(fast::BorrowedRing::new_in(&mut slots).expect_err("no power of two").asked(), count);
    }
    for capacity in [0, (1 << 30) + 1] {
        assert!(catch_unwind(|| mpmc::BoxedRing::<u8>::with_capacity(capacity)).is_err());
        assert!(catch_unwind(|| fast::BoxedRing::<u8>::with_capacity(capacity)).is_err());
    }
    assert_eq!(mpmc::BoxedRing::<u8>::with_capacity(5).capacity(), 8);
}

#[test]
fn what_is_left_is_dropped_once() {
    let value = Arc::new(());
    fn use_up(value: &Arc<()>, queue: &dyn Queue<Arc<()>>) {
        (0..8).for_each(|_| queue.push(Arc::clone(value)).expect("room"));
        assert!(queue.push(Arc::clone(value)).is_err());
        (0..3).for_each(|_| drop(queue.pop()));
        assert_eq!(Arc::strong_count(value), 6);
    }
    for start in STARTS {
        use_up(&value, &mpmc::Ring::<_, 8>::starting_at(start));
        assert_eq!(Arc::strong_count(&value), 1);
        use_up(&value, &fast::Ring::<_, 8>::starting_at(start));
        assert_eq!(Arc::strong_count(&value), 1);
    }
    use_up(&value, &mpmc::BoxedRing::with_capacity(8));
    use_up(&value, &fast::BoxedRing::with_capacity(8));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn values_of_no_size_and_of_much() {
    fn check<T: Clone + PartialEq + std::fmt::Debug>(queue: &dyn Queue<T>, value: &T) {
        assert_eq!((queue.push(value.clone()), queue.push(value.clone())), (Ok(()), Ok(())));
        assert_eq!(queue.push(value.clone()), Err(value.clone()));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(value.clone()), Some(value.clone()), None));
    }
    check(&mpmc::Ring::<(), 2>::new(), &());
    check(&fast::Ring::<(), 2>::new(), &());
    check(&mpmc::BoxedRing::with_capacity(2), &[7_u64; 1000]);
    check(&fast::BoxedRing::with_capacity(2), &[7_u64; 1000]);
    check(&mpmc::BoxedRing::with_capacity(2), &String::from("text"));
}

#[test]
fn batches_of_the_fast_ring() {
    for start in STARTS {
        let queue = fast::Ring::<u32, 8>::starting_at(start);
        assert_eq!((queue.push_slice(&[]), queue.pop_many(0, |_| ()), queue.pop_many(5, |_| ())), (0, 0, 0));
        assert_eq!(
            (queue.push_slice(&[1, 2, 3, 4, 5]), queue.push_slice(&[6, 7, 8, 9]), queue.push_slice(&[9])),
            (5, 3, 0)
        );
        let mut popped = Vec::new();
        assert_eq!(queue.pop_many(6, |value| popped.push(value)), 6);
        let mut more = vec![9, 10, 11, 12, 13, 14, 15];
        assert_eq!(queue.push_vec(&mut more), 6);
        assert_eq!((more.as_slice(), queue.push_vec(&mut Vec::new())), (&[15][..], 0));
        assert_eq!(queue.pop_many(100, |value| popped.push(value)), 8);
        assert!(popped.into_iter().eq(1..15));
    }
    let value = Arc::new(());
    let queue = fast::Ring::<Arc<()>, 8>::new();
    (0..8).for_each(|_| queue.push(Arc::clone(&value)).expect("room"));
    assert!(catch_unwind(AssertUnwindSafe(|| queue.pop_many(5, |_| panic!("on purpose")))).is_err());
    assert_eq!((queue.len(), Arc::strong_count(&value)), (3, 4), "all five are gone, three are left");
    (0..5).for_each(|_| queue.push(Arc::clone(&value)).expect("their places are free"));
}

#[test]
fn panics_in_batches_of_the_lock_free_ring() {
    let value = Arc::new(());
    let queue = mpmc::Ring::<Arc<()>, 8>::new();
    let panicking = (0..6).map(|index| if index < 5 { Arc::clone(&value) } else { panic!("on purpose") });
    assert!(catch_unwind(AssertUnwindSafe(|| queue.push_many(panicking))).is_err());
    assert_eq!((queue.len(), Arc::strong_count(&value)), (5, 6), "what came before is inside");
    let mut taken = 0;
    let take = |value| {
        taken += 1;
        assert!(taken < 3, "on purpose");
        drop(value);
    };
    assert!(catch_unwind(AssertUnwindSafe(|| queue.pop_many(5, take))).is_err());
    assert_eq!((queue.len(), Arc::strong_count(&value)), (2, 3), "three are gone, the rest is still inside");
    assert_eq!((queue.push_many((0..9).map(|_| Arc::clone(&value))).is_err(), queue.is_full()), (true, true));
    assert_eq!(queue.free_cells(), 10, "no call has kept a cell");
}

/// Values of several words arrive whole and once; those of one producer arrive in its order at each consumer.
fn stress(queue: &dyn Queue<[u64; 3]>, producers: u64, consumers: u64) {
    const EACH: u64 = 30_000;
    let value =
        |producer: u64, index: u64| [producer, index, (producer << 32 | index).wrapping_mul(0x9e37_79b9_7f4a_7c15)];
    let (popped, sum) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|threads| {
        for producer in 0..producers {
            threads.spawn(move || {
                for index in 0..EACH {
                    while queue.push(value(producer, index)).is_err() {
                        thread::yield_now();
                    }
                }
            });
        }
        for _ in 0..consumers {
            threads.spawn(|| {
                let mut last = vec![None; producers as usize];
                while popped.load(Ordering::Relaxed) < producers * EACH {
                    let Some(got) = queue.pop() else {
                        thread::yield_now();
                        continue;
                    };
                    let [producer, index, _] = got;
                    assert_eq!(got, value(producer, index), "whole");
                    let last = &mut last[producer as usize];
                    assert!(last.is_none_or(|last| last < index), "in order");
                    *last = Some(index);
                    popped.fetch_add(1, Ordering::Relaxed);
                    sum.fetch_add(index, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(popped.into_inner(), producers * EACH);
    assert_eq!(sum.into_inner(), producers * EACH * (EACH - 1) / 2);
}

#[test]
fn stress_over_the_wrap() {
    for (producers, consumers) in [(1, 1), (2, 2), (3, 1), (1, 3)] {
        let start = u32::MAX - 20_000;
        stress(&mpmc::Ring::<_, 1>::starting_at(start), producers, consumers);
        stress(&mpmc::Ring::<_, 64>::starting_at(start), producers, consumers);
        stress(&fast::Ring::<_, 1>::starting_at(start), producers, consumers);
        stress(&fast::Ring::<_, 64>::starting_at(start), producers, consumers);
    }
}

//! The single-producer single-consumer ring by property: against a `VecDeque`, drops, sizes, leaks, and under stress.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use common::Random;
use weblane_ring::spsc::{BorrowedRing, Consumer, Producer, Ring, Slot, channel};

/// One thread does everything in random order; a deque tells what must come out.
fn against_a_deque((mut producer, mut consumer): (Producer<'_, u32>, Consumer<'_, u32>), seed: u32) {
    let capacity = producer.capacity();
    assert_eq!(consumer.capacity(), capacity);
    let (mut model, mut random) = (VecDeque::new(), Random::new(seed));
    let (mut reached_full, mut reached_empty, mut next) = (false, false, 0);
    for turn in 0..20_000 {
        // Times of filling and times of emptying take turns, so that also a large ring is full at times.
        match random.below(3) + if turn % 1000 < 500 { 0 } else { 2 } {
            0 => match producer.push(next) {
                Ok(()) => {
                    model.push_back(next);
                    next += 1;
                }
                Err(back) => {
                    assert_eq!((back, model.len()), (next, capacity), "full only when full");
                    reached_full = true;
                }
            },
            1 => {
                let count = random.below(capacity as u32 + 2);
                let mut given = 0;
                let pushed = producer.push_iter((next..next + count).inspect(|_| given += 1));
                assert_eq!(pushed, (count as usize).min(capacity - model.len()));
                assert_eq!(given, pushed, "no value is taken from the iterator that has no place");
                model.extend(next..next + pushed as u32);
                next += pushed as u32;
            }
            2 => assert_eq!(consumer.peek(), model.front()),
            _ => match consumer.pop() {
                None => {
                    assert!(model.is_empty());
                    reached_empty = true;
                }
                value => assert_eq!(value, model.pop_front()),
            },
        }
        assert_eq!((consumer.is_empty(), producer.is_full()), (model.is_empty(), model.len() == capacity));
    }
    assert!(reached_full && reached_empty);
}

#[test]
fn behaves_as_a_deque() {
    for seed in [1, 77, 0xdead_beef] {
        against_a_deque(Ring::<u32, 1>::new().split(), seed);
        against_a_deque(Ring::<u32, 2>::new().split(), seed);
        against_a_deque(Ring::<u32, 17>::new().split(), seed);
        for capacity in [1, 3, 8, 31] {
            against_a_deque(channel(capacity), seed);
        }
        let mut storage: Vec<Slot<u32>> = (0..6).map(|_| Slot::new()).collect();
        against_a_deque(BorrowedRing::new(&mut storage).expect("6 slots").split(), seed);
    }
}

#[test]
fn capacities_that_cannot_be_are_refused() {
    let error = BorrowedRing::<u8>::new(&mut []).expect_err("no slots");
    assert_eq!((error.asked(), error.to_string().contains("1 to 2^30")), (0, true));
    for capacity in [0, (1 << 30) + 1] {
        let panic = catch_unwind(|| channel::<u8>(capacity)).expect_err("refused");
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("1 to 2^30")));
    }
}

#[test]
fn what_is_left_is_dropped_once() {
    let value = Arc::new(());
    let six = || std::iter::repeat_n(Arc::clone(&value), 6);
    let mut ring = Ring::<_, 5>::new();
    let (mut producer, mut consumer) = ring.split();
    assert_eq!(producer.push_iter(six()), 5);
    drop((consumer.pop(), consumer.pop()));
    assert_eq!(producer.push_iter(six()), 2);
    drop((producer, consumer));
    assert_eq!(Arc::strong_count(&value), 6);
    drop(ring);
    assert_eq!(Arc::strong_count(&value), 1);
    let (mut producer, consumer) = channel(3);
    assert_eq!(producer.push_iter(six()), 3);
    drop(producer);
    assert_eq!(Arc::strong_count(&value), 4, "the consumer keeps the ring");
    drop(consumer);
    assert_eq!(Arc::strong_count(&value), 1);
    // Lent storage is empty again when the ring has gone.
    let mut storage: Vec<Slot<_>> = (0..6).map(|_| Slot::new()).collect();
    for _ in 0..2 {
        let mut ring = BorrowedRing::new(&mut storage).expect("6 slots");
        ring.split().0.push_iter(six());
        assert_eq!(Arc::strong_count(&value), 7);
        drop(ring);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}

#[test]
fn ends_come_in_pairs_and_come_again() {
    static RING: Ring<u8, 3> = Ring::new();
    let (mut producer, consumer) = RING.ends().expect("free");
    assert!(RING.ends().is_none());
    producer.push(1).expect("room");
    assert!(!producer.is_abandoned());
    drop(consumer);
    assert!(producer.is_abandoned() && RING.ends().is_none(), "one end is left");
    producer.push(2).expect("room");
    drop(producer);
    let (mut producer, mut consumer) = thread::spawn(|| RING.ends().expect("both are gone")).join().expect("no panic");
    assert_eq!(
        (producer.push(3), consumer.pop(), consumer.pop()),
        (Ok(()), Some(1), Some(2)),
        "what was left is there"
    );
    drop(producer);
    assert!(consumer.is_abandoned());
    assert_eq!((consumer.pop(), consumer.pop()), (Some(3), None));
}

#[test]
fn leaks_are_leaks_and_nothing_worse() {
    let value = Arc::new(());
    let mut ring = Ring::<_, 4>::new();
    let (mut producer, mut consumer) = ring.split();
    producer.push_iter(std::iter::repeat_n(Arc::clone(&value), 3));
    drop(consumer.pop());
    std::mem::forget(consumer);
    drop(producer);
    assert!(ring.ends().is_none(), "the leaked end counts as alive");
    let (mut producer, mut consumer) = ring.split();
    assert_eq!((consumer.is_empty(), Arc::strong_count(&value)), (true, 1), "a ring starts anew after a leak");
    assert_eq!(producer.push_iter(std::iter::repeat_n(Arc::clone(&value), 9)), 4);
    assert!(consumer.pop().is_some());
    std::mem::forget(producer);
    drop(consumer);
    drop(ring);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_panicking_iterator_loses_nothing() {
    let value = Arc::new(());
    let (mut producer, mut consumer) = channel(8);
    let values = (0..5).map(|index| if index < 3 { Arc::clone(&value) } else { panic!("on purpose") });
    assert!(catch_unwind(AssertUnwindSafe(|| producer.push_iter(values))).is_err());
    assert_eq!(std::iter::from_fn(|| consumer.pop()).count(), 3);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn values_of_no_size_and_of_much() {
    let (mut producer, mut consumer) = channel::<()>(5);
    assert_eq!(producer.push_iter([(); 9]), 5);
    assert_eq!(producer.push(()), Err(()));
    assert_eq!(std::iter::from_fn(|| consumer.pop()).count(), 5);
    let mut ring = Box::new(Ring::<[u64; 1000], 4>::new());
    let (mut producer, mut consumer) = ring.split();
    producer.push([7; 1000]).expect("room");
    assert_eq!(consumer.peek().map(|value| value[999]), Some(7));
    assert_eq!(consumer.pop(), Some([7; 1000]));
}

/// Values of several words arrive whole, in order, once.
#[test]
fn stress() {
    const COUNT: u64 = 300_000;
    let value = |index: u64| [index, !index, index.wrapping_mul(0x9e37_79b9_7f4a_7c15)];
    for capacity in [1, 2, 3, 64, 1000] {
        let (mut producer, mut consumer) = channel::<[u64; 3]>(capacity);
        let pushing = thread::spawn(move || {
            let mut next = 0;
            while next < COUNT {
                next += if next % 2 == 0 {
                    u64::from(producer.push(value(next)).is_ok())
                } else {
                    producer.push_iter((next..COUNT.min(next + 5)).map(value)) as u64
                };
            }
        });
        let mut next = 0;
        loop {
            let ended = consumer.is_abandoned();
            while let Some(got) = consumer.pop() {
                assert_eq!(got, value(next));
                next += 1;
            }
            if ended {
                break;
            }
        }
        pushing.join().expect("no panic");
        assert_eq!(next, COUNT, "what the producer pushed before it went is not missed");
    }
}

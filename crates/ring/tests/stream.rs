//! The stream ring by property: against a `VecDeque`, over the wrap, drops, sizes, leaks, and under stress.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use common::Random;
use weblane_ring::spsc::stream::{BorrowedRing, Consumer, Producer, Ring, TooFew, channel, channel_starting_at};

/// Where positions begin: at zero, and next to the wrap (race 30).
const STARTS: [u32; 4] = [0, u32::MAX, u32::MAX - 3, i32::MAX as u32];

/// All or as many as there is room for; in the end as many.
fn push_some(producer: &mut Producer<'_, u32>, values: &[u32], all: bool) -> usize {
    match if all { producer.push_slice(values) } else { return producer.push_partial_slice(values) } {
        Ok(()) => values.len(),
        Err(few) => {
            assert!(few.asked == values.len() && few.available == producer.free() && few.available < few.asked);
            producer.push_partial_slice(values)
        }
    }
}

/// All or as many as there are; in the end as many.
fn pop_some(consumer: &mut Consumer<'_, u32>, into: &mut [u32], all: bool) -> usize {
    match if all { consumer.pop_slice(into) } else { return consumer.pop_partial_slice(into) } {
        Ok(()) => into.len(),
        Err(few) => {
            assert!(few.asked == into.len() && few.available == consumer.available() && few.available < few.asked);
            consumer.pop_partial_slice(into)
        }
    }
}

/// One thread does everything in random order; a deque tells what must come out.
fn against_a_deque((mut producer, mut consumer): (Producer<'_, u32>, Consumer<'_, u32>), seed: u32) {
    let capacity = producer.capacity();
    assert_eq!(consumer.capacity(), capacity);
    let (mut model, mut random) = (VecDeque::new(), Random::new(seed));
    let (mut reached_full, mut reached_empty) = (false, false);
    let mut next = 0;
    for turn in 0..20_000 {
        // Times of filling and times of emptying take turns, so that also a large ring is full at times.
        let count = random.below(capacity as u32 + 2) as usize;
        let room = capacity - model.len();
        match random.below(5) + if turn % 1000 < 500 { 0 } else { 3 } {
            0 => match producer.push(next) {
                Ok(()) => {
                    model.push_back(next);
                    next += 1;
                }
                Err(back) => {
                    assert_eq!((back, room), (next, 0), "full only when full");
                    reached_full = true;
                }
            },
            1 => {
                let values: Vec<u32> = (next..next + count as u32).collect();
                let pushed = push_some(&mut producer, &values, random.below(2) == 0);
                assert_eq!(pushed, count.min(room));
                model.extend(&values[..pushed]);
                next += pushed as u32;
            }
            2 => {
                let mut given = 0;
                let values = (next..next + count as u32).inspect(|_| given += 1);
                let pushed = producer.push_iter(values);
                assert_eq!(pushed, count.min(room));
                assert_eq!(given, pushed, "no value is taken from the iterator that has no slot");
                model.extend(next..next + pushed as u32);
                next += pushed as u32;
            }
            3 => match producer.write_chunk(count) {
                Ok(mut chunk) => {
                    assert!(count <= room && chunk.len() == count);
                    let (first, second) = chunk.as_mut_slices();
                    assert_eq!(first.len() + second.len(), count);
                    for slot in first.iter_mut().chain(second) {
                        slot.write(next);
                        next += 1;
                    }
                    let committed = random.below(count as u32 + 1);
                    next -= count as u32 - committed;
                    model.extend(next - committed..next);
                    // SAFETY: all slots were written.
                    unsafe { chunk.commit(committed as usize) };
                }
                Err(few) => assert_eq!(few, TooFew { asked: count, available: room }),
            },
            4 => match consumer.pop() {
                None => {
                    assert!(model.is_empty());
                    reached_empty = true;
                }
                value => assert_eq!(value, model.pop_front()),
            },
            5 => {
                let mut into = vec![u32::MAX; count];
                let popped = pop_some(&mut consumer, &mut into, random.below(2) == 0);
                assert_eq!(popped, count.min(model.len()));
                assert!(into[..popped].iter().copied().eq(model.drain(..popped)));
                assert!(into[popped..].iter().all(|untouched| *untouched == u32::MAX));
            }
            6 => match consumer.read_chunk(count) {
                Ok(mut chunk) => {
                    let (first, second) = chunk.as_slices();
                    assert!(first.iter().chain(second).eq(model.iter().take(count)));
                    // What is changed in place comes out changed.
                    let (first, second) = chunk.as_mut_slices();
                    first.iter_mut().chain(second).for_each(|value| *value ^= 1);
                    model.iter_mut().take(count).for_each(|value| *value ^= 1);
                    let taken = random.below(count as u32 + 1) as usize;
                    if taken.is_multiple_of(2) {
                        chunk.commit(taken);
                        model.drain(..taken);
                    } else {
                        let mut values = chunk.into_iter();
                        assert_eq!(values.len(), count);
                        assert!(values.by_ref().take(taken).eq(model.drain(..taken)));
                    }
                }
                Err(few) => assert_eq!(few, TooFew { asked: count, available: model.len() }),
            },
            _ => assert_eq!(consumer.peek(), model.front()),
        }
        assert_eq!((consumer.available(), producer.free()), (model.len(), capacity - model.len()));
        assert_eq!((consumer.is_empty(), producer.is_full()), (model.is_empty(), model.len() == capacity));
    }
    assert!(reached_full && reached_empty);
}

#[test]
fn race_30_behaves_as_a_deque_also_over_the_wrap() {
    for start in STARTS {
        for seed in [1, 77, 0xdead_beef] {
            against_a_deque(Ring::<u32, 1>::starting_at(start).split(), seed);
            against_a_deque(Ring::<u32, 2>::starting_at(start).split(), seed);
            against_a_deque(Ring::<u32, 16>::starting_at(start).split(), seed);
            for capacity in [1, 3, 5, 8, 31] {
                against_a_deque(channel_starting_at(capacity, start), seed);
            }
            let mut storage = [const { MaybeUninit::uninit() }; 8];
            against_a_deque(BorrowedRing::starting_at(&mut storage, start).expect("a power of two").split(), seed);
        }
    }
}

#[test]
fn capacities_that_cannot_be_are_refused() {
    for count in [0, 3, 12] {
        let mut storage = vec![MaybeUninit::<u8>::uninit(); count];
        let error = BorrowedRing::new(&mut storage).expect_err("no power of two");
        assert_eq!(error.asked(), count);
        assert!(error.to_string().contains("power of two"), "{error}");
    }
    for capacity in [0, (1 << 30) + 1] {
        let panic = catch_unwind(|| channel::<u8>(capacity)).expect_err("refused");
        assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("1 to 2^30")));
    }
}

#[test]
fn what_is_left_is_dropped_once() {
    for start in STARTS {
        let value = Arc::new(());
        let mut ring = Ring::<_, 8>::starting_at(start);
        let (mut producer, mut consumer) = ring.split();
        assert_eq!(producer.push_iter(std::iter::repeat_n(Arc::clone(&value), 6)), 6);
        drop(consumer.pop());
        consumer.read_chunk(3).expect("there are").commit(1);
        drop((producer, consumer));
        assert_eq!(Arc::strong_count(&value), 5);
        drop(ring);
        assert_eq!(Arc::strong_count(&value), 1);
        let (mut producer, consumer) = channel_starting_at(3, start);
        assert_eq!(producer.push_iter(std::iter::repeat_n(Arc::clone(&value), 5)), 3);
        drop(producer);
        assert_eq!(Arc::strong_count(&value), 4, "the consumer keeps the ring");
        drop(consumer);
        assert_eq!(Arc::strong_count(&value), 1);
    }
}

#[test]
fn ends_come_in_pairs_and_come_again() {
    static RING: Ring<u8, 4> = Ring::new();
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
    let filled = || std::iter::repeat_n(Arc::clone(&value), 4);
    // An iterator that is forgotten after it gave one: that one is gone, the others are still in the ring.
    let mut ring = Ring::<_, 4>::new();
    let (mut producer, mut consumer) = ring.split();
    producer.push_iter(filled());
    let mut taken = consumer.read_chunk(3).expect("there are").into_iter();
    drop(taken.next());
    std::mem::forget(taken);
    assert_eq!((consumer.available(), Arc::strong_count(&value)), (3, 4));
    drop((consumer, producer));
    drop(ring);
    assert_eq!(Arc::strong_count(&value), 1);
    // The same, and the consumer too: what it may have taken is not dropped again, so all that is left leaks.
    let mut ring = Ring::<_, 4>::new();
    let (mut producer, mut consumer) = ring.split();
    producer.push_iter(filled());
    let mut taken = consumer.read_chunk(3).expect("there are").into_iter();
    drop(taken.next());
    std::mem::forget(taken);
    std::mem::forget(consumer);
    drop(producer);
    let (mut producer, mut consumer) = ring.split();
    assert_eq!((consumer.available(), producer.free()), (0, 4));
    assert_eq!(Arc::strong_count(&value), 4);
    producer.push(Arc::clone(&value)).expect("room");
    assert!(consumer.pop().is_some());
    drop((producer, consumer));
    drop(ring);
    assert_eq!(Arc::strong_count(&value), 4);
    // Found again, for AddressSanitizer, to which a leak is a failure.
    // SAFETY: three owners were forgotten, and nobody can reach them any more.
    (0..3).for_each(|_| unsafe { Arc::decrement_strong_count(Arc::as_ptr(&value)) });
}

#[test]
fn a_panicking_iterator_loses_nothing() {
    let value = Arc::new(());
    let (mut producer, mut consumer) = channel(8);
    let values = (0..5).map(|index| if index < 3 { Arc::clone(&value) } else { panic!("on purpose") });
    assert!(catch_unwind(AssertUnwindSafe(|| producer.push_iter(values))).is_err());
    assert_eq!(consumer.available(), 3);
    // A destructor that panics while a chunk is taken: it and those before it are gone.
    struct Bomb {
        _kept: Arc<()>,
        panics: bool,
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.panics, "on purpose");
        }
    }
    let (mut bombs, mut receiver) = channel(4);
    bombs.push_iter((0..4).map(|index| Bomb { _kept: Arc::clone(&value), panics: index == 1 }));
    let chunk = receiver.read_chunk(4).expect("there are");
    assert!(catch_unwind(AssertUnwindSafe(|| chunk.commit(4))).is_err());
    assert_eq!((receiver.available(), bombs.free()), (2, 2));
    drop((producer, consumer, bombs, receiver));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn more_than_there_is_cannot_be_committed() {
    let (mut producer, mut consumer) = channel::<u8>(4);
    let chunk = producer.write_chunk(2).expect("room");
    // SAFETY: it is refused.
    assert!(catch_unwind(AssertUnwindSafe(|| unsafe { chunk.commit(3) })).is_err());
    assert_eq!(consumer.available(), 0);
    producer.push(1).expect("room");
    let chunk = consumer.read_chunk(1).expect("there is");
    assert!(catch_unwind(AssertUnwindSafe(|| chunk.commit(2))).is_err());
    assert_eq!(consumer.available(), 1);
    assert!(producer.write_chunk(0).expect("always").is_empty() && consumer.read_chunk(0).expect("always").is_empty());
}

#[test]
fn values_of_no_size_and_of_much() {
    let (mut producer, mut consumer) = channel::<()>(5);
    assert_eq!(producer.push_partial_slice(&[(); 9]), 5);
    assert_eq!(producer.push(()), Err(()));
    assert_eq!(consumer.pop_slice(&mut [(); 3]), Ok(()));
    assert_eq!((consumer.pop(), consumer.pop(), consumer.pop()), (Some(()), Some(()), None));
    let mut ring = Box::new(Ring::<[u64; 1000], 4>::new());
    let (mut producer, mut consumer) = ring.split();
    producer.push([7; 1000]).expect("room");
    assert_eq!(consumer.peek().map(|value| value[999]), Some(7));
    assert_eq!(consumer.pop(), Some([7; 1000]));
}

/// Values of several words arrive whole, in order, once, whatever mix of calls both sides use.
fn stress(capacity: usize, start: u32, count: u64) {
    let (mut producer, mut consumer) = channel_starting_at::<[u64; 3]>(capacity, start);
    let value = |index: u64| [index, !index, index.wrapping_mul(0x9e37_79b9_7f4a_7c15)];
    let pushing = thread::spawn(move || {
        let (mut next, mut random) = (0, Random::new(start | 1));
        while next < count {
            let most = u64::from(random.below(capacity as u32) + 1).min(count - next);
            next += match random.below(3) {
                0 => u64::from(producer.push(value(next)).is_ok()),
                1 => producer.push_iter((next..next + most).map(value)) as u64,
                _ => producer.push_partial_slice(&(next..next + most).map(value).collect::<Vec<_>>()) as u64,
            };
        }
    });
    let (mut next, mut random, mut was_empty) = (0, Random::new(!start | 1), false);
    let mut into = vec![[0; 3]; capacity];
    let mut check = |got: [u64; 3]| {
        assert_eq!(got, value(next));
        next += 1;
    };
    loop {
        let ended = consumer.is_abandoned();
        match random.below(3) {
            0 => consumer.pop().into_iter().for_each(&mut check),
            1 => {
                let most = random.below(capacity as u32) as usize + 1;
                let popped = consumer.pop_partial_slice(&mut into[..most]);
                into[..popped].iter().copied().for_each(&mut check);
            }
            _ => {
                let available = consumer.available();
                consumer.read_chunk(available).expect("there are").into_iter().for_each(&mut check);
            }
        }
        was_empty |= consumer.is_empty();
        if ended && consumer.is_empty() {
            break;
        }
    }
    pushing.join().expect("no panic");
    assert_eq!(next, count, "what the producer pushed before it went is not missed");
    assert!(was_empty);
}

#[test]
fn stress_over_the_wrap() {
    for (capacity, start) in
        [(1, u32::MAX - 1000), (2, 0), (3, u32::MAX - 5000), (64, u32::MAX - 5000), (1000, u32::MAX - 100_000)]
    {
        stress(capacity, start, 200_000);
    }
}

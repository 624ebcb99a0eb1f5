//! What `rtrb` (0.4) asserts of its ring, asserted of ours: the properties of its `tests/lib.rs`, `tests/chunks.rs` and `tests/write_and_read.rs`, written anew.
//!
//! Where ours is different on purpose it stands at the test: a capacity of 0 is refused, and a forgotten iterator over a chunk forgets what it gave out but
//! leaves in the ring what it did not reach.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::thread;

use common::Random;
use weblane_ring::spsc::{self, stream};

#[test]
fn both_ends_know_the_capacity() {
    for capacity in 1..100 {
        let (producer, consumer) = spsc::channel::<i32>(capacity);
        assert_eq!((producer.capacity(), consumer.capacity()), (capacity, capacity));
        let (producer, consumer) = stream::channel::<i32>(capacity);
        assert_eq!((producer.capacity(), consumer.capacity()), (capacity, capacity));
    }
}

/// rtrb allows it and is always full and empty; here it is a mistake, and says so.
#[test]
fn a_capacity_of_zero_is_refused() {
    assert!(catch_unwind(|| spsc::channel::<i32>(0)).is_err());
    assert!(catch_unwind(|| stream::channel::<i32>(0)).is_err());
}

#[test]
fn values_of_no_size_fill_a_ring() {
    struct Nothing;
    let (mut producer, mut consumer) = stream::channel(1);
    assert_eq!((producer.free(), consumer.available()), (1, 0));
    assert!(producer.push(Nothing).is_ok());
    assert_eq!((producer.free(), consumer.available()), (0, 1));
    assert!(producer.push(Nothing).is_err() && consumer.peek().is_some() && consumer.pop().is_some());
    assert!(consumer.available() == 0 && consumer.peek().is_none());
    let (mut producer, mut consumer) = spsc::channel(1);
    assert!(producer.push(Nothing).is_ok() && producer.is_full() && producer.push(Nothing).is_err());
    assert!(consumer.peek().is_some() && consumer.pop().is_some() && consumer.is_empty());
}

#[test]
fn in_parallel_all_come_in_order() {
    const COUNT: usize = 100_000;
    fn run(
        mut push: impl FnMut(usize) -> bool + Send + 'static,
        mut pop: impl FnMut() -> Option<usize> + Send + 'static,
    ) {
        let popping = thread::spawn(move || {
            for value in 0..COUNT {
                loop {
                    if let Some(got) = pop() {
                        assert_eq!(got, value);
                        break;
                    }
                    thread::yield_now();
                }
            }
            assert!(pop().is_none());
        });
        for value in 0..COUNT {
            while !push(value) {
                thread::yield_now();
            }
        }
        popping.join().expect("no panic");
    }
    let (mut producer, mut consumer) = spsc::channel(3);
    run(move |value| producer.push(value).is_ok(), move || consumer.pop());
    let (mut producer, mut consumer) = stream::channel(3);
    run(move |value| producer.push(value).is_ok(), move || consumer.pop());
}

/// Counts those that live.
struct Live(Arc<AtomicIsize>);

impl Live {
    fn new(count: &Arc<AtomicIsize>) -> Live {
        count.fetch_add(1, Ordering::SeqCst);
        Live(Arc::clone(count))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn each_value_is_dropped_once() {
    let mut random = Random::new(5);
    for _ in 0..30 {
        let (steps, more) = (random.below(3000), random.below(50));
        let count = Arc::new(AtomicIsize::new(0));
        let (mut producer, mut consumer) = stream::channel(50);
        let popping = thread::spawn(move || {
            for _ in 0..steps {
                while consumer.pop().is_none() {
                    thread::yield_now();
                }
            }
        });
        let inner = Arc::clone(&count);
        let pushing = thread::spawn(move || {
            for _ in 0..steps {
                while producer.push(Live::new(&inner)).is_err() {
                    thread::yield_now();
                }
            }
            producer
        });
        let mut producer = pushing.join().expect("no panic");
        popping.join().expect("no panic");
        assert_eq!(count.load(Ordering::SeqCst), 0);
        (0..more).for_each(|_| assert!(producer.push(Live::new(&count)).is_ok()));
        assert_eq!(count.load(Ordering::SeqCst), more as isize);
        drop(producer);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }
}

/// A producer that is gone has left all it pushed: nothing is missed by who asks first and pops then.
#[test]
fn no_race_with_is_abandoned() {
    for _ in 0..500 {
        let (mut producer, mut consumer) = spsc::channel(1);
        let pushing = thread::spawn(move || producer.push(1));
        while !consumer.is_abandoned() {
            thread::yield_now();
        }
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(pushing.join().expect("no panic"), Ok(()));
        let (mut producer, mut consumer) = stream::channel(1);
        let pushing = thread::spawn(move || producer.push(1));
        while !consumer.is_abandoned() {
            thread::yield_now();
        }
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(pushing.join().expect("no panic"), Ok(()));
    }
}

#[test]
fn a_chunks_iterator_takes_what_it_gives() {
    let (mut producer, mut consumer) = stream::channel(3);
    assert_eq!(producer.push_iter([10, 11]), 2);
    {
        let mut taken = consumer.read_chunk(2).expect("two").into_iter();
        assert_eq!((taken.len(), taken.next(), taken.len()), (2, Some(10), 1));
    }
    assert_eq!(consumer.available(), 1);
    assert_eq!(producer.write_chunk(2).expect("room").fill([20, 21]), 2);
    let mut taken = consumer.read_chunk(3).expect("three").into_iter();
    for (left, value) in [(3, 11), (2, 20), (1, 21)] {
        assert_eq!((taken.len(), taken.next()), (left, Some(value)));
    }
    assert_eq!((taken.len(), taken.next(), taken.next()), (0, None, None));
}

#[test]
fn a_capacity_of_one_has_chunks() {
    let (mut producer, mut consumer) = stream::channel::<i32>(1);
    for value in 0..3 {
        let mut chunk = producer.write_chunk(1).expect("room");
        assert!(chunk.len() == 1 && !chunk.is_empty());
        let (first, second) = chunk.as_mut_slices();
        assert!(second.is_empty());
        first[0].write(value);
        // SAFETY: it was written.
        unsafe { chunk.commit(1) };
        let mut chunk = consumer.read_chunk(1).expect("a value");
        assert_eq!(chunk.as_slices(), (&[value][..], &[][..]));
        chunk.as_mut_slices().0[0] *= 2;
        assert_eq!(chunk.as_slices().0, [2 * value]);
        chunk.commit(1);
    }
}

/// A chunk that is dropped unwritten publishes nothing and drops nothing; an iterator that ends early publishes what it gave.
#[test]
fn a_chunk_publishes_what_was_written() {
    let count = Arc::new(AtomicIsize::new(0));
    let (mut producer, mut consumer) = stream::channel(3);
    drop(producer.write_chunk(3).expect("room"));
    assert!(consumer.is_empty());
    assert_eq!(producer.write_chunk(3).expect("room").fill([Live::new(&count)]), 1);
    assert_eq!((consumer.available(), producer.free()), (1, 2));
    drop(producer.write_chunk(2).expect("room"));
    assert_eq!((consumer.available(), count.load(Ordering::SeqCst)), (1, 1));
    consumer.read_chunk(1).expect("one").commit(1);
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

/// A destructor that panics while a chunk is taken: its value is gone, and the next one is the next.
#[test]
fn a_panic_in_drop_takes_its_value() {
    struct Bomb(i32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert_ne!(self.0, 2, "on purpose");
        }
    }
    let (mut producer, mut consumer) = stream::channel(3);
    assert_eq!(producer.push_iter([1, 2, 3].map(Bomb)), 3);
    let chunk = consumer.read_chunk(3).expect("three");
    assert!(catch_unwind(AssertUnwindSafe(|| chunk.commit(3))).is_err());
    assert_eq!(consumer.pop().map(|bomb| bomb.0), Some(3));
}

#[test]
fn slices_are_written_and_read_in_part() {
    let (mut producer, mut consumer) = stream::channel(8);
    assert_eq!((producer.push_partial_slice(&[1, 2, 3]), producer.push_partial_slice(&[4, 5])), (3, 2));
    let mut into = [0; 10];
    assert_eq!(consumer.pop_partial_slice(&mut into), 5);
    assert_eq!(into[..5], [1, 2, 3, 4, 5]);
    assert_eq!((producer.push_partial_slice(&[1, 2, 3, 4, 5]), producer.push_partial_slice(&[6, 7, 8, 9])), (5, 3));
    assert_eq!(consumer.pop_partial_slice(&mut into), 8);
    assert_eq!(into[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(producer.push_slice(&[1, 2, 3]), Ok(()));
    assert_eq!(consumer.pop_slice(&mut into[..3]), Ok(()));
    assert_eq!((consumer.pop_partial_slice(&mut into), consumer.pop_partial_slice(&mut [])), (0, 0));
    assert_eq!((producer.push_slice(&[]), producer.push_partial_slice(&[])), (Ok(()), 0));
}

/// rtrb drops an iterator's whole chunk when it is forgotten; here what it did not reach stays, and what it gave does not come again.
#[test]
fn a_forgotten_iterator_gives_nothing_twice() {
    let (mut producer, mut consumer) = stream::channel(2);
    assert_eq!(producer.push_iter([Box::new(10), Box::new(11)]), 2);
    let mut taken = consumer.read_chunk(2).expect("two").into_iter();
    assert_eq!(taken.next().as_deref(), Some(&10));
    std::mem::forget(taken);
    assert_eq!((consumer.pop().as_deref(), consumer.pop()), (Some(&11), None));
    assert_eq!(producer.free(), 2);
}

#[test]
fn all_can_be_printed() {
    let (mut producer, mut consumer) = stream::channel::<i32>(2);
    assert!(format!("{producer:?}").starts_with("Producer {") && format!("{consumer:?}").starts_with("Consumer {"));
    let few = producer.write_chunk(3).expect_err("too many");
    assert_eq!((few.asked, few.available), (3, 2));
    assert!(few.to_string().starts_with("3 slots were asked for and 2 are available"));
    assert!(format!("{:?}", producer.write_chunk(1)).contains("WriteChunk"));
    let chunk = consumer.read_chunk(0).expect("always");
    assert!(format!("{chunk:?}").starts_with("ReadChunk"));
    assert!(format!("{:?}", chunk.into_iter()).starts_with("Taken"));
}

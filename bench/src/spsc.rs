//! One thread pushes, another pops, both as fast as they can.

use std::hint::spin_loop;
use std::sync::{Arc, Barrier};

use weblane_pool::ThreadPool;
use weblane_ring::spsc;
use weblane_ring::spsc::stream;

use crate::{Clock, Contender, Row, side_by_side};

/// Values of every round.
const VALUES: u64 = 1 << 20;
const CAPACITY: usize = 1024;
const CHUNK: usize = 32;

/// Nanoseconds for each value: the calling thread runs `consume`, a worker runs `produce`.
fn one_to_one(
    pool: &ThreadPool,
    clock: Clock,
    produce: impl FnOnce() + Send + 'static,
    consume: impl FnOnce() -> u64,
) -> f64 {
    let barrier = Arc::new(Barrier::new(2));
    let other = Arc::clone(&barrier);
    pool.spawn_detached(move || {
        other.wait();
        produce();
    });
    barrier.wait();
    let start = clock();
    let sum = consume();
    let took = clock() - start;
    assert_eq!(sum, VALUES * (VALUES - 1) / 2, "each value came once");
    took * 1e6 / VALUES as f64
}

fn push_all(mut push: impl FnMut(u64) -> bool) {
    for value in 0..VALUES {
        while !push(value) {
            spin_loop();
        }
    }
}

fn pop_all(mut pop: impl FnMut() -> Option<u64>) -> u64 {
    let mut sum = 0;
    for _ in 0..VALUES {
        sum += loop {
            match pop() {
                Some(value) => break value,
                None => spin_loop(),
            }
        };
    }
    sum
}

/// In chunks: `push` gets the first value of each.
fn push_chunks(mut push: impl FnMut(u64) -> bool) {
    for value in (0..VALUES).step_by(CHUNK) {
        while !push(value) {
            spin_loop();
        }
    }
}

/// In chunks: `pop` returns the sum of one.
fn pop_chunks(mut pop: impl FnMut() -> Option<u64>) -> u64 {
    let mut sum = 0;
    for _ in (0..VALUES).step_by(CHUNK) {
        sum += loop {
            match pop() {
                Some(value) => break value,
                None => spin_loop(),
            }
        };
    }
    sum
}

pub(crate) fn rows(pool: &ThreadPool, clock: Clock) -> Vec<Row> {
    let mut rows = side_by_side("spsc_one_by_one_ns", singles(pool, clock));
    rows.extend(side_by_side("spsc_chunks_of_32_ns", chunks(pool, clock)));
    rows
}

fn singles(pool: &ThreadPool, clock: Clock) -> Vec<Contender<'_>> {
    vec![
        (
            "weblane spsc",
            Box::new(move || {
                let (mut producer, mut consumer) = spsc::channel(CAPACITY);
                let produce = move || push_all(|value| producer.push(value).is_ok());
                one_to_one(pool, clock, produce, || pop_all(|| consumer.pop()))
            }),
        ),
        (
            "weblane spsc stream",
            Box::new(move || {
                let (mut producer, mut consumer) = stream::channel(CAPACITY);
                let produce = move || push_all(|value| producer.push(value).is_ok());
                one_to_one(pool, clock, produce, || pop_all(|| consumer.pop()))
            }),
        ),
        (
            "rtrb",
            Box::new(move || {
                let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
                let produce = move || push_all(|value| producer.push(value).is_ok());
                one_to_one(pool, clock, produce, || pop_all(|| consumer.pop().ok()))
            }),
        ),
    ]
}

fn chunks(pool: &ThreadPool, clock: Clock) -> Vec<Contender<'_>> {
    vec![
        (
            "weblane spsc stream",
            Box::new(move || {
                let (mut producer, mut consumer) = stream::channel(CAPACITY);
                let produce = move || {
                    push_chunks(|first| {
                        let chunk = producer.write_chunk(CHUNK);
                        chunk.is_ok_and(|chunk| chunk.fill(first..first + CHUNK as u64) == CHUNK)
                    });
                };
                one_to_one(pool, clock, produce, || {
                    pop_chunks(|| consumer.read_chunk(CHUNK).ok().map(|chunk| chunk.into_iter().sum()))
                })
            }),
        ),
        (
            "rtrb",
            Box::new(move || {
                let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
                let produce = move || {
                    push_chunks(|first| {
                        let chunk = producer.write_chunk_uninit(CHUNK);
                        chunk.is_ok_and(|chunk| chunk.fill_from_iter(first..first + CHUNK as u64) == CHUNK)
                    });
                };
                one_to_one(pool, clock, produce, || {
                    pop_chunks(|| consumer.read_chunk(CHUNK).ok().map(|chunk| chunk.into_iter().sum()))
                })
            }),
        ),
        (
            "weblane spsc stream, slices",
            Box::new(move || {
                let (mut producer, mut consumer) = stream::channel(CAPACITY);
                let produce = move || {
                    push_chunks(|first| {
                        let values: [u64; CHUNK] = core::array::from_fn(|index| first + index as u64);
                        producer.push_slice(&values).is_ok()
                    });
                };
                one_to_one(pool, clock, produce, || {
                    pop_chunks(|| {
                        let chunk = consumer.read_chunk(CHUNK).ok()?;
                        let (first, second) = chunk.as_slices();
                        let sum = first.iter().sum::<u64>() + second.iter().sum::<u64>();
                        chunk.commit(CHUNK);
                        Some(sum)
                    })
                })
            }),
        ),
        (
            "rtrb, slices",
            Box::new(move || {
                let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
                let produce = move || {
                    push_chunks(|first| {
                        let values: [u64; CHUNK] = core::array::from_fn(|index| first + index as u64);
                        producer.push_entire_slice(&values).is_ok()
                    });
                };
                one_to_one(pool, clock, produce, || {
                    pop_chunks(|| {
                        let chunk = consumer.read_chunk(CHUNK).ok()?;
                        let (first, second) = chunk.as_slices();
                        let sum = first.iter().sum::<u64>() + second.iter().sum::<u64>();
                        chunk.commit_all();
                        Some(sum)
                    })
                })
            }),
        ),
    ]
}

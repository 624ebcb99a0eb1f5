//! One worker's queue: the owner's push and pop, and stealing half.

use std::collections::VecDeque;
use std::hint::black_box;

use weblane_ring::steal::{Ring, Steal};
use weblane_sync::Mutex;

use crate::{Clock, Contender, Row, side_by_side};

/// The size of a task in the pool: a function and six words.
type Value = [u64; 7];
const BATCH: u64 = 64;
const TURNS: u64 = 4000;

/// Nanoseconds for one push and one pop, in batches of 64. The queue is handed to both, because for some both ends are `&mut`.
fn pairs<Q>(
    clock: Clock,
    mut queue: Q,
    mut push: impl FnMut(&mut Q, Value),
    mut pop: impl FnMut(&mut Q) -> Option<Value>,
) -> f64 {
    let start = clock();
    for turn in 0..TURNS {
        (0..BATCH).for_each(|index| push(&mut queue, [turn + index; 7]));
        for _ in 0..BATCH {
            black_box(pop(&mut queue));
        }
    }
    (clock() - start) * 1e6 / (TURNS * BATCH) as f64
}

/// A push that finds no room is a mistake of the benchmark.
fn push_to(pushed: Result<(), Value>) {
    assert!(pushed.is_ok(), "no room");
}

/// Nanoseconds for each value of: push 128, steal half of them into another queue.
fn halves(clock: Clock, mut turn: impl FnMut()) -> f64 {
    let start = clock();
    (0..TURNS).for_each(|_| turn());
    (clock() - start) * 1e6 / (TURNS * 128) as f64
}

pub(crate) fn rows(clock: Clock) -> Vec<Row> {
    let mut rows = side_by_side("owner_push_pop_ns", owners(clock));
    rows.extend(side_by_side("push_128_steal_half_ns", thieves(clock)));
    rows
}

fn owners<'a>(clock: Clock) -> Vec<Contender<'a>> {
    vec![
        (
            "weblane ring, old end",
            Box::new(move || {
                let mut ring = Ring::<Value, 256>::new();
                let (owner, _) = ring.split();
                pairs(clock, owner, |owner, value| push_to(owner.push(value)), |owner| owner.pop())
            }),
        ),
        (
            "weblane ring, young end",
            Box::new(move || {
                let mut ring = Ring::<Value, 256>::new();
                let (owner, _) = ring.split();
                pairs(clock, owner, |owner, value| push_to(owner.push(value)), |owner| owner.pop_lifo())
            }),
        ),
        (
            "st3 fifo",
            Box::new(move || {
                let worker = st3::fifo::Worker::<Value>::new(256);
                pairs(clock, worker, |worker, value| push_to(worker.push(value)), |worker| worker.pop())
            }),
        ),
        (
            "st3 lifo",
            Box::new(move || {
                let worker = st3::lifo::Worker::<Value>::new(256);
                pairs(clock, worker, |worker, value| push_to(worker.push(value)), |worker| worker.pop())
            }),
        ),
        (
            "crossbeam-deque fifo",
            Box::new(move || {
                let worker = crossbeam_deque::Worker::<Value>::new_fifo();
                pairs(clock, worker, |worker, value| worker.push(value), |worker| worker.pop())
            }),
        ),
        (
            "crossbeam-deque lifo",
            Box::new(move || {
                let worker = crossbeam_deque::Worker::<Value>::new_lifo();
                pairs(clock, worker, |worker, value| worker.push(value), |worker| worker.pop())
            }),
        ),
        (
            "Mutex<VecDeque>",
            Box::new(move || {
                let queue = Mutex::new(VecDeque::<Value>::with_capacity(256));
                let push = |queue: &mut Mutex<VecDeque<Value>>, value| {
                    if let Some(mut queue) = queue.try_lock() {
                        queue.push_back(value);
                    }
                };
                pairs(clock, queue, push, |queue| queue.try_lock().and_then(|mut queue| queue.pop_front()))
            }),
        ),
    ]
}

fn thieves<'a>(clock: Clock) -> Vec<Contender<'a>> {
    vec![
        (
            "weblane ring",
            Box::new(move || {
                let (mut ring, mut other) = (Ring::<Value, 256>::new(), Ring::<Value, 256>::new());
                let ((mut owner, stealer), (mut thief, _)) = (ring.split(), other.split());
                halves(clock, || {
                    (0..128).for_each(|index| push_to(owner.push([index; 7])));
                    assert!(matches!(stealer.steal_half_into(&mut thief), Steal::Success((_, 63))));
                    while owner.pop().is_some() {}
                    while thief.pop().is_some() {}
                })
            }),
        ),
        (
            "st3 fifo",
            Box::new(move || {
                let (owner, thief) = (st3::fifo::Worker::<Value>::new(256), st3::fifo::Worker::<Value>::new(256));
                let stealer = owner.stealer();
                halves(clock, || {
                    (0..128).for_each(|index| push_to(owner.push([index; 7])));
                    assert!(matches!(stealer.steal_and_pop(&thief, |count| count - count / 2), Ok((_, 63))));
                    while owner.pop().is_some() {}
                    while thief.pop().is_some() {}
                })
            }),
        ),
        (
            "crossbeam-deque fifo",
            Box::new(move || {
                let (owner, thief) =
                    (crossbeam_deque::Worker::<Value>::new_fifo(), crossbeam_deque::Worker::new_fifo());
                let stealer = owner.stealer();
                halves(clock, || {
                    (0..128).for_each(|index| owner.push([index; 7]));
                    // It steals at most 32 at a time.
                    while stealer.steal_batch(&thief).is_success() && thief.len() < 64 {}
                    while owner.pop().is_some() {}
                    while thief.pop().is_some() {}
                })
            }),
        ),
    ]
}

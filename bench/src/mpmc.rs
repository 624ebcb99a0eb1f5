//! Several threads push, several pop, all as fast as they can; one by one, and in batches, which the peers take one by one.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use weblane_futex::AtomicU32;
use weblane_pool::ThreadPool;
use weblane_ring::mpmc;

use crate::{CONTENDED_ROUNDS, Clock, Contender, Row, in_rounds, side_by_side};

/// Values of every round.
const VALUES: u64 = 1 << 18;
const CAPACITY: usize = 1024;

/// What all contenders can do.
trait Queue: Send + Sync + 'static {
    fn new() -> Self;
    fn push(&self, value: u64) -> bool;
    fn pop(&self) -> Option<u64>;
    /// Many at once, where the queue can; else one by one. Returns how many.
    fn push_some(&self, values: &[u64]) -> usize {
        values.iter().take_while(|value| self.push(**value)).count()
    }
    fn pop_some(&self, most: usize, mut take: impl FnMut(u64)) -> usize {
        (0..most).map_while(|_| self.pop()).map(&mut take).count()
    }
}

const BATCH: usize = 32;

/// Tries until it succeeds. There may be more threads than cores: who fails often gives way.
fn insist<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    let mut failures = 0_u32;
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        failures += 1;
        if failures.is_multiple_of(128) {
            // What a thread can do on the web, too, to give way: to sleep for a moment.
            let _ = weblane_futex::wait(&AtomicU32::new(0), 0, Some(Duration::from_micros(20)));
        } else {
            std::hint::spin_loop();
        }
    }
}

/// Nanoseconds for each value, with as many producers as consumers; the calling thread is one of the latter.
fn pairs<Q: Queue>(pool: &ThreadPool, clock: Clock, pairs: u64) -> f64 {
    let queue = Arc::new(Q::new());
    let barrier = Arc::new(Barrier::new(2 * pairs as usize));
    let each = VALUES / pairs;
    let pop_all = move |queue: &Q| (0..each).map(|_| insist(|| queue.pop())).sum::<u64>();
    let mut others = Vec::new();
    for side in 1..2 * pairs {
        let (queue, barrier) = (Arc::clone(&queue), Arc::clone(&barrier));
        others.push(pool.spawn(move || {
            barrier.wait();
            if side < pairs {
                return pop_all(&queue);
            }
            for value in (side - pairs) * each..(side - pairs + 1) * each {
                insist(|| queue.push(value).then_some(()));
            }
            0
        }));
    }
    barrier.wait();
    let start = clock();
    let mut sum = pop_all(&queue);
    for mut other in others {
        sum += insist(|| other.try_join()).expect("no panic");
    }
    let took = clock() - start;
    assert_eq!(sum, VALUES * (VALUES - 1) / 2, "each value came once");
    took * 1e6 / VALUES as f64
}

/// Nanoseconds for each value, from one thread to another in batches.
fn batches<Q: Queue>(pool: &ThreadPool, clock: Clock) -> f64 {
    let queue = Arc::new(Q::new());
    let barrier = Arc::new(Barrier::new(2));
    let (pushed, there) = (Arc::clone(&queue), Arc::clone(&barrier));
    let mut pusher = pool.spawn(move || {
        there.wait();
        let mut batch = [0; BATCH];
        for first in (0..VALUES).step_by(BATCH) {
            batch.iter_mut().zip(first..).for_each(|(value, number)| *value = number);
            let mut left = &batch[..];
            insist(|| {
                left = &left[pushed.push_some(left)..];
                left.is_empty().then_some(())
            });
        }
    });
    barrier.wait();
    let start = clock();
    let (mut sum, mut count) = (0, 0);
    while count < VALUES as usize {
        count += insist(|| Some(queue.pop_some(BATCH, |value| sum += value)).filter(|count| *count > 0));
    }
    let took = clock() - start;
    insist(|| pusher.try_join()).expect("no panic");
    assert_eq!(sum, VALUES * (VALUES - 1) / 2, "each value came once");
    took * 1e6 / VALUES as f64
}

/// Nanoseconds for each value of a batch that one thread pushes and pops.
fn batches_alone<Q: Queue>(clock: Clock) -> f64 {
    let queue = Q::new();
    let batch: [u64; BATCH] = std::array::from_fn(|value| value as u64);
    let start = clock();
    for _ in 0..VALUES as usize / BATCH {
        assert_eq!(queue.push_some(std::hint::black_box(&batch)), BATCH);
        assert_eq!(queue.pop_some(BATCH, |value| _ = std::hint::black_box(value)), BATCH);
    }
    (clock() - start) * 1e6 / VALUES as f64
}

/// Nanoseconds for one push and one pop by one thread.
fn alone<Q: Queue>(clock: Clock) -> f64 {
    let queue = Q::new();
    let start = clock();
    for value in 0..VALUES {
        assert!(queue.push(std::hint::black_box(value)));
        std::hint::black_box(queue.pop());
    }
    (clock() - start) * 1e6 / VALUES as f64
}

impl Queue for mpmc::fast::BoxedRing<u64> {
    fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }
    fn push(&self, value: u64) -> bool {
        self.push(value).is_ok()
    }
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
    fn push_some(&self, values: &[u64]) -> usize {
        self.push_slice(values)
    }
    fn pop_some(&self, most: usize, take: impl FnMut(u64)) -> usize {
        self.pop_many(most, take)
    }
}

impl Queue for mpmc::BoxedRing<u64> {
    fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }
    fn push(&self, value: u64) -> bool {
        self.push(value).is_ok()
    }
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
    fn push_some(&self, values: &[u64]) -> usize {
        self.push_slice(values)
    }
    fn pop_some(&self, most: usize, take: impl FnMut(u64)) -> usize {
        self.pop_many(most, take)
    }
}

impl Queue for crossbeam_queue::ArrayQueue<u64> {
    fn new() -> Self {
        Self::new(CAPACITY)
    }
    fn push(&self, value: u64) -> bool {
        self.push(value).is_ok()
    }
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}

impl Queue for concurrent_queue::ConcurrentQueue<u64> {
    fn new() -> Self {
        Self::bounded(CAPACITY)
    }
    fn push(&self, value: u64) -> bool {
        self.push(value).is_ok()
    }
    fn pop(&self) -> Option<u64> {
        self.pop().ok()
    }
}

#[allow(deprecated, reason = "it is what people use, and it is to be compared")]
impl Queue for heapless::mpmc::Queue<u64, CAPACITY> {
    fn new() -> Self {
        Self::new()
    }
    fn push(&self, value: u64) -> bool {
        self.enqueue(value).is_ok()
    }
    fn pop(&self) -> Option<u64> {
        self.dequeue()
    }
}

impl Queue for thingbuf::ThingBuf<u64> {
    fn new() -> Self {
        Self::new(CAPACITY)
    }
    fn push(&self, value: u64) -> bool {
        self.push(value).is_ok()
    }
    fn pop(&self) -> Option<u64> {
        self.pop()
    }
}

pub(crate) fn rows(pool: &ThreadPool, clock: Clock) -> Vec<Row> {
    #[allow(deprecated, reason = "as above")]
    fn contenders<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
        vec![
            ("weblane mpmc fast", run.of::<mpmc::fast::BoxedRing<u64>>()),
            ("weblane mpmc lock-free", run.of::<mpmc::BoxedRing<u64>>()),
            ("crossbeam ArrayQueue", run.of::<crossbeam_queue::ArrayQueue<u64>>()),
            ("concurrent-queue", run.of::<concurrent_queue::ConcurrentQueue<u64>>()),
            ("heapless mpmc", run.of::<heapless::mpmc::Queue<u64, CAPACITY>>()),
            ("thingbuf", run.of::<thingbuf::ThingBuf<u64>>()),
        ]
    }
    let mut rows = side_by_side("mpmc_alone_ns", contenders(Alone(clock)));
    rows.extend(in_rounds(CONTENDED_ROUNDS, "mpmc_1x1_ns", contenders(Pairs(pool, clock, 1))));
    rows.extend(in_rounds(CONTENDED_ROUNDS, "mpmc_2x2_ns", contenders(Pairs(pool, clock, 2))));
    rows.extend(side_by_side("mpmc_batches_of_32_alone_ns", contenders(BatchesAlone(clock))));
    rows.extend(in_rounds(CONTENDED_ROUNDS, "mpmc_batches_of_32_1x1_ns", contenders(Batches(pool, clock))));
    rows
}

/// A measurement of any queue.
trait Measure: Copy {
    fn of<'a, Q: Queue>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a;
}

#[derive(Clone, Copy)]
struct Alone(Clock);

impl Measure for Alone {
    fn of<'a, Q: Queue>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || alone::<Q>(self.0))
    }
}

#[derive(Clone, Copy)]
struct Pairs<'p>(&'p ThreadPool, Clock, u64);

impl Measure for Pairs<'_> {
    fn of<'a, Q: Queue>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || pairs::<Q>(self.0, self.1, self.2))
    }
}

#[derive(Clone, Copy)]
struct BatchesAlone(Clock);

impl Measure for BatchesAlone {
    fn of<'a, Q: Queue>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || batches_alone::<Q>(self.0))
    }
}

#[derive(Clone, Copy)]
struct Batches<'p>(&'p ThreadPool, Clock);

impl Measure for Batches<'_> {
    fn of<'a, Q: Queue>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || batches::<Q>(self.0, self.1))
    }
}

//! Locks: taken and given back by one thread, and by two that want the same one.

use std::hint::black_box;
use std::sync::{Arc, Barrier};

use weblane_pool::ThreadPool;
use weblane_sync::Mutex;

use crate::{Clock, Contender, Row, side_by_side};

/// Locks of a round by one thread.
const ALONE: u32 = 2_000_000;
/// Locks of a round by each of two threads.
const EACH: u32 = 100_000;

/// A lock around a counter.
trait Lock: Send + Sync + 'static {
    fn new() -> Self;
    /// Locks, changes the counter, unlocks.
    fn with<R>(&self, act: impl FnOnce(&mut u64) -> R) -> R;
}

impl Lock for Mutex<u64> {
    fn new() -> Self {
        Mutex::new(0)
    }
    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut u64) -> R) -> R {
        act(&mut self.lock().expect("a worker may block"))
    }
}

impl Lock for std::sync::Mutex<u64> {
    fn new() -> Self {
        std::sync::Mutex::new(0)
    }
    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut u64) -> R) -> R {
        act(&mut self.lock().expect("not poisoned"))
    }
}

impl Lock for parking_lot::Mutex<u64> {
    fn new() -> Self {
        parking_lot::Mutex::new(0)
    }
    #[inline]
    fn with<R>(&self, act: impl FnOnce(&mut u64) -> R) -> R {
        act(&mut self.lock())
    }
}

/// Nanoseconds for one lock and unlock by one thread.
fn alone<L: Lock>(clock: Clock) -> f64 {
    let lock = L::new();
    let start = clock();
    for _ in 0..ALONE {
        black_box(&lock).with(|count| *count += 1);
    }
    let took = clock() - start;
    assert_eq!(lock.with(|count| *count), u64::from(ALONE));
    took * 1e6 / f64::from(ALONE)
}

/// A short piece of work.
fn work(turns: u32) -> u32 {
    (0..turns).fold(1, |sum, turn| black_box(sum ^ turn))
}

/// Nanoseconds for one lock and unlock when two threads do nothing else but a little work inside and outside of it.
fn contended<L: Lock>(pool: &ThreadPool, clock: Clock) -> f64 {
    let (lock, barrier) = (Arc::new(L::new()), Arc::new(Barrier::new(2)));
    let turns = |lock: &L| {
        for _ in 0..EACH {
            lock.with(|count| {
                *count += 1;
                black_box(work(10));
            });
            black_box(work(20));
        }
    };
    let (inner, inner_barrier) = (Arc::clone(&lock), Arc::clone(&barrier));
    let mut other = pool.spawn(move || {
        inner_barrier.wait();
        turns(&inner);
    });
    barrier.wait();
    let start = clock();
    turns(&lock);
    other.join().expect("no panic");
    let took = clock() - start;
    assert_eq!(lock.with(|count| *count), u64::from(2 * EACH));
    took * 1e6 / f64::from(2 * EACH)
}

fn contenders<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
    vec![
        ("weblane Mutex", run.of::<Mutex<u64>>()),
        ("std Mutex", run.of::<std::sync::Mutex<u64>>()),
        ("parking_lot Mutex", run.of::<parking_lot::Mutex<u64>>()),
    ]
}

pub(crate) fn rows(pool: &ThreadPool, clock: Clock) -> Vec<Row> {
    let mut rows = side_by_side("lock_unlock_ns", contenders(Alone(clock)));
    rows.extend(side_by_side("lock_contended_2_ns", contenders(Contended(pool, clock))));
    rows
}

/// A measurement of any lock.
trait Measure: Copy {
    fn of<'a, L: Lock>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a;
}

#[derive(Clone, Copy)]
struct Alone(Clock);

impl Measure for Alone {
    fn of<'a, L: Lock>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || alone::<L>(self.0))
    }
}

#[derive(Clone, Copy)]
struct Contended<'p>(&'p ThreadPool, Clock);

impl Measure for Contended<'_> {
    fn of<'a, L: Lock>(self) -> Box<dyn FnMut() -> f64 + 'a>
    where
        Self: 'a,
    {
        Box::new(move || contended::<L>(self.0, self.1))
    }
}

//! Locks: taken and given back by one thread, and by two that want the same one.
//!
//! `parking_lot` runs on wasm with its feature "nightly" only: without it, it panics there where it would have to wait.

use std::hint::black_box;
use std::sync::{Arc, Barrier};

use weblane_pool::ThreadPool;
use weblane_sync::{Mutex, RwLock};

use crate::{Clock, Contender, Row, side_by_side};

/// Locks of a round by one thread.
const ALONE: u32 = 2_000_000;
/// Locks of a round by each of two threads.
const EACH: u32 = 100_000;

/// A lock around a counter, taken in one of its ways.
trait Lock: Send + Sync + 'static {
    fn new() -> Self;
    /// Locks, adds or looks, unlocks.
    fn with<R>(&self, act: impl FnOnce(&u64) -> R) -> R;
}

/// A lock, taken so that it excludes others.
struct Write<L>(L);
/// A lock, taken to read.
struct Read<L>(L);

macro_rules! lock {
    ($way:ident<$lock:ty>, $self:ident, $guard:ident => $take:expr, $change:expr) => {
        impl Lock for $way<$lock> {
            fn new() -> Self {
                $way(<$lock>::new(0))
            }
            #[inline]
            fn with<R>(&$self, act: impl FnOnce(&u64) -> R) -> R {
                #[allow(unused_mut, reason = "those that only read")]
                let mut $guard = $take;
                let () = $change;
                act(&$guard)
            }
        }
    };
}

lock!(Write<Mutex<u64>>, self, guard => self.0.lock().expect("may block"), *guard += 1);
lock!(Write<std::sync::Mutex<u64>>, self, guard => self.0.lock().expect("not poisoned"), *guard += 1);
lock!(Write<parking_lot::Mutex<u64>>, self, guard => self.0.lock(), *guard += 1);
lock!(Write<RwLock<u64>>, self, guard => self.0.write().expect("may block"), *guard += 1);
lock!(Write<std::sync::RwLock<u64>>, self, guard => self.0.write().expect("not poisoned"), *guard += 1);
lock!(Write<parking_lot::RwLock<u64>>, self, guard => self.0.write(), *guard += 1);
lock!(Read<RwLock<u64>>, self, guard => self.0.read().expect("may block"), ());
lock!(Read<std::sync::RwLock<u64>>, self, guard => self.0.read().expect("not poisoned"), ());
lock!(Read<parking_lot::RwLock<u64>>, self, guard => self.0.read(), ());

/// Nanoseconds for one lock and unlock by one thread.
fn alone<L: Lock>(clock: Clock) -> f64 {
    let lock = L::new();
    let start = clock();
    for _ in 0..ALONE {
        black_box(&lock).with(|count| _ = black_box(*count));
    }
    let took = clock() - start;
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
            lock.with(|_| _ = black_box(work(10)));
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
    took * 1e6 / f64::from(2 * EACH)
}

pub(crate) fn rows(pool: &ThreadPool, clock: Clock) -> Vec<Row> {
    fn mutexes<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
        vec![
            ("weblane Mutex", run.of::<Write<Mutex<u64>>>()),
            ("std Mutex", run.of::<Write<std::sync::Mutex<u64>>>()),
            ("parking_lot Mutex", run.of::<Write<parking_lot::Mutex<u64>>>()),
        ]
    }
    fn writers<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
        vec![
            ("weblane RwLock", run.of::<Write<RwLock<u64>>>()),
            ("std RwLock", run.of::<Write<std::sync::RwLock<u64>>>()),
            ("parking_lot RwLock", run.of::<Write<parking_lot::RwLock<u64>>>()),
        ]
    }
    fn readers<'a>(run: impl Measure + 'a) -> Vec<Contender<'a>> {
        vec![
            ("weblane RwLock", run.of::<Read<RwLock<u64>>>()),
            ("std RwLock", run.of::<Read<std::sync::RwLock<u64>>>()),
            ("parking_lot RwLock", run.of::<Read<parking_lot::RwLock<u64>>>()),
        ]
    }
    let mut rows = side_by_side("lock_unlock_ns", mutexes(Alone(clock)));
    rows.extend(side_by_side("lock_contended_2_ns", mutexes(Contended(pool, clock))));
    rows.extend(side_by_side("rwlock_read_ns", readers(Alone(clock))));
    rows.extend(side_by_side("rwlock_write_ns", writers(Alone(clock))));
    rows.extend(side_by_side("rwlock_read_contended_2_ns", readers(Contended(pool, clock))));
    rows.extend(side_by_side("rwlock_write_contended_2_ns", writers(Contended(pool, clock))));
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

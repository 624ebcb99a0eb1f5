//! How a worker sleeps and is woken: two threads hand a turn back and forth.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::Thread;

use weblane_pool::ThreadPool;
use weblane_sync::{Condvar, Mutex, ThreadWord};

use crate::{Clock, Contender, Row, side_by_side};

const ROUNDS: u32 = 1000;

/// What two threads wake each other with.
trait Bell: Send + Sync + 'static {
    fn new() -> Self;
    /// Before the first turn, on the thread of this side.
    fn enter(&self, _side: usize) {}
    /// Wakes the other side.
    fn ring(&self, other: usize);
    /// Sleeps until this side is woken.
    fn wait(&self, side: usize);
}

/// Microseconds for one wake-up there and one back.
fn round_trip<B: Bell>(pool: &ThreadPool, clock: Clock) -> f64 {
    let (bell, barrier) = (Arc::new(B::new()), Arc::new(Barrier::new(2)));
    let (other_bell, other_barrier) = (Arc::clone(&bell), Arc::clone(&barrier));
    pool.spawn_detached(move || {
        other_bell.enter(1);
        other_barrier.wait();
        for _ in 0..ROUNDS {
            other_bell.wait(1);
            other_bell.ring(0);
        }
    });
    bell.enter(0);
    barrier.wait();
    let start = clock();
    for _ in 0..ROUNDS {
        bell.ring(1);
        bell.wait(0);
    }
    (clock() - start) * 1e3 / f64::from(ROUNDS)
}

struct Word([ThreadWord; 2]);

impl Bell for Word {
    fn new() -> Self {
        Word([ThreadWord::new(), ThreadWord::new()])
    }
    fn ring(&self, other: usize) {
        self.0[other].set_token();
    }
    fn wait(&self, side: usize) {
        self.0[side].park().expect("a worker may block");
    }
}

/// `std::thread::park`: the thread must have handed its handle over before, and a flag says whom a wake-up was for.
struct Park {
    threads: [std::sync::OnceLock<Thread>; 2],
    flags: [AtomicU32; 2],
}

impl Bell for Park {
    fn new() -> Self {
        Park { threads: Default::default(), flags: Default::default() }
    }
    fn enter(&self, side: usize) {
        let _ = self.threads[side].set(std::thread::current());
    }
    fn ring(&self, other: usize) {
        self.flags[other].store(1, Ordering::Release);
        if let Some(thread) = self.threads[other].get() {
            thread.unpark();
        }
    }
    fn wait(&self, side: usize) {
        while self.flags[side].swap(0, Ordering::Acquire) == 0 {
            std::thread::park();
        }
    }
}

struct Condition([(Mutex<bool>, Condvar); 2]);

impl Bell for Condition {
    fn new() -> Self {
        Condition([(Mutex::new(false), Condvar::new()), (Mutex::new(false), Condvar::new())])
    }
    fn ring(&self, other: usize) {
        *self.0[other].0.lock().expect("a worker may block") = true;
        self.0[other].1.notify_one();
    }
    fn wait(&self, side: usize) {
        let guard = self.0[side].0.lock().expect("a worker may block");
        *self.0[side].1.wait_while(guard, |rung| !*rung).expect("a worker may block") = false;
    }
}

struct StdCondition([(std::sync::Mutex<bool>, std::sync::Condvar); 2]);

impl Bell for StdCondition {
    fn new() -> Self {
        StdCondition(Default::default())
    }
    fn ring(&self, other: usize) {
        *self.0[other].0.lock().expect("not poisoned") = true;
        self.0[other].1.notify_one();
    }
    fn wait(&self, side: usize) {
        let guard = self.0[side].0.lock().expect("not poisoned");
        *self.0[side].1.wait_while(guard, |rung| !*rung).expect("not poisoned") = false;
    }
}

/// Nanoseconds to give a reason to a thread that is awake, which is what most wake-ups are.
fn vain<B: Bell>(clock: Clock) -> f64 {
    let bell = B::new();
    bell.enter(0);
    let start = clock();
    for _ in 0..100 * ROUNDS {
        bell.ring(0);
    }
    (clock() - start) * 1e6 / f64::from(100 * ROUNDS)
}

pub(crate) fn rows(pool: &ThreadPool, clock: Clock) -> Vec<Row> {
    let contenders = |measure: [Box<dyn FnMut() -> f64>; 4]| -> Vec<Contender<'static>> {
        let names = ["weblane ThreadWord", "std::thread::park", "weblane Mutex and Condvar", "std Mutex and Condvar"];
        names.into_iter().zip(measure).collect()
    };
    let [a, b, c, d] = [(); 4].map(|()| pool.clone());
    let trips = contenders([
        Box::new(move || round_trip::<Word>(&a, clock)),
        Box::new(move || round_trip::<Park>(&b, clock)),
        Box::new(move || round_trip::<Condition>(&c, clock)),
        Box::new(move || round_trip::<StdCondition>(&d, clock)),
    ]);
    let mut rows = side_by_side("wake_round_trip_us", trips);
    let vains = contenders([
        Box::new(move || vain::<Word>(clock)),
        Box::new(move || vain::<Park>(clock)),
        Box::new(move || vain::<Condition>(clock)),
        Box::new(move || vain::<StdCondition>(clock)),
    ]);
    rows.extend(side_by_side("wake_of_a_thread_that_is_awake_ns", vains));
    rows
}

//! How a worker sleeps and is woken: two threads hand a turn back and forth.

use std::marker::PhantomData;
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

/// A flag for each side, and a way to sleep on it: the least that a wake-up can be.
struct Flags<S>([AtomicU32; 2], PhantomData<S>);

/// Wait and notify on a word.
trait Sleep: Send + Sync + 'static {
    fn wait(word: &AtomicU32);
    fn notify(word: &AtomicU32);
}

impl<S: Sleep> Bell for Flags<S> {
    fn new() -> Self {
        Flags(Default::default(), PhantomData)
    }
    fn ring(&self, other: usize) {
        self.0[other].swap(1, Ordering::Release);
        S::notify(&self.0[other]);
    }
    fn wait(&self, side: usize) {
        while self.0[side].swap(0, Ordering::Acquire) == 0 {
            S::wait(&self.0[side]);
        }
    }
}

struct Futex;

impl Sleep for Futex {
    fn wait(word: &AtomicU32) {
        weblane_futex::wait(word, 0, None).expect("a worker may block");
    }
    fn notify(word: &AtomicU32) {
        weblane_futex::notify_one(word);
    }
}

/// What the target itself has, without a question whether this thread may block.
#[cfg(any(target_os = "linux", all(target_arch = "wasm32", target_feature = "atomics")))]
struct Raw;

#[cfg(target_os = "linux")]
impl Sleep for Raw {
    fn wait(word: &AtomicU32) {
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: futex(2) reads a live, aligned word; there is no time-out.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, 0, std::ptr::null::<libc::timespec>()) };
    }
    fn notify(word: &AtomicU32) {
        // SAFETY: the address is only a name.
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
impl Sleep for Raw {
    fn wait(word: &AtomicU32) {
        // SAFETY: the address is that of a live, aligned word, and the benchmark runs in workers.
        unsafe { std::arch::wasm32::memory_atomic_wait32(word.as_ptr().cast(), 0, -1) };
    }
    fn notify(word: &AtomicU32) {
        // SAFETY: as above.
        unsafe { std::arch::wasm32::memory_atomic_notify(word.as_ptr().cast(), 1) };
    }
}

/// Where there is nothing bare to compare with.
#[cfg(not(any(target_os = "linux", all(target_arch = "wasm32", target_feature = "atomics"))))]
type Raw = Futex;

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

/// Nanoseconds for the question that every blocking operation begins with.
fn can_block(clock: Clock) -> Row {
    const TIMES: u32 = 1_000_000;
    let mut ask = || {
        let start = clock();
        for _ in 0..TIMES {
            std::hint::black_box(weblane_futex::can_block());
        }
        (clock() - start) * 1e6 / f64::from(TIMES)
    };
    side_by_side("can_block_ns", vec![("weblane futex", Box::new(&mut ask))]).remove(0)
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
    let [a, b] = [(); 2].map(|()| pool.clone());
    let bare: Vec<Contender<'_>> = vec![
        ("weblane futex", Box::new(move || round_trip::<Flags<Futex>>(&a, clock))),
        ("raw atomics", Box::new(move || round_trip::<Flags<Raw>>(&b, clock))),
    ];
    rows.extend(side_by_side("futex_round_trip_us", bare));
    let bare: Vec<Contender<'_>> = vec![
        ("weblane futex", Box::new(move || vain::<Flags<Futex>>(clock))),
        ("raw atomics", Box::new(move || vain::<Flags<Raw>>(clock))),
    ];
    rows.extend(side_by_side("futex_notify_nobody_ns", bare));
    rows.push(can_block(clock));
    let vains = contenders([
        Box::new(move || vain::<Word>(clock)),
        Box::new(move || vain::<Park>(clock)),
        Box::new(move || vain::<Condition>(clock)),
        Box::new(move || vain::<StdCondition>(clock)),
    ]);
    rows.extend(side_by_side("wake_of_a_thread_that_is_awake_ns", vains));
    rows
}

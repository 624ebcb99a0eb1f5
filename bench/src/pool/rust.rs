//! Submitting, spawning, forking, waking: what needs no event loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use weblane_pool::ThreadPool;

use super::{Effort, Part, Sample, percentile};
use crate::fork::{both_calls, joining, rayon_joining, rayon_on, time};
use crate::{Clock, Pools};

/// Tasks that have run. Static, so that a bare closure captures nothing.
static DONE: AtomicU32 = AtomicU32::new(0);

/// How many tasks the measuring thread waits for.
static WANTED: AtomicU32 = AtomicU32::new(0);

fn count() {
    if DONE.fetch_add(1, Ordering::Release) + 1 == WANTED.load(Ordering::Relaxed) {
        weblane_futex::notify_one(&DONE);
    }
}

/// What an application's tasks usually share.
#[derive(Clone)]
struct Shared(Arc<AtomicU64>, Arc<Vec<u64>>);

impl Shared {
    fn new() -> Self {
        Shared(Arc::new(AtomicU64::new(0)), Arc::new(vec![1, 2, 3]))
    }

    fn task(&self) -> impl FnOnce() + Send + 'static {
        let Shared(sum, values) = self.clone();
        move || {
            sum.fetch_add(values[1], Ordering::Relaxed);
            count();
        }
    }
}

/// Waits for `tasks` tasks, asleep, so that those who run them have the cores for themselves.
fn wait_for(tasks: u32) {
    loop {
        let done = DONE.load(Ordering::Acquire);
        if done >= tasks {
            return;
        }
        // Only the last one notifies; a time-out for the case that it came before this sleep, and the word has changed since.
        let _ = weblane_futex::wait(&DONE, done, Some(Duration::from_millis(1)));
    }
}

/// Nanoseconds for each of `tasks` tasks that `start` gets going, until the last has run.
fn per_task(clock: Clock, tasks: u32, start: impl FnOnce()) -> f64 {
    WANTED.store(tasks, Ordering::Relaxed);
    DONE.store(0, Ordering::Release);
    let before = clock();
    start();
    wait_for(tasks);
    (clock() - before) * 1e6 / f64::from(tasks)
}

/// Lets the workers of the contender before go to sleep.
fn rest(milliseconds: u64) {
    let word = AtomicU32::new(0);
    let _ = weblane_futex::wait(&word, 0, Some(Duration::from_millis(milliseconds)));
}

/// Wake-ups of one contender, a tenth of a second, before it is another's turn: when the machine's mood changes, it changes for all of them alike.
const TURN: u32 = 50;

/// Microseconds from a call to its effect: `call` gets others to set the flag.
fn wake(clock: Clock, call: &dyn Fn(&'static AtomicU32)) -> f64 {
    static FLAG: AtomicU32 = AtomicU32::new(0);
    rest(2);
    FLAG.store(0, Ordering::Release);
    let before = clock();
    call(&FLAG);
    while FLAG.load(Ordering::Acquire) == 0 {
        std::hint::spin_loop();
    }
    (clock() - before) * 1e3
}

/// The median of times by a clock whose steps (5 microseconds in Chromium, 20 in Firefox) are as long as what is measured. Each time begins anywhere
/// between two steps, so what lies between them is in the shares of the values left and right of it: the median of grouped data, each value being a
/// group as wide as a step.
fn fine_median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let step = values.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 0.5).fold(f64::INFINITY, f64::min);
    let median = values[values.len() / 2];
    if !step.is_finite() {
        return median;
    }
    let below = values.iter().filter(|value| **value < median - step / 2.0).count() as f64;
    let within = values.iter().filter(|value| (**value - median).abs() <= step / 2.0).count() as f64;
    median + step * ((values.len() as f64 / 2.0 - below) / within - 0.5)
}

/// A thread of the pool `one` that sleeps on this word and answers each change: a wake-up with nothing around it.
struct Floor(Arc<AtomicU32>);

impl Floor {
    fn new(pool: &ThreadPool, answer: &'static AtomicU32) -> Floor {
        let word = Arc::new(AtomicU32::new(0));
        let inner = Arc::clone(&word);
        pool.spawn_detached(move || {
            let mut seen = 0;
            loop {
                let _ = weblane_futex::wait(&inner, seen, None);
                let now = inner.load(Ordering::Acquire);
                if now == u32::MAX {
                    return;
                }
                if now != seen {
                    seen = now;
                    answer.store(1, Ordering::Release);
                }
            }
        });
        Floor(word)
    }

    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
        weblane_futex::notify_one(&self.0);
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.0.store(u32::MAX, Ordering::Release);
        weblane_futex::notify_one(&self.0);
    }
}

/// A name, and what gets tasks going.
type Contender<'a> = (&'static str, &'a dyn Fn());

/// Turns of each contender in one round of submitting and spawning.
const TURNS: u32 = 3;

/// Calculations of each contender in one round, of which the median counts: one takes less time than a thread waits that has lost its core.
const FIBS: u32 = 5;

/// One round of something: `add` takes a metric, a contender and a figure.
type Add<'a> = dyn FnMut(&'static str, &'static str, f64) + 'a;

/// Who is measured, and how.
struct Bench<'a> {
    pools: &'a Pools,
    rayon: rayon_core::ThreadPool,
    shared: Shared,
    clock: Clock,
    effort: Effort,
}

impl Bench<'_> {
    /// Tasks from outside, and from a worker.
    fn submit(&self, add: &mut Add<'_>) {
        let Bench { pools: Pools { two: pool, .. }, rayon, shared, clock, effort: Effort { tasks, .. } } = self;
        let (clock, tasks) = (*clock, *tasks);
        let bare = || (0..tasks).for_each(|_| pool.spawn_detached(count));
        let bare_rayon = || (0..tasks).for_each(|_| rayon.spawn(count));
        let arcs = || (0..tasks).for_each(|_| pool.spawn_detached(shared.task()));
        let arcs_rayon = || (0..tasks).for_each(|_| rayon.spawn(shared.task()));
        let inside = || {
            let inner = pool.clone();
            pool.spawn_detached(move || (0..tasks).for_each(|_| inner.spawn_detached(count)));
        };
        let inside_rayon = || rayon.spawn(move || (0..tasks).for_each(|_| rayon_core::spawn(count)));
        let inside_arcs = || {
            let (inner, captured) = (pool.clone(), shared.clone());
            pool.spawn_detached(move || (0..tasks).for_each(|_| inner.spawn_detached(captured.task())));
        };
        let inside_arcs_rayon = || {
            let captured = shared.clone();
            rayon.spawn(move || (0..tasks).for_each(|_| rayon_core::spawn(captured.task())));
        };
        let contenders: [(&str, [Contender<'_>; 2]); 4] = [
            ("submit_bare_ns", [("weblane", &bare), ("rayon", &bare_rayon)]),
            ("submit_ns", [("weblane", &arcs), ("rayon", &arcs_rayon)]),
            ("spawn_bare_ns", [("weblane", &inside), ("rayon", &inside_rayon)]),
            ("spawn_ns", [("weblane", &inside_arcs), ("rayon", &inside_arcs_rayon)]),
        ];
        for (metric, pair) in contenders {
            // In turns within the round too, so that a moment in which the machine does something else is not one contender's.
            let mut sums = [0.0; 2];
            for _ in 0..TURNS {
                for ((_, start), sum) in pair.iter().zip(&mut sums) {
                    rest(5);
                    *sum += per_task(clock, tasks, start);
                }
            }
            for ((peer, _), sum) in pair.iter().zip(sums) {
                add(metric, peer, sum / f64::from(TURNS));
            }
        }
    }

    /// Fork and join.
    fn fork(&self, add: &mut Add<'_>) {
        let Bench { pools: Pools { two: pool, .. }, rayon, clock, effort, .. } = self;
        let (clock, tasks) = (*clock, effort.tasks);
        rest(5);
        let scoped = || {
            pool.scope(|scope| (0..tasks).for_each(|_| scope.spawn(|_| count()))).expect("a worker may block");
        };
        add("scope_spawn_ns", "weblane", per_task(clock, tasks, scoped));
        rest(5);
        let scoped = || rayon.scope(|scope| (0..tasks).for_each(|_| scope.spawn(|_| count())));
        add("scope_spawn_ns", "rayon", per_task(clock, tasks, scoped));
        if tasks == Effort::FULL.tasks {
            let (mut sequential, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..FIBS {
                rest(5);
                sequential.push(time(clock, both_calls));
                ours.push(pool.install(|| time(clock, joining)).unwrap_or(f64::NAN));
                rest(5);
                theirs.push(rayon.install(|| time(clock, rayon_joining)));
            }
            add("fib30_seq_ms", "floor", percentile(&mut sequential, 0.5));
            add("fib30_join_ms", "weblane", percentile(&mut ours, 0.5));
            add("fib30_join_ms", "rayon", percentile(&mut theirs, 0.5));
        }
    }

    /// Calls to those who sleep.
    fn wake(&self, add: &mut Add<'_>) {
        let Bench { pools: Pools { two: pool, one, .. }, rayon, clock, effort, .. } = self;
        let set = |flag: &'static AtomicU32| move || flag.store(1, Ordering::Release);
        let floor = std::sync::OnceLock::new();
        let contenders: [(&str, &dyn Fn(&'static AtomicU32)); 3] = [
            ("weblane", &|flag| pool.spawn_detached(set(flag))),
            ("rayon", &|flag| rayon.spawn(set(flag))),
            ("floor", &|flag| floor.get_or_init(|| Floor::new(one, flag)).ring()),
        ];
        let mut times = contenders.map(|(peer, call)| (peer, call, Vec::new()));
        for _ in 0..effort.wakes.div_ceil(TURN) {
            for (_, call, times) in &mut times {
                times.extend((0..TURN).map(|_| wake(*clock, *call)));
            }
        }
        for (peer, _, times) in &mut times {
            add("wake_p50_us", peer, fine_median(times));
            add("wake_p99_us", peer, percentile(times, 0.99));
        }
    }
}

pub(super) fn samples(pools: &Pools, clock: Clock, effort: Effort, part: Part) -> Vec<Sample> {
    let bench = Bench { pools, rayon: rayon_on(&pools.peer, 2), shared: Shared::new(), clock, effort };
    let mut found = Vec::new();
    // Two more rounds at the beginning: the engine compiles, the blocks and caches fill.
    for round in 0..effort.reps + 2 {
        let mut add = |metric, peer, value| {
            if let Some(rep) = round.checked_sub(2) {
                found.push(Sample { peer, metric, workers: 2, rep, value });
            }
        };
        if part.has(Part::Submit) {
            bench.submit(&mut add);
        }
        if part.has(Part::Fork) {
            bench.fork(&mut add);
        }
        if part.has(Part::Wake) {
            bench.wake(&mut add);
        }
    }
    found
}

//! The whole scheduler with eight workers under shuttle: at random, and by PCT, which looks for bugs of a given depth. shuttle's memory is sequentially consistent, as
//! wasm's is; a lost wake-up is a deadlock, which it reports.

use core::sync::atomic::Ordering;
use std::vec::Vec;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};
use weblane_futex::AtomicU32;

use super::world::{Arc, Pool, World, live, pool, post, thread};
use crate::fork::join::join_in;
use crate::injector::Priority;
use crate::job::{JobRef, QueuedJob};
use crate::task::Task;
use crate::worker::Worker;

const WORKERS: usize = 8;

fn explore(times: usize, check: impl Fn() + Sync + Send + Copy + 'static) {
    let config = || {
        let mut config = Config::default();
        config.stack_size = 1 << 18;
        config.max_steps = shuttle::MaxSteps::FailAfter(5_000_000);
        config.silence_warnings = true;
        config
    };
    Runner::new(RandomScheduler::new_from_seed(8, times), config()).run(check);
    Runner::new(PctScheduler::new_from_seed(8, 4, times), config()).run(check);
}

/// Something that is counted when it has run.
fn counted(ran: &Arc<AtomicU32>, run: impl FnOnce() + Send + 'static) -> Task {
    let ran = Arc::clone(ran);
    Task::new(move || {
        run();
        ran.fetch_add(1, Ordering::AcqRel);
        weblane_futex::notify_all(&ran);
    })
}

/// A task that spawns `children` tasks, each of which spawns as many again, `depth` times.
fn tree(pool: &Pool, ran: &Arc<AtomicU32>, children: usize, depth: usize) -> Task {
    let (inner, count) = (Arc::clone(pool), Arc::clone(ran));
    counted(ran, move || {
        if depth > 0 {
            (0..children).for_each(|_| inner.submit(tree(&inner, &count, children, depth - 1)));
        }
    })
}

fn fib(n: u32) -> u32 {
    if n < 2 {
        return n;
    }
    let (a, b) = join_in::<World, _, _, _, _>(|| fib(n - 1), || fib(n - 2));
    a + b
}

fn wait_for(count: &AtomicU32, expected: u32) {
    loop {
        let now = count.load(Ordering::Acquire);
        if now == expected {
            return;
        }
        let _ = weblane_futex::wait(count, now, None);
    }
}

fn start(pool: &Pool, workers: core::ops::Range<usize>) -> Vec<thread::JoinHandle<u32>> {
    workers
        .map(|me| {
            let pool = Arc::clone(pool);
            thread::spawn(move || live(&pool, me))
        })
        .collect()
}

/// Trees of tasks from two producers, overflowing rings, messages, every level of priority, and forks; then the end, which everybody comes to.
fn storm() {
    let (pool, ran) = (pool(WORKERS), Arc::new(AtomicU32::new(0)));
    let workers = start(&pool, 0..WORKERS);
    let producers: Vec<_> = (0..2)
        .map(|number| {
            let (pool, ran) = (Arc::clone(&pool), Arc::clone(&ran));
            thread::spawn(move || {
                pool.submit(tree(&pool, &ran, 6, 1));
                for worker in [number, number + 4] {
                    post(&pool, worker);
                }
                assert!(pool.submit_at(Priority::High, tree(&pool, &ran, 1, 2)).is_ok());
                assert!(pool.submit_at(Priority::Background, counted(&ran, || assert_eq!(fib(5), 5))).is_ok());
            })
        })
        .collect();
    for producer in producers {
        producer.join().unwrap();
    }
    wait_for(&ran, 2 * (7 + 3 + 1));
    pool.close(false);
    let handled: u32 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert!(handled <= 4);
    assert!(pool.ended().is_set());
}

#[test]
fn eight_workers_in_a_storm() {
    explore(300, storm);
}

/// Tasks that are awaited by those who spawned them, inside the pool.
fn joined() {
    let (pool, ran) = (pool(WORKERS), Arc::new(AtomicU32::new(0)));
    let workers = start(&pool, 0..WORKERS);
    for _ in 0..4 {
        let inner = Arc::clone(&pool);
        pool.submit(counted(&ran, move || {
            let handles: Vec<_> = (0..3)
                .map(|i| {
                    let (queued, waiting) = JobRef::new::<World, _, _>(move || i);
                    let queued = QueuedJob::<World>::new(queued);
                    inner.submit(Task::new(move || queued.run()));
                    crate::handle::Handle::<u32, World>::new(waiting)
                })
                .collect();
            let sum: u32 = handles.into_iter().filter_map(|mut handle| handle.join(None)?.ok()).sum();
            assert_eq!(sum, 3);
        }));
    }
    wait_for(&ran, 4);
    pool.close(false);
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn eight_workers_that_join() {
    explore(300, joined);
}

/// Races 14 to 16: one of the eight dies with a batch that it has just taken, in its ring and on its stack; the reaper comes at some time. Everything else is run once, and the
/// pool, which was closed meanwhile, ends.
fn death() {
    let (pool, ran) = (pool(WORKERS), Arc::new(AtomicU32::new(0)));
    let workers = start(&pool, 1..WORKERS);
    let dead = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            let mut worker = Worker::new(&pool, 0);
            let task = worker.pop_injector(Priority::Normal).or_else(|| worker.steal());
            task.map(core::mem::forget).is_some()
        })
    };
    for _ in 0..3 {
        pool.submit(tree(&pool, &ran, 5, 1));
    }
    let reaper = {
        let pool = Arc::clone(&pool);
        thread::spawn(move || {
            let carried = dead.join().unwrap();
            pool.bury(0);
            carried
        })
    };
    pool.close(false);
    for worker in workers {
        worker.join().unwrap();
    }
    let carried = reaper.join().unwrap();
    assert!(pool.ended().is_set());
    let ran = ran.load(Ordering::Acquire);
    // It carried a tree, or one task of one.
    assert!(if carried { ran == 12 || ran == 17 } else { ran == 18 }, "{ran}, {carried}");
}

#[test]
fn eight_workers_one_of_whom_dies() {
    explore(300, death);
}

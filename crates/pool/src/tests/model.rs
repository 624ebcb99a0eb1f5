//! loom models of the real scheduler: every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions (2 unless set).
//!
//! The host of a model has two workers, which are loom threads, and an "event loop" that handles messages by counting them
//! down. Each model's name tells the races of the catalogue that it covers; a table of mutants and of the models that kill them
//! stands in this crate's README.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;
use weblane_sync::ThreadWord;

use crate::handle::{Handle, JoinError};
use crate::host::{Host, Lane, Payload, Seat};
use crate::job::{JobRef, QueuedJob};
use crate::scheduler::{Core, Leave};
use crate::task::Task;

pub(crate) struct ModelHost {
    threads: Vec<(ThreadWord, Lane)>,
}

loom::thread_local! {
    static SEAT: Cell<Option<Seat<ModelHost>>> = Cell::new(None);
}

impl Host for ModelHost {
    threads_of_tests!();
}

pub(super) type Pool = Arc<Core<ModelHost>>;

/// A pool whose tasks do not fork: its workers do not look into the windows, so there is much less to explore.
pub(super) fn pool(workers: usize) -> Pool {
    pool_of(workers, || {
        let mut lane = Lane::new();
        lane.window.never_used();
        lane
    })
}

/// A pool whose tasks fork.
pub(super) fn pool_that_forks(workers: usize) -> Pool {
    pool_of(workers, Lane::new)
}

fn pool_of(workers: usize, lane: impl Fn() -> Lane) -> Pool {
    let host = ModelHost { threads: (0..workers).map(|_| (ThreadWord::new(), lane())).collect() };
    // See `injector::coarse`.
    Arc::new(if workers == 1 { Core::new(host) } else { Core::coarse(host) })
}

/// Runs `task` as if worker `me` had taken it from a queue, without the loop around it.
pub(super) fn as_seat<R>(core: &Core<ModelHost>, me: usize, task: impl FnOnce() -> R) -> R {
    let before = ModelHost::set_seat(Some(Seat { core, worker: me }));
    let result = task();
    ModelHost::set_seat(before);
    result
}

/// A worker thread with its event loop: comes back to the loop when the messages are handled. Returns how many it handled.
pub(super) fn start(pool: &Pool, worker: usize) -> thread::JoinHandle<u32> {
    start_with_handler(pool, worker, || ())
}

/// The same, with something that every message's handler does.
fn start_with_handler(pool: &Pool, worker: usize, handler: impl Fn() + Send + 'static) -> thread::JoinHandle<u32> {
    let pool = Arc::clone(pool);
    thread::spawn(move || {
        let mut handled = 0;
        loop {
            match pool.run(worker) {
                Leave::Stop => return handled,
                Leave::Again => unreachable!("a model's workers may sleep"),
                Leave::Messages => {
                    // The message's handler: it was posted before it was counted, so it is there.
                    handled += 1;
                    handler();
                    pool.host().word(worker).message_done();
                }
            }
        }
    })
}

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
pub(crate) fn model(check: impl Fn() + Sync + Send + 'static) {
    explore(0, check);
}

/// The same with one preemption less: for models with two workers, which have many more steps. (A worker that goes to sleep is no
/// preemption, so that one more already crosses every step of one worker with every step of the others.)
pub(super) fn model_of_two_workers(check: impl Fn() + Sync + Send + 'static) {
    explore(1, check);
}

fn explore(fewer: usize, check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2) - fewer);
    builder.max_branches = 20_000;
    builder.check(move || {
        weblane_sync::begin_model();
        check();
    });
}

/// Sleeps until `count` is `expected`, so that the models' submitters do not close the pool before their tasks have run: closing wakes
/// everybody, and would hide a lost wake-up. A lost one is then a deadlock, which loom reports.
pub(super) fn wait_for(count: &AtomicU32, expected: u32) {
    loop {
        let now = count.load(Ordering::Acquire);
        if now == expected {
            return;
        }
        let _ = weblane_futex::wait(count, now, None);
    }
}

pub(super) fn counter() -> (Arc<AtomicU32>, impl Fn() -> Task) {
    let count = Arc::new(AtomicU32::new(0));
    let shared = Arc::clone(&count);
    let task = move || {
        let count = Arc::clone(&shared);
        Task::new(move || {
            count.fetch_add(1, Ordering::Release);
            weblane_futex::notify_all(&count);
        })
    };
    (count, task)
}

/// Races 1, 12, 13, 32: a task that is pushed while the only worker goes to sleep.
#[test]
fn park_vs_push() {
    model(|| {
        let pool = pool(1);
        let (count, task) = counter();
        let worker = start(&pool, 0);
        pool.submit(task());
        pool.close(false);
        worker.join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}

/// Race 1 without the help of a STOP: the submitter waits for the task before it closes, so a lost wake-up is a deadlock, which
/// loom reports.
#[test]
fn park_vs_push_then_wait() {
    model(|| {
        let pool = pool(1);
        let worker = start(&pool, 0);
        let (queued, waiting) = JobRef::new::<ModelHost, _, _>(|| 7);
        let queued = QueuedJob::<ModelHost>::new(queued);
        pool.submit(Task::new(move || queued.run()));
        // The waiter must not claim the task himself here, so he sleeps on the word without trying.
        let header = waiting.header();
        while !header.state().done() {
            if let Some(value) = header.announce_sleeper() {
                let _ = weblane_futex::wait(header.word(), value, None);
            }
        }
        drop(waiting);
        pool.close(false);
        worker.join().unwrap();
    });
}

/// Races 2, 3: a message that is counted while the worker goes to sleep; it must come out for it.
#[test]
fn park_vs_js() {
    model(|| {
        let pool = pool(1);
        let worker = start(&pool, 0);
        pool.host().word(0).message_posted();
        pool.close(false);
        let handled = worker.join().unwrap();
        // STOP may have ended the loop first; then the event loop itself delivers the message.
        assert!(handled <= 1);
    });
}

/// Races 2, 8, 9, 24: a message and a task for two sleeping workers. The message's handler takes as long as the task: if the worker
/// that was woken for the task leaves for the message and does not hand the task on (M2), both wait for ever.
#[test]
fn js_and_push_together() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let inner = Arc::clone(&count);
        let workers = [start_with_handler(&pool, 0, move || wait_for(&inner, 1)), start(&pool, 1)];
        pool.host().word(0).message_posted();
        pool.submit(task());
        wait_for(&count, 1);
        pool.close(false);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// Race 8 from the state in which it matters: worker 0, which this thread plays, has announced sleep; it gets a message, and is claimed for
/// a task. It must leave for the message and give the task to the other worker (M2), and must not stay marked as a searcher while
/// it is away, or the next task wakes nobody (M14).
#[test]
fn claimed_then_leaves() {
    model(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let other = start(&pool, 1);
        let left = pool.run_woken(0, || {
            pool.host().word(0).message_posted();
            pool.submit(task());
        });
        assert_eq!(left, Leave::Messages);
        // The message's handler waits for both tasks.
        wait_for(&count, 1);
        pool.submit(task());
        wait_for(&count, 2);
        pool.close(false);
        // Back from the event loop; the last one to sleep ends the pool.
        pool.host().word(0).message_done();
        assert_eq!(pool.run(0), Leave::Stop);
        other.join().unwrap();
    });
}

/// Races 10, 11, 32: two tasks for two sleeping workers, and the first needs the second. The second push sees a searcher, worker 0, which this
/// thread plays, and wakes nobody. That searcher takes the first task, and must chain (M5), or both wait for ever.
#[test]
fn last_searcher_chains() {
    model(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let other = start(&pool, 1);
        let left = pool.run_woken(0, || {
            let (core, inner) = (Arc::clone(&pool), Arc::clone(&count));
            pool.submit(Task::new(move || {
                wait_for(&inner, 1);
                core.close(false);
            }));
            pool.submit(task());
        });
        assert_eq!(left, Leave::Stop);
        other.join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}

/// Race 8: one worker, woken for a task at the moment a message comes for it: the task is run after the message, not lost.
#[test]
fn leave_with_token() {
    model(|| {
        let pool = pool(1);
        let worker = start(&pool, 0);
        let (count, task) = counter();
        let submitter = {
            let pool = Arc::clone(&pool);
            let task = task();
            thread::spawn(move || pool.submit(task))
        };
        pool.host().word(0).message_posted();
        wait_for(&count, 1);
        submitter.join().unwrap();
        pool.close(false);
        worker.join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}

/// Races 10, 11, 24: a task that spawns another and then waits for it to be run by the **other** worker. If the chain of wake-ups
/// breaks, nobody runs it and loom reports a deadlock.
#[test]
fn chain_of_two() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let workers = [start(&pool, 0), start(&pool, 1)];
        let flag = Arc::new(AtomicU32::new(0));
        let first = {
            let (flag, core) = (Arc::clone(&flag), Arc::clone(&pool));
            Task::new(move || {
                let flag_of_child = Arc::clone(&flag);
                core.submit(Task::new(move || {
                    flag_of_child.swap(1, Ordering::Release);
                    weblane_futex::notify_all(&flag_of_child);
                }));
                // Blocks this worker until the child has run somewhere else.
                while flag.load(Ordering::Acquire) == 0 {
                    let _ = weblane_futex::wait(&flag, 0, None);
                }
            })
        };
        pool.submit(first);
        wait_for(&flag, 1);
        pool.close(false);
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(flag.load(Ordering::Relaxed), 1);
    });
}

/// Races 20, 40: a handle claims a task that is still queued while the worker pops it; it runs once, and its value arrives.
#[test]
fn join_claim_vs_pop() {
    model(|| {
        let pool = pool(1);
        let runs = Arc::new(AtomicU32::new(0));
        let worker = start(&pool, 0);
        let (queued, waiting) = JobRef::new::<ModelHost, _, _>({
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::Relaxed);
                Box::new(11)
            }
        });
        let queued = QueuedJob::<ModelHost>::new(queued);
        pool.submit(Task::new(move || queued.run()));
        let mut handle = Handle::<Box<i32>, ModelHost>::new(waiting);
        assert!(matches!(handle.join(None), Some(Ok(value)) if *value == 11));
        assert!(matches!(handle.join(None), Some(Err(JoinError::Taken))));
        pool.close(false);
        worker.join().unwrap();
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

/// Race 40: completing, waking a future and dropping its handle, in every order; and a waker that is replaced on the way.
#[test]
fn future_vs_completion() {
    model(|| {
        let (queued, waiting) = JobRef::new::<ModelHost, _, _>(|| Box::new(3));
        let runner = thread::spawn(move || queued.run_if_queued(0));
        let value = loom::future::block_on(Handle::<Box<i32>, ModelHost>::new(waiting));
        assert!(matches!(value, Ok(value) if *value == 3));
        runner.join().unwrap();
    });
}

/// Race 40: the handle goes while the task completes; the value is dropped once (loom's `Arc` counts).
#[test]
fn dropped_handle_vs_completion() {
    model(|| {
        let value = Arc::new(());
        let (queued, waiting) = JobRef::new::<ModelHost, _, _>({
            let value = Arc::clone(&value);
            move || value
        });
        let runner = thread::spawn(move || queued.run_if_queued(0));
        drop(Handle::<Arc<()>, ModelHost>::new(waiting));
        runner.join().unwrap();
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

/// Cancelling while the task begins, runs, or ends: it is dropped and says so, or its value comes. (The request is a change of the word that says that the
/// task is done.)
#[test]
fn cancel_vs_run() {
    model(|| {
        let (queued, waiting) = JobRef::new::<ModelHost, _, _>(|| Box::new(5));
        let runner = thread::spawn(move || queued.run_if_queued(0));
        let mut handle = Handle::<Box<i32>, ModelHost>::new(waiting);
        let dropped = handle.cancel();
        match handle.join(None).expect("no time-out") {
            Ok(value) => assert!(!dropped && *value == 5),
            Err(error) => assert!(dropped && matches!(error, JoinError::Cancelled)),
        }
        runner.join().unwrap();
    });
}

/// A task that is dropped unrun, while somebody waits for it, says so.
#[test]
fn cancelled_vs_join() {
    model(|| {
        let (queued, waiting) = JobRef::new::<ModelHost, _, _>(|| Box::new(5));
        let queued = QueuedJob::<ModelHost>::new(queued);
        let dropper = thread::spawn(move || {
            drop(queued);
        });
        let mut handle = Handle::<Box<i32>, ModelHost>::new(waiting);
        match handle.join(None).expect("no time-out") {
            Ok(value) => assert_eq!(*value, 5, "the handle claimed it first"),
            Err(error) => assert!(matches!(error, JoinError::Cancelled)),
        }
        dropper.join().unwrap();
    });
}

/// What a second look has seen is looked for, also when half of the workers search already: one of these may have been stopped, or be dead. (Otherwise this
/// spins, which loom reports.)
#[test]
fn race_10_what_was_seen_is_looked_for() {
    model(|| {
        let pool = pool(2);
        let core = Arc::clone(&pool);
        let task = Task::new(move || {
            core.host().word(0).message_posted();
        });
        // SAFETY: no other thread is here, so this one is worker 1 for a moment.
        assert!(unsafe { pool.host().lane(1).ring.owner() }.push(task).is_ok());
        pool.idle.start_search(1);
        assert_eq!(pool.run(0), Leave::Messages);
    });
}

/// Race 28: while a task runs in a closed pool nobody has left, and what it spawns can be run by others.
#[test]
fn race_28_nobody_leaves_while_a_task_runs() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let other = start(&pool, 1);
        let (core, inner, child) = (Arc::clone(&pool), Arc::clone(&count), task());
        pool.submit(Task::new(move || {
            core.close(false);
            core.submit(child);
            wait_for(&inner, 1);
        }));
        assert_eq!(pool.run(0), Leave::Stop);
        other.join().unwrap();
    });
}

/// Races 28 (in part), 29: STOP while the worker is out in its event loop; and tasks queued before closing all run.
#[test]
fn close_while_out() {
    model(|| {
        let pool = pool(1);
        let (count, task) = counter();
        pool.host().word(0).message_posted();
        let worker = start(&pool, 0);
        pool.submit(task());
        pool.close(false);
        assert_eq!(worker.join().unwrap(), 1);
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}

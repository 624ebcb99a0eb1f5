//! loom models of tasks that change places while somebody else wants them, and of workers that die: of the real rings, words and workers.
//!
//! A worker that dies is a thread that stops in the middle. What it had on its stack is not run, and put aside until the model ends (loom counts references). The
//! reaper comes when the thread has ended, as the manager sees to it.

use core::sync::atomic::Ordering;

use alloc::vec::Vec;
use loom::sync::Arc;
use loom::thread;

use super::model::{ModelHost, Pool, as_seat, counter, model, model_of_two_workers, pool, start, wait_for};
use crate::host::RING;
use crate::injector::Priority;
use crate::scheduler::{Core, Leave};
use crate::task::Task;
use crate::worker::Worker;

/// Tasks that count how often each of them ran.
fn flags(count: usize) -> (Arc<Vec<weblane_futex::AtomicU32>>, impl Fn(usize) -> Task) {
    let flags: Arc<Vec<_>> = Arc::new((0..count).map(|_| weblane_futex::AtomicU32::new(0)).collect());
    let shared = Arc::clone(&flags);
    let task = move |index: usize| {
        let flags = Arc::clone(&shared);
        Task::new(move || {
            flags[index].fetch_add(1, Ordering::Relaxed);
        })
    };
    (flags, task)
}

fn ran(flags: &[weblane_futex::AtomicU32]) -> Vec<u32> {
    flags.iter().map(|flag| flag.load(Ordering::Relaxed)).collect()
}

/// Fills the ring of worker `me`, whom this thread plays.
fn fill(core: &Core<ModelHost>, me: usize, tasks: impl Iterator<Item = Task>) {
    as_seat(core, me, || tasks.for_each(|task| core.submit(task)));
}

/// Runs one task, if `take` has one, as worker `me`.
fn take_one(pool: &Pool, me: usize, take: impl FnOnce(&mut Worker<'_, ModelHost>) -> Option<Task>) {
    if let Some(task) = take(&mut Worker::new(pool, me)) {
        task.run();
    }
}

/// Race 24: the owner's pop of its last task and a theft of it: one of both has it.
#[test]
fn steal_vs_pop_last() {
    model(|| {
        let pool = pool(2);
        let (flags, task) = flags(1);
        fill(&pool, 0, [task(0)].into_iter());
        let thief = Arc::clone(&pool);
        let thief = thread::spawn(move || take_one(&thief, 1, |worker| worker.steal()));
        take_one(&pool, 0, |worker| worker.pop_own());
        thief.join().unwrap();
        assert_eq!(ran(&flags), [1]);
    });
}

/// Races 25, 32: the owner pushes into its full ring and gives half of it away, while a thief takes half of it. Each task runs once.
#[test]
fn overflow_vs_steal() {
    model(|| {
        let pool = pool(2);
        let (flags, task) = flags(RING + 1);
        fill(&pool, 0, (0..RING).map(&task));
        let other = Arc::clone(&pool);
        let thief = thread::spawn(move || {
            take_one(&other, 1, |worker| worker.steal());
            let mut worker = Worker::new(&other, 1);
            while let Some(task) = worker.pop_own() {
                task.run();
            }
        });
        fill(&pool, 0, [task(RING)].into_iter());
        thief.join().unwrap();
        let mut worker = Worker::new(&pool, 0);
        while let Some(task) = worker.pop_own().or_else(|| worker.pop_injector(Priority::Normal)) {
            task.run();
        }
        assert_eq!(ran(&flags), [1; RING + 1]);
    });
}

/// Race 28: a task from outside against closing, with a worker that may fall asleep, or stop, in between: it is refused, or it has run when the pool has
/// ended.
#[test]
fn close_vs_submit() {
    model(|| {
        let pool = pool(1);
        let (count, task) = counter();
        let worker = start(&pool, 0);
        let submitter = {
            let (pool, task) = (Arc::clone(&pool), task());
            thread::spawn(move || pool.submit_at(Priority::Normal, task).is_ok())
        };
        pool.close(false);
        let accepted = submitter.join().unwrap();
        worker.join().unwrap();
        assert_eq!(count.load(Ordering::Acquire), u32::from(accepted));
    });
}

/// Race 14: worker 0 is claimed for a task, searches, and dies. A task that came meanwhile saw a searcher and woke nobody. The reaper takes the
/// searcher's bit back, and then calls the others, so both tasks are run by worker 1, however long it has been asleep; and the pool ends without worker 0.
#[test]
fn reap_searcher() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let other = start(&pool, 1);
        let dead = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.search_and_die(0))
        };
        pool.submit(task());
        dead.join().unwrap();
        pool.submit(task());
        pool.bury(0);
        assert_eq!(pool.idle.load().searchers() & 1, 0, "the dead search no more");
        wait_for(&count, 2);
        pool.close(false);
        other.join().unwrap();
        pool.left(1);
        assert!(pool.ended().is_set(), "the dead one has left for good");
    });
}

/// The same, with a worker that dies as a waker: it has claimed worker 1, and has not called it. (The state in which it matters: worker 1 asleep, and a searcher
/// by that claim.)
#[test]
fn reap_waker() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let other = start(&pool, 1);
        let dead = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.idle.claim().is_some())
        };
        dead.join().unwrap();
        pool.submit(task());
        pool.bury(0);
        wait_for(&count, 1);
        pool.close(false);
        other.join().unwrap();
        pool.left(1);
        assert!(pool.ended().is_set());
    });
}

/// Races 28, 32: a batch on its way from the shared queue to a ring is in no queue. The pool is closed meanwhile, and everybody else sleeps: it is not done
/// before the batch is; and the carrier's first task needs the second one to be run by somebody else, so he must tell (M8).
#[test]
fn batch_in_transit() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (count, task) = counter();
        let inner = Arc::clone(&count);
        pool.submit(Task::new(move || wait_for(&inner, 1)));
        pool.submit(task());
        let other = Arc::clone(&pool);
        let other = thread::spawn(move || {
            other.close(false);
            assert_eq!(other.run(1), Leave::Stop);
        });
        let mut carrier = Worker::new(&pool, 0);
        if let Some(first) = carrier.pop_injector(Priority::Normal) {
            assert!(!pool.stopped(), "a task is on its way, and the pool is said to be done");
            as_seat(&pool, 0, || first.run());
        }
        assert_eq!(pool.run(0), Leave::Stop);
        other.join().unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
    });
}

/// Race 16: worker 0 dies with a batch from the shared queue: the first task is on its stack and is lost with it, the second one is in its ring and is run by somebody
/// else, once. The pool, closed meanwhile, is not done before the reaper has come, and then it is.
#[test]
fn batch_in_transit_of_the_dead() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (flags, task) = flags(3);
        (0..3).for_each(|index| pool.submit(task(index)));
        let dead = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || Worker::new(&pool, 0).pop_injector(Priority::Normal))
        };
        let other = start(&pool, 1);
        pool.close(false);
        let carried = dead.join().unwrap();
        assert!(!pool.stopped(), "a worker is dead and not buried, and the pool is said to be done");
        pool.bury(0);
        other.join().unwrap();
        pool.left(1);
        assert!(pool.ended().is_set());
        let ran = ran(&flags);
        assert!(ran.iter().all(|times| *times <= 1), "{ran:?}");
        assert_eq!(ran.iter().sum::<u32>(), 3 - u32::from(carried.is_some()), "{ran:?}");
    });
}

/// The same for a theft: worker 0 has taken half of worker 1's ring into its own, and dies.
#[test]
fn batch_in_transit_of_a_dead_thief() {
    model_of_two_workers(|| {
        let pool = pool(2);
        let (flags, task) = flags(3);
        fill(&pool, 1, (0..3).map(&task));
        let dead = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || Worker::new(&pool, 0).steal())
        };
        let other = start(&pool, 1);
        pool.close(false);
        let carried = dead.join().unwrap();
        assert!(!pool.stopped(), "a worker is dead and not buried, and the pool is said to be done");
        pool.bury(0);
        other.join().unwrap();
        pool.left(1);
        assert!(pool.ended().is_set());
        let ran = ran(&flags);
        assert!(ran.iter().all(|times| *times <= 1), "{ran:?}");
        assert_eq!(ran.iter().sum::<u32>(), 3 - u32::from(carried.is_some()), "{ran:?}");
    });
}

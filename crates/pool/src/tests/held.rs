//! loom models of workers that rest in an event loop instead of sleeping (`held`). The host's event loop is a word: `Host::call` adds one
//! to it, and the worker waits for it to move on from the value that it read before its slice, as the manager does with
//! `Atomics.waitAsync`.

use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;
use weblane_sync::ThreadWord;

use super::model::{counter, model, wait_for};
use crate::held::{Held, SliceEnd};
use crate::host::{Host, Lane, Payload, Seat};
use crate::scheduler::Core;

struct RestingHost {
    threads: Vec<(ThreadWord, Lane, AtomicU32)>,
}

loom::thread_local! {
    static SEAT: Cell<Option<Seat<RestingHost>>> = Cell::new(None);
}

impl Host for RestingHost {
    threads_of_tests!();

    fn call(&self, worker: usize) {
        self.threads[worker].2.fetch_add(1, Ordering::SeqCst);
        weblane_futex::notify_all(&self.threads[worker].2);
    }
}

type Pool = Arc<Core<RestingHost>>;

fn pool(workers: usize) -> Pool {
    let thread = |_| (ThreadWord::new(), Lane::new(), AtomicU32::new(0));
    Arc::new(Core::new(RestingHost { threads: (0..workers).map(thread).collect() }))
}

/// A held worker: slices, and rests between them. Stops when the pool is closed.
fn start_held(pool: &Pool, worker: usize) -> thread::JoinHandle<()> {
    let pool = Arc::clone(pool);
    thread::spawn(move || {
        loop {
            let call = &pool.host().threads[worker].2;
            let seen = call.load(Ordering::SeqCst);
            match pool.run_slice(worker, false, &mut || true) {
                SliceEnd::Stop => return,
                SliceEnd::Rest => {
                    let _ = weblane_futex::wait(call, seen, None);
                }
                SliceEnd::Messages | SliceEnd::Spent => unreachable!("no messages here, and slices without end"),
            }
        }
    })
}

/// Races 1 and 46 for a worker that rests: a task is pushed while it is about to.
#[test]
fn rest_vs_push() {
    model(|| {
        let pool = pool(1);
        let (count, task) = counter();
        let worker = start_held(&pool, 0);
        pool.submit(task());
        wait_for(&count, 1);
        pool.close(false);
        worker.join().unwrap();
    });
}

/// Two wakers call two workers that rest, not one of them twice.
#[test]
fn race_46_two_wakers_call_two() {
    model(|| {
        let held = Arc::new(Held::new());
        held.announce(0);
        held.announce(1);
        let other = {
            let held = Arc::clone(&held);
            thread::spawn(move || held.claim())
        };
        let mine = held.claim();
        let both = [mine, other.join().unwrap()];
        assert!(both == [Some(0), Some(1)] || both == [Some(1), Some(0)], "{both:?}");
    });
}

/// Races 28 and 29: the pool is closed while the worker is about to rest, with a task in the queue.
#[test]
fn rest_vs_close() {
    model(|| {
        let pool = pool(1);
        let (count, task) = counter();
        let worker = start_held(&pool, 0);
        pool.submit(task());
        pool.close(false);
        worker.join().unwrap();
        assert_eq!(count.load(Ordering::Acquire), 1);
    });
}

/// Races 14 to 16, 28: what the death of worker 1 leaves, and the reaper settles. One thread is here; it plays them all.
#[test]
fn race_14_what_a_death_leaves_is_settled() {
    // As a sleeper, and as one that rests.
    model(|| {
        let pool = pool(2);
        pool.idle.announce_sleep(1, false);
        pool.held.announce(1);
        let calls = pool.host().threads[0].2.load(Ordering::SeqCst);
        pool.bury(1);
        assert_eq!((pool.idle.load().sleepers(), pool.held.load()), (0, 0));
        // Worker 0 may rest, and the dead have taken its bit and not called it.
        assert_eq!(pool.host().threads[0].2.load(Ordering::SeqCst), calls + 1);
        assert!(pool.host().word(0).load().token());
    });
    // Nothing, if it had left before.
    model(|| {
        let pool = pool(2);
        pool.left(1);
        let calls = pool.host().threads[0].2.load(Ordering::SeqCst);
        pool.bury(1);
        assert_eq!(pool.host().threads[0].2.load(Ordering::SeqCst), calls);
        assert!(!pool.host().word(0).load().token());
    });
    // As a producer, with a task behind the place that it has claimed.
    model(|| {
        let pool = pool(2);
        let (_, task) = counter();
        pool.injector.claim_and_die();
        pool.submit(task());
        assert!(!pool.anything_queued());
        pool.bury(1);
        assert!(pool.anything_queued());
    });
    // As the only one that was awake in a closed pool; and with a task in its ring.
    for queued in [false, true] {
        model(move || {
            let pool = pool(2);
            let (_, task) = counter();
            if queued {
                // SAFETY: no other thread is here, so this one is worker 1 for a moment.
                assert!(unsafe { pool.host().lane(1).ring.owner() }.push(task()).is_ok());
            }
            pool.idle.announce_sleep(0, false);
            pool.close(false);
            assert!(!pool.host().word(0).load().stop());
            pool.bury(1);
            assert_eq!(pool.host().word(0).load().stop(), !queued);
        });
    }
}

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
use crate::held::SliceEnd;
use crate::host::{Host, Lane, Payload, Seat};
use crate::scheduler::Core;

struct RestingHost {
    threads: Vec<(ThreadWord, Lane, AtomicU32)>,
}

loom::thread_local! {
    static SEAT: Cell<Option<Seat<RestingHost>>> = Cell::new(None);
}

impl Host for RestingHost {
    fn workers(&self) -> usize {
        self.threads.len()
    }

    fn word(&self, worker: usize) -> &ThreadWord {
        &self.threads[worker].0
    }

    fn lane(&self, worker: usize) -> &Lane {
        &self.threads[worker].1
    }

    fn seat() -> Option<Seat<Self>> {
        SEAT.with(Cell::get)
    }

    fn set_seat(seat: Option<Seat<Self>>) -> Option<Seat<Self>> {
        SEAT.with(|cell| cell.replace(seat))
    }

    fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload> {
        Ok(run())
    }

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

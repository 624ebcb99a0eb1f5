//! The pool on native threads: the same core, for programs that run in both worlds, for tests and for comparison.

use std::boxed::Box;
use std::cell::Cell;
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

use weblane_sync::ThreadWord;

use crate::ThreadPool;
use crate::front::WorkerStats;
use crate::host::{Host, Lane, Payload, Seat};
use crate::idle::MAX_POOL;
use crate::scheduler::{Core, Leave};

/// The host of this target.
pub(crate) type Here = NativeHost;

/// A native worker is known by its number, from 1.
pub(crate) type ThreadName = usize;

/// Words and lanes of one pool's threads.
pub(crate) struct NativeHost {
    threads: Box<[(ThreadWord, Lane)]>,
}

thread_local! {
    static SEAT: Cell<Option<Seat<NativeHost>>> = const { Cell::new(None) };
}

impl NativeHost {
    pub(crate) fn new(threads: usize) -> NativeHost {
        NativeHost { threads: (0..threads).map(|_| (ThreadWord::new(), Lane::new())).collect() }
    }
}

impl Host for NativeHost {
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
        SEAT.get()
    }

    fn set_seat(seat: Option<Seat<Self>>) -> Option<Seat<Self>> {
        SEAT.replace(seat)
    }

    fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload> {
        // Unwind safety: the closure is consumed, and its panic goes to whoever waits for it.
        catch_unwind(AssertUnwindSafe(run))
    }
}

pub(crate) fn stats(host: &NativeHost) -> Vec<WorkerStats> {
    let read = |(index, (_, lane)): (usize, &(ThreadWord, Lane))| {
        let (run, stolen, slept, js) = lane.counters.read();
        WorkerStats { thread: index + 1, run, stolen, slept, js }
    };
    host.threads.iter().enumerate().map(read).collect()
}

/// What the handles of one pool share. Its end closes the pool.
pub(crate) struct Owner {
    core: Arc<Core<NativeHost>>,
}

impl Owner {
    pub(crate) fn core(&self) -> &Core<NativeHost> {
        &self.core
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl ThreadPool {
    /// A pool of `threads` native threads, 1 to 32.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number outside these bounds; otherwise what the operating system says when it refuses a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = weblane_pool::ThreadPool::with_threads(4)?;
    /// let squares: Vec<_> = (0..10_u64).map(|i| pool.spawn(move || i * i)).collect();
    /// let sum: u64 = squares.into_iter().map(|mut square| square.join().expect("no panic")).sum();
    /// assert_eq!(sum, 285);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn with_threads(threads: usize) -> std::io::Result<ThreadPool> {
        if threads == 0 || threads > MAX_POOL {
            let text = format!("a pool of {threads} threads was asked for; it can have 1 to {MAX_POOL}");
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        let core = Arc::new(Core::new(NativeHost::new(threads)));
        // Made first: if a thread is refused, its end stops the ones before.
        let pool = ThreadPool { owner: Arc::new(Owner { core: Arc::clone(&core) }) };
        for worker in 0..threads {
            let core = Arc::clone(&core);
            std::thread::Builder::new().name(format!("weblane {}", worker + 1)).spawn(move || {
                while core.run(worker) != Leave::Stop {
                    // Native threads have no event loop and get no messages.
                    std::thread::yield_now();
                }
            })?;
        }
        Ok(pool)
    }
}

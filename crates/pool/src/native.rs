//! The pool on native threads: the same core, for programs that run in both worlds, for tests and for comparison.

use std::boxed::Box;
use std::cell::Cell;
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread_local;
use std::time::{Duration, Instant};

use weblane_sync::ThreadWord;

use crate::ThreadPool;
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
    /// The runner's number of the first of them; the others follow.
    first_runner: u32,
}

thread_local! {
    static SEAT: Cell<Option<Seat<NativeHost>>> = const { Cell::new(None) };
    static RUNNER: Cell<u32> = const { Cell::new(0) };
}

/// Numbers for the threads of all pools, 1 to 65535, given out in turn. After so many they come again; they only tell threads apart for the
/// detection of circles.
static RUNNERS: AtomicU32 = AtomicU32::new(0);

impl NativeHost {
    pub(crate) fn new(threads: usize) -> NativeHost {
        let numbers = u16::MAX as u32 - MAX_POOL as u32;
        let first_runner = RUNNERS.fetch_add(threads as u32, Ordering::Relaxed) % numbers + 1;
        NativeHost { threads: (0..threads).map(|_| (ThreadWord::new(), Lane::new())).collect(), first_runner }
    }

    pub(crate) fn name(&self, worker: usize) -> ThreadName {
        worker + 1
    }

    /// Makes the calling thread the worker that it is.
    fn move_in(&self, worker: usize) {
        RUNNER.set(self.first_runner + worker as u32);
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

    fn runner() -> u32 {
        RUNNER.get()
    }

    fn worker_of(&self, runner: u32) -> Option<usize> {
        let worker = runner.checked_sub(self.first_runner)? as usize;
        (worker < self.threads.len()).then_some(worker)
    }

    fn now() -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Payload> {
        // Unwind safety: the closure is consumed, and its panic goes to whoever waits for it.
        catch_unwind(AssertUnwindSafe(run))
    }
}

/// What the handles of one pool share. Its end closes the pool.
pub(crate) struct Owner {
    core: Arc<Core<NativeHost>>,
}

impl Owner {
    pub(crate) fn core(&self) -> &Core<NativeHost> {
        &self.core
    }

    pub(crate) fn share(&self) -> Arc<Core<NativeHost>> {
        Arc::clone(&self.core)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.core.close(false);
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
        #[cfg(all(any(debug_assertions, feature = "watchdog"), not(loom)))]
        crate::watchdog::thread::watch(Arc::downgrade(&core), false);
        for worker in 0..threads {
            let core = Arc::clone(&core);
            let run = move || {
                core.host().move_in(worker);
                while core.run(worker) != Leave::Stop {
                    // Native threads have no event loop and get no messages.
                    std::thread::yield_now();
                }
                core.left(worker);
            };
            let started = std::thread::Builder::new().name(format!("weblane {}", worker + 1)).spawn(run);
            if let Err(error) = started {
                // The ones that are missing will never sleep; without them the others can end.
                (worker..threads).for_each(|missing| pool.owner.core().bury(missing));
                return Err(error);
            }
        }
        Ok(pool)
    }
}

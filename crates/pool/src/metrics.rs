//! What a pool has done, for people and for tests.

use alloc::vec::Vec;

use crate::ThreadPool;
use crate::host::Host;
use crate::injector::Priority;
use crate::stats::{Count, Counters};

/// A pool's counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// One for each worker, in the order in which they were given to the pool.
    pub workers: Vec<WorkerStats>,
    /// Tasks in the shared queues, roughly: high, normal, background.
    pub queued: [usize; 3],
}

/// What one worker has done since its pool began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker: on the web its thread id, natively its number in the pool from 1.
    pub thread: crate::here::ThreadName,
    /// Rust tasks it took from a queue and ran, JS tasks not counted.
    pub run: u64,
    /// Tasks it dropped unrun, after a shutdown that discards.
    pub discarded: u64,
    /// Times it stole from another worker's ring.
    pub stolen: u64,
    /// Tasks that went from its full ring to the shared queue.
    pub overflowed: u64,
    /// Times it slept and woke up again.
    pub slept: u64,
    /// Times it was woken and found nothing to do.
    pub spurious: u64,
    /// Times it woke another worker up; for wake-ups from outside the pool, times it was woken up.
    pub notified: u64,
    /// JS tasks it ran.
    pub js: u64,
    /// Microseconds that it was in the pool's loop and not asleep.
    pub busy_us: u64,
}

impl WorkerStats {
    pub(crate) fn read(thread: crate::here::ThreadName, counters: &Counters) -> WorkerStats {
        let read = |count| counters.read(count);
        WorkerStats {
            thread,
            run: read(Count::Run),
            discarded: read(Count::Discarded),
            stolen: read(Count::Stolen),
            overflowed: read(Count::Overflowed),
            slept: read(Count::Slept),
            spurious: read(Count::Spurious),
            notified: read(Count::Notified),
            js: read(Count::Js),
            busy_us: read(Count::Busy),
        }
    }
}

impl ThreadPool {
    /// What the pool has done so far. Cheap, and readable from anywhere; a busy worker publishes every 64 tasks and
    /// before it sleeps or leaves the loop, so what is read may lag by that much.
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// let metrics = pool.metrics();
    /// let run: u64 = metrics.workers.iter().map(|worker| worker.run).sum();
    /// println!("{run} tasks run, {} queued", metrics.queued.iter().sum::<usize>());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let core = self.owner.core();
        Metrics { workers: self.stats(), queued: Priority::ALL.map(|priority| core.queued(priority)) }
    }

    /// The workers' part of [`metrics`](ThreadPool::metrics).
    #[must_use]
    pub fn stats(&self) -> Vec<WorkerStats> {
        let host = self.owner.core().host();
        (0..host.workers()).map(|worker| WorkerStats::read(host.name(worker), &host.lane(worker).counters)).collect()
    }
}

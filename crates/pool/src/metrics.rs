//! What a pool has done, for people and for tests.

use alloc::vec::Vec;

use crate::ThreadPool;
use crate::host::Host;
use crate::injector::Priority;
use crate::latency::LatencyHistogram;
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
    /// Times it was parked: slept and woke up again.
    pub slept: u64,
    /// Times it was woken and found nothing to do.
    pub spurious: u64,
    /// Times it woke another worker up; for wake-ups from outside the pool, times it was woken up.
    pub notified: u64,
    /// JS tasks it ran.
    pub js: u64,
    /// How long JS tasks waited for it, from the post of their message to the start of the first of them: a batch counts once. Of a flood every
    /// eighth message is timed and counts for eight. The browser's clocks are coarse (5 to 100 µs), and those of two threads can differ by about as
    /// much; what seems to have started before it was posted counts as 0. Empty natively.
    pub js_latency: LatencyHistogram,
    /// Microseconds that it was in the pool's loop and not asleep. On the web, where a look at the clock delays a wake-up, of times awake that follow
    /// one another within ten milliseconds every eighth is timed, and counts for eight (and never for more than has passed): a good estimate for many alike, a poor
    /// one for a single long one among short ones.
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
            js_latency: counters.js_latency.read(),
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

#[cfg(all(test, not(any(loom, shuttle)), feature = "std"))]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::sync::Arc;

    use super::*;

    /// Every counter that a native pool can move moves, and says what happened.
    #[test]
    fn what_is_run_overflows_sleeps_and_is_woken_is_counted() {
        const INSIDE: u64 = 3_000;
        // One thread: nobody else empties its ring.
        let pool = ThreadPool::with_threads(1).expect("a thread");
        let (inner, ran) = (pool.clone(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&ran);
        // Detached: a `join` could run it here. More than a ring holds, from inside a task; and long enough for the clock to move.
        pool.spawn_detached(move || {
            let start = std::time::Instant::now();
            for _ in 0..INSIDE {
                let count = Arc::clone(&count);
                inner.spawn_detached(move || {
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
            while start.elapsed().as_micros() < 2_000 {}
        });
        let sum = |count: fn(&WorkerStats) -> u64| pool.metrics().workers.iter().map(count).sum::<u64>();
        // All is published when they sleep.
        while sum(|worker| worker.run) < INSIDE + 1 {
            std::thread::yield_now();
        }
        assert_eq!(sum(|worker| worker.run), INSIDE + 1, "a task is counted once");
        assert_eq!(u64::from(ran.load(Ordering::Relaxed)), INSIDE);
        let overflowed = sum(|worker| worker.overflowed);
        assert!(overflowed > 100, "half a ring at least: {overflowed}");
        let (slept, notified) = (sum(|worker| worker.slept), sum(|worker| worker.notified));
        // A worker that is called on its way to sleep needs no notification; so until one slept deep enough.
        while sum(|worker| worker.notified) == notified || sum(|worker| worker.slept) == slept {
            pool.spawn(|| ()).join().expect("no panic");
            std::thread::yield_now();
        }
        // Time is published before a sleep.
        assert!(sum(|worker| worker.busy_us) >= 2_000);
        assert_eq!(sum(|worker| worker.js + worker.js_latency.count() + worker.discarded), 0, "no JS natively");
        assert_eq!(pool.metrics().queued, [0, 0, 0]);
    }
}

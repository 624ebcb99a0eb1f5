//! Counters of each worker, for people and for tests.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::latency::Latencies;

/// What a worker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// Rust tasks run.
    Run,
    /// Tasks dropped unrun, because the pool was told to discard them.
    Discarded,
    /// Thefts from other workers' rings.
    Stolen,
    /// Tasks that went from a full ring to the shared queue.
    Overflowed,
    /// Sleeps.
    Slept,
    /// Sleeps that ended for nothing.
    Spurious,
    /// Others woken.
    Notified,
    /// JS tasks run.
    Js,
    /// Microseconds between two sleeps.
    Busy,
}

/// The number of [`Count`]s.
const COUNTS: usize = 9;

/// One worker's counters. Relaxed throughout: they order nothing. Not loom's atomics, since no decision depends on them.
pub(crate) struct Counters {
    counts: [AtomicU64; COUNTS],
    /// How long this worker's JS tasks waited.
    pub(crate) js_latency: Latencies,
}

impl Counters {
    pub(crate) const fn new() -> Counters {
        Counters { counts: [const { AtomicU64::new(0) }; COUNTS], js_latency: Latencies::new() }
    }

    /// Adds to one counter at once, for what is rare.
    pub(crate) fn count(&self, count: Count, by: u64) {
        self.counts[count as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Adds what a worker counted for itself, in plain memory, since the last time.
    pub(crate) fn add(&self, tally: &mut Tally) {
        for (counter, by) in self.counts.iter().zip(core::mem::take(&mut tally.0)) {
            if by != 0 {
                counter.fetch_add(by, Ordering::Relaxed);
            }
        }
    }

    /// A worker that joins a new pool starts from zero.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "native lanes are made anew with their pool"))]
    pub(crate) fn reset(&self) {
        for counter in &self.counts {
            counter.swap(0, Ordering::Relaxed);
        }
        self.js_latency.reset();
    }

    pub(crate) fn read(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Ordering::Relaxed)
    }
}

/// What a worker has counted and not yet published.
#[derive(Default)]
pub(crate) struct Tally([u64; COUNTS]);

impl Tally {
    pub(crate) fn count(&mut self, count: Count, by: u64) {
        self.0[count as usize] += by;
    }

    pub(crate) fn read(&self, count: Count) -> u64 {
        self.0[count as usize]
    }
}

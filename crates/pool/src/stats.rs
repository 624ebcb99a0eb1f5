//! Counters of each worker, for people and for tests.

use core::sync::atomic::{AtomicU64, Ordering};

/// One worker's counters. Relaxed throughout: they order nothing. Not loom's atomics, since no decision depends on them.
pub(crate) struct Counters {
    run: AtomicU64,
    stolen: AtomicU64,
    slept: AtomicU64,
    js: AtomicU64,
}

impl Counters {
    pub(crate) const fn new() -> Counters {
        Counters { run: AtomicU64::new(0), stolen: AtomicU64::new(0), slept: AtomicU64::new(0), js: AtomicU64::new(0) }
    }

    /// Adds what a worker counted for itself, in plain memory, since the last time.
    pub(crate) fn add(&self, tally: &mut Tally) {
        let Tally { run, stolen, slept } = core::mem::take(tally);
        for (counter, by) in [(&self.run, run), (&self.stolen, stolen), (&self.slept, slept)] {
            if by != 0 {
                counter.fetch_add(by, Ordering::Relaxed);
            }
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "only the web has JS tasks"))]
    pub(crate) fn count_js(&self) {
        self.js.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker that joins a new pool starts from zero.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "native lanes are made anew with their pool"))]
    pub(crate) fn reset(&self) {
        for counter in [&self.run, &self.stolen, &self.slept, &self.js] {
            counter.swap(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> (u64, u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.run), read(&self.stolen), read(&self.slept), read(&self.js))
    }
}

/// What a worker has counted and not yet published.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) run: u64,
    pub(crate) stolen: u64,
    pub(crate) slept: u64,
}

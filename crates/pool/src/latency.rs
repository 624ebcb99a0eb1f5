//! How long JS tasks wait: from the post of their message to the start of their closure.
//!
//! A histogram by powers of two, one for each worker, because what matters of latencies is their tail, and a tail needs every value and not a mean.
//! To record is to find the highest bit and to add to one counter. The two readings of the clock are what costs (0.3 µs each in Chromium, where a
//! JS task costs 6), so of a flood only every eighth message is timed, and counts for eight: the sum of the buckets is the number of messages, give
//! or take seven for each sender.

use core::sync::atomic::{AtomicU64, Ordering};

/// The number of buckets of a [`LatencyHistogram`].
pub const LATENCY_BUCKETS: usize = 24;

/// How long things took, counted by powers of two of microseconds.
///
/// Bucket 0 counts what took less than 1 µs; bucket `i` what took 2^(i − 1) µs or more and less than 2^i µs; the last one also all that took longer
/// (4 seconds and more).
///
/// # Examples
///
/// ```
/// use weblane_pool::LatencyHistogram;
///
/// let mut waits = LatencyHistogram::default();
/// waits.record(90);
/// waits.record(110);
/// waits.record(3_000);
/// assert_eq!(waits.count(), 3);
/// assert_eq!(waits.buckets()[7], 2); // 64 to 127 µs
/// assert_eq!(waits.quantile_us(0.5), Some(128)); // half of them took less
/// assert_eq!(waits.quantile_us(0.99), Some(4096));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    buckets: [u64; LATENCY_BUCKETS],
}

impl LatencyHistogram {
    /// How many took how long.
    #[must_use]
    pub const fn buckets(&self) -> &[u64; LATENCY_BUCKETS] {
        &self.buckets
    }

    /// All that were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// A number of microseconds that this part of all took less than, 0 to 1: the end of the bucket that holds the quantile. `None` if nothing was
    /// counted. For the last bucket, which has no end, `u64::MAX`.
    #[must_use]
    pub fn quantile_us(&self, part: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        // Rounded up by hand: `core` has no `ceil`.
        let exact = part.clamp(0.0, 1.0) * count as f64;
        let rank = (exact as u64 + u64::from(exact > (exact as u64) as f64)).clamp(1, count);
        let mut below = 0;
        let bucket = self.buckets.iter().position(|bucket| {
            below += bucket;
            below >= rank
        })?;
        Some(if bucket + 1 == LATENCY_BUCKETS { u64::MAX } else { 1 << bucket })
    }

    /// Counts one that took so many microseconds.
    pub fn record(&mut self, us: u64) {
        self.buckets[bucket_of(us)] += 1;
    }

    /// Adds all that another one has counted: of all workers of a pool, for example.
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// let mut all = weblane_pool::LatencyHistogram::default();
    /// pool.metrics().workers.iter().for_each(|worker| all.merge(&worker.js_latency));
    /// println!("JS tasks wait for {:?} µs at most, 99 of 100", all.quantile_us(0.99));
    /// # Ok(())
    /// # }
    /// ```
    pub fn merge(&mut self, other: &LatencyHistogram) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
    }
}

fn bucket_of(us: u64) -> usize {
    ((u64::BITS - us.leading_zeros()) as usize).min(LATENCY_BUCKETS - 1)
}

/// A [`LatencyHistogram`] that one worker writes and everybody reads. Relaxed throughout, as the other counters: it orders nothing.
pub(crate) struct Latencies([AtomicU64; LATENCY_BUCKETS]);

impl Latencies {
    pub(crate) const fn new() -> Latencies {
        Latencies([const { AtomicU64::new(0) }; LATENCY_BUCKETS])
    }

    /// Counts `times` that took so many microseconds.
    #[cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code, reason = "only the web has JS tasks"))]
    pub(crate) fn record(&self, us: u64, times: u64) {
        self.0[bucket_of(us)].fetch_add(times, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LatencyHistogram {
        LatencyHistogram { buckets: core::array::from_fn(|bucket| self.0[bucket].load(Ordering::Relaxed)) }
    }

    #[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "native lanes are made anew with their pool"))]
    pub(crate) fn reset(&self) {
        for bucket in &self.0 {
            bucket.swap(0, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_begins_at_a_power_of_two() {
        let latencies = Latencies::new();
        latencies.record(0, 1);
        for bit in 0..63 {
            latencies.record(1 << bit, 1);
            latencies.record((2 << bit) - 1, 1);
        }
        latencies.record(u64::MAX, 5);
        let read = latencies.read();
        assert_eq!(read.buckets()[0], 1, "less than one");
        assert!(read.buckets()[1..LATENCY_BUCKETS - 1].iter().all(|bucket| *bucket == 2), "{read:?}");
        assert_eq!(read.buckets()[LATENCY_BUCKETS - 1], 2 * (63 - 22) + 5, "the last one has the rest");
        assert_eq!(read.count(), 1 + 2 * 63 + 5);
        latencies.reset();
        assert_eq!(latencies.read(), LatencyHistogram::default());
    }

    #[test]
    fn quantiles_are_the_ends_of_their_buckets() {
        let mut waits = LatencyHistogram::default();
        assert_eq!(waits.quantile_us(0.5), None);
        (0..99).for_each(|_| waits.record(5));
        waits.record(1_000);
        let at = |part| waits.quantile_us(part);
        assert_eq!((at(0.0), at(0.5), at(0.99)), (Some(8), Some(8), Some(8)));
        assert_eq!((at(0.991), at(1.0), at(7.0)), (Some(1024), Some(1024), Some(1024)));
        let mut more = waits;
        more.merge(&waits);
        assert_eq!((more.count(), more.buckets()[3]), (200, 198));
        more.record(u64::MAX);
        assert_eq!(more.quantile_us(1.0), Some(u64::MAX));
    }
}

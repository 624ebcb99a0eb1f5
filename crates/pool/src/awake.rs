//! How long a worker was awake, without a look at the clock at every wake-up.
//!
//! Whoever wakes a sleeping worker waits for its first task to begin, and on the web a look at the clock is a call of JS, which then comes first: a
//! tenth of the whole wake-up (1 of 11 microseconds in Chromium, 3 of 23 in Firefox). So there, of times awake that follow one another quickly, only
//! every [`EVERY`]th is timed, and counts for all since the last one that was; as with the latencies of JS messages in a flood. A time awake that
//! comes after a longer pause, and the first of each turn, is timed always.
//!
//! The end of a time awake is looked at each time: nobody waits for a worker that goes to sleep.

use core::time::Duration;

/// Of times awake in quick succession every so manieth is timed.
const EVERY: u32 = 8;

/// Two ends no further apart than this are in quick succession.
const QUICK: Duration = Duration::from_millis(10);

/// The times awake of one worker.
#[derive(Debug)]
pub(crate) struct Awake {
    /// When the present one began, if it is timed.
    since: Option<Duration>,
    /// For how many it counts when it ends, or will the next one that is timed.
    times: u32,
    /// When the last one ended.
    ended: Option<Duration>,
    /// When the last one ended that was timed: no more time can have been spent awake than has passed since then.
    counted: Duration,
    /// Whether the next one need not be timed.
    quick: bool,
}

impl Awake {
    /// The first one, which begins now.
    pub(crate) fn new(now: Duration) -> Awake {
        Awake { since: Some(now), times: 1, ended: None, counted: now, quick: false }
    }

    /// Awake again. The clock is asked if it is at hand, or if it is its turn.
    pub(crate) fn begin(&mut self, at_hand: bool, clock: impl FnOnce() -> Duration) {
        self.times += 1;
        self.since = (at_hand || !self.quick || self.times >= EVERY).then(clock);
    }

    /// The present one ends. Returns the microseconds to count.
    pub(crate) fn end(&mut self, now: Duration) -> u64 {
        self.quick = self.ended.replace(now).is_some_and(|before| now.saturating_sub(before) <= QUICK);
        let Some(since) = self.since.take() else { return 0 };
        let times = core::mem::take(&mut self.times);
        let passed = now.saturating_sub(core::mem::replace(&mut self.counted, now));
        (now.saturating_sub(since) * times).min(passed).as_micros() as u64
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// What is counted for so many times awake of `busy` µs, with `pause` µs between; and how often the clock was asked at a beginning.
    fn counted(at_hand: bool, times: u32, busy: u64, pause: u64) -> (u64, u32) {
        let (mut now, mut asked, mut sum) = (0, 0, 0);
        let mut awake = Awake::new(Duration::ZERO);
        for _ in 0..times {
            now += busy;
            sum += awake.end(Duration::from_micros(now));
            now += pause;
            awake.begin(at_hand, || {
                asked += 1;
                Duration::from_micros(now)
            });
        }
        (sum, asked)
    }

    #[test]
    fn times_in_quick_succession_are_timed_now_and_then_and_count_for_all() {
        // The first one is timed from its entry, the second because nobody knows yet how quickly they come; then every eighth.
        assert_eq!(counted(false, 2 + 8 * 5, 20, 2_000), ((2 + 8 * 5) * 20, 1 + 5));
    }

    #[test]
    fn times_after_long_pauses_are_timed_each() {
        assert_eq!(counted(false, 50, 20, 10_001), (50 * 20, 50));
        // Nor do long ones follow one another quickly.
        assert_eq!(counted(false, 50, 10_001, 20), (50 * 10_001, 50));
    }

    #[test]
    fn where_the_clock_is_at_hand_all_are_timed() {
        assert_eq!(counted(true, 50, 20, 20), (50 * 20, 50));
    }

    /// A long one that is timed among short ones that are not counts for no more than has passed.
    #[test]
    fn no_more_counts_than_has_passed() {
        let (mut awake, mut now) = (Awake::new(Duration::ZERO), Duration::ZERO);
        let mut sum = 0;
        for turn in 0..2 + EVERY {
            now += if turn == 1 + EVERY { Duration::from_secs(1) } else { Duration::from_micros(20) };
            sum += awake.end(now);
            now += Duration::from_micros(500);
            awake.begin(false, || now);
        }
        assert!((1_000_000..=now.as_micros() as u64).contains(&sum), "{sum} of {now:?}");
    }

    #[test]
    fn what_has_ended_counts_once() {
        let mut awake = Awake::new(Duration::ZERO);
        assert_eq!(awake.end(Duration::from_micros(7)), 7);
        assert_eq!(awake.end(Duration::from_micros(9)), 0);
    }
}

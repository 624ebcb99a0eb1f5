//! Patience of a consumer that is faster than its producer.
//!
//! # Purpose
//!
//! A consumer that takes each value as soon as it is there reads the producer's position, and the line of its newest value, while the producer writes to both: for a
//! few values, several times the way between two cores, one after the other (measured: natively 30 to 50 nanoseconds for each value, in Chromium 60
//! to 80). A consumer that then
//! waits a moment finds many values at its next look, on lines that the producer has left (5 and 23, the moment included).
//!
//! # Rule
//!
//! A pop that looks for values, finds few, and whose look before that found more than one without an empty one in between, waits for [`HINTS`] hints
//! at most and looks
//! again. So values that come one at a time are taken at once, and so is the first of a burst; a consumer that polls waits once after a burst, for a
//! microsecond or less. Few is a quarter of the ring at most (or what was asked for, for a chunk), and the wait is shorter than it takes to fill the ring.
//!
//! The many-to-many rings have no place of their own for each producer and consumer. There a call that finds the ring full or empty waits a moment,
//! always, and looks again: a call that fails is mostly made again at once, each look takes a line from the other side, and who goes on after a moment
//! finds several places or values. (In both engines that makes the fast ring 1.5 times as fast as with a few hints, where the long moment is only for
//! those who have just had several; the lock-free ring, natively, one to one, goes from 80 nanoseconds for a value to 28.)
//!
//! # Argument
//!
//! The second look is as good as the first: it reads the same word in the same way, later. The number of looks and of hints is bounded: a pop stays as wait-free,
//! or lock-free, as it is without.

/// The most hints that a pop waits for.
pub(crate) const HINTS: u32 = 32;

/// Waits for so many hints: on x86-64 10 to 40 nanoseconds each. On wasm there is no hint: some instructions that are not left out.
#[inline]
pub(crate) fn pause(hints: u32) {
    for _ in 0..hints {
        if cfg!(target_arch = "wasm32") {
            for turn in 0..WASM_TURNS {
                core::hint::black_box(turn);
            }
        } else {
            core::hint::spin_loop();
        }
    }
}

/// Turns of a loop on wasm for one hint.
const WASM_TURNS: u32 = 32;

/// The hints before the second look of a call at a ring for many. On wasm they are less than a microsecond, and each value takes longer.
const MOMENT: u32 = if cfg!(target_arch = "wasm32") { 128 } else { 64 };

/// Waits for a moment where a call finds a ring for many full or empty. Whether it looks again: not in models, whose second look is as the first.
#[cold]
pub(crate) fn wait_a_moment(capacity: usize) -> bool {
    pause(MOMENT.min(capacity as u32 / 8));
    !cfg!(loom)
}

/// What a consumer's last look found.
pub(crate) struct Patience {
    found: u32,
}

impl Patience {
    pub(crate) const NEW: Patience = Patience { found: 0 };

    /// Looks for `wanted` values by `look`, which tells how many there are, once or twice.
    #[inline]
    pub(crate) fn look(&mut self, capacity: u32, wanted: u32, mut look: impl FnMut() -> u32) -> u32 {
        let mut found = look();
        if self.found > 1 && found < (capacity / 4).clamp(1, 2 * HINTS).max(wanted) {
            pause((capacity / 8).min(HINTS));
            found = look();
        }
        self.found = found;
        found
    }
}

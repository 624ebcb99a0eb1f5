//! Patience of a consumer that is faster than its producer.
//!
//! # Purpose
//!
//! A consumer that takes each value as soon as it is there reads the producer's position, and the line of its newest value, while the producer writes to both: for a
//! few values, several times the way between two cores, one after the other (measured: 30 to 50 nanoseconds for each value). A consumer that then waits a moment finds many
//! values at its next look, on lines that the producer has left (4 to 5, the moment included).
//!
//! # Rule
//!
//! A pop that looks for values, finds few, and whose look before that found more than one without an empty one in between, waits for [`PAUSES`] hints at most and looks
//! again. So values that come one at a time are taken at once, and so is the first of a burst; a consumer that polls waits once after a burst, for less than a
//! microsecond. Few is a quarter of the ring at most, and the wait is shorter than it takes to fill the ring.
//!
//! On wasm there is no hint that waits, and the consumer looks once.
//!
//! # Argument
//!
//! The second look is as good as the first: it reads the same word in the same way, later. The number of looks and of hints is bounded: a pop stays wait-free.

/// The most hints that a pop waits for.
const PAUSES: u32 = 32;

/// What a consumer's last look found.
pub(super) struct Patience {
    found: u32,
}

impl Patience {
    pub(super) const NEW: Patience = Patience { found: 0 };

    /// Looks by `look`, which tells how many values there are, once or twice.
    #[inline]
    pub(super) fn look(&mut self, capacity: u32, mut look: impl FnMut() -> u32) -> u32 {
        let mut found = look();
        if !cfg!(target_arch = "wasm32") && self.found > 1 && found < (capacity / 4).clamp(1, 2 * PAUSES) {
            for _ in 0..(capacity / 8).min(PAUSES) {
                core::hint::spin_loop();
            }
            found = look();
        }
        self.found = found;
        found
    }
}

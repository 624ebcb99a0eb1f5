//! What the native tests share.

/// Marsaglia's xorshift32: the same sequence in every run.
pub(crate) struct Random(u32);

impl Random {
    /// `seed` is not 0.
    pub(crate) fn new(seed: u32) -> Random {
        Random(seed)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

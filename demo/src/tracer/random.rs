//! A random generator for each sample: what one sample draws does not depend on who drew before it.

use super::vector::{Vector, v};

/// PCG-RXS-M-XS with 32 bits of state (O'Neill 2014): short, and good enough for a picture.
pub(crate) struct Random(u32);

impl Random {
    pub(crate) fn new(seed: u32, pixel: u32, sample: u32) -> Random {
        let mut random = Random(seed ^ 0x9e37_79b9);
        for part in [pixel, sample] {
            random.0 = random.bits() ^ part;
        }
        random.bits();
        random
    }

    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let word = ((self.0 >> ((self.0 >> 28) + 4)) ^ self.0).wrapping_mul(277_803_737);
        (word >> 22) ^ word
    }

    /// 0 to 1, without 1: 24 bits, which an `f32` holds exactly.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// A direction, every one as likely.
    pub(crate) fn on_sphere(&mut self) -> Vector {
        let (z, angle) = (self.between(-1.0, 1.0), self.between(0.0, core::f32::consts::TAU));
        let radius = (1.0 - z * z).max(0.0).sqrt();
        v(radius * libm::cosf(angle), radius * libm::sinf(angle), z)
    }

    /// A point in the disk of radius 1.
    pub(crate) fn in_disk(&mut self) -> (f32, f32) {
        let (radius, angle) = (self.unit().sqrt(), self.between(0.0, core::f32::consts::TAU));
        (radius * libm::cosf(angle), radius * libm::sinf(angle))
    }
}

//! Memory that grows while a worker does not look (race 55).

use std::hint::black_box;

/// So often, for the browser to have compiled the worker's code as well as it can.
pub const GROWTHS: u32 = 6;

/// Calls `make` until memory has grown by so many pages.
pub fn grow(pages: usize, mut make: impl FnMut()) {
    let size = || core::arch::wasm32::memory_size::<0>();
    let before = size();
    while size() < before + pages {
        make();
    }
}

/// Some work in which a browser does not look whether memory has grown: there is no loop in it and no call.
pub struct Blind(Vec<u8>);

impl Blind {
    /// With its own buffer.
    #[allow(clippy::new_without_default, reason = "it is large")]
    pub fn new() -> Blind {
        Blind(vec![0; 16 << 20])
    }

    /// Some ten milliseconds, or more where the machine is busy.
    #[inline(always)]
    pub fn turn(&mut self) {
        let (start, bytes) = (self.0.as_mut_ptr(), self.0.len());
        macro_rules! fill {
            ($($value:literal)*) => {$(
                // SAFETY: the vector's own bytes. `memory.fill`, without a loop.
                unsafe { black_box(start).write_bytes(black_box($value), bytes) };
            )*};
        }
        fill!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    }
}

//! The cells: places for values, each in one hand at a time.
//!
//! # State
//!
//! Each cell has a flag, a count of how often it was claimed and given back: even, the cell is free; odd, it is in the hand of one call, or its number is in the queue.
//!
//! # Steps
//!
//! - *Claim*: for a push into position `t`, first the two cells beside the entry of `t`, in turns from round to round; then all others. A flag that is even is claimed by
//!   a compare-and-swap to the next number.
//! - *Give back*: store the next number. Only who has the cell does so.
//!
//! # Argument
//!
//! 1. *Exclusion*: a flag goes from even to odd by one call's compare-and-swap, and back by a store of whoever has the cell, which was handed on by way of the queue.
//!    What was done to the cell happens before the next claim (Release, Acquire).
//! 2. *None is free* is said only after two rounds through all flags that found the same numbers, all odd: then all cells were taken at the moment between the rounds. (A
//!    claim is a Release too, so that who sees one sees what its thread gave back before.)
//! 3. *Rounds end*: see argument 4 of the module above.

use core::sync::atomic::Ordering;

use crate::primitive::{AtomicU32, publish};
use crate::slot::Slot;

/// A place for a value, and whose it is.
pub(super) struct Cell<T> {
    flag: AtomicU32,
    pub(super) value: Slot<T>,
}

impl<T> Cell<T> {
    not_const_in_models! {
        /// A free cell.
        pub(super) const fn new() -> Self {
            Cell { flag: AtomicU32::new(0), value: Slot::new() }
        }
    }

    /// Claims the cell, if it is free; else the flag's number.
    pub(super) fn claim(&self) -> Result<(), u32> {
        // Acquire: pairs with the Release in `claim` (argument 2).
        let count = self.flag.load(Ordering::Acquire);
        if count % 2 == 1 {
            return Err(count);
        }
        // Acquire: pairs with the Release in `give_back`. Release: pairs with the Acquire of the load above.
        match self.flag.compare_exchange(count, count.wrapping_add(1), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(count) => Err(count),
        }
    }

    /// Gives the cell back, which the caller has and has emptied.
    pub(super) fn give_back(&self) {
        // Relaxed: nobody else changes the flag while the caller has the cell, and what it was set to came along with the cell.
        let count = self.flag.load(Ordering::Relaxed);
        debug_assert!(count % 2 == 1, "the cell was taken");
        // Release: pairs with the Acquire in `claim`: the cell is read before it is written again.
        publish(&self.flag, count.wrapping_add(1));
    }

    /// Whether the cell is free, roughly.
    pub(super) fn is_free(&self) -> bool {
        // Relaxed: a figure that is out of date at once.
        self.flag.load(Ordering::Relaxed).is_multiple_of(2)
    }
}

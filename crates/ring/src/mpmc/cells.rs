//! The cells: places for values, each in one hand at a time.
//!
//! # State
//!
//! Each cell has a flag, a count of how often it was claimed and given back: even, the cell is free; odd, it is in the hand of one call, or its
//! number is in the queue.
//!
//! # Steps
//!
//! - *Claim*: for a push into position `t`, first the two cells beside the entry of `t`, in turns from round to round; then all others. A flag that
//!   is even is claimed by a compare-and-swap to the next number.
//! - *Give back*: store the next number. Only who has the cell does so.
//!
//! # Argument
//!
//! 1. *Exclusion*: a flag goes from even to odd by one call's compare-and-swap, and back by a store of whoever has the cell, which was handed on by
//!    way of the queue. What was done to the cell happens before the next claim (Release, Acquire).
//! 2. *None is free* is said only after two rounds through all flags that found the same numbers, all odd: then all cells were taken at the moment
//!    between the rounds. (A claim is a Release too, so that who sees one sees what its thread gave back before.)
//! 3. *Rounds end*: see argument 4 of the module above.

use core::sync::atomic::Ordering;

use crate::primitive::{AtomicU32, publish};
use crate::slot::Slot;

/// Two cells. Their flags lie together, so that a place of a ring of words fills half a line.
pub(super) struct Pair<T> {
    flags: [AtomicU32; 2],
    values: [Slot<T>; 2],
}

impl<T> Pair<T> {
    not_const_in_models! {
        /// Two free cells.
        pub(super) const fn new() -> Self {
            Pair { flags: [AtomicU32::new(0), AtomicU32::new(0)], values: [Slot::new(), Slot::new()] }
        }
    }

    #[inline]
    pub(super) fn cell(&self, second: bool) -> Cell<'_, T> {
        let which = usize::from(second);
        Cell { flag: &self.flags[which], value: &self.values[which] }
    }
}

/// A place for a value, and whose it is.
pub(super) struct Cell<'p, T> {
    flag: &'p AtomicU32,
    pub(super) value: &'p Slot<T>,
}

impl<T> Cell<'_, T> {
    /// Claims the cell, if it is free; else the flag's number.
    #[inline]
    pub(super) fn claim(&self) -> Result<(), u32> {
        // Acquire: pairs with the Release in `give_back`: the cell is read before it is written again; and with the one below (argument 2).
        let count = self.flag.load(Ordering::Acquire);
        if count % 2 == 1 {
            return Err(count);
        }
        // Release: pairs with the Acquire above, in other calls. No Acquire: the count was loaded before, and no other store has the same.
        match self.flag.compare_exchange(count, count.wrapping_add(1), Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(count) => Err(count),
        }
    }

    /// Gives the cell back, which the caller has and has emptied.
    #[inline]
    pub(super) fn give_back(&self) {
        // Relaxed: nobody else changes the flag while the caller has the cell, and what it was set to came along with the cell.
        let count = self.flag.load(Ordering::Relaxed);
        debug_assert!(count % 2 == 1, "the cell was taken");
        // Release: pairs with the Acquire in `claim`: the cell is read before it is written again.
        publish(self.flag, count.wrapping_add(1));
    }

    /// Whether the cell is free, roughly.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        // Relaxed: a figure that is out of date at once.
        self.flag.load(Ordering::Relaxed).is_multiple_of(2)
    }
}

/// Claims one of so many cells. `None`: all were taken at the moment between two rounds that found the same counts.
pub(super) fn claim_any(all: u32, claim: impl Fn(u32) -> Result<(), u32>) -> Option<u32> {
    let mut before = None;
    loop {
        let mut counts = 0_u32;
        for cell in 0..all {
            match claim(cell) {
                Ok(()) => return Some(cell),
                // Counts only grow: an equal sum is that of equal counts.
                Err(count) => counts = counts.wrapping_add(count),
            }
        }
        if before.replace(counts) == Some(counts) {
            return None;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::Cell;

    use super::claim_any;

    /// A cell that is always free, but never where one looks: given back just behind, and claimed just ahead.
    #[test]
    fn all_are_taken_only_if_they_are_at_one_moment() {
        let counts = [const { Cell::new(1_u32) }; 3];
        let looks = Cell::new(0);
        let look = |cell: u32| {
            looks.set(looks.get() + 1);
            if looks.get() <= 9 {
                // Three rounds long, the other cells come and go.
                let other = &counts[(cell as usize + 1) % 3];
                other.set(other.get() + 2);
            }
            Err(counts[cell as usize].get())
        };
        assert_eq!(claim_any(3, look), None);
        assert_eq!(looks.get(), 15, "two rounds more, which saw the same");
        let free_at = |when: u32| {
            let looks = Cell::new(0);
            claim_any(3, |cell| {
                looks.set(looks.get() + 1);
                if looks.get() == when { Ok(()) } else { Err(1 + looks.get() + cell) }
            })
        };
        assert_eq!([1, 3, 8].map(free_at), [Some(0), Some(2), Some(1)]);
    }
}

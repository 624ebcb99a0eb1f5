//! A sequence number and a payload in one atomic word: 32 and 32 bits, or 16 and 16 where there are no 64-bit atomics.

use core::fmt;
use core::sync::atomic::Ordering;

use crate::primitive::{AtomicU32, publish};

#[cfg(all(target_has_atomic = "64", not(weblane_narrow)))]
mod size {
    pub(super) use crate::primitive::AtomicU64 as Atomic;
    pub(super) type Raw = u64;
    pub(super) const BITS: u32 = 32;
}
/// Also with `--cfg weblane_narrow`, so that this variant can be tested on any machine.
#[cfg(any(not(target_has_atomic = "64"), weblane_narrow))]
mod size {
    pub(super) use crate::primitive::AtomicU32 as Atomic;
    pub(super) type Raw = u32;
    pub(super) const BITS: u32 = 16;
}
use size::{Atomic, BITS, Raw};

/// The most cells that a payload can name.
pub(super) const MOST_CELLS: usize = 1 << (BITS - 1);

/// A position, counted modulo 2^32 or 2^16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position(u32);

impl Position {
    const MASK: u32 = (((1_u64 << BITS) - 1) & 0xffff_ffff) as u32;

    pub(super) const fn new(count: u32) -> Position {
        Position(count & Self::MASK)
    }

    #[inline]
    pub(super) const fn plus(self, count: u32) -> Position {
        Position::new(self.0.wrapping_add(count))
    }

    #[inline]
    pub(super) const fn minus(self, count: u32) -> Position {
        Position::new(self.0.wrapping_sub(count))
    }

    /// How many positions this one is after `other`; negative if before.
    #[inline]
    pub(super) const fn after(self, other: Position) -> i32 {
        let distance = self.0.wrapping_sub(other.0) << (32 - BITS);
        distance as i32 >> (32 - BITS)
    }

    /// How many positions this one is after `earlier`, however long ago that was: without a sign. (With one, a hint that is older than half of all
    /// turns would be taken for one that is ahead; it would stay, and be ahead when the turns have come again.)
    #[inline]
    pub(super) const fn since(self, earlier: Position) -> u32 {
        self.minus(earlier.0).0
    }

    #[inline]
    pub(super) const fn index(self, size: usize) -> usize {
        self.0 as usize & (size - 1)
    }
}

/// A word as it was at some instant: whose turn, and a cell's number or nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(Raw);

impl Entry {
    /// Nothing, at the turn of this position.
    #[inline]
    pub(super) const fn nothing(turn: Position) -> Entry {
        Entry((turn.0 as Raw) << BITS)
    }

    /// A cell's number, at the turn of this position.
    #[inline]
    pub(super) const fn cell(turn: Position, cell: u32) -> Entry {
        Entry(Entry::nothing(turn).0 | (cell as Raw + 1))
    }

    #[inline]
    pub(super) const fn turn(self) -> Position {
        Position::new((self.0 >> BITS) as u32)
    }

    #[inline]
    pub(super) const fn get(self) -> Option<u32> {
        (self.0 as u32 & Position::MASK).checked_sub(1)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("turn", &self.turn().0).field("cell", &self.get()).finish()
    }
}

/// An entry that all threads share.
pub(super) struct Word(Atomic);

impl Word {
    not_const_in_models! {
        pub(super) const fn new(entry: Entry) -> Word {
            Word(Atomic::new(entry.0))
        }
    }

    #[inline]
    pub(super) fn load(&self) -> Entry {
        // SeqCst: pairs with `exchange`. Acquires a cell's contents with its number; and (argument 3 of `index.rs`) what it says of "full" or "empty"
        // was true at its place in the order of all accesses to all entries. Costs no more than Acquire on x86, wasm, and 64-bit ARM.
        Entry(self.0.load(Ordering::SeqCst))
    }

    #[inline]
    pub(super) fn exchange(&self, from: Entry, to: Entry) -> bool {
        // SeqCst: pairs with `load`, as above. Relaxed if it fails: nothing is concluded from that.
        self.0.compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }
}

/// A position that all threads share, where to begin to look: never ahead of what it is a hint of.
pub(super) struct Hint(AtomicU32);

impl Hint {
    not_const_in_models! {
        pub(super) const fn new(position: Position) -> Hint {
            Hint(AtomicU32::new(position.0))
        }
    }

    #[inline]
    pub(super) fn load(&self) -> Position {
        // Acquire: pairs with the Release in `leave`; who sees a position sees that all entries before it are settled.
        Position(self.0.load(Ordering::Acquire))
    }

    /// Says that all positions before this one are settled. What was here may have been further on.
    #[inline]
    pub(super) fn leave(&self, position: Position) {
        // Release: pairs with the Acquire in `load`.
        publish(&self.0, position.0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::Ring;
    use super::{BITS, Hint, Position};

    /// A call was stopped before it left its hint, while more than half of all turns passed. What it leaves is put right by the next call, long before the
    /// turns come again.
    #[test]
    fn a_hint_may_be_older_than_half_of_all_turns() {
        for old in [(1_u32 << (BITS - 1)) - 1, 1 << (BITS - 1), (1 << (BITS - 1)) + 1, Position::MASK - 10] {
            let mut queue = Ring::<u32, 4>::starting_at(7);
            queue.tail.0 = Hint::new(Position::new(7).minus(old));
            queue.head.0 = Hint::new(Position::new(7).minus(old));
            for value in 0..100_000 {
                assert_eq!(queue.push(value), Ok(()), "{old} behind");
                assert_eq!(queue.pop(), Some(value), "{old} behind");
            }
            let now = Position::new(7).plus(100_000);
            assert!(now.since(queue.tail.0.load()) < 4 && now.since(queue.head.0.load()) < 4, "{old} behind");
        }
    }
}

//! A lock-free queue of small numbers, in which a thread may stop anywhere. One compare-and-swap for each call.
//!
//! # State
//!
//! `entries[p % size]` is at the turn of position `p` (or of `p − size`, one round earlier), and holds a number or nothing. What is in the queue is
//! in the entries alone. Two hints, one for each end, say where to begin to look: **never ahead of the truth**, and as far behind as you like.
//!
//! # Steps
//!
//! - *Look for a free place* from the hint on: read the entry of `t`.
//!   - (`t`, nothing): it is the next one to be filled.
//!   - (`t − size`, some number): **full**.
//!   - (`s`, some number): `s` is filled, go on at `s + 1`.
//!   - (`s`, nothing): `s − size` was filled and emptied, go on at `s − size + 1`.
//! - *Push* of `v`: look; compare-and-swap to (`t`, `v`), or look on. Then leave `t + 1` as a hint.
//! - *Look for the oldest number* from the hint on: read the entry of `h`.
//!   - (`h`, some number): that is the one.
//!   - (`h`, nothing): **empty**.
//!   - (`s`, whatever): `s − size` was emptied, go on at `s − size + 1`.
//! - *Pop*: look; compare-and-swap to (`h + size`, nothing), or look on. Then leave `h + 1` as a hint.
//!
//! # Argument
//!
//! 1. *Hints are behind.* A hint is left, and a search goes on, only past a position of which the caller has seen that it, and so all before it, are
//!    settled; and that never becomes untrue. A hint may go back: a thread that was stopped before it left its own leaves an old one. It costs the
//!    next call a search, no more.
//! 2. *A push takes effect at its compare-and-swap*, and so does a pop. Both name the turn, so each position is filled once and emptied once, and in
//!    order: a push into `t` has seen, or was told by a hint (Release, Acquire), that all before `t` are filled; a pop likewise that all before `h`
//!    are emptied.
//! 3. *Full is true* when the entry was read: position `t − size` was still inside, and all up to `t − 1` had been pushed. *Empty* likewise: position
//!    `h` had not been pushed, and all before it had been popped. "When" means something because all accesses to entries are sequentially consistent.
//!    With Acquire and Release one call might say "full" and another one "empty" although no order of all calls explains both: each has just filled
//!    or emptied its entry, and reads the other's as it was before.
//! 4. *Alone, a call ends*: from any hint, however old, the first entry tells where the end is to within `size` positions, so a search is at most
//!    `size + 2` loads; and the compare-and-swap that follows succeeds, or somebody else's call has taken effect.
//! 5. *Turns come again* after 2^32 positions (2^16 without 64-bit atomics). They are compared for equality only, so a call that was stopped in the
//!    middle takes an old turn for a new one only if meanwhile just as many positions were passed, or up to `size` fewer, or a multiple of that.
//!
//! # Why hints are stored, and not swapped
//!
//! A cursor that must not go back needs a read-modify-write for each call. These may, so natively they are plain stores. On wasm a store costs as
//! much as a read-modify-write, so only every fourth is left: to step over a settled entry is a load, from the cache, since the caller is about to
//! use the neighbours. (Natively that was tried, too, with a compare-and-swap every fourth time, and was slower; on a loaded machine, so by an unknown factor.)

use super::word::{Entry, Position, Word};

/// The entries of a queue by their index.
pub(super) struct Index<F> {
    pub(super) entry: F,
    /// A power of two.
    pub(super) size: usize,
}

impl<'a, F: Fn(usize) -> &'a Word> Index<F> {
    #[inline]
    fn at(&self, position: Position) -> &'a Word {
        (self.entry)(position.index(self.size))
    }

    /// The position after the one that an entry was emptied of last, if this is the entry.
    #[inline]
    fn past(&self, seen: Entry) -> Position {
        seen.turn().minus(self.size as u32 - 1)
    }

    /// The next place to be filled, looked for from a position on that is not ahead of it. `None`: full.
    #[inline]
    pub(super) fn free_place(&self, mut tail: Position) -> Option<Position> {
        loop {
            let seen = self.at(tail).load();
            if seen == Entry::nothing(tail) {
                return Some(tail);
            }
            if seen.turn() == tail.minus(self.size as u32) {
                return None;
            }
            tail = match seen.get() {
                // The everyday step by itself, so that the next entry's place does not depend on what is read in this one.
                Some(_) if seen.turn() == tail => tail.plus(1),
                Some(_) => seen.turn().plus(1),
                None => self.past(seen),
            };
        }
    }

    /// Fills the place at this position, unless somebody was quicker.
    #[inline]
    pub(super) fn fill(&self, tail: Position, number: u32) -> bool {
        self.at(tail).exchange(Entry::nothing(tail), Entry::cell(tail, number))
    }

    /// The oldest number, looked for from a position on that is not ahead of it: its position, and the number or `None`: empty.
    #[inline]
    pub(super) fn oldest(&self, mut head: Position) -> (Position, Option<u32>) {
        loop {
            let seen = self.at(head).load();
            if seen.turn() == head {
                return (head, seen.get());
            }
            head = if seen.turn() == head.plus(self.size as u32) { head.plus(1) } else { self.past(seen) };
        }
    }

    /// Takes the oldest number, looked for from a position on that is not ahead of it; with its position.
    #[inline]
    pub(super) fn take(&self, mut from: Position) -> Option<(Position, u32)> {
        loop {
            let (head, number) = self.oldest(from);
            let number = number?;
            if self.at(head).exchange(Entry::cell(head, number), Entry::nothing(head.plus(self.size as u32))) {
                return Some((head, number));
            }
            from = head;
        }
    }
}

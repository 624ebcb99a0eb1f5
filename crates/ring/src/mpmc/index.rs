//! A lock-free queue of small numbers, in which a thread may stop anywhere.
//!
//! # State
//!
//! `entries[p % size]` is at the turn of position `p` (or of `p − size`, one round earlier), and holds a number or nothing. `tail` and `head` are where to begin to
//! look: never ahead of the truth, and whoever finds one behind helps it on.
//!
//! # Steps
//!
//! - *Push* of `v`: read `tail` as `t`, then the entry of `t`.
//!   - (`t`, nothing): compare-and-swap to (`t`, `v`). Done; help `tail` past `t`.
//!   - (`t − size`, some number): **full**.
//!   - else position `t` is settled: help `tail` past it; again.
//! - *Pop*: read `head` as `h`, then the entry of `h`.
//!   - (`h`, some number): compare-and-swap to (`h + size`, nothing). Done; help `head` past `h`.
//!   - (`h`, nothing): **empty**.
//!   - else position `h` is settled: help `head` past it; again.
//!
//! # Argument
//!
//! 1. *A push takes effect at its compare-and-swap*, and so does a pop. Both name the turn, so each position is filled once and emptied once, and in order: `tail` passes
//!    `t` only when `t` has been filled, and a push into `t + 1` needs a `tail` beyond `t`.
//! 2. *Full is true* when the entry was read: position `t − size` was still inside, and all up to `t − 1` had been pushed. *Empty* likewise: position `h` had not
//!    been pushed, and all before it had been popped.
//! 3. *Lock-free*: a call starts again only after a compare-and-swap failed, or a cursor was behind; either way somebody's call has taken effect
//!    since. Whoever is stopped between his compare-and-swap and helping is helped by others.
//!
//! # Source
//!
//! The form is that of Vyukov's queue with the value in the word of the turn, and of Michael and Scott's helping; found by model checking of the smallest sizes.

use super::word::{Cursor, Entry, Position, Word};

/// One queue: its cursors, and its entries by their index.
pub(super) struct Index<'a, F: Fn(usize) -> &'a Word> {
    pub(super) head: &'a Cursor,
    pub(super) tail: &'a Cursor,
    pub(super) entry: F,
    /// A power of two.
    pub(super) size: usize,
}

impl<'a, F: Fn(usize) -> &'a Word> Index<'a, F> {
    fn at(&self, position: Position) -> &'a Word {
        (self.entry)(position.index(self.size))
    }

    /// Appends a number; `false` if there are `size` inside.
    pub(super) fn push(&self, number: u32) -> bool {
        loop {
            let tail = self.tail.load();
            let word = self.at(tail);
            let seen = word.load();
            if seen == Entry::nothing(tail) {
                if word.exchange(seen, Entry::cell(tail, number)) {
                    self.tail.pass(tail);
                    return true;
                }
            } else if seen.turn().after(tail) < 0 {
                return false;
            } else {
                self.tail.pass(tail);
            }
        }
    }

    /// Takes the oldest number.
    pub(super) fn pop(&self) -> Option<u32> {
        loop {
            let head = self.head.load();
            let word = self.at(head);
            let seen = word.load();
            if seen.turn() != head {
                self.head.pass(head);
            } else if let Some(number) = seen.get() {
                if word.exchange(seen, Entry::nothing(head.plus(self.size as u32))) {
                    self.head.pass(head);
                    return Some(number);
                }
            } else {
                return None;
            }
        }
    }

    /// Whether nothing is inside.
    pub(super) fn is_empty(&self) -> bool {
        loop {
            let head = self.head.load();
            let seen = self.at(head).load();
            if seen.turn() == head {
                return seen.get().is_none();
            }
            self.head.pass(head);
        }
    }

    /// Whether `size` numbers are inside.
    pub(super) fn is_full(&self) -> bool {
        loop {
            let tail = self.tail.load();
            let seen = self.at(tail).load();
            if seen == Entry::nothing(tail) {
                return false;
            }
            if seen.turn().after(tail) < 0 {
                return true;
            }
            self.tail.pass(tail);
        }
    }

    /// How many are inside, roughly.
    pub(super) fn len(&self) -> usize {
        let head = self.head.load();
        usize::try_from(self.tail.load().after(head)).unwrap_or(0).min(self.size)
    }
}

//! Two positions, and at each side the other one's as last seen: natively.
//!
//! # State
//!
//! | name | type | written by | means |
//! |---|---|---|---|
//! | `Places::tail` | `AtomicU32` | producer | where the next value goes |
//! | `Places::head` | `AtomicU32` | consumer | where the oldest value is |
//! | `Pushing::tail`, `Popping::head` | plain | its owner | a copy of one's own position, which nobody else changes |
//! | `Pushing::limit` | plain | its owner | where the producer would be with the ring full: one round after `head` as last seen |
//! | `Popping::tail` | plain | its owner | `tail` as last seen |
//!
//! A position counts the slots of two rounds, `0..2 * capacity`, and then starts again, so that a full ring (one round between head and tail) and an empty one
//! (none) are two different things with any capacity. Its slot is the position in either round. `head` and `tail` are on lines of their own.
//!
//! # Steps
//!
//! - *Push*: if `tail` is `limit`, read `head` and set `limit` anew; if `tail` still is `limit`, the ring is full. Write the slot, then publish the next position.
//! - *Pop*: if `head` is `tail` as last seen, read `tail`; if it still is, the ring is empty. Read the slot, then publish the next position.
//!
//! # Argument
//!
//! 1. *What is popped is there.* The consumer reads only before a `tail` that it has read (Acquire), and the slots before it were written before it was published
//!    (Release).
//! 2. *No slot is overwritten while it is read.* The producer writes only before one round after a `head` that it has read (Acquire); the slots before it were read
//!    before it was published (Release). An old `head` only makes the ring look fuller, and then it is read again.
//! 3. *Full and empty are true* at the moment when the other side's position was read.
//! 4. *Leaks are harmless.* Each push and each pop publishes its own position before any code of the user's runs, so at any moment the slots from `head` to `tail` are
//!    the ones that hold values.
//!
//! # What it costs
//!
//! Two stores for a push (slot and position), one for a pop. That number decides: a store to a line that the other core has waits in the store buffer, a pop or a push for
//! each two or one of its places, and only what fits into it hides the lines' way. So nothing else is stored: both sides' plain words are meant to live in
//! registers, which they do as long as no reference to their struct gets out of sight (see `Drop for Link`).
//!
//! # Source
//!
//! Lamport's queue (*Specifying Concurrent Program Modules*, 1983) with the cached positions of Lee, Bu and Chandranmenon's MCRingBuffer (2010).

use core::fmt;
use core::sync::atomic::Ordering;

use super::patience::Patience;
use super::ring::Link;
use crate::primitive::{AtomicU32, Padded, publish};
use crate::slot;

/// One place of a ring, for storage that the caller lends: see [`BorrowedRing`](super::BorrowedRing).
///
/// # Progress
///
/// A place does nothing by itself.
///
/// # Memory ordering
///
/// The positions of the ring say whose it is.
pub struct Slot<T>(slot::Slot<T>);

// SAFETY: the positions say which one of two threads may touch the value, which moves between them: `T: Send` is enough. Only rings use slots.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    not_const_in_models! {
        /// An empty place.
        #[must_use]
        pub const fn new() -> Self {
            Slot(slot::Slot::new())
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// Both positions.
pub(super) struct Places {
    tail: Padded<AtomicU32>,
    head: Padded<AtomicU32>,
}

impl Places {
    not_const_in_models! {
        pub(super) const fn new() -> Places {
            Places { tail: Padded(AtomicU32::new(0)), head: Padded(AtomicU32::new(0)) }
        }
    }

    /// Drops what is left in the slots, and starts anew.
    ///
    /// # Safety
    ///
    /// No end exists; `slots` are this ring's.
    pub(super) unsafe fn clear<T>(&mut self, slots: &[Slot<T>]) {
        let capacity = slots.len() as u32;
        // Relaxed, both: the ring is borrowed mutably, so what the ends did happens before.
        let (mut head, tail) = (self.head.0.load(Ordering::Relaxed), self.tail.0.load(Ordering::Relaxed));
        *self = Places::new();
        while head != tail {
            // SAFETY: no end exists, and from head to tail the slots hold values; each is taken once.
            drop(unsafe { slots[index(head, capacity) as usize].0.read() });
            head = next(head, capacity);
        }
    }
}

/// The position after one.
#[inline]
fn next(position: u32, capacity: u32) -> u32 {
    if position + 1 == 2 * capacity { 0 } else { position + 1 }
}

/// The position one round after one, which is also the one a round before it.
#[inline]
fn round(position: u32, capacity: u32) -> u32 {
    if position < capacity { position + capacity } else { position - capacity }
}

/// How many positions `to` is after `from`.
#[inline]
fn distance(from: u32, to: u32, capacity: u32) -> u32 {
    if to >= from { to - from } else { 2 * capacity - from + to }
}

/// The slot of a position.
#[inline]
fn index(position: u32, capacity: u32) -> u32 {
    if position < capacity { position } else { position - capacity }
}

/// The producer's side.
pub(super) struct Pushing {
    /// Where the next value goes.
    tail: u32,
    /// Where the ring would be full, for a head that may be further by now.
    limit: u32,
}

impl Pushing {
    /// # Safety
    ///
    /// The producer's end is reserved for the caller.
    pub(super) unsafe fn arrive<T>(link: &Link<'_, T>) -> Self {
        // Relaxed: what earlier ends stored happens before, because the end is reserved.
        let tail = link.places().tail.0.load(Ordering::Relaxed);
        Pushing { tail, limit: limit(link) }
    }

    /// Nothing to say: each push has said where it stops.
    ///
    /// # Safety
    ///
    /// None.
    pub(super) unsafe fn leave<T>(&self, _: &Link<'_, T>) {}

    pub(super) fn has_room<T>(&self, link: &Link<'_, T>) -> bool {
        self.tail != self.limit || self.tail != limit(link)
    }

    /// The same, by the end that pushes then.
    pub(super) fn finds_room<T>(&mut self, link: &Link<'_, T>) -> bool {
        if self.tail == self.limit {
            self.limit = limit(link);
        }
        self.tail != self.limit
    }

    /// # Safety
    ///
    /// This is the producer's side of that ring, and it has found room.
    pub(super) unsafe fn put<T>(&mut self, link: &Link<'_, T>, value: T) {
        // SAFETY: the slot is the producer's (argument 2), and empty.
        unsafe { link.slot(index(self.tail, link.capacity)).0.write(value) };
        self.tail = next(self.tail, link.capacity);
        // Release: pairs with the Acquire in `seen`.
        publish(&link.places().tail.0, self.tail);
    }
}

/// Looks how far the consumer is.
fn limit<T>(link: &Link<'_, T>) -> u32 {
    // Acquire: pairs with the Release in `take`; the slots before it have been read.
    round(link.places().head.0.load(Ordering::Acquire), link.capacity)
}

/// Looks how far the producer is.
fn seen<T>(link: &Link<'_, T>) -> u32 {
    // Acquire: pairs with the Release in `put`; the slots before it have been written.
    link.places().tail.0.load(Ordering::Acquire)
}

/// The consumer's side.
pub(super) struct Popping {
    /// Where the oldest value is.
    head: u32,
    /// The producer's position as last seen: it may be further.
    tail: u32,
    patience: Patience,
}

impl Popping {
    /// # Safety
    ///
    /// The consumer's end is reserved for the caller.
    pub(super) unsafe fn arrive<T>(link: &Link<'_, T>) -> Self {
        // Relaxed: what earlier ends stored happens before, because the end is reserved.
        let head = link.places().head.0.load(Ordering::Relaxed);
        // Not looked at yet: the producer may already be at work.
        Popping { head, tail: head, patience: Patience::NEW }
    }

    /// Nothing to say: each pop has said where it stops.
    ///
    /// # Safety
    ///
    /// None.
    pub(super) unsafe fn leave<T>(&self, _: &Link<'_, T>) {}

    pub(super) fn has_value<T>(&self, link: &Link<'_, T>) -> bool {
        self.head != self.tail || self.head != seen(link)
    }

    /// The same, by the end that pops then.
    pub(super) fn finds_value<T>(&mut self, link: &Link<'_, T>) -> bool {
        if self.head == self.tail {
            let (head, tail) = (self.head, &mut self.tail);
            self.patience.look(link.capacity, || {
                *tail = seen(link);
                distance(head, *tail, link.capacity)
            });
        }
        self.head != self.tail
    }

    /// # Safety
    ///
    /// This is the consumer's side of that ring, and it has found a value.
    pub(super) unsafe fn take<T>(&mut self, link: &Link<'_, T>) -> T {
        // SAFETY: the slot is the consumer's (argument 1), and full.
        let value = unsafe { link.slot(index(self.head, link.capacity)).0.read() };
        self.head = next(self.head, link.capacity);
        // Release: pairs with the Acquire in `limit`.
        publish(&link.places().head.0, self.head);
        value
    }

    /// # Safety
    ///
    /// As for [`take`](Popping::take), which is not called while the reference lives.
    pub(super) unsafe fn get<'l, T>(&self, link: &'l Link<'_, T>) -> &'l T {
        // SAFETY: the slot is the consumer's (argument 1), and full.
        unsafe { link.slot(index(self.head, link.capacity)).0.get() }
    }
}

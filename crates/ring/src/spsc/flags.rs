//! A flag in each slot: on wasm, and where there are no 64-bit atomics (small processors, which have no lines that travel).
//!
//! # State
//!
//! | name | type | written by | means |
//! |---|---|---|---|
//! | `Slot::flag` | `AtomicU32` | both in turn | EMPTY: the slot is the producer's; FULL: it holds a value and is the consumer's |
//! | `Pushing::at`, `Popping::at` | plain | its owner | the slot that comes next |
//! | `Places` | plain | the end that goes | where the last producer and the last consumer stopped |
//!
//! There are no positions that both sides read. Each side knows where it is, and the slot there says whether it is its turn.
//!
//! # Steps
//!
//! - *Push*: if the slot at `at` is not EMPTY, the ring is full. Write the value, set FULL, go on to the next slot.
//! - *Pop*: if the slot at `at` is not FULL, the ring is empty. Read the value, set EMPTY, go on to the next slot.
//! - *An end goes*: it leaves its place for the next one of its kind.
//!
//! # Argument
//!
//! 1. *Exclusion.* A slot is touched by the producer only between its Acquire of EMPTY and its Release of FULL, and by the consumer only between its Acquire of
//!    FULL and its Release of EMPTY. So whoever touches it has the slot to itself, and sees what the other one did.
//! 2. *Order.* Both go through the slots in the same order from the same slot, and neither skips one, so values come out as they went in, once.
//! 3. *Full and empty are exact.* The producer comes back to a slot one round later; it is FULL if and only if the value that was pushed `capacity` pushes ago
//!    has not been popped. Likewise for empty.
//! 4. *No numbers that wrap.*
//! 5. *Leaks are harmless.* No code of the user's runs between a flag and its value, so at any moment the FULL slots are the ones that hold values.
//!
//! # Source
//!
//! FastForward (Giacomoni, Moseley and Vachharajani, *FastForward for Efficient Pipeline Parallelism*, 2008).

use core::fmt;
use core::sync::atomic::Ordering;

use super::ring::Link;
use crate::primitive::{AtomicU32, UnsafeCell, publish};
use crate::slot;

/// The flag of a slot that is the producer's.
const EMPTY: u32 = 0;
/// The flag of a slot that holds a value.
const FULL: u32 = 1;

/// One place of a ring, for storage that the caller lends: see [`BorrowedRing`](super::BorrowedRing).
///
/// # Progress
///
/// A place does nothing by itself. What happens to it takes one load and one store, without a loop.
///
/// # Memory ordering
///
/// Its flag is set with Release and read with Acquire, by both ends in turn.
pub struct Slot<T> {
    flag: AtomicU32,
    value: slot::Slot<T>,
}

// SAFETY: the flag says which one of two threads may touch the value, which moves between them: `T: Send` is enough. Only rings use slots.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    not_const_in_models! {
        /// An empty place.
        #[must_use]
        pub const fn new() -> Self {
            Slot { flag: AtomicU32::new(EMPTY), value: slot::Slot::new() }
        }
    }

    fn is_empty(&self) -> bool {
        // Acquire: pairs with the Release in `take`; the value has been read.
        self.flag.load(Ordering::Acquire) == EMPTY
    }

    fn is_full(&self) -> bool {
        // Acquire: pairs with the Release in `put`; the value is there.
        self.flag.load(Ordering::Acquire) == FULL
    }

    /// # Safety
    ///
    /// The caller is the producer, the slot is the one that comes next, and `is_empty`.
    unsafe fn put(&self, value: T) {
        // SAFETY: the slot is the producer's, and empty.
        unsafe { self.value.write(value) };
        // Release: pairs with the Acquire in `is_full`.
        publish(&self.flag, FULL);
    }

    /// # Safety
    ///
    /// The caller is the consumer, the slot is the one that comes next, and `is_full`.
    unsafe fn take(&self) -> T {
        // SAFETY: the slot is the consumer's, and full.
        let value = unsafe { self.value.read() };
        // Release: pairs with the Acquire in `is_empty`.
        publish(&self.flag, EMPTY);
        value
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

/// Where the last ends stopped; the bits of `Ends` guard them.
pub(super) struct Places {
    producer: UnsafeCell<u32>,
    consumer: UnsafeCell<u32>,
}

impl Places {
    not_const_in_models! {
        pub(super) const fn new() -> Places {
            Places { producer: UnsafeCell::new(0), consumer: UnsafeCell::new(0) }
        }
    }

    /// Drops what is left in the slots, and starts anew.
    ///
    /// # Safety
    ///
    /// No end exists; `slots` are this ring's.
    pub(super) unsafe fn clear<T>(&mut self, slots: &[Slot<T>]) {
        for slot in slots.iter().filter(|slot| slot.is_full()) {
            // SAFETY: no end exists, and the slot is full.
            drop(unsafe { slot.take() });
        }
        *self = Places::new();
    }
}

/// The slot after one of `capacity` slots.
fn next(at: u32, capacity: u32) -> u32 {
    if at + 1 == capacity { 0 } else { at + 1 }
}

/// The producer's side.
pub(super) struct Pushing {
    /// The slot that comes next.
    at: u32,
}

impl Pushing {
    /// # Safety
    ///
    /// The producer's end is reserved for the caller.
    pub(super) unsafe fn arrive<T>(link: &Link<'_, T>) -> Self {
        // SAFETY: the end is reserved, so the cell is the caller's.
        Pushing { at: link.places().producer.with(|at| unsafe { *at }) }
    }

    /// Says where it stops.
    ///
    /// # Safety
    ///
    /// The end is still reserved.
    pub(super) unsafe fn leave<T>(&self, link: &Link<'_, T>) {
        // SAFETY: the end is reserved, so the cell is the caller's.
        link.places().producer.with_mut(|at| unsafe { *at = self.at });
    }

    pub(super) fn has_room<T>(&self, link: &Link<'_, T>) -> bool {
        self.slot(link).is_empty()
    }

    /// The same, by the end that pushes then.
    pub(super) fn finds_room<T>(&mut self, link: &Link<'_, T>) -> bool {
        self.has_room(link)
    }

    /// # Safety
    ///
    /// This is the producer's side of that ring, and it has room.
    pub(super) unsafe fn put<T>(&mut self, link: &Link<'_, T>, value: T) {
        // SAFETY: this is the producer, and its next slot is empty.
        unsafe { self.slot(link).put(value) };
        self.at = next(self.at, link.capacity);
    }

    fn slot<'l, T>(&self, link: &'l Link<'_, T>) -> &'l Slot<T> {
        // SAFETY: `at` is 0 in the beginning, and starts again at 0 when it reaches the number of slots.
        unsafe { link.slot(self.at) }
    }
}

/// The consumer's side.
pub(super) struct Popping {
    /// The slot that comes next.
    at: u32,
}

impl Popping {
    /// # Safety
    ///
    /// The consumer's end is reserved for the caller.
    pub(super) unsafe fn arrive<T>(link: &Link<'_, T>) -> Self {
        // SAFETY: the end is reserved, so the cell is the caller's.
        Popping { at: link.places().consumer.with(|at| unsafe { *at }) }
    }

    /// Says where it stops.
    ///
    /// # Safety
    ///
    /// The end is still reserved.
    pub(super) unsafe fn leave<T>(&self, link: &Link<'_, T>) {
        // SAFETY: the end is reserved, so the cell is the caller's.
        link.places().consumer.with_mut(|at| unsafe { *at = self.at });
    }

    pub(super) fn has_value<T>(&self, link: &Link<'_, T>) -> bool {
        self.slot(link).is_full()
    }

    /// The same, by the end that pops then.
    pub(super) fn finds_value<T>(&mut self, link: &Link<'_, T>) -> bool {
        self.has_value(link)
    }

    /// # Safety
    ///
    /// This is the consumer's side of that ring, and it has a value.
    pub(super) unsafe fn take<T>(&mut self, link: &Link<'_, T>) -> T {
        // SAFETY: this is the consumer, and its next slot is full.
        let value = unsafe { self.slot(link).take() };
        self.at = next(self.at, link.capacity);
        value
    }

    /// # Safety
    ///
    /// As for [`take`](Popping::take), which is not called while the reference lives.
    pub(super) unsafe fn get<'l, T>(&self, link: &'l Link<'_, T>) -> &'l T {
        // SAFETY: the slot is the consumer's, and full.
        unsafe { self.slot(link).value.get() }
    }

    fn slot<'l, T>(&self, link: &'l Link<'_, T>) -> &'l Slot<T> {
        // SAFETY: `at` is 0 in the beginning, and starts again at 0 when it reaches the number of slots.
        unsafe { link.slot(self.at) }
    }
}

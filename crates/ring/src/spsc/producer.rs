//! The producer's end: push.

use core::fmt;

use super::ring::{Link, Slot};
use crate::ends::End;

/// The end of the one thread that pushes. May be moved to another thread.
///
/// # Progress
///
/// Wait-free: no operation has a loop, but for [`push_iter`](Producer::push_iter), which has one turn for each value.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`push`](Producer::push) | 1 Acquire | 1 Release (on wasm a swap) | – |
/// | [`push_iter`](Producer::push_iter) | 1 for each value, and 1 when full | 1 for each value | – |
/// | [`is_full`](Producer::is_full), [`is_abandoned`](Producer::is_abandoned) | 1 Acquire | – | – |
/// | drop | – | – | 1 Release |
///
/// What happened before a push happens before the pop that takes its value; what the consumer did before a pop happens before the push that finds its place free.
pub struct Producer<'a, T> {
    link: Link<'a, T>,
    /// The slot that comes next.
    at: usize,
}

// SAFETY: with the end moves the right to write slots, and values of `T`, which are `Send`.
unsafe impl<T: Send> Send for Producer<'_, T> {}

impl<'a, T> Producer<'a, T> {
    /// The ring's producer's end is reserved for this one.
    pub(super) fn new(link: Link<'a, T>) -> Self {
        let at = link.arrive(End::Producer);
        Producer { link, at }
    }

    /// Appends a value.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic load, one atomic store (on wasm one swap, which is cheaper there), both in the value's own slot.
    ///
    /// # Errors
    ///
    /// The value comes back when the ring is full. A moment later it may have room.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let slot = self.slot();
        if !slot.is_empty() {
            return Err(value);
        }
        // SAFETY: its next slot is empty.
        unsafe { self.put(value) };
        Ok(())
    }

    /// # Safety
    ///
    /// The slot that comes next is empty.
    unsafe fn put(&mut self, value: T) {
        // SAFETY: this is the producer, and its next slot is empty.
        unsafe { self.slot().put(value) };
        let next = self.at + 1;
        self.at = if next == self.link.slots().len() { 0 } else { next };
    }

    /// Appends values until the iterator ends or the ring is full; returns how many. No value is taken from the iterator that has no place.
    pub fn push_iter(&mut self, values: impl IntoIterator<Item = T>) -> usize {
        let (mut values, mut count) = (values.into_iter(), 0);
        while !self.is_full() {
            let Some(value) = values.next() else { break };
            // SAFETY: a slot that is empty stays so until this producer pushes.
            unsafe { self.put(value) };
            count += 1;
        }
        count
    }

    /// Whether nothing can be pushed. `true` may be out of date a moment later; `false` stays true until this producer pushes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.slot().is_empty()
    }

    /// The most values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.link.slots().len()
    }

    /// Whether the consumer is gone. What is pushed from then on waits for the next one, if the ring is one whose ends can be made anew; else nobody
    /// will pop it.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.link.gone(End::Consumer)
    }

    fn slot(&self) -> &Slot<T> {
        let slots = self.link.slots();
        debug_assert!(self.at < slots.len());
        // SAFETY: `at` is 0 in the beginning, and starts again at 0 when it reaches the number of slots, which is not 0 and does not change.
        unsafe { slots.get_unchecked(self.at) }
    }
}

impl<T> Drop for Producer<'_, T> {
    fn drop(&mut self) {
        self.link.leave(End::Producer, self.at);
    }
}

impl<T> fmt::Debug for Producer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("is_full", &self.is_full()).field("capacity", &self.capacity()).finish()
    }
}

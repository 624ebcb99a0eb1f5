//! The producer's end: push.

use core::fmt;

use super::ring::{Link, Slot};
use crate::ends::End;

/// The end of the one thread that pushes. May be moved to another thread.
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
        // SAFETY: this is the producer, and its next slot is empty.
        unsafe { slot.put(value) };
        let next = self.at + 1;
        self.at = if next == self.link.slots().len() { 0 } else { next };
        Ok(())
    }

    /// Appends values until the iterator ends or the ring is full; returns how many. No value is taken from the iterator that has no place.
    pub fn push_iter(&mut self, values: impl IntoIterator<Item = T>) -> usize {
        let (mut values, mut count) = (values.into_iter(), 0);
        while !self.is_full() {
            let Some(value) = values.next() else { break };
            if self.push(value).is_err() {
                unreachable!("a ring that is not full stays so until its producer pushes");
            }
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

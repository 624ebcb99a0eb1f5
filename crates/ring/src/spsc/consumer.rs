//! The consumer's end: pop.

use core::fmt;

use super::ring::{Link, Slot};
use crate::ends::End;

/// The end of the one thread that pops. May be moved to another thread.
///
/// # Progress
///
/// Wait-free: no operation has a loop.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`pop`](Consumer::pop) | 1 Acquire | 1 Release (on wasm a swap); none when empty | – |
/// | [`peek`](Consumer::peek), [`is_empty`](Consumer::is_empty), [`is_abandoned`](Consumer::is_abandoned) | 1 Acquire | – | – |
/// | drop | – | – | 1 Release |
///
/// What the producer did before a push happens before the pop that takes its value, and all it ever did before [`is_abandoned`](Consumer::is_abandoned) is true.
pub struct Consumer<'a, T> {
    link: Link<'a, T>,
    /// The slot that comes next.
    at: usize,
}

// SAFETY: with the end moves the right to read slots, and values of `T`, which are `Send`.
unsafe impl<T: Send> Send for Consumer<'_, T> {}

impl<'a, T> Consumer<'a, T> {
    /// The ring's consumer's end is reserved for this one.
    pub(super) fn new(link: Link<'a, T>) -> Self {
        let at = link.arrive(End::Consumer);
        Consumer { link, at }
    }

    /// Takes the oldest value.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic load, one atomic store (on wasm one swap, which is cheaper there), both in the value's own slot.
    pub fn pop(&mut self) -> Option<T> {
        let slot = self.slot();
        if !slot.is_full() {
            return None;
        }
        // SAFETY: this is the consumer, and its next slot is full.
        let value = unsafe { slot.take() };
        let next = self.at + 1;
        self.at = if next == self.link.slots().len() { 0 } else { next };
        Some(value)
    }

    /// The oldest value, where it is.
    #[must_use]
    pub fn peek(&mut self) -> Option<&T> {
        let slot = self.slot();
        // SAFETY: this is the consumer, its next slot is full, and it is borrowed for as long as the reference lives.
        slot.is_full().then(|| unsafe { slot.get() })
    }

    /// Whether nothing can be popped. `true` may be out of date a moment later; `false` stays true until this consumer pops.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.slot().is_full()
    }

    /// The most values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.link.slots().len()
    }

    /// Whether the producer is gone. **Then** the ring holds all it will hold: ask this first and pop afterwards, and nothing is missed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.link.gone(End::Producer)
    }

    fn slot(&self) -> &Slot<T> {
        let slots = self.link.slots();
        debug_assert!(self.at < slots.len());
        // SAFETY: `at` is 0 in the beginning, and starts again at 0 when it reaches the number of slots, which is not 0 and does not change.
        unsafe { slots.get_unchecked(self.at) }
    }
}

impl<T> Drop for Consumer<'_, T> {
    fn drop(&mut self) {
        self.link.leave(End::Consumer, self.at);
    }
}

impl<T> fmt::Debug for Consumer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("is_empty", &self.is_empty()).field("capacity", &self.capacity()).finish()
    }
}

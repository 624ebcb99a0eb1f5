//! The producer's end: push.

use core::fmt;

use super::protocol::Pushing;
use super::ring::Link;
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
/// | [`push`](Producer::push) | natively 1 Acquire when it looks full, else none; on wasm 1 | 1 Release (on wasm a swap) | – |
/// | [`push_iter`](Producer::push_iter) | for each value as `push`, and 1 when full | 1 for each value | – |
/// | [`is_full`](Producer::is_full), [`is_abandoned`](Producer::is_abandoned) | 1 Acquire at most | – | – |
/// | drop | – | – | 1 Release |
///
/// What happened before a push happens before the pop that takes its value; what the consumer did before a pop happens before the push that finds its place free.
pub struct Producer<'a, T> {
    link: Link<'a, T>,
    side: Pushing,
}

// SAFETY: with the end moves the right to write slots, and values of `T`, which are `Send`.
unsafe impl<T: Send> Send for Producer<'_, T> {}

impl<'a, T> Producer<'a, T> {
    /// # Safety
    ///
    /// The ring's producer's end is reserved for this one.
    pub(super) unsafe fn new(link: Link<'a, T>) -> Self {
        // SAFETY: as the caller says.
        let side = unsafe { Pushing::arrive(&link) };
        Producer { link, side }
    }

    /// Appends a value.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store, and a load when the ring looks full; on wasm one load and one swap (which is cheaper there), both in the value's own slot.
    ///
    /// # Errors
    ///
    /// The value comes back when the ring is full. A moment later it may have room.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if !self.side.finds_room(&self.link) {
            return Err(value);
        }
        // SAFETY: there is room.
        unsafe { self.side.put(&self.link, value) };
        Ok(())
    }

    /// Appends values until the iterator ends or the ring is full; returns how many. No value is taken from the iterator that has no place.
    pub fn push_iter(&mut self, values: impl IntoIterator<Item = T>) -> usize {
        let (mut values, mut count) = (values.into_iter(), 0);
        while self.side.finds_room(&self.link) {
            let Some(value) = values.next() else { break };
            // SAFETY: room stays until this producer pushes.
            unsafe { self.side.put(&self.link, value) };
            count += 1;
        }
        count
    }

    /// Whether nothing can be pushed. `true` may be out of date a moment later; `false` stays true until this producer pushes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.side.has_room(&self.link)
    }

    /// The most values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.link.capacity as usize
    }

    /// Whether the consumer is gone. What is pushed from then on waits for the next one, if the ring is one whose ends can be made anew; else nobody
    /// will pop it.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.link.gone(End::Consumer)
    }
}

impl<T> Drop for Producer<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the end is reserved until the next line.
        unsafe { self.side.leave(&self.link) };
        self.link.leave(End::Producer);
    }
}

impl<T> fmt::Debug for Producer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("is_full", &self.is_full()).field("capacity", &self.capacity()).finish()
    }
}

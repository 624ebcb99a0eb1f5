//! The consumer's end: pop.

use core::fmt;

use super::protocol::Popping;
use super::ring::Link;
use crate::ends::End;

/// The end of the one thread that pops. May be moved to another thread.
///
/// # Progress
///
/// Wait-free: no operation has a loop, but that [`pop`](Consumer::pop) may wait for up to 32 spin hints.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`pop`](Consumer::pop) | natively 1 or 2 Acquire when it looks empty, else none; on wasm 1 | 1 Release (on wasm a swap); none when empty | – |
/// | [`peek`](Consumer::peek) | as `pop` | – | – |
/// | [`is_empty`](Consumer::is_empty), [`is_abandoned`](Consumer::is_abandoned) | 1 Acquire at most | – | – |
/// | drop | – | – | 1 Release |
///
/// What the producer did before a push happens before the pop that takes its value, and all it ever did before [`is_abandoned`](Consumer::is_abandoned) is true.
pub struct Consumer<'a, T> {
    link: Link<'a, T>,
    side: Popping,
}

// SAFETY: with the end moves the right to read slots, and values of `T`, which are `Send`.
unsafe impl<T: Send> Send for Consumer<'_, T> {}

impl<'a, T> Consumer<'a, T> {
    /// # Safety
    ///
    /// The ring's consumer's end is reserved for this one.
    pub(super) unsafe fn new(link: Link<'a, T>) -> Self {
        // SAFETY: as the caller says.
        let side = unsafe { Popping::arrive(&link) };
        Consumer { link, side }
    }

    /// Takes the oldest value.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store, and one or two loads when the ring looks empty; on wasm one load and one swap (which is cheaper there), both in the value's own slot.
    ///
    /// Natively a consumer that has just taken several values and now finds few more waits for a moment (32 spin hints at most, which is less than a microsecond or two) and looks
    /// again: values that come one after the other then cost a tenth of what they would. One that comes alone is taken at once.
    pub fn pop(&mut self) -> Option<T> {
        if !self.side.finds_value(&self.link) {
            return None;
        }
        // SAFETY: this is the consumer, and there is a value.
        Some(unsafe { self.side.take(&self.link) })
    }

    /// The oldest value, where it is.
    #[must_use]
    pub fn peek(&mut self) -> Option<&T> {
        // SAFETY: this is the consumer, there is a value, and it is borrowed for as long as the reference lives.
        self.side.finds_value(&self.link).then(|| unsafe { self.side.get(&self.link) })
    }

    /// Whether nothing can be popped. `true` may be out of date a moment later; `false` stays true until this consumer pops.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.side.has_value(&self.link)
    }

    /// The most values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.link.capacity as usize
    }

    /// Whether the producer is gone. **Then** the ring holds all it will hold: ask this first and pop afterwards, and nothing is missed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.link.gone(End::Producer)
    }
}

impl<T> Drop for Consumer<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the end is reserved until the next line.
        unsafe { self.side.leave(&self.link) };
        self.link.leave(End::Consumer);
    }
}

impl<T> fmt::Debug for Consumer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("is_empty", &self.is_empty()).field("capacity", &self.capacity()).finish()
    }
}

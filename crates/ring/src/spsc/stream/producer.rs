//! The producer's end: push.

use core::fmt;
use core::sync::atomic::Ordering;

use super::chunk::{TooFew, WriteChunk};
#[cfg(not(loom))]
use super::link::copy;
use super::link::{Link, Shared};
use crate::ends::End;
use crate::primitive::publish;
#[cfg(not(loom))]
use crate::slot;
use crate::slot::Slot;

/// The end of the one thread that pushes. May be moved to another thread.
pub struct Producer<'a, T> {
    link: Link<'a, T>,
    /// Where the next value goes: a copy of the shared number.
    tail: u32,
    /// The consumer's position as last seen: it may be further.
    head: u32,
}

// SAFETY: with the end moves the right to write slots, and values of `T`, which are `Send`.
unsafe impl<T: Send> Send for Producer<'_, T> {}

impl<'a, T> Producer<'a, T> {
    /// # Safety
    ///
    /// The ring's producer's end is reserved for this one, and what earlier ends did happens before.
    pub(super) unsafe fn new(link: Link<'a, T>) -> Self {
        // Relaxed: what was stored there before happens before, as the caller says.
        let tail = link.shared().tail.0.load(Ordering::Relaxed);
        let head = link.shared().head.0.load(Ordering::Relaxed);
        Producer { link, tail, head }
    }

    /// Appends a value.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store (on wasm one swap, which is cheaper there); a load more when the ring looks full.
    ///
    /// # Errors
    ///
    /// The value comes back when the ring is full. A moment later it may have room.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room() == 0 && self.look() == 0 {
            return Err(value);
        }
        // SAFETY: the slot is free (argument 2 of the module's essay), and this is the producer.
        unsafe { self.link.slot(self.tail).write(value) };
        self.advance(1);
        Ok(())
    }

    /// Appends values until the iterator ends or the ring is full; returns how many. They become visible all at once.
    ///
    /// # Progress
    ///
    /// Wait-free but for the iterator. One atomic store for all, one load.
    ///
    /// # Panics
    ///
    /// If the iterator does. What it has given until then is in the ring.
    pub fn push_iter(&mut self, values: impl IntoIterator<Item = T>) -> usize {
        let count = self.look() as u32;
        WriteChunk::new(self, count).fill(values)
    }

    /// Appends copies of all the values. They become visible all at once.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store for all, at most one load.
    ///
    /// # Errors
    ///
    /// [`TooFew`] if there is not room for all; nothing is appended then.
    #[cfg(not(loom))]
    pub fn push_slice(&mut self, values: &[T]) -> Result<(), TooFew>
    where
        T: Copy,
    {
        self.need(values.len())?;
        let [first, second] = self.link.runs(self.tail, values.len() as u32);
        let (from, wrapped) = values.split_at(first.len());
        // SAFETY: there is room for all values; `runs` gives their slots and no others; nobody else touches them. `values` has as many, and is not in the
        // ring: a borrow of the ring's values would borrow its consumer or storage.
        unsafe { copy(from.as_ptr(), slot::places(first), first.len()) };
        if !wrapped.is_empty() {
            // SAFETY: likewise.
            unsafe { copy(wrapped.as_ptr(), slot::places(second), second.len()) };
        }
        self.advance(values.len() as u32);
        Ok(())
    }

    /// Appends copies of as many of the values, from the first on, as there is room for; returns how many. Otherwise as
    /// [`push_slice`](Producer::push_slice).
    #[cfg(not(loom))]
    pub fn push_partial_slice(&mut self, values: &[T]) -> usize
    where
        T: Copy,
    {
        let count = match self.push_slice(values) {
            Ok(()) => return values.len(),
            Err(few) => few.available,
        };
        match self.push_slice(&values[..count]) {
            Ok(()) => count,
            Err(_) => unreachable!("room stays until this producer pushes"),
        }
    }

    /// Reserves `count` slots to write in place; nothing is visible before the chunk says so.
    ///
    /// # Errors
    ///
    /// [`TooFew`] if there are not as many, with their number.
    pub fn write_chunk(&mut self, count: usize) -> Result<WriteChunk<'_, 'a, T>, TooFew> {
        self.need(count)?;
        Ok(WriteChunk::new(self, count as u32))
    }

    /// Slots that are certainly free: as many values can be pushed now, and more when the consumer has gone on.
    #[must_use]
    pub fn free(&mut self) -> usize {
        self.look()
    }

    /// Whether nothing can be pushed. `true` may be out of date a moment later; `false` stays true until this producer pushes.
    #[must_use]
    pub fn is_full(&mut self) -> bool {
        self.room() == 0 && self.look() == 0
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
        self.link.shared().ends.gone(End::Consumer)
    }

    /// Free slots as far as this end knows.
    pub(super) fn room(&self) -> usize {
        (self.link.capacity - self.tail.wrapping_sub(self.head)) as usize
    }

    /// Looks for room for `count` values.
    fn need(&mut self, count: usize) -> Result<(), TooFew> {
        if self.room() < count {
            let available = self.look();
            if available < count {
                return Err(TooFew { asked: count, available });
            }
        }
        Ok(())
    }

    /// Looks how far the consumer is; returns the free slots.
    fn look(&mut self) -> usize {
        // Acquire: pairs with the Release in `Consumer::publish_head`; the slots before it have been read.
        self.head = self.link.shared().head.0.load(Ordering::Acquire);
        self.room()
    }

    /// The next `count` slots as they lie in memory.
    #[cfg(not(loom))]
    pub(super) fn runs(&self, count: u32) -> [&[Slot<T>]; 2] {
        self.link.runs(self.tail, count)
    }

    /// The next `count` slots as they lie in memory, and what publishes them, in part or all, when it is dropped.
    pub(super) fn publishing(&mut self, count: u32) -> ([&[Slot<T>]; 2], Publishing<'_>) {
        let runs = self.link.runs(self.tail, count);
        (runs, Publishing { shared: self.link.shared(), tail: &mut self.tail, written: 0 })
    }

    /// Publishes the next `count` values, which have been written.
    pub(super) fn advance(&mut self, count: u32) {
        advance(self.link.shared(), &mut self.tail, count);
    }
}

/// Publishes the next `count` values, which have been written.
#[inline]
fn advance(shared: &Shared, tail: &mut u32, count: u32) {
    *tail = tail.wrapping_add(count);
    // Release: pairs with the Acquire in `Consumer::look`; who sees the number sees the values.
    publish(&shared.tail.0, *tail);
}

/// Publishes the values that were written, also when what gives them panics.
pub(super) struct Publishing<'p> {
    shared: &'p Shared,
    tail: &'p mut u32,
    /// How many there are so far.
    pub(super) written: u32,
}

impl Drop for Publishing<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.written > 0 {
            advance(self.shared, self.tail, self.written);
        }
    }
}

impl<T> Drop for Producer<'_, T> {
    fn drop(&mut self) {
        self.link.shared().ends.leave(End::Producer);
    }
}

impl<T> fmt::Debug for Producer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("free", &self.room()).field("capacity", &self.capacity()).finish()
    }
}

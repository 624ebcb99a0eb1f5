//! The producer's end: push.

use core::fmt;
use core::sync::atomic::Ordering;

use super::chunk::{TooFew, WriteChunk};
use super::link::Link;
use crate::ends::End;
use crate::primitive::publish;

/// The end of the one thread that pushes. May be moved to another thread.
///
/// # Progress
///
/// Wait-free: no operation waits for the consumer or starts again. Those that move many values have a turn for each.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`push`](Producer::push) | 1 Acquire when it looks full, else none | 1 Release (on wasm a swap) | – |
/// | `push_slice` | 1 when there seems to be too little room | 1 for all | – |
/// | [`push_iter`](Producer::push_iter) | 1 | 1 for all; none if there were none | – |
/// | [`write_chunk`](Producer::write_chunk) | 1 when there seems to be too little room | – | – |
/// | [`WriteChunk::fill`], `commit` | – | 1 for all | – |
/// | [`free`](Producer::free), [`is_abandoned`](Producer::is_abandoned) | 1 Acquire | – | – |
/// | drop | – | – | 1 Release |
///
/// What happened before a publication happens before whatever takes one of its values; what the consumer did before it gave places back happens before they are
/// written again.
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
        // SAFETY: there is room.
        unsafe { self.write(0, value) };
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
        self.look();
        self.up_to(usize::MAX).fill(values)
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
        let mut from = values.as_ptr();
        for (to, len) in self.link.runs(self.tail, values.len()) {
            // SAFETY: there is room for all values; `runs` gives their slots, `len` one after the other, and no others; nobody else touches
            // them. `values` has as many, and is not in the ring: a borrow of the ring's values would borrow its consumer or storage.
            unsafe { to.copy_from_nonoverlapping(from, len) };
            from = from.wrapping_add(len);
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
        Ok(self.up_to(count))
    }

    fn up_to(&mut self, most: usize) -> WriteChunk<'_, 'a, T> {
        let count = self.room().min(most) as u32;
        WriteChunk::new(self, count)
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

    /// Writes a value `offset` slots after the last one.
    ///
    /// # Safety
    ///
    /// `offset` is less than `room`, and the slot has not been written since the last `advance`, or what it holds need not be dropped.
    pub(super) unsafe fn write(&mut self, offset: u32, value: T) {
        // SAFETY: the slot is free (argument 2 of the module's essay), and this is the producer.
        unsafe { self.link.slot(self.tail.wrapping_add(offset)).write(value) };
    }

    /// The next `count` slots as they lie in memory.
    #[cfg(not(loom))]
    pub(super) fn runs(&self, count: u32) -> [(*mut T, usize); 2] {
        self.link.runs(self.tail, count as usize)
    }

    /// Publishes the next `count` values, which have been written.
    pub(super) fn advance(&mut self, count: u32) {
        self.tail = self.tail.wrapping_add(count);
        // Release: pairs with the Acquire in `Consumer::look`; who sees the number sees the values.
        publish(&self.link.shared().tail.0, self.tail);
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

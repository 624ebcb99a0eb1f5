//! The consumer's end: pop.

use core::fmt;
use core::sync::atomic::Ordering;

use super::chunk::{ReadChunk, TooFew};
use super::link::Link;
use crate::ends::End;
use crate::primitive::publish;
use crate::spsc::patience::Patience;

/// The end of the one thread that pops. May be moved to another thread.
///
/// # Progress
///
/// Wait-free: no operation waits for the producer or starts again. Those that move many values have a turn for each.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`pop`](Consumer::pop) | 1 Acquire when it looks empty (natively 2 at most), else none | 1 Release (on wasm a swap) | – |
/// | `pop_slice` | 1 when there seems to be too little | 1 for all | – |
/// | [`peek`](Consumer::peek), [`read_chunk`](Consumer::read_chunk) | 1 when there seems to be too little | – | – |
/// | [`ReadChunk::commit`], the end of a [`Taken`](super::Taken) | – | 1 for all | – |
/// | [`available`](Consumer::available), [`is_abandoned`](Consumer::is_abandoned) | 1 Acquire | – | – |
/// | drop | – | 1 Release | 1 Release |
///
/// What the producer did before a publication happens before whatever takes one of its values, and all it ever did before
/// [`is_abandoned`](Consumer::is_abandoned) is true.
pub struct Consumer<'a, T> {
    link: Link<'a, T>,
    /// The oldest value: a copy of the shared number, or further while a chunk is read.
    head: u32,
    /// The producer's position as last seen: it may be further.
    tail: u32,
    patience: Patience,
}

// SAFETY: with the end moves the right to read slots, and values of `T`, which are `Send`.
unsafe impl<T: Send> Send for Consumer<'_, T> {}

impl<'a, T> Consumer<'a, T> {
    /// # Safety
    ///
    /// The ring's consumer's end is reserved for this one, and what earlier ends did happens before.
    pub(super) unsafe fn new(link: Link<'a, T>) -> Self {
        // Relaxed: what was stored there before happens before, as the caller says.
        let head = link.shared().head.0.load(Ordering::Relaxed);
        // Not looked at yet: the producer may already be at work.
        Consumer { link, head, tail: head, patience: Patience::NEW }
    }

    /// Takes the oldest value.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store (on wasm one swap, which is cheaper there); a load more when the ring looks empty, natively two at most, with up to 32 spin hints
    /// between them, as in [`spsc`](crate::spsc::Consumer::pop).
    pub fn pop(&mut self) -> Option<T> {
        if self.known() == 0 && self.look_patiently() == 0 {
            return None;
        }
        // SAFETY: it is there.
        let value = unsafe { self.take() };
        self.publish_head();
        Some(value)
    }

    /// The oldest value, where it is.
    #[must_use]
    pub fn peek(&mut self) -> Option<&T> {
        if self.known() == 0 && self.look() == 0 {
            return None;
        }
        // SAFETY: it is there, and the consumer is borrowed for as long as the reference lives.
        Some(unsafe { self.link.slot(self.head).get() })
    }

    /// Fills `into` with the oldest values, which are taken.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store for all, at most one load.
    ///
    /// # Errors
    ///
    /// [`TooFew`] if there are not as many; nothing is taken then.
    #[cfg(not(loom))]
    pub fn pop_slice(&mut self, into: &mut [T]) -> Result<(), TooFew>
    where
        T: Copy,
    {
        self.need(into.len())?;
        let mut to = into.as_mut_ptr();
        for (from, len) in self.link.runs(self.head, into.len()) {
            // SAFETY: as many values are there; `runs` gives their slots, `len` one after the other; nobody writes them now. `into` has as
            // much room, and is not in the ring: it is borrowed mutably.
            unsafe { to.copy_from_nonoverlapping(from, len) };
            to = to.wrapping_add(len);
        }
        self.pass(into.len() as u32);
        self.publish_head();
        Ok(())
    }

    /// Moves values to the front of `into`, as many as there are and as it has room for; returns how many. Otherwise as
    /// [`pop_slice`](Consumer::pop_slice).
    #[cfg(not(loom))]
    pub fn pop_partial_slice(&mut self, into: &mut [T]) -> usize
    where
        T: Copy,
    {
        let count = match self.pop_slice(into) {
            Ok(()) => return into.len(),
            Err(few) => few.available,
        };
        match self.pop_slice(&mut into[..count]) {
            Ok(()) => count,
            Err(_) => unreachable!("values stay until this consumer takes them"),
        }
    }

    /// Claims the oldest `count` values, to be read in place.
    ///
    /// # Errors
    ///
    /// [`TooFew`] if there are not as many, with their number.
    pub fn read_chunk(&mut self, count: usize) -> Result<ReadChunk<'_, 'a, T>, TooFew> {
        self.need(count)?;
        Ok(ReadChunk::new(self, count as u32))
    }

    /// Values that are certainly there: as many can be popped now, and more when the producer has gone on.
    #[must_use]
    pub fn available(&mut self) -> usize {
        self.look()
    }

    /// Whether nothing can be popped. `true` may be out of date a moment later; `false` stays true until this consumer pops.
    #[must_use]
    pub fn is_empty(&mut self) -> bool {
        self.known() == 0 && self.look() == 0
    }

    /// The most values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.link.capacity as usize
    }

    /// Whether the producer is gone. **Then** the ring holds all it will hold: ask this first and pop afterwards, and nothing is missed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.link.shared().ends.gone(End::Producer)
    }

    /// Values inside as far as this end knows.
    pub(super) fn known(&self) -> usize {
        self.tail.wrapping_sub(self.head) as usize
    }

    /// Looks for `count` values.
    fn need(&mut self, count: usize) -> Result<(), TooFew> {
        if self.known() < count {
            let available = self.look();
            if available < count {
                return Err(TooFew { asked: count, available });
            }
        }
        Ok(())
    }

    /// Looks how far the producer is; returns the values inside.
    fn look(&mut self) -> usize {
        self.tail = seen(&self.link);
        self.known()
    }

    /// The same, or a moment later when it found few.
    fn look_patiently(&mut self) -> u32 {
        let (link, head, tail) = (&self.link, self.head, &mut self.tail);
        self.patience.look(link.capacity, || {
            *tail = seen(link);
            tail.wrapping_sub(head)
        })
    }

    /// Moves the oldest value out. Its slot is the producer's again after the next `publish_head`.
    ///
    /// # Safety
    ///
    /// `known` is not 0.
    pub(super) unsafe fn take(&mut self) -> T {
        // SAFETY: the value is there, and is passed in the next line, before anything else can run.
        let value = unsafe { self.read(0) };
        self.pass(1);
        value
    }

    /// Moves out the value `offset` slots after the oldest one.
    ///
    /// # Safety
    ///
    /// `offset` is less than `known`, and the value is passed before it could be read again.
    pub(super) unsafe fn read(&self, offset: u32) -> T {
        // SAFETY: the value is there (argument 1 of the module's essay), and this is the consumer.
        unsafe { self.link.slot(self.head.wrapping_add(offset)).read() }
    }

    /// Goes past the oldest `count` values.
    pub(super) fn pass(&mut self, count: u32) {
        self.head = self.head.wrapping_add(count);
    }

    /// The oldest `count` slots as they lie in memory.
    #[cfg(not(loom))]
    pub(super) fn runs(&self, count: u32) -> [(*mut T, usize); 2] {
        self.link.runs(self.head, count as usize)
    }

    /// Gives the slots that have been read back to the producer.
    pub(super) fn publish_head(&mut self) {
        // Release: pairs with the Acquire in `Producer::look`; who sees the number knows that the slots have been read.
        publish(&self.link.shared().head.0, self.head);
    }
}

/// The producer's position.
fn seen<T>(link: &Link<'_, T>) -> u32 {
    // Acquire: pairs with the Release in `Producer::advance`; the slots before it have been written.
    link.shared().tail.0.load(Ordering::Acquire)
}

impl<T> Drop for Consumer<'_, T> {
    fn drop(&mut self) {
        // An iterator over a chunk may have been forgotten before it did this.
        self.publish_head();
        self.link.shared().ends.leave(End::Consumer);
    }
}

impl<T> fmt::Debug for Consumer<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("available", &self.known()).field("capacity", &self.capacity()).finish()
    }
}

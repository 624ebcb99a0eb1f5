//! Several slots at once, in place: one publication for all of them.

use core::fmt;
#[cfg(not(loom))]
use core::mem::MaybeUninit;

use super::{Consumer, Producer};

/// There are fewer slots (to write) or values (to read) than were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew {
    /// How many were asked for.
    pub asked: usize,
    /// How many there are: ask for at most as many, or later.
    pub available: usize,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooFew { asked, available } = self;
        write!(
            f,
            "{asked} slots were asked for and {available} are available; ask for at most as many, or try again later"
        )
    }
}

impl core::error::Error for TooFew {}

/// Free slots to write in place. Dropping the chunk writes nothing.
///
/// # Progress
///
/// Wait-free: the slots are this end's already.
///
/// # Memory ordering
///
/// One Release store (on wasm a swap) publishes all that was written; dropping the chunk touches no atomic.
///
/// # Examples
///
/// ```
/// # weblane_ring::unless_model! {
/// let (mut producer, mut consumer) = weblane_ring::spsc::stream::channel::<u16>(8);
/// let written = producer.write_chunk(6).expect("there are as many").fill(10..13);
/// assert_eq!(written, 3, "the iterator had three; the other slots are free again");
/// assert_eq!(consumer.read_chunk(3).expect("there are as many").as_slices().0, [10, 11, 12]);
/// # }
/// ```
#[must_use = "dropping the chunk writes nothing"]
pub struct WriteChunk<'p, 'a, T> {
    producer: &'p mut Producer<'a, T>,
    count: u32,
}

impl<'p, 'a, T> WriteChunk<'p, 'a, T> {
    /// `count` is at most the producer's room.
    pub(super) fn new(producer: &'p mut Producer<'a, T>, count: u32) -> Self {
        debug_assert!(count as usize <= producer.room());
        WriteChunk { producer, count }
    }

    /// How many slots there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes values until the iterator ends or the chunk is full, and publishes them; returns how many.
    ///
    /// # Panics
    ///
    /// If the iterator does. What it has given until then is published.
    pub fn fill(self, values: impl IntoIterator<Item = T>) -> usize {
        /// Publishes what was written, also when the iterator panics.
        struct Written<'p, 'a, T>(&'p mut Producer<'a, T>, u32);
        impl<T> Drop for Written<'_, '_, T> {
            fn drop(&mut self) {
                if self.1 > 0 {
                    self.0.advance(self.1);
                }
            }
        }
        let mut written = Written(self.producer, 0);
        // `take` asks for no value beyond the last slot: none is lost.
        values.into_iter().take(self.count as usize).for_each(|value| {
            // SAFETY: the chunk has this slot, and it is written once.
            unsafe { written.0.write(written.1, value) };
            written.1 += 1;
        });
        written.1 as usize
    }

    /// The slots as they lie in memory: the first ones, and those after the ring's end, which may be none.
    #[cfg(not(loom))]
    #[must_use]
    pub fn as_mut_slices(&mut self) -> (&mut [MaybeUninit<T>], &mut [MaybeUninit<T>]) {
        let [(first, until_end), (second, rest)] = self.producer.runs(self.count);
        // SAFETY: `runs` gives slots that lie one after the other and do not overlap; they are free and this producer's alone while it is borrowed.
        unsafe {
            (
                core::slice::from_raw_parts_mut(first.cast(), until_end),
                core::slice::from_raw_parts_mut(second.cast(), rest),
            )
        }
    }

    /// Publishes the first `count` slots.
    ///
    /// # Safety
    ///
    /// They have been initialised through [`as_mut_slices`](WriteChunk::as_mut_slices).
    ///
    /// # Panics
    ///
    /// If `count` is more than [`len`](WriteChunk::len); nothing is published then.
    #[cfg(not(loom))]
    pub unsafe fn commit(self, count: usize) {
        assert!(count <= self.len(), "{count} slots were committed of a chunk of {}", self.count);
        self.producer.advance(count as u32);
    }
}

impl<T> fmt::Debug for WriteChunk<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteChunk").field("len", &self.count).finish_non_exhaustive()
    }
}

/// Values to read in place. Dropping the chunk takes none of them.
///
/// # Progress
///
/// Wait-free: the values are this end's already.
///
/// # Memory ordering
///
/// One Release store (on wasm a swap) gives back all the slots that were read; dropping the chunk touches no atomic.
///
/// # Examples
///
/// ```
/// # weblane_ring::unless_model! {
/// let (mut producer, mut consumer) = weblane_ring::spsc::stream::channel::<u16>(8);
/// producer.push_iter(0..8);
/// let chunk = consumer.read_chunk(8).expect("there are as many");
/// let (first, second) = chunk.as_slices();
/// assert_eq!(first.len() + second.len(), 8);
/// chunk.commit(5); // takes five
/// assert_eq!(consumer.pop(), Some(5));
/// # }
/// ```
#[must_use = "dropping the chunk takes nothing"]
pub struct ReadChunk<'c, 'a, T> {
    consumer: &'c mut Consumer<'a, T>,
    count: u32,
}

impl<'c, 'a, T> ReadChunk<'c, 'a, T> {
    /// `count` is at most what the consumer knows of.
    pub(super) fn new(consumer: &'c mut Consumer<'a, T>, count: u32) -> Self {
        debug_assert!(count as usize <= consumer.known());
        ReadChunk { consumer, count }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The values as they lie in memory: the first ones, and those after the ring's end, which may be none.
    #[cfg(not(loom))]
    #[must_use]
    pub fn as_slices(&self) -> (&[T], &[T]) {
        let [(first, until_end), (second, rest)] = self.consumer.runs(self.count);
        // SAFETY: `runs` gives slots that lie one after the other; each holds a value, and nobody touches them while the consumer is borrowed.
        unsafe { (core::slice::from_raw_parts(first, until_end), core::slice::from_raw_parts(second, rest)) }
    }

    /// The values as they lie in memory, to be changed in place.
    #[cfg(not(loom))]
    #[must_use]
    pub fn as_mut_slices(&mut self) -> (&mut [T], &mut [T]) {
        let [(first, until_end), (second, rest)] = self.consumer.runs(self.count);
        // SAFETY: as in `as_slices`; the two do not overlap, and the chunk is borrowed mutably.
        unsafe { (core::slice::from_raw_parts_mut(first, until_end), core::slice::from_raw_parts_mut(second, rest)) }
    }

    /// Takes the oldest `count` values, and drops them.
    ///
    /// # Panics
    ///
    /// If `count` is more than [`len`](ReadChunk::len); nothing is taken then. If a destructor panics, it and the values before it are taken.
    pub fn commit(self, count: usize) {
        assert!(count <= self.len(), "{count} values were taken of a chunk of {}", self.count);
        if core::mem::needs_drop::<T>() {
            self.into_iter().take(count).for_each(drop);
        } else {
            self.consumer.pass(count as u32);
            self.consumer.publish_head();
        }
    }
}

impl<'c, 'a, T> IntoIterator for ReadChunk<'c, 'a, T> {
    type Item = T;
    type IntoIter = Taken<'c, 'a, T>;

    /// Takes the values one by one; their slots are given back all at once when the iterator is dropped. What it has not reached stays in
    /// the ring.
    fn into_iter(self) -> Taken<'c, 'a, T> {
        Taken { consumer: self.consumer, left: self.count }
    }
}

impl<T> fmt::Debug for ReadChunk<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadChunk").field("len", &self.count).finish_non_exhaustive()
    }
}

/// The iterator of [`ReadChunk`].
///
/// # Progress
///
/// Wait-free.
///
/// # Memory ordering
///
/// No atomic while it runs; one Release store (on wasm a swap) when it is dropped. One that is forgotten gives its slots back with the next pop.
pub struct Taken<'c, 'a, T> {
    consumer: &'c mut Consumer<'a, T>,
    left: u32,
}

impl<T> Iterator for Taken<'_, '_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: the chunk had this value, and none was taken twice.
        Some(unsafe { self.consumer.take() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }

    /// What `for_each`, `sum` and others call: as `next`, but the place moves on once and not with every value.
    fn fold<A, F: FnMut(A, T) -> A>(self, first: A, mut add: F) -> A {
        /// Goes past what was taken, also when `add` panics. Nobody else has it, so it cannot be forgotten.
        struct Passing<'t, 'c, 'a, T>(&'t mut Taken<'c, 'a, T>, u32);
        impl<T> Drop for Passing<'_, '_, '_, T> {
            fn drop(&mut self) {
                self.0.consumer.pass(self.1);
            }
        }
        let mut taken = self;
        let left = core::mem::take(&mut taken.left);
        let mut passing = Passing(&mut taken, 0);
        let mut result = first;
        for offset in 0..left {
            passing.1 = offset + 1;
            // SAFETY: the chunk has this value, and it is taken once: it counts as passed from the line above on.
            let value = unsafe { passing.0.consumer.read(offset) };
            result = add(result, value);
        }
        result
    }
}

impl<T> ExactSizeIterator for Taken<'_, '_, T> {}

impl<T> Drop for Taken<'_, '_, T> {
    fn drop(&mut self) {
        self.consumer.publish_head();
    }
}

impl<T> fmt::Debug for Taken<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("left", &self.left).finish_non_exhaustive()
    }
}

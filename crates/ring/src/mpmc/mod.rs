//! A many-to-many ring that is lock-free: a thread may stop, or die, anywhere in a push or a pop, and nobody else is blocked.
//!
//! # Purpose
//!
//! For many producers and consumers of which any may be stopped for good between two instructions: a web worker that traps, an interrupt handler that
//! has interrupted a push, a thread of high priority that spins while a low one holds the processor. Values of any type and size. When nobody stops
//! in the middle, the ring of the module [`fast`] is faster.
//!
//! # State
//!
//! | name | what |
//! |---|---|
//! | `cells` | two places for values beside each entry, and two more: each is free, in the hand of one call, or its number is in the queue; `cells.rs` |
//! | `ready` | a queue of the numbers of cells that hold values, with room for `capacity`; `index.rs` |
//! | `head`, `tail` | where to begin to look for the two ends of that queue |
//!
//! # Steps
//!
//! - *Push*: look for the next free place of `ready`; if there is none, **full**. Claim a free cell, as a rule the one beside that place; write the
//!   value; fill the place with the cell's number. If somebody was quicker, look on with the cell in hand; if that ends at "full", take the value
//!   back out and give the cell back.
//! - *Pop*: take the oldest cell of `ready`; if there is none, **empty**. Read the value; give the cell back.
//! - *Many at once*: the same, one after the other, from where the last one ended.
//! - *Full and empty* are said at the second look, a moment after the first (`patience.rs`): a call that fails is mostly made again at once, and each
//!   look takes the entry's line from the other side. A batch that has moved a value says it at the first look, which nobody waits at.
//!
//! # Argument
//!
//! 1. *Exclusion.* A cell's number is in `ready` or in the hand of one call, or the cell is free. Only that call touches the cell. The number travels
//!    by compare-and-swaps (Release, Acquire), and what was done to the cell travels with it.
//! 2. *Order.* A push takes effect when its cell enters `ready`, a pop when its cell leaves `ready`. So the ring is a queue because `ready` is one,
//!    and "full" and "empty" are as exact as they are there: true at one moment of the call, and all moments are in one order.
//! 3. *There is a free cell* while at most `capacity + 2` other calls are half-way at one moment, running or stopped for good: `ready` holds at most
//!    `capacity` cells and each of them has one, of `2 × capacity + 2`. So with up to `capacity + 3` threads, "full" is exact. (No queue of any
//!    values can do without such a bound: a call that is stopped while it copies a value takes that value's memory with it, for ever.) Beyond it,
//!    "full" means that every cell is taken. Each call that died half-way costs one spare cell.
//! 4. *Lock-free.* A search ends, alone, after at most `capacity + 2` loads. The exchange after it fails only if another call has taken effect. A
//!    call that finds no free cell twice ends; the second look of a whole call is as the first, with a bounded number of hints before it; a round
//!    through the cells is made again only if a flag has changed between: a flag changes when a call claims its one cell, or
//!    gives it back at its end, so that for ever to look is to see calls end for ever. And nothing waits for a cell in somebody's hand.
//!
//! # Turns come again
//!
//! A turn has 32 bits. A call that is stopped in the middle while 2^32 values pass through the ring, or up to `capacity` fewer, or a multiple, can
//! take an old turn for a new one when it goes on. On targets without 64-bit atomics a turn has 16 bits, so there it is 65 536 values; and a ring
//! holds at most 2^14. (Where a low-priority thread may be held up for so long in the middle of a call, keep such rings short: with a capacity of 16
//! it is one chance in 4 096.)
//!
//! # Coming from `heapless::mpmc`
//!
//! | there | here |
//! |---|---|
//! | `Queue<T, N>`, `Q2<T>` to `Q64<T>` | [`Ring<T, N>`](Ring), any power of two, also in a `static` |
//! | `QueueView<T>` | [`BorrowedRing<T>`], over slots that you lend |
//! | `enqueue`, `dequeue` | [`push`](Queue::push), [`pop`](Queue::pop) |
//!
//! There, a push may fail while there is room, and a pop while there are values, when another call is stopped half-way, say by the interrupt whose
//! handler then makes the call. Here not. A target needs compare-and-swap on 32 bits; with 64 bits, rings may be longer.

mod cells;
pub mod fast;
mod index;
mod word;

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use crate::patience::wait_a_moment;
use crate::primitive::Padded;
use crate::slot::empty_slots;
use crate::storage::{CapacityError, Storage};
use cells::{Cell, Pair};
use index::Index;
use word::{Entry, Hint, MOST_CELLS, Position, Word};

/// One place of a queue, for storage that the caller lends: an entry, and two cells for values.
pub struct Slot<T> {
    ready: Word,
    cells: Pair<T>,
}

impl<T> Slot<T> {
    not_const_in_models! {
        /// A place that no queue has used yet.
        #[must_use]
        pub const fn new() -> Self {
            Slot::of(Position::new(0))
        }
    }

    not_const_in_models! {
        /// The place at this turn, with nothing in it.
        const fn of(turn: Position) -> Self {
            Slot { ready: Word::new(Entry::nothing(turn)), cells: Pair::new() }
        }
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

/// A queue with its storage inline; `N` is a power of two, or it does not compile.
pub type Ring<T, const N: usize> = Queue<T, [Slot<T>; N]>;
/// A queue in allocated storage.
#[cfg(feature = "alloc")]
pub type BoxedRing<T> = Queue<T, Box<[Slot<T>]>>;
/// A queue over storage that the caller lends.
pub type BorrowedRing<'s, T> = Queue<T, &'s mut [Slot<T>]>;

/// A bounded lock-free queue for any number of producers and consumers. What is left in it is dropped with it.
///
/// # Examples
///
/// ```
/// # weblane_ring::unless_model! {
/// use weblane_ring::mpmc::Ring;
///
/// static QUEUE: Ring<String, 2> = Ring::new();
///
/// std::thread::spawn(|| QUEUE.push("hello".into())).join().unwrap().expect("there is room");
/// QUEUE.push("world".into()).expect("there is room");
/// assert_eq!(QUEUE.push("again".into()), Err("again".into()), "full; the value comes back");
/// assert_eq!(QUEUE.pop().as_deref(), Some("hello"));
/// # }
/// ```
///
/// ```compile_fail
/// let queue = weblane_ring::mpmc::Ring::<u32, 3>::new();
/// ```
pub struct Queue<T, S: Storage<Slot<T>>> {
    head: Padded<Hint>,
    tail: Padded<Hint>,
    spare: Pair<T>,
    slots: S,
}

/// Cells that are beside no entry: for rings that are smaller than the number of threads.
const SPARE: usize = 2;
/// How far a hint may fall behind before it is left anew: where an atomic store costs as much as a read-modify-write, a few loads are cheaper.
const STRIDE: u32 = if cfg!(any(target_arch = "wasm32", weblane_sc)) { 4 } else { 1 };

// SAFETY: a cell is touched by whoever holds its number, one call at a time (argument 1), and values move between threads: `T: Send` is enough.
unsafe impl<T: Send, S: Storage<Slot<T>>> Sync for Queue<T, S> {}
// SAFETY: a queue that is moved is used by nobody, and takes its values along.
unsafe impl<T: Send, S: Storage<Slot<T>>> Send for Queue<T, S> {}

/// Whether a lock-free ring can have as many places.
const fn check(capacity: usize) -> Result<usize, CapacityError> {
    match CapacityError::check(capacity, true) {
        Ok(_) if capacity > MOST_CELLS / 2 => Err(CapacityError::too_many(capacity)),
        result => result,
    }
}

impl<T, const N: usize> Ring<T, N> {
    const CAPACITY: () = assert!(
        check(N).is_ok(),
        "the capacity of a lock-free ring is a power of two, at most 2^30, and at most 2^14 without 64-bit atomics"
    );

    not_const_in_models! {
        /// An empty queue.
        #[must_use]
        pub const fn new() -> Self {
            let () = Self::CAPACITY;
            let mut slots = empty_slots!(N, Slot::new());
            let mut index = 0;
            while index < N {
                slots[index] = Slot::of(Position::new(index as u32));
                index += 1;
            }
            Queue::over(slots)
        }
    }

    /// An empty queue after so many pushes and pops: for tests of the wrap.
    #[doc(hidden)]
    #[must_use]
    pub fn starting_at(position: u32) -> Self {
        let mut queue = Self::new();
        queue.start_at(position, |slots, index| &mut slots[index]);
        queue
    }
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "alloc")]
impl<T> BoxedRing<T> {
    /// An empty queue of at least `capacity` values: the next power of two.
    ///
    /// # Panics
    ///
    /// If the capacity is 0 or too large; the message is [`CapacityError`]'s.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        CapacityError::require(
            CapacityError::check(capacity, false).and_then(|asked| check(asked.next_power_of_two())),
        );
        let capacity = capacity.next_power_of_two() as u32;
        Queue::over((0..capacity).map(|index| Slot::of(Position::new(index))).collect::<Box<[_]>>())
    }
}

impl<'s, T> BorrowedRing<'s, T> {
    /// An empty queue over these slots.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if their number is not a power of two, or too large.
    pub fn new_in(storage: &'s mut [Slot<T>]) -> Result<Self, CapacityError> {
        check(storage.len())?;
        let mut queue = Queue::over(storage);
        queue.start_at(0, |slots, index| &mut slots[index]);
        Ok(queue)
    }
}

impl<T, S: Storage<Slot<T>>> Queue<T, S> {
    not_const_in_models! {
        /// Over slots that are ready for a start at position 0.
        const fn over(slots: S) -> Self {
            Queue {
                head: Padded(Hint::new(Position::new(0))),
                tail: Padded(Hint::new(Position::new(0))),
                spare: Pair::new(),
                slots,
            }
        }
    }

    /// Begins at a position, with nothing inside.
    fn start_at(&mut self, position: u32, slot: impl Fn(&mut S, usize) -> &mut Slot<T>) {
        let capacity = self.capacity();
        let start = Position::new(position);
        for offset in 0..capacity {
            let turn = start.plus(offset as u32);
            *slot(&mut self.slots, turn.index(capacity)) = Slot::of(turn);
        }
        self.head = Padded(Hint::new(start));
        self.tail = Padded(Hint::new(start));
    }

    #[inline]
    fn slot(&self, index: usize) -> &Slot<T> {
        let slots = self.slots.slots();
        // SAFETY: the number of slots is a power of two and does not change, so the mask keeps the index below it.
        unsafe { slots.get_unchecked(index & (slots.len() - 1)) }
    }

    /// The numbers of cells that hold values.
    #[inline]
    fn ready<'a>(&'a self) -> Index<impl Fn(usize) -> &'a Word> {
        Index { entry: |index| &self.slot(index).ready, size: self.capacity() }
    }

    /// A cell by its number: the first ones of all slots, the second ones, the spare ones.
    #[inline]
    fn cell(&self, number: u32) -> Cell<'_, T> {
        let (number, capacity) = (number as usize, self.capacity());
        match number.checked_sub(2 * capacity) {
            None => self.slot(number).cells.cell(number >= capacity),
            Some(spare) => self.spare.cell(spare > 0),
        }
    }

    /// Claims a free cell for a push into this position. `None`: all were taken at some moment.
    #[inline]
    fn claim(&self, tail: Position) -> Option<u32> {
        let most = 2 * self.capacity();
        // The one beside the entry that the round before did not use.
        let own = tail.index(most) as u32;
        self.cell(own).claim().is_ok().then_some(own).or_else(|| self.claim_another(own))
    }

    /// Claims any free cell. `None`: all were taken at some moment.
    #[cold]
    fn claim_another(&self, first: u32) -> Option<u32> {
        let (regular, all) = (2 * self.capacity() as u32, (2 * self.capacity() + SPARE) as u32);
        // The neighbour of the first one, then others, the spare ones last.
        let order = |step: u32| if step < regular { (first + regular / 2 + step) & (regular - 1) } else { step };
        cells::claim_any(all, |step| self.cell(order(step)).claim()).map(order)
    }

    /// Leaves a hint of one end, unless the one that was there, from which a search goes on only, is hardly older.
    #[inline]
    fn leave(hint: &Hint, was: Position, now: Position) {
        if now.since(was) >= STRIDE {
            hint.leave(now);
        }
    }

    /// Appends a value after this position, which is not ahead of the end. Returns the position after the value.
    #[inline]
    fn push_from(&self, mut tail: Position, value: T) -> Result<Position, T> {
        let ready = self.ready();
        let Some(place) = ready.free_place(tail) else { return Err(value) };
        let Some(number) = self.claim(place) else { return Err(value) };
        let cell = self.cell(number);
        // SAFETY: the cell is in this call's hand, and empty.
        unsafe { cell.value.write(value) };
        tail = place;
        loop {
            if ready.fill(tail, number) {
                return Ok(tail.plus(1));
            }
            let Some(place) = ready.free_place(tail) else { break };
            tail = place;
        }
        // SAFETY: the cell is still in this call's hand, and the value was just written.
        let value = unsafe { cell.value.read() };
        cell.give_back();
        Err(value)
    }

    /// Takes the oldest value, looked for from this position on, which is not ahead of the oldest. With the position after it.
    #[inline]
    fn pop_from(&self, head: Position) -> Option<(Position, T)> {
        let (place, number) = self.ready().take(head)?;
        let cell = self.cell(number);
        // SAFETY: the cell is in this call's hand, and came from `ready`, whose cells hold values.
        let value = unsafe { cell.value.read() };
        cell.give_back();
        Some((place.plus(1), value))
    }

    /// Looks once more for a place, a moment after there was none.
    #[cold]
    fn push_again(&self, value: T) -> Result<Position, T> {
        if wait_a_moment(self.capacity()) { self.push_from(self.tail.0.load(), value) } else { Err(value) }
    }

    /// Looks once more for a value, a moment after there was none.
    #[cold]
    fn pop_again(&self) -> Option<(Position, T)> {
        if wait_a_moment(self.capacity()) { self.pop_from(self.head.0.load()) } else { None }
    }

    /// Appends a value.
    ///
    /// # Progress
    ///
    /// Lock-free: looks again only when another call has taken effect or given a cell back, and once at a full ring, after
    /// a moment (at most 64 spin hints; on wasm a microsecond).
    ///
    /// # Memory ordering
    ///
    /// What happens before a push happens before the return of the pop that takes the value.
    ///
    /// Two read-modify-writes (the cell's flag and the entry) and one atomic store (the hint; on wasm a swap with every fourth value); three loads,
    /// on wasm up to six.
    ///
    /// # Errors
    ///
    /// The value comes back when `capacity` values were inside at some moment of the call, or (argument 3 of the module's essay) more than `capacity
    /// + 2` other calls were half-way.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), T> {
        let was = self.tail.0.load();
        let now = self.push_from(was, value).or_else(|value| self.push_again(value))?;
        Self::leave(&self.tail.0, was, now);
        Ok(())
    }

    /// Takes the oldest value. `None` when none was inside at some moment of the call.
    ///
    /// # Progress
    ///
    /// Lock-free: looks again only when another call has taken effect, and once at an empty ring, after a moment, as [`push`](Queue::push).
    ///
    /// # Memory ordering
    ///
    /// As [`push`](Queue::push). One read-modify-write (the entry) and two atomic stores (the cell's flag and the hint; on wasm a swap, and another
    /// one with every fourth value); three loads, on wasm up to six.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        let was = self.head.0.load();
        let (now, value) = self.pop_from(was).or_else(|| self.pop_again())?;
        Self::leave(&self.head.0, was, now);
        Some(value)
    }

    /// Appends values until the iterator ends or the ring is full. Others' values may come between them.
    ///
    /// # Progress
    ///
    /// As that many times [`push`](Queue::push), but with one hint for all of them, and fewer loads.
    ///
    /// # Errors
    ///
    /// The first value that found the ring full, as with [`push`](Queue::push). What comes after it is still in the iterator: pass it by `&mut` to
    /// have the rest.
    ///
    /// # Examples
    ///
    /// ```
    /// # weblane_ring::unless_model! {
    /// let queue = weblane_ring::mpmc::Ring::<u32, 4>::new();
    /// let mut values = 0..6;
    /// assert_eq!(queue.push_many(&mut values), Err(4));
    /// assert_eq!(values, 5..6);
    /// assert_eq!(queue.pop_many(10, |value| assert!(value < 4)), 4);
    /// # }
    /// ```
    pub fn push_many(&self, values: impl IntoIterator<Item = T>) -> Result<(), T> {
        self.push_each(&mut values.into_iter()).1
    }

    /// How many found room, and the first one that did not.
    fn push_each(&self, values: &mut impl Iterator<Item = T>) -> (usize, Result<(), T>) {
        let was = self.tail.0.load();
        let (mut now, mut count) = (was, 0);
        let result = values.try_for_each(|value| {
            now = self
                .push_from(now, value)
                .or_else(|value| if count == 0 { self.push_again(value) } else { Err(value) })?;
            count += 1;
            Ok(())
        });
        Self::leave(&self.tail.0, was, now);
        (count, result)
    }

    /// Appends copies of as many of the values, from the first on, as find room; returns how many. Otherwise as [`push_many`](Queue::push_many).
    pub fn push_slice(&self, values: &[T]) -> usize
    where
        T: Copy,
    {
        self.push_each(&mut values.iter().copied()).0
    }

    /// Moves values from the front of `values`, as many as find room; returns how many. Otherwise as [`push_many`](Queue::push_many).
    #[cfg(feature = "alloc")]
    pub fn push_vec(&self, values: &mut Vec<T>) -> usize {
        let (first, len) = (values.as_mut_ptr(), values.len());
        // SAFETY: for now all values are out of the vector; a panic would leak them.
        unsafe { values.set_len(0) };
        // SAFETY: each value is read once, and below only those that went in are treated as moved.
        let (count, result) = self.push_each(&mut (0..len).map(|index| unsafe { first.add(index).read() }));
        // The one that did not fit is still where it was read.
        core::mem::forget(result);
        // SAFETY: the first `count` values are gone; the rest, which are still there, move to the front.
        unsafe {
            first.copy_from(first.add(count), len - count);
            values.set_len(len - count);
        }
        count
    }

    /// Takes up to `most` values, until none is left, and hands each to `take`, oldest first; returns how many. Others may take values that were
    /// between them.
    ///
    /// # Progress
    ///
    /// As that many times [`pop`](Queue::pop), but with one hint for all of them, and fewer loads.
    ///
    /// # Panics
    ///
    /// If `take` does. The values that it did not get to are still inside.
    pub fn pop_many(&self, most: usize, mut take: impl FnMut(T)) -> usize {
        let was = self.head.0.load();
        let (mut now, mut count) = (was, 0);
        while count < most {
            let found = self.pop_from(now).or_else(|| if count == 0 { self.pop_again() } else { None });
            let Some((next, value)) = found else { break };
            (now, count) = (next, count + 1);
            take(value);
        }
        Self::leave(&self.head.0, was, now);
        count
    }

    /// The free cells, roughly: for tests, which see by it that no call has kept one.
    #[doc(hidden)]
    #[must_use]
    pub fn free_cells(&self) -> usize {
        (0..2 * self.capacity() + SPARE).filter(|number| self.cell(*number as u32).is_free()).count()
    }

    /// The values inside, roughly: they come and go.
    #[must_use]
    pub fn len(&self) -> usize {
        let ready = self.ready();
        let (head, _) = ready.oldest(self.head.0.load());
        let capacity = self.capacity();
        // From the tail's hint or, if that is older, from the head: no number beyond it was taken.
        let tail = self.tail.0.load();
        let tail = if tail.after(head) < 0 { head } else { tail };
        let end = ready.free_place(tail).map_or(capacity as i32, |tail| tail.after(head));
        usize::try_from(end).unwrap_or(0).min(capacity)
    }

    /// Whether nothing was inside at some moment of the call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready().oldest(self.head.0.load()).1.is_none()
    }

    /// Whether `capacity` values were inside at some moment of the call.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ready().free_place(self.tail.0.load()).is_none()
    }

    /// The most values that the queue holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.slots().len()
    }
}

impl<T, S: Storage<Slot<T>>> Drop for Queue<T, S> {
    fn drop(&mut self) {
        let mut head = self.head.0.load();
        while let Some((next, value)) = self.pop_from(head) {
            head = next;
            drop(value);
        }
    }
}

impl<T, S: Storage<Slot<T>>> fmt::Debug for Queue<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Argument 3: calls that were stopped for good half-way. Each test thread's call is cut off by hand, at each place where a cell is in its hand.
    #[test]
    fn calls_that_died_in_the_middle_block_nobody() {
        let queue = Ring::<u32, 4>::new();
        queue.push(0).expect("room");
        // Two pushes that died before they wrote their value, or before it was ready.
        let dead = queue.claim(queue.tail.0.load()).expect("free");
        // SAFETY: the cell is in this test's hand.
        unsafe { queue.cell(dead).value.write(99) };
        assert!(queue.claim(queue.tail.0.load()).is_some());
        // A pop that died before it gave its cell back.
        assert!(queue.ready().take(queue.head.0.load()).is_some());
        // Three more pushes.
        assert!((0..3).all(|_| queue.claim(Position::new(0)).is_some()));
        assert_eq!(queue.free_cells(), 4, "as many as values, and all spare cells are lost");
        for round in 0..100 {
            for value in 0..4 {
                assert_eq!(queue.push(value), Ok(()), "round {round}: all places are there");
            }
            assert_eq!((queue.push(9), queue.is_full()), (Err(9), true), "and no more");
            assert!((0..4).all(|value| queue.pop() == Some(value)));
            assert_eq!((queue.pop(), queue.is_empty()), (None, true));
        }
        // One more than there are spare cells: now a place is lost, and still nothing blocks.
        assert!(queue.claim(Position::new(0)).is_some());
        assert_eq!([1, 2, 3, 4].map(|value| queue.push(value).is_ok()), [true, true, true, false]);
        assert!((1..4).all(|value| queue.pop() == Some(value)));
        assert_eq!(queue.pop(), None);
    }

    /// Calls that were stopped before they helped the hints on: both ends are found again, and nothing is lost.
    #[test]
    fn hints_may_be_old() {
        for start in [0, u32::MAX - 5, 0xffff - 5] {
            let mut queue = Ring::<u32, 4>::starting_at(start);
            for count in 0..40 {
                for (value, behind) in (0..count % 5).zip(0..) {
                    queue.tail.0 = Hint::new(Position::new(start));
                    assert_eq!(queue.push(value), Ok(()), "{behind} inside");
                    queue.head.0 = Hint::new(Position::new(start));
                    assert_eq!((queue.len(), queue.is_empty(), queue.is_full()), (behind + 1, false, behind == 3));
                }
                queue.tail.0 = Hint::new(Position::new(start));
                assert_eq!(queue.is_full(), count % 5 == 4);
                for value in 0..count % 5 {
                    queue.head.0 = Hint::new(Position::new(start));
                    assert_eq!(queue.pop(), Some(value));
                }
                queue.head.0 = Hint::new(Position::new(start));
                assert_eq!((queue.len(), queue.pop(), queue.is_empty()), (0, None, true));
            }
        }
    }
}

//! A many-to-many ring that is lock-free: a thread may stop, or die, anywhere in a push or a pop, and nobody else is blocked.
//!
//! # Purpose
//!
//! For many producers and consumers of which any may be stopped for good between two instructions: a web worker that traps, an interrupt handler that has
//! interrupted a push, a thread of high priority that spins while a low one holds the processor. Values of any type and size. When nobody stops in the
//! middle, the ring of the module [`fast`] is faster.
//!
//! # State
//!
//! | name | what |
//! |---|---|
//! | `cells` | twice the capacity of places for values; each is in one hand, or in one of the two queues |
//! | `free` | a queue of the numbers of cells that are free, with room for all |
//! | `ready` | a queue of the numbers of cells that hold values, with room for `capacity` |
//!
//! The two queues hold small numbers and are lock-free; `index.rs` has their essay.
//!
//! # Steps
//!
//! - *Push*: if `ready` is full, so is the ring. Take a free cell; write the value; append the cell to `ready`. If that is full by now, take the value back, and give the cell
//!   back.
//! - *Pop*: take the oldest cell of `ready`; if there is none the ring is empty. Read the value; give the cell to `free`.
//!
//! # Argument
//!
//! 1. *Exclusion.* A cell's number is in one place: in `free`, in `ready`, or in the hand of one call. Only that call touches the cell. The number travels by
//!    compare-and-swaps (Release, Acquire), and what was done to the cell travels with it.
//! 2. *Order.* A push takes effect when its cell enters `ready`, a pop when its cell leaves `ready`. So the ring is a queue because `ready` is one, and "full" and
//!    "empty" are as exact as they are there: true at some moment between what happens before the call and its end. (Under sequential consistency, which wasm
//!    has, also by the clock.)
//! 3. *There is a free cell* while at most `capacity` calls are under way or were stopped for good: `ready` holds at most `capacity` cells, and there are
//!    twice as many. Beyond that a push says "full" although values could be popped; each call that died in the middle costs one spare cell for ever.
//! 4. *Lock-free*, because the queues are, and nothing waits for a cell in somebody's hand.
//!
//! # Targets without 64-bit atomics
//!
//! There a turn has 16 bits, and a ring at most 2^14 values. A call that is stopped between a load and its compare-and-swap while exactly a multiple of
//! 65 536 values pass through the same queue could then take an old turn for a new one; with 32 bits it is a multiple of 4 294 967 296.
//!
//! # Coming from `heapless::mpmc`
//!
//! `Queue<T, N>` is [`Ring<T, N>`](Ring) (any power of two, also in a `static`), `enqueue` is `push`, `dequeue` is `pop`. There, a push may fail while there is room,
//! and a pop while there are values, when another call is stopped half-way.

pub mod fast;
mod index;
mod word;

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;

use crate::primitive::Padded;
use crate::slot;
use crate::slot::empty_slots;
use crate::storage::{CapacityError, Storage};
use index::Index;
use word::{Cursor, Entry, MOST_CELLS, Position, Word};

/// One place of a queue, for storage that the caller lends: two cells for values, and their entries.
pub struct Slot<T> {
    ready: Word,
    free: [Word; 2],
    cells: [slot::Slot<T>; 2],
}

impl<T> Slot<T> {
    not_const_in_models! {
        /// A place that no queue has used yet.
        #[must_use]
        pub const fn new() -> Self {
            Slot::of(0, 1)
        }
    }

    not_const_in_models! {
        /// The place with this index of a ring that starts at position 0: nothing ready, all cells free.
        const fn of(index: u32, capacity: u32) -> Self {
            let (first, second) = (Position::new(index), Position::new(index + capacity));
            Slot {
                ready: Word::new(Entry::nothing(first)),
                free: [Word::new(Entry::cell(first, index)), Word::new(Entry::cell(second, index + capacity))],
                cells: [slot::Slot::new(), slot::Slot::new()],
            }
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
    free_head: Padded<Cursor>,
    free_tail: Padded<Cursor>,
    ready_head: Padded<Cursor>,
    ready_tail: Padded<Cursor>,
    slots: S,
    _values: core::marker::PhantomData<T>,
}

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
                slots[index] = Slot::of(index as u32, N as u32);
                index += 1;
            }
            Queue::over(slots, N as u32)
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
        let capacity = capacity.next_power_of_two();
        Queue::over(
            (0..capacity as u32).map(|index| Slot::of(index, capacity as u32)).collect::<Box<[_]>>(),
            capacity as u32,
        )
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
        let mut queue = Queue::over(storage, 1);
        queue.start_at(0, |slots, index| &mut slots[index]);
        Ok(queue)
    }
}

impl<T, S: Storage<Slot<T>>> Queue<T, S> {
    not_const_in_models! {
        /// Over slots that are ready for a start at position 0.
        const fn over(slots: S, capacity: u32) -> Self {
            Queue {
                free_head: Padded(Cursor::new(Position::new(0))),
                free_tail: Padded(Cursor::new(Position::new(2 * capacity))),
                ready_head: Padded(Cursor::new(Position::new(0))),
                ready_tail: Padded(Cursor::new(Position::new(0))),
                slots,
                _values: core::marker::PhantomData,
            }
        }
    }

    /// Begins at a position: nothing ready, all cells free.
    fn start_at(&mut self, position: u32, slot: impl Fn(&mut S, usize) -> &mut Slot<T>) {
        let capacity = self.capacity();
        let start = Position::new(position);
        for offset in 0..2 * capacity {
            let turn = start.plus(offset as u32);
            let index = turn.index(2 * capacity);
            let place = slot(&mut self.slots, index % capacity);
            place.free[index / capacity] = Word::new(Entry::cell(turn, offset as u32));
            if offset < capacity {
                place.ready = Word::new(Entry::nothing(turn));
            }
        }
        self.free_head = Padded(Cursor::new(start));
        self.free_tail = Padded(Cursor::new(start.plus(2 * capacity as u32)));
        self.ready_head = Padded(Cursor::new(start));
        self.ready_tail = Padded(Cursor::new(start));
    }

    fn slot(&self, index: usize) -> &Slot<T> {
        let slots = self.slots.slots();
        // SAFETY: the number of slots is a power of two and does not change, so the mask keeps the index below it.
        unsafe { slots.get_unchecked(index & (slots.len() - 1)) }
    }

    /// The numbers of cells that hold values.
    fn ready<'a>(&'a self) -> Index<'a, impl Fn(usize) -> &'a Word> {
        let (head, tail) = (&self.ready_head.0, &self.ready_tail.0);
        Index { head, tail, entry: |index| &self.slot(index).ready, size: self.capacity() }
    }

    /// The numbers of cells that are free.
    fn free<'a>(&'a self) -> Index<'a, impl Fn(usize) -> &'a Word> {
        let capacity = self.capacity();
        let entry = move |index: usize| &self.slot(index).free[usize::from(index >= capacity)];
        Index { head: &self.free_head.0, tail: &self.free_tail.0, entry, size: 2 * capacity }
    }

    fn cell(&self, number: u32) -> &slot::Slot<T> {
        let number = number as usize;
        &self.slot(number).cells[usize::from(number >= self.capacity())]
    }

    /// Gives a cell back, which the caller has emptied.
    fn give_back(&self, cell: u32) {
        let given = self.free().push(cell);
        debug_assert!(given, "there is room for all cells");
    }

    /// Appends a value.
    ///
    /// # Progress
    ///
    /// Lock-free: starts again only when another call has taken effect. Four read-modify-writes.
    ///
    /// # Errors
    ///
    /// The value comes back when `capacity` values were inside at some moment of the call, or (argument 3 of the module's essay) more than `capacity` calls were under
    /// way.
    pub fn push(&self, value: T) -> Result<(), T> {
        let ready = self.ready();
        // Asked first, because to find out later costs more.
        if ready.is_full() {
            return Err(value);
        }
        let Some(cell) = self.free().pop() else { return Err(value) };
        // SAFETY: the cell's number is in this call's hand, and it is empty.
        unsafe { self.cell(cell).write(value) };
        if ready.push(cell) {
            return Ok(());
        }
        // SAFETY: the number is still in this call's hand, and the value was just written.
        let value = unsafe { self.cell(cell).read() };
        self.give_back(cell);
        Err(value)
    }

    /// Takes the oldest value. `None` when none was inside at some moment of the call.
    ///
    /// # Progress
    ///
    /// Lock-free: starts again only when another call has taken effect. Four read-modify-writes.
    pub fn pop(&self) -> Option<T> {
        let cell = self.ready().pop()?;
        // SAFETY: the cell's number is in this call's hand, and came from `ready`, whose cells hold values.
        let value = unsafe { self.cell(cell).read() };
        self.give_back(cell);
        Some(value)
    }

    /// The free cells, roughly: for tests, which see by it that no call has kept one.
    #[doc(hidden)]
    #[must_use]
    pub fn free_cells(&self) -> usize {
        self.free().len()
    }

    /// The values inside, roughly: they come and go.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready().len()
    }

    /// Whether nothing was inside at some moment of the call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ready().is_empty()
    }

    /// Whether `capacity` values were inside at some moment of the call.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ready().is_full()
    }

    /// The most values that the queue holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.slots().len()
    }
}

impl<T, S: Storage<Slot<T>>> Drop for Queue<T, S> {
    fn drop(&mut self) {
        while let Some(value) = self.pop() {
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

    /// Argument 3: calls that were stopped for good in the middle. Each test thread's call is cut off by hand, at each place where a cell is in its hand.
    #[test]
    fn calls_that_died_in_the_middle_block_nobody() {
        let queue = Ring::<u32, 4>::new();
        queue.push(0).expect("room");
        // A push that died before its value was ready, and one that died before it had written it.
        let dead = queue.free().pop().expect("free");
        // SAFETY: the cell is in this test's hand.
        unsafe { queue.cell(dead).write(99) };
        assert!(queue.free().pop().is_some());
        // A pop that died before it gave its cell back.
        assert!(queue.ready().pop().is_some());
        for round in 0..100 {
            for value in 0..4 {
                assert_eq!(queue.push(value), Ok(()), "round {round}: all places are there");
            }
            assert_eq!((queue.push(9), queue.is_full()), (Err(9), true), "and no more");
            assert!((0..4).all(|value| queue.pop() == Some(value)));
            assert_eq!((queue.pop(), queue.is_empty()), (None, true));
        }
        // One more than there are spare cells: now a place is lost, and still nothing blocks.
        assert!(queue.free().pop().is_some() && queue.free().pop().is_some());
        assert_eq!([1, 2, 3, 4].map(|value| queue.push(value).is_ok()), [true, true, true, false]);
        assert!((1..4).all(|value| queue.pop() == Some(value)));
        assert_eq!(queue.pop(), None);
    }

    /// A call that was stopped between its compare-and-swap and helping the cursor on.
    #[test]
    fn cursors_that_were_left_behind_are_helped_on() {
        let queue = Ring::<u32, 2>::new();
        for round in 0..10 {
            queue.push(1).expect("room");
            // Back by one: as if the push had died before it moved the cursor.
            let tail = queue.ready_tail.0.load();
            let behind = Cursor::new(tail.plus(u32::MAX));
            let ready = Index { tail: &behind, ..queue.ready() };
            assert!(!ready.is_full() && ready.push(queue.free().pop().expect("free")), "round {round}");
            // The cell that was pushed by hand is empty; take it out again before anybody reads it.
            assert_eq!(behind.load().after(tail), 1, "the cursor was helped past both");
            queue.ready_tail.0.pass(tail);
            assert_eq!(queue.pop(), Some(1));
            let by_hand = queue.ready().pop().expect("the cell pushed by hand");
            queue.give_back(by_hand);
            assert_eq!(queue.pop(), None);
        }
    }
}

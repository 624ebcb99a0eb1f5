//! The faster many-to-many ring: a number for each slot, and two cursors. **A thread that is stopped in the middle blocks its slot.**
//!
//! # Purpose
//!
//! Where no thread dies or stops for good between two instructions, this is the quicker queue for many producers and many consumers. Where one may (a
//! worker that traps, an interrupt handler that interrupts a push), use the [module above](super).
//!
//! # State
//!
//! | name | type | written by | means |
//! |---|---|---|---|
//! | `tail` | `AtomicU32` | producers, by compare-and-swap | how many positions were ever claimed to push |
//! | `head` | `AtomicU32` | consumers, by compare-and-swap | how many were ever claimed to pop |
//! | `Slot::turn` | `AtomicU32` | whoever claimed the slot's position | `2p`: free for position `p`; `2p + 1`: holds the value of position `p` |
//!
//! Positions count modulo 2^31, turns modulo 2^32. Position `p` is in slot `p % capacity`; the slot's next position is `p + capacity`.
//!
//! # Steps
//!
//! - *Push*: read `tail`, then the turn of its slot. Free for it: claim it by moving `tail` on; write; set the turn to "holds". Behind it: **full**. Beyond it:
//!   somebody else was quicker, again.
//! - *Pop*: read `head`, then the turn of its slot. Holds its value: claim it by moving `head` on; read; set the turn to "free for the next
//!   position". Behind it: **empty**. Beyond it: again.
//! - *Full and empty* are said at the second look, a moment after the first (`patience.rs`): a call that fails is mostly made again at once, and
//!   each look takes the slot's line from the other side.
//! - *Many at once*: count the slots in a row whose turn it is, and claim them all by one step of the cursor.
//!
//! # Argument
//!
//! 1. *Exclusion.* Each position is claimed once by each side, since each claim moves a cursor; and its turn says whether the other side is done.
//! 2. *A slot that is free for position `p` stays so until `p` is claimed*, so slots that were counted before a claim are free when it succeeds: the
//!    cursor has not moved.
//! 3. *Could a cursor have come back to an old value?* After 2^31 claims by others, between a load and a compare-and-swap of one call.
//! 4. *Full and empty*: the slot of the cursor was not this side's at some moment of the call at which the cursor had this value, namely when its
//!    turn was read: a cursor
//!    passes a position only after the slot has come to its turn, and turns do not go back, so a turn that is behind says that the cursor has not
//!    gone on since it was read. The value in it
//!    may be on its way in or out: "full" means that `capacity` positions are taken by values or by calls under way.
//!
//! # Source
//!
//! Dmitry Vyukov's bounded MPMC queue (2011). Different here: turns count twice as fast, so that a capacity of 1 works.

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use core::sync::atomic::Ordering;

use crate::patience::wait_a_moment;
use crate::primitive::{AtomicU32, Padded, publish};
use crate::slot::{self, empty_slots};
use crate::storage::{CapacityError, Storage};

/// One place of a queue, for storage that the caller lends.
pub struct Slot<T> {
    turn: AtomicU32,
    value: slot::Slot<T>,
}

impl<T> Slot<T> {
    not_const_in_models! {
        /// A place that no queue has used yet.
        #[must_use]
        pub const fn new() -> Self {
            Slot { turn: AtomicU32::new(0), value: slot::Slot::new() }
        }
    }
}

impl<T> Slot<T> {
    /// Writes the value of this position, and says so.
    ///
    /// # Safety
    ///
    /// The calling thread has claimed the position, and the slot is free for it.
    #[inline]
    unsafe fn put(&self, position: u32, value: T) {
        // SAFETY: as the caller says.
        unsafe { self.value.write(value) };
        // Release: pairs with the Acquire in `behind`.
        publish(&self.turn, position.wrapping_mul(2).wrapping_add(1));
    }

    /// Reads the value of this position, and says so.
    ///
    /// # Safety
    ///
    /// The calling thread has claimed the position, and the slot holds its value.
    #[inline]
    unsafe fn take(&self, position: u32, capacity: usize) -> T {
        // SAFETY: as the caller says.
        let value = unsafe { self.value.read() };
        // Release: pairs with the Acquire in `behind`.
        publish(&self.turn, position.wrapping_add(capacity as u32).wrapping_mul(2));
        value
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

/// A bounded queue for any number of producers and consumers; see the [module](self) for what a stopped thread does to it.
///
/// # Examples
///
/// ```
/// # weblane_ring::unless_model! {
/// use weblane_ring::mpmc::fast::Ring;
///
/// static QUEUE: Ring<u32, 64> = Ring::new();
///
/// std::thread::spawn(|| QUEUE.push(7)).join().unwrap().expect("there is room");
/// assert_eq!(QUEUE.pop(), Some(7));
/// # }
/// ```
///
/// ```compile_fail
/// let queue = weblane_ring::mpmc::fast::Ring::<u32, 3>::new();
/// ```
pub struct Queue<T, S: Storage<Slot<T>>> {
    tail: Padded<AtomicU32>,
    head: Padded<AtomicU32>,
    slots: S,
    _values: core::marker::PhantomData<T>,
}

// SAFETY: a slot's value is touched by whoever has claimed its position, one thread at a time (argument 1), and values move between threads: `T:
// Send` is enough.
unsafe impl<T: Send, S: Storage<Slot<T>>> Sync for Queue<T, S> {}
// SAFETY: a queue that is moved is used by nobody, and takes its values along.
unsafe impl<T: Send, S: Storage<Slot<T>>> Send for Queue<T, S> {}

impl<T, const N: usize> Ring<T, N> {
    const POWER_OF_TWO: () =
        assert!(CapacityError::check(N, true).is_ok(), "the capacity of a queue is a power of two, at most 2^30");

    not_const_in_models! {
        /// An empty queue.
        #[must_use]
        pub const fn new() -> Self {
            let () = Self::POWER_OF_TWO;
            let mut slots = empty_slots!(N, Slot::new());
            let mut index = 0;
            while index < N {
                slots[index].turn = AtomicU32::new(2 * index as u32);
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
    /// If the capacity is 0 or more than 2^30; the message is [`CapacityError`]'s.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        CapacityError::require(CapacityError::check(capacity, false));
        let mut queue = Queue::over((0..capacity.next_power_of_two()).map(|_| Slot::new()).collect::<Box<[_]>>());
        queue.start_at(0, |slots, index| &mut slots[index]);
        queue
    }
}

impl<'s, T> BorrowedRing<'s, T> {
    /// An empty queue over these slots.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if their number is not a power of two, or more than 2^30.
    pub fn new_in(storage: &'s mut [Slot<T>]) -> Result<Self, CapacityError> {
        CapacityError::check(storage.len(), true)?;
        let mut queue = Queue::over(storage);
        queue.start_at(0, |slots, index| &mut slots[index]);
        Ok(queue)
    }
}

impl<T, S: Storage<Slot<T>>> Queue<T, S> {
    not_const_in_models! {
        const fn over(slots: S) -> Self {
            Queue {
                tail: Padded(AtomicU32::new(0)),
                head: Padded(AtomicU32::new(0)),
                slots,
                _values: core::marker::PhantomData,
            }
        }
    }

    /// Begins at a position.
    fn start_at(&mut self, position: u32, slot: impl Fn(&mut S, usize) -> &mut Slot<T>) {
        let capacity = self.slots.slots().len() as u32;
        self.tail = Padded(AtomicU32::new(position));
        self.head = Padded(AtomicU32::new(position));
        for offset in 0..capacity {
            let free = position.wrapping_add(offset);
            let index = (free & (capacity - 1)) as usize;
            slot(&mut self.slots, index).turn = AtomicU32::new(free.wrapping_mul(2));
        }
    }

    #[inline]
    fn slot(&self, position: u32) -> &Slot<T> {
        let slots = self.slots.slots();
        // SAFETY: the number of slots is a power of two and does not change, so the mask keeps the index below it.
        unsafe { slots.get_unchecked(position as usize & (slots.len() - 1)) }
    }

    /// How far a slot is from a turn of this position: 0 when it is there, negative when it has not come there yet.
    #[inline]
    fn behind(slot: &Slot<T>, position: u32, holds: bool) -> i32 {
        // Acquire: pairs with the Release of `publish` in `Slot::put` and `Slot::take`; what the other side did to the slot happens before.
        let turn = slot.turn.load(Ordering::Acquire);
        turn.wrapping_sub(position.wrapping_mul(2).wrapping_add(u32::from(holds))) as i32
    }

    /// Whether the slot of a cursor has not come to that turn.
    fn is_behind(&self, cursor: &AtomicU32, holds: bool) -> bool {
        let position = cursor.load(Ordering::Relaxed);
        Self::behind(self.slot(position), position, holds) < 0
    }

    /// How many of the positions from this one on are at that turn, up to `most`.
    fn in_a_row(&self, position: u32, holds: bool, most: usize) -> u32 {
        let is_there = |position: &u32| Self::behind(self.slot(*position), *position, holds) == 0;
        (0..most as u32).map(|offset| position.wrapping_add(offset)).take_while(is_there).count() as u32
    }

    /// Claims positions in a row of one side: the first, and as many more as `more` finds after it. `None`: there is none.
    #[inline]
    fn claim(&self, cursor: &AtomicU32, holds: bool, more: impl Fn(u32) -> u32) -> Option<(u32, u32, &Slot<T>)> {
        // Relaxed, here and below: the turn of the slot orders what matters; an old cursor is found out by the compare-and-swap.
        let mut position = cursor.load(Ordering::Relaxed);
        let mut looked = false;
        loop {
            let slot = self.slot(position);
            match Self::behind(slot, position, holds) {
                0 => {
                    let count = 1 + more(position.wrapping_add(1));
                    let next = position.wrapping_add(count);
                    match cursor.compare_exchange(position, next, Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => return Some((position, count, slot)),
                        Err(now) => position = now,
                    }
                }
                // The other side has not been here: neither has the cursor gone on (argument 4). It is looked twice.
                ..0 if looked || !wait_a_moment(self.slots.slots().len()) => return None,
                ..0 => {
                    looked = true;
                    position = cursor.load(Ordering::Relaxed);
                }
                // Others were quicker.
                _ => position = cursor.load(Ordering::Relaxed),
            }
        }
    }

    /// Claims up to `most` positions in a row, at least one.
    fn claim_many(&self, cursor: &AtomicU32, holds: bool, most: usize) -> Option<Claim<'_, T, S>> {
        let (next, left, _) = self.claim(cursor, holds, |second| self.in_a_row(second, holds, most - 1))?;
        Some(Claim { queue: self, holds, next, left })
    }

    /// Appends a value.
    ///
    /// # Progress
    ///
    /// Starts again only when another producer has just claimed a place, and once at a full ring, after a moment (at most 64 spin hints; on
    /// wasm a microsecond). A producer that is stopped between its claim and the end of its call hides, for as long as it is stopped, its own value and
    /// all that are pushed after it.
    ///
    /// # Memory ordering
    ///
    /// What happens before a push happens before the return of the pop that takes the value; and what happens before a pop, before the return of the
    /// push that takes its place.
    ///
    /// Two loads, one compare-and-swap, one atomic store (on wasm a swap: two read-modify-writes in all). At a full or empty ring four loads.
    ///
    /// # Errors
    ///
    /// The value comes back when every place is taken, by a value or by a call under way.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), T> {
        let Some((position, _, slot)) = self.claim(&self.tail.0, false, |_| 0) else { return Err(value) };
        // SAFETY: the position is claimed, and its slot is free for it.
        unsafe { slot.put(position, value) };
        Ok(())
    }

    /// Takes the oldest value. `None` when there is none, or the oldest one is still on its way in.
    ///
    /// # Progress
    ///
    /// As [`push`](Queue::push): starts again only when another consumer has just claimed the value, and once at an empty ring, after a
    /// moment. A consumer that is stopped in the middle keeps its place, and all places after it, from producers once they have come around.
    ///
    /// # Memory ordering
    ///
    /// As [`push`](Queue::push), with as many loads, read-modify-writes and stores.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        let (position, _, slot) = self.claim(&self.head.0, true, |_| 0)?;
        // SAFETY: the position is claimed, and its slot holds its value.
        Some(unsafe { slot.take(position, self.capacity()) })
    }

    /// Appends copies of as many of the values, from the first on, as there are places in a row; returns how many. Nobody else's values come between
    /// them.
    ///
    /// # Progress
    ///
    /// As [`push`](Queue::push), with one compare-and-swap for all of them; a load and an atomic store for each.
    pub fn push_slice(&self, values: &[T]) -> usize
    where
        T: Copy,
    {
        if values.is_empty() {
            return 0;
        }
        let Some(mut claim) = self.claim_many(&self.tail.0, false, values.len()) else { return 0 };
        let count = claim.left as usize;
        values[..count].iter().for_each(|value| claim.put(*value));
        count
    }

    /// Moves values from the front of `values`, as many as there are places in a row; returns how many. Otherwise as
    /// [`push_slice`](Queue::push_slice).
    #[cfg(feature = "alloc")]
    pub fn push_vec(&self, values: &mut Vec<T>) -> usize {
        if values.is_empty() {
            return 0;
        }
        let Some(mut claim) = self.claim_many(&self.tail.0, false, values.len()) else { return 0 };
        let count = claim.left as usize;
        values.drain(..count).for_each(|value| claim.put(value));
        count
    }

    /// Takes up to `most` values and hands each to `take`, oldest first; returns how many.
    ///
    /// # Progress
    ///
    /// As [`pop`](Queue::pop), with one compare-and-swap for all of them; a load and an atomic store for each. The places are given back one by one,
    /// as `take` gets on.
    ///
    /// # Panics
    ///
    /// If `take` does. The values that it did not get to are dropped.
    pub fn pop_many(&self, most: usize, take: impl FnMut(T)) -> usize {
        if most == 0 {
            return 0;
        }
        let Some(claim) = self.claim_many(&self.head.0, true, most) else { return 0 };
        let count = claim.left as usize;
        claim.for_each(take);
        count
    }

    /// The places that are taken, roughly: they come and go.
    #[must_use]
    pub fn len(&self) -> usize {
        // Relaxed: a figure that is out of date at once. The head first: the tail that is read later is not behind it.
        let head = self.head.0.load(Ordering::Relaxed);
        let len = self.tail.0.load(Ordering::Relaxed).wrapping_sub(head) as usize;
        len.min(self.capacity())
    }

    /// Whether nothing was there to pop a moment ago.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_behind(&self.head.0, true)
    }

    /// Whether there was no place a moment ago.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_behind(&self.tail.0, false)
    }

    /// The most values that the queue holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.slots().len()
    }
}

/// Positions in a row that the calling thread has claimed, and whose turn it is: to write them, or (as an iterator) to read them.
struct Claim<'q, T, S: Storage<Slot<T>>> {
    queue: &'q Queue<T, S>,
    /// Whether they are claimed to be read.
    holds: bool,
    next: u32,
    left: u32,
}

impl<T, S: Storage<Slot<T>>> Claim<'_, T, S> {
    /// The next position and its slot.
    fn step(&mut self) -> Option<(u32, &Slot<T>)> {
        self.left = self.left.checked_sub(1)?;
        let position = self.next;
        self.next = position.wrapping_add(1);
        Some((position, self.queue.slot(position)))
    }

    /// Writes the next position of a claim to write.
    fn put(&mut self, value: T) {
        debug_assert!(!self.holds);
        if let Some((position, slot)) = self.step() {
            // SAFETY: the position is claimed, and its slot is free for it.
            unsafe { slot.put(position, value) };
        }
    }
}

impl<T, S: Storage<Slot<T>>> Iterator for Claim<'_, T, S> {
    type Item = T;

    /// Reads the next position of a claim to read.
    fn next(&mut self) -> Option<T> {
        debug_assert!(self.holds);
        let capacity = self.queue.capacity();
        let (position, slot) = self.step()?;
        // SAFETY: the position is claimed, and its slot holds its value.
        Some(unsafe { slot.take(position, capacity) })
    }
}

impl<T, S: Storage<Slot<T>>> Drop for Claim<'_, T, S> {
    fn drop(&mut self) {
        if self.holds {
            self.for_each(drop);
        }
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

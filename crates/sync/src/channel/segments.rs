//! The queue of an unbounded channel: blocks in a row; senders claim by one addition.
//!
//! # State
//!
//! | name | written by | means |
//! |---|---|---|
//! | `tail` | senders, by addition and, at a block's end, by compare-and-swap; who closes | [`Cursor`] of the next claim to send; and **closed** |
//! | `head` | receivers, by compare-and-swap | [`Cursor`] of the next claim to receive |
//! | `Slot::tag` | the sender that claimed it | which life of the block its value is of |
//! | `Block::next` | whoever moved `tail` from this block to the next one | its number |
//! | `Block::done` | receivers | values that were read, plus one for moving `head` on |
//!
//! A cursor is one 64-bit word: a block's number, which life of that block it is in, and an index. So one addition claims a slot *of that very block*, and no
//! thread ever waits for another one to bring the next block. An index of a block's size or more is no claim: the block is full.
//!
//! # Steps
//!
//! - *Push*: `tail += 1`. It was closed: take it back, **closed**. The index is a slot's: write it, tag it. Else *extend*.
//! - *Extend*: take an unused block, and unless `tail` has moved on meanwhile (then give it back and push again), move `tail` from (old, any index past the end)
//!   to (new, 1) by compare-and-swap; link the old block to the new one; write slot 0, tag it.
//! - *Pop*: read `head`. Its slot has the tag of its life: claim it by moving `head` on; read; `done += 1`. `head` is past its block's end: if there is a
//!   next one, move `head` there; `done += 1`. Neither: nothing; closed and empty or not, as in the ring.
//! - *Done* by all, `SIZE + 1`: the block is in its next life, and unused.
//!
//! # Argument
//!
//! 1. *Exclusion.* An addition to `tail` gives each index of a life of a block to one sender; a compare-and-swap of `head` gives it to one receiver.
//! 2. *A block is not reused under anybody.* It is retired when each of its slots was read (so each was written, and `tail` is past its end) and `head`
//!    has left it (so it is linked to the next one, and `tail` has left it, too). A stale cursor differs in its life: its compare-and-swap fails, and what was read
//!    through it is not used.
//! 3. *Tags.* In each life of a block each slot is written, so a slot's tag is of this life or of the one before; equal tags mean the value is there.
//! 4. *Could a cursor have come back to an old value?* After 2^23 lives of the same block, between a load and a compare-and-swap of one call.
//! 5. *No lock.* A sender that stops between claiming and tagging, or between extending and linking, hides what is behind it from receivers, but blocks no thread;
//!    when it goes on, it wakes one, who wakes the next (see `wait`).
//! 6. *Wake-ups.* Tags, links and cursors are changed by SeqCst read-modify-writes, and looked at in `ready` by SeqCst loads, as `wait_list` asks.
//! 7. *The index does not overflow*: a sender that finds a block full adds no further before that block was left, and who finds the channel closed
//!    takes its addition back; so it is at most the block's size and the number of threads.
//!
//! # Source
//!
//! The row of blocks is that of crossbeam's list flavour and tokio's; the addition that names the block, so that nobody spins at a block's end, and
//! blocks by number are ours.

use core::fmt;
use core::mem;
use core::sync::atomic::Ordering;

use weblane_futex::growth;

use super::blocks::{BITS, Block, Blocks, NONE, SIZE};
use super::primitive::{AtomicU64, Padded};
use super::{Nothing, Refused};

/// A block, a life of it, and an index.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cursor(u64);

const CLOSED: u64 = 1 << 63;
const LIFE: u32 = 16;
const BLOCK: u32 = LIFE + BITS;
const MASK: u32 = (1 << BITS) - 1;

impl Cursor {
    #[inline]
    fn new(block: u32, life: u32, index: u32) -> Cursor {
        Cursor(u64::from(block) << BLOCK | u64::from(life) << LIFE | u64::from(index))
    }

    #[inline]
    fn block(self) -> u32 {
        (self.0 >> BLOCK) as u32 & MASK
    }

    #[inline]
    fn life(self) -> u32 {
        (self.0 >> LIFE) as u32 & MASK
    }

    #[inline]
    fn index(self) -> u32 {
        self.0 as u32 & 0xffff
    }

    #[inline]
    fn closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// The tag of a value here.
    #[inline]
    fn tag(self) -> u32 {
        self.life() << 1 | 1
    }

    /// The same without more than a block's size as index, and whether closed or not.
    fn settled(self) -> Cursor {
        Cursor::new(self.block(), self.life(), self.index().min(SIZE))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}[{}]", self.block(), self.life(), self.index())?;
        f.write_str(if self.closed() { " closed" } else { "" })
    }
}

pub(super) struct Segments<T> {
    tail: Padded<AtomicU64>,
    head: Padded<AtomicU64>,
    blocks: Blocks<T>,
}

impl<T> Segments<T> {
    /// Empty, with blocks whose first life has this number.
    pub(super) fn new(life: u32) -> Segments<T> {
        let life = life & MASK;
        let blocks = Blocks::new(life);
        let start = Cursor::new(blocks.take(), life, 0);
        Segments { tail: Padded(AtomicU64::new(start.0)), head: Padded(AtomicU64::new(start.0)), blocks }
    }

    #[inline]
    fn block(&self, at: Cursor) -> &Block<T> {
        self.blocks.get(at.block())
    }

    /// Appends a value, unless closed: then gives it back.
    #[inline]
    pub(super) fn push(&self, value: T) -> Result<(), Refused<T>> {
        // Acquire: pairs with the Release in `extend`; the block is as its last user has left it.
        let at = Cursor(self.tail.0.fetch_add(1, Ordering::Acquire));
        if at.closed() || at.index() >= SIZE {
            return self.push_past_the_end(at, value);
        }
        self.put(at, value);
        Ok(())
    }

    #[cold]
    fn push_past_the_end(&self, mut at: Cursor, value: T) -> Result<(), Refused<T>> {
        // A block at hand, not to take another one in each turn.
        let mut unused = None;
        let refused = loop {
            if at.closed() {
                self.tail.0.fetch_sub(1, Ordering::Relaxed);
                break Err(Refused::Closed(value));
            }
            let claimed = if at.index() < SIZE { Some(at) } else { self.extend(&mut unused) };
            if let Some(claimed) = claimed {
                self.put(claimed, value);
                break Ok(());
            }
            // Acquire: as in `push`.
            at = Cursor(self.tail.0.fetch_add(1, Ordering::Acquire));
        };
        if let Some(unused) = unused {
            self.blocks.give(unused);
        }
        refused
    }

    /// Moves `tail` to another block, if it is still past the end of one; claims that block's first slot.
    fn extend(&self, unused: &mut Option<u32>) -> Option<Cursor> {
        // Acquire: for `number`, below.
        let mut seen = Cursor(self.tail.0.load(Ordering::Acquire));
        while !seen.closed() && seen.index() >= SIZE {
            let number = *unused.get_or_insert_with(|| self.blocks.take());
            let block = self.blocks.get(number);
            // Relaxed, both: the block is ours. If the old one is in another life now, the compare-and-swap fails.
            let life = block.life.load(Ordering::Relaxed);
            let count = self.block(seen).number.load(Ordering::Relaxed);
            // Release: pairs with the Acquire in `len`; who has read this number sees that the cursors have gone on since.
            block.number.store(count.wrapping_add(1), Ordering::Release);
            let first = Cursor::new(number, life, 0);
            // Release: pairs with the Acquire in `push`. SeqCst: in one order with the closing bit.
            match self.tail.0.compare_exchange(seen.0, first.0 + 1, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => {
                    *unused = None;
                    // Release: pairs with the Acquire in `take`. SeqCst: published before the caller looks who waits.
                    self.block(seen).next.swap(number, Ordering::SeqCst);
                    return Some(first);
                }
                Err(now) => seen = Cursor(now),
            }
        }
        None
    }

    /// Writes a value into a slot that was claimed.
    #[inline]
    fn put(&self, at: Cursor, value: T) {
        // SAFETY: the index of a claim is below the size.
        let slot = unsafe { self.block(at).slots.get_unchecked(at.index() as usize) };
        // SAFETY: the slot is claimed (argument 1), and nobody else touches it before it has its tag.
        slot.value.with_mut(|place| unsafe { (*place).write(value) });
        // Release: pairs with the Acquire in `take`. SeqCst: published before the caller looks who waits.
        slot.tag.swap(at.tag(), Ordering::SeqCst);
    }

    /// Takes the oldest value, if it is complete; else the place where it would be.
    #[inline]
    fn take(&self) -> Result<T, Cursor> {
        // Acquire, here and below: pairs with the Release of the compare-and-swaps below; the block's number is known, and so its bucket.
        let mut at = Cursor(self.head.0.load(Ordering::Acquire));
        loop {
            let block = self.block(at);
            let (then, last) = if let Some(slot) = block.slots.get(at.index() as usize) {
                // Acquire: pairs with the swap in `put`.
                let there = slot.tag.load(Ordering::Acquire) == at.tag();
                (there.then_some(Cursor(at.0 + 1)), false)
            } else {
                // Acquire: pairs with the swap in `extend`.
                let next = block.next.load(Ordering::Acquire);
                // Relaxed: the block was given its life before it was linked.
                let first = |next| Cursor::new(next, self.blocks.get(next).life.load(Ordering::Relaxed), 0);
                ((next != NONE).then(|| first(next)), true)
            };
            let Some(then) = then else {
                let now = Cursor(self.head.0.load(Ordering::Acquire));
                if now == at {
                    return Err(at);
                }
                at = now;
                continue;
            };
            // SeqCst: a step of the cursor makes the next value visible to `ready`, as a publication does.
            match self.head.0.compare_exchange(at.0, then.0, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) if last => {
                    self.done(at);
                    at = then;
                }
                Ok(_) => {
                    // SAFETY: the slot is claimed (argument 1), has its value (argument 3), and the index was looked at above.
                    let slot = unsafe { block.slots.get_unchecked(at.index() as usize) };
                    // SAFETY: as above.
                    let value = slot.value.with(|place| unsafe { (*place).assume_init_read() });
                    self.done(at);
                    return Ok(value);
                }
                Err(now) => at = Cursor(now),
            }
        }
    }

    /// One more is done with a block.
    #[inline]
    fn done(&self, at: Cursor) {
        // AcqRel: the last one sees what all have done.
        if self.block(at).done.fetch_add(1, Ordering::AcqRel) == SIZE {
            self.blocks.retire(at.block());
        }
    }

    /// Takes the oldest value.
    #[inline]
    pub(super) fn pop(&self) -> Result<T, Nothing> {
        loop {
            let at = match self.take() {
                Ok(value) => return Ok(value),
                Err(at) => at,
            };
            // Acquire: pairs with the Release in `close`; who sees the channel closed sees every value that was sent.
            let tail = Cursor(self.tail.0.load(Ordering::Acquire));
            if !tail.closed() {
                return Err(Nothing::Empty);
            }
            if tail.settled() == at {
                return Err(Nothing::Closed);
            }
        }
    }

    /// Drops what is complete.
    pub(super) fn drain(&self) {
        while let Ok(value) = self.take() {
            growth::adopt();
            drop(value);
        }
    }

    /// Whether `pop` might do more than find the channel empty.
    pub(super) fn ready(&self) -> bool {
        // SeqCst, all: see argument 6.
        let at = Cursor(self.head.0.load(Ordering::SeqCst));
        let block = self.block(at);
        let there = match block.slots.get(at.index() as usize) {
            Some(slot) => slot.tag.load(Ordering::SeqCst) == at.tag(),
            None => block.next.load(Ordering::SeqCst) != NONE,
        };
        there || self.head.0.load(Ordering::SeqCst) != at.0 || self.is_closed()
    }

    pub(super) fn close(&self) {
        // SeqCst: published before the caller looks who waits; its Release pairs with the Acquire in `pop`.
        self.tail.0.fetch_or(CLOSED, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        Cursor(self.tail.0.load(Ordering::SeqCst)).closed()
    }

    pub(super) fn len(&self) -> usize {
        loop {
            let tail = Cursor(self.tail.0.load(Ordering::SeqCst)).settled();
            let head = Cursor(self.head.0.load(Ordering::SeqCst));
            // Acquire: pairs with the Release in `extend`, and not after the loads below.
            let [last, first] = [tail, head].map(|at| self.block(at).number.load(Ordering::Acquire));
            // All of it at one moment, or again.
            if Cursor(self.tail.0.load(Ordering::SeqCst)).settled() == tail
                && self.head.0.load(Ordering::SeqCst) == head.0
            {
                let blocks = last.wrapping_sub(first).wrapping_mul(SIZE);
                return blocks.wrapping_add(tail.index()).wrapping_sub(head.index()) as usize;
            }
        }
    }
}

impl<T> Drop for Segments<T> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            self.drain();
        }
    }
}

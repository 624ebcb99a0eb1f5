//! The queue of a bounded channel: a number for each slot, and two cursors.
//!
//! # State
//!
//! | name | written by | means |
//! |---|---|---|
//! | `tail` | senders, by compare-and-swap; who closes | twice the position of the next claim to send; bit 0: **closed** |
//! | `head` | receivers, by compare-and-swap | twice the position of the next claim to receive |
//! | `Slot::turn` | whoever claimed the slot's position | `2p`: free for position `p`; `2p + 1`: holds the value of position `p` |
//!
//! A position is a lap and an index below the capacity, which need not be a power of two: `lap * L + index`, where `L` is the next power of
//! two. 31 bits; the next lap of a position is `+ L`.
//!
//! # Steps
//!
//! - *Push*: read `tail` (closed: **closed**), then the turn of its slot. Free for it: claim it by moving `tail` on; write; turn to "holds". Behind it:
//!   **full**. Beyond it: somebody else was quicker, again.
//! - *Pop*: read `head`, then the turn of its slot. Holds its value: claim it by moving `head` on; read; turn to "free for the next lap".
//!   Behind it, nothing: then if `tail` is closed and equal to `head`, **closed**; closed and not equal: again; else **empty**. Beyond it: again.
//! - *Close*: set bit 0 of `tail`. A claim compares the whole word, so none succeeds afterwards.
//!
//! # Argument
//!
//! 1. *Exclusion.* Each position is claimed once by each side; and its turn says whether the other side is done.
//! 2. *Full and empty* mean that the slot at the cursor was not this side's: its value may be on its way in or out, and another one behind it may be
//!    complete. Whoever is under way wakes one when he is done, and who has got something wakes the next (see `wait`). No second look at the cursor is
//!    needed: it passes a position only after the slot has come to its turn, and turns do not go back, so a turn that is behind says that the cursor
//!    had not gone on when the turn was read. A channel that closes at that moment closes after the call.
//! 3. *Closed is last.* When `tail` is seen closed and equal to `head`, every position that was ever claimed has been received. The channel
//!    closes when the last sender goes, so nobody is under way, and a slot that is not ready belongs to a stale `head`.
//! 4. *No lock.* A thread that is stopped in the middle of a call blocks its slot, and so the others' values behind it, but no other thread: they find
//!    "full" or "empty", and wait if they may.
//! 5. *Could a cursor have come back to an old value?* After 2^31 positions, between a load and a compare-and-swap of one call.
//! 6. *Wake-ups.* Turns and cursors are changed by SeqCst read-modify-writes and looked at, in `ready` and `room`, by SeqCst loads, as
//!    `wait_list` asks. A swap costs on x86 what a fence after a store would, and on wasm less than a store.
//!
//! # Source
//!
//! Dmitry Vyukov's bounded MPMC queue (2011); laps, and the closing bit, as in crossbeam-channel's array flavour.

use alloc::boxed::Box;
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;

use weblane_futex::growth;

use super::primitive::{AtomicU32, Cell, Padded};
use super::{Nothing, Refused};

const CLOSED: u32 = 1;
/// The largest capacity: four laps fit into a position.
const MOST: usize = 1 << 29;

struct Slot<T> {
    turn: AtomicU32,
    value: Cell<MaybeUninit<T>>,
}

pub(super) struct Ring<T> {
    tail: Padded<AtomicU32>,
    head: Padded<AtomicU32>,
    slots: Box<[Slot<T>]>,
    /// Twice `L`.
    lap: u32,
}

impl<T> Ring<T> {
    /// An empty ring, some laps old.
    pub(super) fn new(capacity: usize, laps: u32) -> Ring<T> {
        assert!(
            (1..=MOST).contains(&capacity),
            "the capacity of a bounded channel is 1 to 2^29 (there is no rendezvous channel: use a capacity of 1)"
        );
        let lap = 2 * capacity.next_power_of_two() as u32;
        let first = lap.wrapping_mul(laps);
        let slot = |index: usize| Slot {
            turn: AtomicU32::new(first.wrapping_add(2 * index as u32)),
            value: Cell::new(MaybeUninit::uninit()),
        };
        Ring {
            tail: Padded(AtomicU32::new(first)),
            head: Padded(AtomicU32::new(first)),
            slots: (0..capacity).map(slot).collect(),
            lap,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    fn index(&self, position: u32) -> usize {
        ((position & (self.lap - 1)) >> 1) as usize
    }

    #[inline]
    fn slot(&self, position: u32) -> &Slot<T> {
        // SAFETY: cursors only have the values that `new` and `next` give them, whose index is below the number of slots.
        unsafe { self.slots.get_unchecked(self.index(position)) }
    }

    /// The position after this one.
    #[inline]
    fn next(&self, position: u32) -> u32 {
        if self.index(position) + 1 < self.slots.len() {
            position.wrapping_add(2)
        } else {
            (position & !(self.lap - 1)).wrapping_add(self.lap)
        }
    }

    /// How far a turn is from one that is waited for: negative when it has not come there yet.
    #[inline]
    fn behind(turn: u32, wanted: u32) -> i32 {
        turn.wrapping_sub(wanted) as i32
    }

    /// Appends a value.
    #[inline]
    pub(super) fn push(&self, value: T) -> Result<(), Refused<T>> {
        // Relaxed: the turn orders what matters, and an old cursor is found out by the compare-and-swap.
        let mut at = self.tail.0.load(Ordering::Relaxed);
        loop {
            if at & CLOSED != 0 {
                return Err(Refused::Closed(value));
            }
            let slot = self.slot(at);
            // Acquire: pairs with the swap in `pop`; what its receiver did to the slot happens before.
            let behind = Self::behind(slot.turn.load(Ordering::Acquire), at);
            if behind == 0 {
                // SeqCst: the closing bit and claims are in one order, which `room` and `ready` look at.
                match self.tail.0.compare_exchange(at, self.next(at), Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: the position is claimed, and the slot free for it: nobody else touches it before its turn is changed.
                        slot.value.with_mut(|place| unsafe { (*place).write(value) });
                        // Release: pairs with the Acquire in `pop`. SeqCst: published before the caller looks who waits.
                        slot.turn.swap(at | 1, Ordering::SeqCst);
                        return Ok(());
                    }
                    Err(now) => at = now,
                }
            } else if behind < 0 {
                return Err(Refused::Full(value));
            } else {
                at = self.tail.0.load(Ordering::Relaxed);
            }
        }
    }

    /// Takes the oldest value, if it is complete; else the position at which it would be.
    #[inline]
    fn take(&self) -> Result<T, u32> {
        // Relaxed: as in `push`.
        let mut at = self.head.0.load(Ordering::Relaxed);
        loop {
            let slot = self.slot(at);
            // Acquire: pairs with the swap in `push`.
            let behind = Self::behind(slot.turn.load(Ordering::Acquire), at | 1);
            if behind == 0 {
                // SeqCst: a step of the cursor makes the next value visible to `ready`, as a publication does.
                match self.head.0.compare_exchange(at, self.next(at), Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => {
                        // SAFETY: the position is claimed, and the slot holds its value: nobody else touches it before its turn is changed.
                        let value = slot.value.with(|place| unsafe { (*place).assume_init_read() });
                        // Release: pairs with the Acquire in `push`. SeqCst: published before the caller looks who waits.
                        slot.turn.swap(at.wrapping_add(self.lap), Ordering::SeqCst);
                        return Ok(value);
                    }
                    Err(now) => at = now,
                }
            } else if behind < 0 {
                return Err(at);
            } else {
                at = self.head.0.load(Ordering::Relaxed);
            }
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
            let tail = self.tail.0.load(Ordering::Acquire);
            if tail & CLOSED == 0 {
                return Err(Nothing::Empty);
            }
            if tail == at | CLOSED {
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
        let at = self.head.0.load(Ordering::SeqCst);
        Self::behind(self.slot(at).turn.load(Ordering::SeqCst), at | 1) >= 0
            || self.head.0.load(Ordering::SeqCst) != at
            || self.is_closed()
    }

    /// Whether `push` might do more than find the channel full.
    pub(super) fn room(&self) -> bool {
        // SeqCst, all: see argument 6.
        let at = self.tail.0.load(Ordering::SeqCst);
        at & CLOSED != 0
            || Self::behind(self.slot(at).turn.load(Ordering::SeqCst), at) >= 0
            || self.tail.0.load(Ordering::SeqCst) != at
    }

    pub(super) fn close(&self) {
        // SeqCst: published before the caller looks who waits; its Release pairs with the Acquire in `pop`.
        self.tail.0.fetch_or(CLOSED, Ordering::SeqCst);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.tail.0.load(Ordering::SeqCst) & CLOSED != 0
    }

    pub(super) fn len(&self) -> usize {
        loop {
            let tail = self.tail.0.load(Ordering::SeqCst);
            let head = self.head.0.load(Ordering::SeqCst);
            // Both at one moment, or again.
            if self.tail.0.load(Ordering::SeqCst) != tail {
                continue;
            }
            let (from, to) = (self.index(head), self.index(tail));
            return match to.cmp(&from) {
                core::cmp::Ordering::Greater => to - from,
                core::cmp::Ordering::Less => self.capacity() - from + to,
                core::cmp::Ordering::Equal if tail & !CLOSED == head => 0,
                core::cmp::Ordering::Equal => self.capacity(),
            };
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        self.drain();
    }
}

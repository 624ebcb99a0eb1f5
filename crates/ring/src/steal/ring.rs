//! The ring itself: the shared state, and what both sides need of it.

use core::cell::Cell;
use core::fmt;
use core::sync::atomic::Ordering;

use super::{Owner, Stealer};
use crate::primitive::{AtomicU32, AtomicU64, Padded};
use crate::slot::{Slot, empty_slots};

/// `packed` as it was at some instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed(u64);

impl Packed {
    #[inline]
    const fn new(pops: u32, head: u32) -> Packed {
        Packed((pops as u64) << 32 | head as u64)
    }

    #[inline]
    pub(super) const fn head(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(super) const fn pops(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The values in the ring, given how many were pushed.
    #[inline]
    pub(super) const fn len(self, pushes: u32) -> u32 {
        pushes.wrapping_sub(self.pops()).wrapping_sub(self.head())
    }

    #[inline]
    pub(super) const fn claim_old(self, count: u32) -> Packed {
        Packed::new(self.pops(), self.head().wrapping_add(count))
    }

    #[inline]
    pub(super) const fn claim_young(self) -> Packed {
        Packed::new(self.pops().wrapping_add(1), self.head())
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").field("pops", &self.pops()).field("head", &self.head()).finish()
    }
}

/// The thief word: nobody steals.
pub(super) const FREE: u32 = 0;
/// The thief word: somebody who has no number is between his claim and the end of his copy, or about to claim. Other values but FREE: the thief with
/// this number is.
pub(super) const BUSY: u32 = u32::MAX;

/// Whether the owner has copies of its own numbers. Natively a copy would be a store more for each push or pop, which waits in the store buffer for the next claim; on wasm
/// it spares atomic loads, which are dearer there (together 21 instead of 29 nanoseconds for a push and a pop in Chromium).
pub(super) const COPIES: bool = cfg!(any(target_arch = "wasm32", weblane_sc));

/// What only the owner uses, in plain memory.
pub(super) struct Private {
    /// A copy of `pushes`, where there are [`COPIES`].
    pub(super) pushes: Cell<u32>,
    /// A copy of the pops in `packed`, which only the owner changes; likewise.
    pub(super) pops: Cell<u32>,
    /// All slots before this position are free.
    pub(super) reclaimed: Cell<u32>,
}

/// A work-stealing ring of `N` values; `N` is a power of two.
///
/// In a `static`, in a box, or on the stack: the ring does not allocate. [`split`](Ring::split) gives the two ends. What is left in
/// the ring is dropped with it.
///
/// # Progress
///
/// The owner's [`push`](Owner::push) is wait-free and its other operations lock-free; thieves come one at a time. See [`Owner`] and [`Stealer`].
///
/// # Memory ordering
///
/// Making the ends touches no atomic: [`split`](Ring::split) has the ring to itself, and the caller of [`owner`](Ring::owner) answers for the order
/// between one owner
/// and the next.
///
/// # Examples
///
/// ```
/// # if weblane_ring::MODEL { return }
/// use weblane_ring::steal::Ring;
///
/// let mut ring = Ring::<u32, 4>::new();
/// let (mut owner, _) = ring.split();
/// for value in 0..4 {
///     owner.push(value).expect("there is room");
/// }
/// assert_eq!(owner.push(4), Err(4), "full; the value comes back");
/// assert_eq!(owner.pop(), Some(0));
/// assert_eq!(owner.pop_lifo(), Some(3));
/// ```
///
/// A capacity that is not a power of two does not compile:
///
/// ```compile_fail
/// let ring = weblane_ring::steal::Ring::<u32, 3>::new();
/// ```
pub struct Ring<T, const N: usize> {
    pub(super) packed: Padded<AtomicU64>,
    pub(super) thief: Padded<AtomicU32>,
    pub(super) pushes: Padded<AtomicU32>,
    pub(super) private: Private,
    slots: [Slot<T>; N],
}

// SAFETY: values move between threads, one owner at a time (argument 1 of the module's essay), so `T: Send` is enough. The plain cells
// are used by the owner alone: `split` makes one, and `owner`'s caller answers for his.
unsafe impl<T: Send, const N: usize> Sync for Ring<T, N> {}
// SAFETY: a ring that is moved has no ends, and takes its values along.
unsafe impl<T: Send, const N: usize> Send for Ring<T, N> {}

impl<T, const N: usize> Ring<T, N> {
    /// `p % N` is `p & MASK`, also across the wrap of `p`.
    const MASK: u32 = {
        assert!(N.is_power_of_two() && N <= 1 << 31, "the capacity of a ring is a power of two, at most 2^31");
        N as u32 - 1
    };

    not_const_in_models! {
        /// An empty ring.
        #[must_use]
        pub const fn new() -> Self {
            Self::starting_at(0, 0)
        }
    }

    not_const_in_models! {
        /// An empty ring after `head` pops at the old end and `pops` at the young one: for tests of the wrap.
        #[doc(hidden)]
        #[must_use]
        pub const fn starting_at(head: u32, pops: u32) -> Self {
            let _ = Self::MASK;
            let pushes = head.wrapping_add(pops);
            Ring {
                packed: Padded(AtomicU64::new(Packed::new(pops, head).0)),
                thief: Padded(AtomicU32::new(FREE)),
                pushes: Padded(AtomicU32::new(pushes)),
                private: Private { pushes: Cell::new(pushes), pops: Cell::new(pops), reclaimed: Cell::new(head) },
                slots: empty_slots!(N, Slot::new()),
            }
        }
    }

    /// The most values that the ring holds.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }

    /// The two ends. The stealer can be copied; of the owner there is one.
    pub fn split(&mut self) -> (Owner<'_, T, N>, Stealer<'_, T, N>) {
        (Owner::new(self), Stealer::new(self, BUSY))
    }

    /// The owner's end, for rings in a `static`, where [`split`](Ring::split) cannot be called.
    ///
    /// # Safety
    ///
    /// While the owner lives there is no other owner of this ring, on any thread; and what an earlier owner did happens before
    /// (it was on the same thread, or there was a synchronisation in between).
    #[must_use]
    pub unsafe fn owner(&self) -> Owner<'_, T, N> {
        Owner::new(self)
    }

    /// A stealer's end.
    #[must_use]
    pub fn stealer(&self) -> Stealer<'_, T, N> {
        Stealer::new(self, BUSY)
    }

    /// An end for the thief with this number, so that its turn can be ended for it when it has died. `0` and `u32::MAX` are nobody's number, and
    /// are taken as none.
    #[must_use]
    pub fn stealer_numbered(&self, number: u32) -> Stealer<'_, T, N> {
        Stealer::new(self, if number == FREE { BUSY } else { number })
    }

    /// Ends the turn of a thief that has died in the middle of it; otherwise the ring would be closed to other thieves for ever, and its slots not
    /// used again. Returns whether it was so. What the thief had claimed and not copied is lost: not run, not dropped.
    ///
    /// # Safety
    ///
    /// The thief with this number, which stole by way of [`stealer_numbered`](Ring::stealer_numbered), is dead: it does nothing any more, for ever,
    /// and all that it did happens before this call, as after the `join` of a thread.
    pub unsafe fn end_turn_of_dead(&self, number: u32) -> bool {
        number != FREE
            && number != BUSY
            // Release: as at the end of any turn; what the dead one did is before this, as the caller says.
            && self.thief.0.compare_exchange(number, FREE, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    fn slot(&self, position: u32) -> &Slot<T> {
        &self.slots[(position & Self::MASK) as usize]
    }

    /// Moves a value into the slot of `position`.
    ///
    /// # Safety
    ///
    /// The calling thread is the owner, and the slot is free: `position − reclaimed < N`.
    pub(super) unsafe fn write(&self, position: u32, value: T) {
        // SAFETY: the slot is free, and nobody but the owner writes.
        unsafe { self.slot(position).write(value) };
    }

    /// Moves the value out of the slot of `position`.
    ///
    /// # Safety
    ///
    /// The caller has claimed the position, and has not read it before.
    pub(super) unsafe fn read(&self, position: u32) -> T {
        // SAFETY: a claimed position was published, so a value is there; the claim gives it to the caller alone.
        unsafe { self.slot(position).read() }
    }

    /// How many the owner has pushed; for the owner, who alone changes that.
    pub(super) fn own_pushes(&self) -> u32 {
        if COPIES {
            return self.private.pushes.get();
        }
        // Relaxed: whoever wrote it last sees that.
        self.pushes.0.load(Ordering::Relaxed)
    }

    /// How many the owner has popped at the young end; likewise.
    pub(super) fn own_pops(&self) -> u32 {
        if COPIES {
            return self.private.pops.get();
        }
        // Relaxed: whatever thieves have done to the other half, this half is as the owner left it.
        Packed(self.packed.0.load(Ordering::Relaxed)).pops()
    }

    pub(super) fn load_packed(&self) -> Packed {
        // Acquire: pairs with the Release in `claim`. What is read after this (`pushes`, `thief`) is at least as new as this state.
        Packed(self.packed.0.load(Ordering::Acquire))
    }

    /// One attempt to move `packed` on.
    pub(super) fn claim(&self, from: Packed, to: Packed) -> bool {
        // Release: pairs with the Acquire in `load_packed`. No Acquire: `from` was loaded with it. A copy that the processor begins before the claim is good
        // if the claim succeeds: nobody writes a slot before its value is claimed.
        self.packed.0.compare_exchange(from.0, to.0, Ordering::Release, Ordering::Relaxed).is_ok()
    }
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Drop for Ring<T, N> {
    fn drop(&mut self) {
        let mut owner = Owner::new(self);
        while let Some(value) = owner.pop() {
            drop(value);
        }
    }
}

impl<T, const N: usize> fmt::Debug for Ring<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("len", &self.stealer().len()).field("capacity", &N).finish()
    }
}

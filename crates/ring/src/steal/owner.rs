//! The owner's end: push, and pop at either end.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use super::ring::{COPIES, FREE, Ring};

/// The end of the one thread that pushes.
///
/// May be moved to another thread, and is used by one at a time.
///
/// # Progress
///
/// A push is wait-free. Taking values is lock-free: it starts again only when a thief has just taken some, and there is one theft for each turn of a thief.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`push`](Owner::push) | natively 2 of what is the owner's own (Relaxed); 2 Acquire more when the ring seems full | 1 Release (on wasm a swap) | – |
/// | [`pop`](Owner::pop), [`pop_lifo`](Owner::pop_lifo) | 1 Acquire, natively 1 of the owner's own | – | 1 Release |
/// | [`drain_half`](Owner::drain_half) | 1 Acquire, natively 1 of the owner's own | – | 1 Release for all |
/// | [`len`](Owner::len), [`is_empty`](Owner::is_empty) | 1 Acquire | – | – |
/// | [`free`](Owner::free) | 2 Acquire | – | – |
///
/// What happened before a push happens before whatever takes its value. The copies of a thief happen before the push that uses their slots again.
pub struct Owner<'a, T, const N: usize> {
    ring: &'a Ring<T, N>,
    /// Not `Sync`: two threads must not be the owner at once.
    alone: PhantomData<*const ()>,
}

// SAFETY: with the owner moves the right to the plain cells, and values of `T`, which are `Send`.
unsafe impl<T: Send, const N: usize> Send for Owner<'_, T, N> {}

impl<'a, T, const N: usize> Owner<'a, T, N> {
    /// The caller answers for this being the only one.
    pub(super) fn new(ring: &'a Ring<T, N>) -> Self {
        Owner { ring, alone: PhantomData }
    }

    /// Where the next value goes.
    fn tail(&self) -> u32 {
        self.ring.own_pushes().wrapping_sub(self.ring.own_pops())
    }

    /// Appends a value at the young end.
    ///
    /// # Progress
    ///
    /// Wait-free. One atomic store (on wasm one swap, which is cheaper there); when the ring seems full, two loads more.
    ///
    /// # Errors
    ///
    /// The value comes back when there is no room. That can be so while fewer than `N` values are inside: slots that a thief has
    /// claimed are free only when he has copied them.
    pub fn push(&mut self, value: T) -> Result<(), T> {
        if self.room() == 0 && self.reclaim() == 0 {
            return Err(value);
        }
        // SAFETY: this is the owner, and `room` says that `tail − reclaimed < N`.
        unsafe { self.ring.write(self.tail(), value) };
        self.publish(1);
        Ok(())
    }

    /// Writes a value at `tail + offset` and publishes nothing.
    ///
    /// # Safety
    ///
    /// `offset` is less than [`free`](Owner::free) said, and no push came in between.
    pub(super) unsafe fn write_ahead(&mut self, offset: u32, value: T) {
        // SAFETY: this is the owner; the slot is free, as the caller says.
        unsafe { self.ring.write(self.tail().wrapping_add(offset), value) };
    }

    /// Publishes the next `count` values, which have been written.
    pub(super) fn publish(&mut self, count: u32) {
        let pushes = self.ring.own_pushes().wrapping_add(count);
        if COPIES {
            self.ring.private.pushes.set(pushes);
        }
        // Release: pairs with the Acquire in `Stealer::claim`; who sees the number sees the values.
        crate::primitive::publish(&self.ring.pushes.0, pushes);
    }

    /// Free slots that the owner knows of.
    fn room(&self) -> usize {
        N - self.tail().wrapping_sub(self.ring.private.reclaimed.get()) as usize
    }

    /// Looks for slots that have become free; returns how many there are.
    #[cold]
    fn reclaim(&mut self) -> usize {
        // First the head, then the thief: see argument 3 of the module's essay.
        let head = self.ring.load_packed().head();
        // Acquire: pairs with the Release that ends a theft; all reads of slots before `head` happen before our writes.
        if self.ring.thief.0.load(Ordering::Acquire) == FREE {
            self.ring.private.reclaimed.set(head);
        }
        self.room()
    }

    /// Takes the oldest value.
    ///
    /// # Progress
    ///
    /// Lock-free: starts again only when a thief has just taken something. One load, one read-modify-write.
    pub fn pop(&mut self) -> Option<T> {
        let pushes = self.ring.own_pushes();
        loop {
            let seen = self.ring.load_packed();
            if seen.len(pushes) == 0 {
                return None;
            }
            if self.ring.claim(seen, seen.claim_old(1)) {
                // SAFETY: just claimed.
                return Some(unsafe { self.ring.read(seen.head()) });
            }
        }
    }

    /// Takes the youngest value: for fork-join, where it is the one whose data is in the cache, and the old ones are the large ones.
    ///
    /// # Progress
    ///
    /// As [`pop`](Owner::pop).
    pub fn pop_lifo(&mut self) -> Option<T> {
        let pushes = self.ring.own_pushes();
        loop {
            let seen = self.ring.load_packed();
            if seen.len(pushes) == 0 {
                return None;
            }
            // What is needed after the claim is ready before: the claim is where natively the processor waits.
            let claimed = seen.claim_young();
            let youngest = pushes.wrapping_sub(claimed.pops());
            if self.ring.claim(seen, claimed) {
                if COPIES {
                    self.ring.private.pops.set(claimed.pops());
                }
                // SAFETY: just claimed; the tail, one lower now, is where the youngest value was.
                return Some(unsafe { self.ring.read(youngest) });
            }
        }
    }

    /// Takes the older half of the values, rounded up, and hands each to `take`, oldest first. Returns how many.
    ///
    /// For moving an overflow somewhere else in one batch.
    ///
    /// # Progress
    ///
    /// Lock-free; one read-modify-write for all.
    pub fn drain_half(&mut self, mut take: impl FnMut(T)) -> usize {
        loop {
            let seen = self.ring.load_packed();
            let len = seen.len(self.ring.own_pushes());
            let count = len - len / 2;
            if count == 0 {
                return 0;
            }
            if self.ring.claim(seen, seen.claim_old(count)) {
                // Values that `take` does not get to, because it panics, are dropped with this.
                let mut claimed = Claimed { ring: self.ring, next: seen.head(), left: count };
                claimed.by_ref().for_each(&mut take);
                return count as usize;
            }
        }
    }

    /// The values inside. Exact or, when thieves are at work, more than there are a moment later.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.load_packed().len(self.ring.own_pushes()) as usize
    }

    /// Whether nothing is inside. `true` stays true until this owner pushes; `false` may be out of date.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values can certainly be pushed now.
    #[must_use]
    pub fn free(&mut self) -> usize {
        self.reclaim()
    }

    /// Whether `other` is the same ring.
    pub(super) fn owns(&self, other: *const ()) -> bool {
        core::ptr::addr_eq(self.ring, other)
    }
}

/// Positions that the owner has claimed and not read yet.
struct Claimed<'a, T, const N: usize> {
    ring: &'a Ring<T, N>,
    next: u32,
    left: u32,
}

impl<T, const N: usize> Iterator for Claimed<'_, T, N> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let position = self.next;
        self.next = position.wrapping_add(1);
        // SAFETY: the owner has claimed these positions, and each comes by once.
        Some(unsafe { self.ring.read(position) })
    }
}

impl<T, const N: usize> Drop for Claimed<'_, T, N> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl<T, const N: usize> fmt::Debug for Owner<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("len", &self.len()).field("capacity", &N).finish()
    }
}

//! The thieves' end.

use core::fmt;
use core::sync::atomic::Ordering;

use super::owner::Owner;
use super::ring::{FREE, Ring};

/// What an attempt to steal came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steal<T> {
    /// This was stolen.
    Success(T),
    /// There was nothing to steal.
    Empty,
    /// Another thief was at work; trying again at once would only be in its way.
    Busy,
}

impl<T> Steal<T> {
    /// What was stolen, if anything.
    pub fn success(self) -> Option<T> {
        match self {
            Steal::Success(value) => Some(value),
            Steal::Empty | Steal::Busy => None,
        }
    }
}

/// The end of those who do not push. Copy it and give it to any number of threads.
///
/// # Progress
///
/// A thief never waits: while another one is at work it is told [`Steal::Busy`]. Its own turn starts again only when the owner has just taken
/// something. A thief that
/// is stopped in its turn keeps the others out, and the slots that it has claimed in use; the owner goes on.
///
/// # Memory ordering
///
/// | operation | atomic loads | stores | read-modify-writes |
/// |---|---|---|---|
/// | [`steal`](Stealer::steal) | 1 Relaxed, 2 Acquire | – | 1 Relaxed, 2 Release |
/// | [`steal_half_into`](Stealer::steal_half_into) | the same, and 2 Acquire of the other ring | 1 Release in the other ring for all | 1 Relaxed, 2 Release |
/// | either, when another thief is at work | 1 Relaxed | – | – or 1 |
/// | [`len`](Stealer::len), [`is_empty`](Stealer::is_empty) | 2 or 3 | – | – |
///
/// What the owner did before a push happens before the theft of its value.
pub struct Stealer<'a, T, const N: usize> {
    ring: &'a Ring<T, N>,
    /// What the thief word says during its turns.
    number: u32,
}

impl<T, const N: usize> Clone for Stealer<'_, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for Stealer<'_, T, N> {}

/// The right to steal, given back when dropped.
struct Turn<'a, T, const N: usize>(&'a Ring<T, N>);

impl<T, const N: usize> Drop for Turn<'_, T, N> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `Owner::reclaim` and in `Stealer::turn`; the copies have been made. By swap: on wasm it is
        // cheaper than a store.
        self.0.thief.0.swap(FREE, Ordering::Release);
    }
}

impl<'a, T, const N: usize> Stealer<'a, T, N> {
    pub(super) fn new(ring: &'a Ring<T, N>, number: u32) -> Self {
        Stealer { ring, number }
    }

    /// Begins a turn and never ends it, as a thief does that dies. For tests of who cleans up.
    #[doc(hidden)]
    pub fn begin_turn_and_die(&self) {
        core::mem::forget(self.turn());
    }

    /// Takes the oldest value and never ends its turn, as a thief does that dies after the copy. For tests of who cleans up.
    #[doc(hidden)]
    pub fn steal_and_die(&self) -> Option<T> {
        let turn = self.turn()?;
        let (position, _) = self.claim(|len| len.min(1))?;
        core::mem::forget(turn);
        // SAFETY: just claimed.
        Some(unsafe { self.ring.read(position) })
    }

    fn turn(&self) -> Option<Turn<'a, T, N>> {
        let thief = &self.ring.thief.0;
        // Relaxed: a hint that saves the read-modify-write.
        if thief.load(Ordering::Relaxed) != FREE {
            return None;
        }
        // Relaxed: it gives nothing to anybody and takes nothing. Whoever sees a claim sees the number, because the claim is a Release; and whoever
        // sees our FREE has also synchronised with the thieves before us, because all of it is one chain of read-modify-writes.
        let taken = thief.compare_exchange(FREE, self.number, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        taken.then(|| Turn(self.ring))
    }

    /// Claims some of the oldest values; `want` gets the number inside. Returns the first position and the count, which is not 0.
    fn claim(&self, want: impl Fn(u32) -> u32) -> Option<(u32, u32)> {
        loop {
            let seen = self.ring.load_packed();
            // Acquire: pairs with the Release in `Owner::publish`; the values are there. After `packed`: argument 2 of the essay. If the
            // owner has popped since, the length may be anything; then the claim fails.
            let len = seen.len(self.ring.pushes.0.load(Ordering::Acquire));
            let count = want(len);
            if count == 0 {
                return None;
            }
            if self.ring.claim(seen, seen.claim_old(count)) {
                return Some((seen.head(), count));
            }
        }
    }

    /// Takes the oldest value.
    ///
    /// # Progress
    ///
    /// A thief that is stopped in the middle keeps other thieves out, and the slots that it has claimed in use; the owner goes on.
    /// Starts again only when the owner has just popped. Three read-modify-writes.
    pub fn steal(&self) -> Steal<T> {
        let Some(_turn) = self.turn() else { return Steal::Busy };
        match self.claim(|len| len.min(1)) {
            // SAFETY: just claimed.
            Some((position, _)) => Steal::Success(unsafe { self.ring.read(position) }),
            None => Steal::Empty,
        }
    }

    /// Takes the older half of the values, rounded up: returns the oldest one and how many others were pushed to `into`, as many as it
    /// had room for. They become visible there all at once.
    ///
    /// Stealing from the ring that `into` itself owns is refused as [`Steal::Empty`].
    ///
    /// # Progress
    ///
    /// As [`steal`](Stealer::steal), and one atomic store for all that is pushed.
    pub fn steal_half_into<const M: usize>(&self, into: &mut Owner<'_, T, M>) -> Steal<(T, usize)> {
        if into.owns(core::ptr::from_ref(self.ring).cast()) {
            return Steal::Empty;
        }
        let Some(turn) = self.turn() else { return Steal::Busy };
        let room = u32::try_from(into.free()).unwrap_or(u32::MAX - 1);
        let Some((position, count)) = self.claim(|len| (len - len / 2).min(room + 1)) else {
            return Steal::Empty;
        };
        // SAFETY: just claimed.
        let first = unsafe { self.ring.read(position) };
        for offset in 1..count {
            // SAFETY: just claimed.
            let value = unsafe { self.ring.read(position.wrapping_add(offset)) };
            // SAFETY: `offset - 1` is less than `room`, and nothing was pushed meanwhile: `into` is borrowed.
            unsafe { into.write_ahead(offset - 1, value) };
        }
        // Others may steal here again before what was taken is published there.
        drop(turn);
        if count > 1 {
            into.publish(count - 1);
        }
        Steal::Success((first, count as usize - 1))
    }

    /// Whether there is nothing to take: the ring is empty, **or another thief is at work**. Either may change at any time.
    ///
    /// A scheduler that asks this before it sleeps must let whoever steals look again afterwards.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // Relaxed: whoever needs an order between this and something else has a fence between them.
        self.ring.thief.0.load(Ordering::Relaxed) != FREE || self.len() == 0
    }

    /// The values inside, roughly: they come and go.
    #[must_use]
    pub fn len(&self) -> usize {
        let seen = self.ring.load_packed();
        // Relaxed: as in `is_empty`. It may be older than `packed`, and the difference anything.
        let len = seen.len(self.ring.pushes.0.load(Ordering::Relaxed)) as usize;
        len.min(N)
    }
}

impl<T, const N: usize> fmt::Debug for Stealer<'_, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stealer").field("len", &self.len()).field("capacity", &N).finish()
    }
}

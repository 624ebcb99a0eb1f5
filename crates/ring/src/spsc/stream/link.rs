//! What both ends share, and how they reach it: the same for every kind of storage.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

#[cfg(feature = "alloc")]
use super::ring::Heap;
use crate::ends::{End, Ends};
#[cfg(feature = "alloc")]
use crate::primitive::Arc;
use crate::primitive::{AtomicU32, Padded};
use crate::slot::Slot;

/// The three words of a ring.
pub(super) struct Shared {
    pub(super) tail: Padded<AtomicU32>,
    pub(super) head: Padded<AtomicU32>,
    pub(super) ends: Ends,
}

impl Shared {
    not_const_in_models! {
        pub(super) const fn starting_at(position: u32) -> Shared {
            Shared {
                tail: Padded(AtomicU32::new(position)),
                head: Padded(AtomicU32::new(position)),
                ends: Ends::none(),
            }
        }
    }

    /// Brings the words in order when no end exists any more.
    ///
    /// An end that was forgotten has left its bit. A consumer may have taken values and not said so: its head is unknown, so what is left in the ring
    /// counts as leaked with it.
    pub(super) fn settle(&mut self) {
        // Relaxed, also below: the ring is borrowed mutably, so what the ends did happens before.
        if self.ends.settle(End::Consumer) {
            self.head.0.store(self.tail.0.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Drops the values that are left.
    ///
    /// # Safety
    ///
    /// `slots` are this ring's slots, a power of two.
    pub(super) unsafe fn drop_values<T>(&mut self, slots: &[Slot<T>]) {
        self.settle();
        // Relaxed: as in `settle`.
        let (mut head, tail) = (self.head.0.load(Ordering::Relaxed), self.tail.0.load(Ordering::Relaxed));
        while head != tail {
            // SAFETY: a position between head and tail holds a value, and nobody else is there.
            let value = unsafe { slots[position_to_index(head, slots.len())].read() };
            head = head.wrapping_add(1);
            drop(value);
        }
    }
}

/// The slot of a position, when there are `slots` of them, a power of two.
#[inline]
fn position_to_index(position: u32, slots: usize) -> usize {
    position as usize & (slots - 1)
}

/// One end's way to the ring.
pub(super) struct Link<'a, T> {
    shared: NonNull<Shared>,
    slots: NonNull<Slot<T>>,
    /// One less than the number of slots, which is a power of two.
    mask: u32,
    /// The most values inside; at most the number of slots.
    pub(super) capacity: u32,
    /// Keeps an allocated ring alive: a share of it.
    #[cfg(feature = "alloc")]
    heap: Option<NonNull<Heap<T>>>,
    /// Keeps a borrowed one borrowed, and `T` invariant.
    _ring: PhantomData<&'a [Slot<T>]>,
}

impl<'a, T> Link<'a, T> {
    /// The way to a borrowed ring.
    pub(super) fn borrowed(shared: &'a Shared, slots: &'a [Slot<T>]) -> Self {
        Link {
            shared: NonNull::from(shared),
            slots: NonNull::from(slots).cast(),
            mask: slots.len() as u32 - 1,
            capacity: slots.len() as u32,
            #[cfg(feature = "alloc")]
            heap: None,
            _ring: PhantomData,
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: the ring is borrowed, or kept alive by `heap`, which does not move it.
        unsafe { self.shared.as_ref() }
    }

    /// The slot of a position.
    pub(super) fn slot(&self, position: u32) -> &Slot<T> {
        // SAFETY: as in `shared`; `mask` keeps the offset within the slots.
        unsafe { self.slots.add((position & self.mask) as usize).as_ref() }
    }

    /// The slots of `count` positions from `position`, as they lie in memory: up to the end, and from the beginning.
    #[cfg(not(loom))]
    pub(super) fn runs(&self, position: u32, count: usize) -> [(*mut T, usize); 2] {
        let first = (position & self.mask) as usize;
        let until_end = (self.mask as usize + 1 - first).min(count);
        let slots = self.slots.as_ptr().cast::<T>();
        [(slots.wrapping_add(first), until_end), (slots, count - until_end)]
    }
}

#[cfg(feature = "alloc")]
impl<T> Link<'static, T> {
    /// The way to an allocated ring.
    pub(super) fn owning(heap: Arc<Heap<T>>) -> Self {
        let Heap { ring, capacity } = &*heap;
        Link {
            shared: NonNull::from(&ring.shared),
            slots: NonNull::from(&*ring.slots).cast(),
            mask: ring.slots.len() as u32 - 1,
            capacity: *capacity,
            heap: NonNull::new(Arc::into_raw(heap).cast_mut()),
            _ring: PhantomData,
        }
    }
}

/// Gives back a share of an allocated ring. Not inlined, so that an end's destructor is small.
///
/// # Safety
///
/// The pointer came from `Arc::into_raw`, and its share is given back once.
#[cfg(feature = "alloc")]
#[inline(never)]
unsafe fn give_back<T>(heap: NonNull<Heap<T>>) {
    // SAFETY: as the caller says.
    drop(unsafe { Arc::from_raw(heap.as_ptr()) });
}

#[cfg(feature = "alloc")]
impl<T> Drop for Link<'_, T> {
    fn drop(&mut self) {
        // By value, as in `spsc`'s `Link`: so no reference into an end gets out of sight, and its words can live in registers.
        if let Some(heap) = self.heap {
            // SAFETY: it came from `Arc::into_raw`, and this link is dropped once.
            unsafe { give_back(heap) };
        }
    }
}

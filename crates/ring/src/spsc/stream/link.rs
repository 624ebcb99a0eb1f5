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
    /// Keeps an allocated ring alive.
    #[cfg(feature = "alloc")]
    _heap: Option<Arc<Heap<T>>>,
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
            _heap: None,
            _ring: PhantomData,
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: the ring is borrowed, or kept alive by `_heap`, which does not move it.
        unsafe { self.shared.as_ref() }
    }

    /// The slot of a position.
    pub(super) fn slot(&self, position: u32) -> &Slot<T> {
        // SAFETY: as in `shared`; `mask` keeps the offset within the slots.
        unsafe { self.slots.add((position & self.mask) as usize).as_ref() }
    }

    /// The slots of `count` positions from `position`, as they lie in memory: up to the end, and from the beginning. `count` is at most the capacity.
    pub(super) fn runs(&self, position: u32, count: u32) -> [&[Slot<T>]; 2] {
        debug_assert!(count <= self.capacity);
        let first = position & self.mask;
        let until_end = (self.mask - first + 1).min(count);
        // SAFETY: as in `shared`; `mask` keeps the beginning of the first run within the slots and `until_end` its end; the rest is no more than the number
        // of slots less `until_end`.
        unsafe {
            let run =
                |from: u32, len: u32| core::slice::from_raw_parts(self.slots.add(from as usize).as_ptr(), len as usize);
            [run(first, until_end), run(0, count - until_end)]
        }
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
            _heap: Some(heap),
            _ring: PhantomData,
        }
    }
}

/// Copies values of a slice into slots, or out of slots.
///
/// On wasm the engines make a call of `memory.copy`, which costs more than it saves for a few hundred bytes. So there short runs of words are moved word by
/// word; four in a turn, which the compiler does not recognise as a `memory.copy`.
///
/// # Safety
///
/// As for [`core::ptr::copy_nonoverlapping`].
#[cfg(not(loom))]
#[inline]
pub(super) unsafe fn copy<T: Copy>(from: *const T, to: *mut T, len: usize) {
    const SHORT: usize = 512;
    if !cfg!(target_arch = "wasm32") || size_of::<T>() > 8 || len * size_of::<T>() > SHORT {
        // SAFETY: as the caller says.
        return unsafe { to.copy_from_nonoverlapping(from, len) };
    }
    // SAFETY: every offset is less than `len`, and the caller answers for these.
    let one = |offset: usize| unsafe { to.add(offset).write(from.add(offset).read()) };
    let mut done = 0;
    while len - done >= 4 {
        (done..done + 4).for_each(one);
        done += 4;
    }
    (done..len).for_each(one);
}

//! The rings: storage inline, allocated, or lent by the caller.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;
#[cfg(not(loom))]
use core::mem::MaybeUninit;

use super::link::{Link, Shared};
use super::{Consumer, Producer};
#[cfg(feature = "alloc")]
use crate::primitive::Arc;
use crate::slot::{Slot, empty_slots};
use crate::storage::{CapacityError, Storage};

/// A ring over any storage.
pub(super) struct Raw<T, S: Storage<Slot<T>>> {
    pub(super) shared: Shared,
    /// A power of two of them.
    pub(super) slots: S,
    _values: PhantomData<T>,
}

// SAFETY: `ends` gives out one producer and one consumer at a time, and values move between their threads: `T: Send` is enough. The storage is
// this ring's alone.
unsafe impl<T: Send, S: Storage<Slot<T>>> Sync for Raw<T, S> {}
// SAFETY: a ring that is moved has no ends, and takes its values along.
unsafe impl<T: Send, S: Storage<Slot<T>>> Send for Raw<T, S> {}

impl<T, S: Storage<Slot<T>>> Raw<T, S> {
    not_const_in_models! {
        const fn starting_at(position: u32, slots: S) -> Self {
            Raw { shared: Shared::starting_at(position), slots, _values: PhantomData }
        }
    }

    fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        self.shared.settle();
        match self.ends() {
            Some(ends) => ends,
            None => unreachable!("no end exists while the ring is borrowed mutably"),
        }
    }

    fn ends(&self) -> Option<(Producer<'_, T>, Consumer<'_, T>)> {
        self.shared.ends.reserve().then(|| {
            let link = || Link::borrowed(&self.shared, self.slots.slots());
            // SAFETY: the ends were just reserved, and all that earlier ones did happens before.
            unsafe { (Producer::new(link()), Consumer::new(link())) }
        })
    }
}

impl<T, S: Storage<Slot<T>>> Drop for Raw<T, S> {
    fn drop(&mut self) {
        // SAFETY: an end borrows the ring or owns a share of it, so none exists, and a count orders what they did.
        unsafe { self.shared.drop_values(self.slots.slots()) };
    }
}

/// A ring of `N` values with its storage inline; `N` is a power of two, or it does not compile.
///
/// In a `static`, on the stack, or in a struct. What is left in it is dropped with it, unless the consumer was leaked (`mem::forget`), which leaks the
/// values too.
///
/// # Progress
///
/// Making the ends and dropping them is wait-free; what they do, see [`Producer`] and [`Consumer`].
///
/// # Memory ordering
///
/// Both ends are made by one read-modify-write (Acquire), and each goes by one (Release): what earlier ends did happens before what new ones do.
///
/// # Examples
///
/// ```
/// # if weblane_ring::MODEL { return }
/// use weblane_ring::spsc::stream::Ring;
///
/// let ring = Ring::<u64, 1024>::new(); // or `static RING: Ring<u64, 1024> = Ring::new();`
/// let (mut producer, mut consumer) = ring.ends().expect("nobody else has them");
/// assert!(ring.ends().is_none(), "there is one of each");
/// std::thread::scope(|threads| {
///     threads.spawn(move || producer.push(7).expect("there is room"));
/// });
/// assert!(consumer.is_abandoned());
/// assert_eq!(consumer.pop(), Some(7));
/// ```
///
/// A capacity that is not a power of two does not compile:
///
/// ```compile_fail
/// let ring = weblane_ring::spsc::stream::Ring::<u32, 3>::new();
/// ```
pub struct Ring<T, const N: usize>(Raw<T, [Slot<T>; N]>);

impl<T, const N: usize> Ring<T, N> {
    const POWER_OF_TWO: () = assert!(
        CapacityError::check(N, true).is_ok(),
        "the capacity of a stream's ring is a power of two, at most 2^30"
    );

    not_const_in_models! {
        /// An empty ring.
        #[must_use]
        pub const fn new() -> Self {
            Self::starting_at(0)
        }
    }

    not_const_in_models! {
        /// An empty ring after so many pushes and pops: for tests of the wrap.
        #[doc(hidden)]
        #[must_use]
        pub const fn starting_at(position: u32) -> Self {
            let () = Self::POWER_OF_TWO;
            Ring(Raw::starting_at(position, empty_slots!(N, Slot::new())))
        }
    }

    /// The two ends of a ring that one has to oneself.
    pub fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        self.0.split()
    }

    /// The two ends, or `None` while an earlier one still exists.
    ///
    /// What earlier ends have left in the ring is still there.
    #[must_use]
    pub fn ends(&self) -> Option<(Producer<'_, T>, Consumer<'_, T>)> {
        self.0.ends()
    }

    /// The most values that the ring holds.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        N
    }
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> fmt::Debug for Ring<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("capacity", &N).finish_non_exhaustive()
    }
}

/// An allocated ring, shared by its two ends; there are as many slots as the capacity rounded up to a power of two.
#[cfg(feature = "alloc")]
pub(super) struct Heap<T> {
    pub(super) ring: Raw<T, Box<[Slot<T>]>>,
    pub(super) capacity: u32,
}

/// A ring of exactly `capacity` values in allocated storage (which is rounded up to a power of two): returns its two ends, which may live
/// as long as they like. The ring goes with the second one, and what is left in it is dropped.
///
/// # Panics
///
/// If the capacity is 0 or more than 2^30; the message is [`CapacityError`]'s.
///
/// # Examples
///
/// ```
/// # if weblane_ring::MODEL { return }
/// let (mut producer, mut consumer) = weblane_ring::spsc::stream::channel(3);
/// for value in 1..=3 {
///     producer.push(value).expect("there is room");
/// }
/// assert_eq!(producer.push(4), Err(4), "full; the value comes back");
/// assert_eq!(std::thread::spawn(move || consumer.pop()).join().unwrap(), Some(1));
/// assert!(producer.is_abandoned(), "the consumer has gone with its thread");
/// ```
#[cfg(feature = "alloc")]
#[must_use]
pub fn channel<T>(capacity: usize) -> (Producer<'static, T>, Consumer<'static, T>) {
    channel_starting_at(capacity, 0)
}

/// The same after so many pushes and pops: for tests of the wrap.
#[cfg(feature = "alloc")]
#[doc(hidden)]
#[must_use]
pub fn channel_starting_at<T>(capacity: usize, position: u32) -> (Producer<'static, T>, Consumer<'static, T>) {
    CapacityError::require(CapacityError::check(capacity, false));
    let slots = (0..capacity.next_power_of_two()).map(|_| Slot::new()).collect();
    let heap = Arc::new(Heap { ring: Raw::starting_at(position, slots), capacity: capacity as u32 });
    let reserved = heap.ring.shared.ends.reserve();
    debug_assert!(reserved, "nobody else knows the ring");
    // SAFETY: the ends were just reserved, and there were none before.
    unsafe { (Producer::new(Link::owning(Arc::clone(&heap))), Consumer::new(Link::owning(heap))) }
}

/// A ring over storage that the caller lends: a part of a larger buffer, memory at a fixed address, a slice in a `static`.
///
/// What is left in it is dropped with it.
///
/// # Progress
///
/// Making the ends and dropping them is wait-free; what they do, see [`Producer`] and [`Consumer`].
///
/// # Memory ordering
///
/// Both ends are made by one read-modify-write (Acquire), and each goes by one (Release): what earlier ends did happens before what new ones do.
///
/// # Examples
///
/// ```
/// # weblane_ring::unless_model! {
/// use core::mem::MaybeUninit;
/// use weblane_ring::spsc::stream::BorrowedRing;
///
/// let mut storage = [const { MaybeUninit::<u8>::uninit() }; 64];
/// let mut ring = BorrowedRing::new(&mut storage).expect("a power of two");
/// let (mut producer, mut consumer) = ring.split();
/// producer.push_slice(b"hello").expect("there is room");
/// assert_eq!(consumer.pop(), Some(b'h'));
/// # }
/// ```
#[cfg(not(loom))]
pub struct BorrowedRing<'s, T>(Raw<T, &'s mut [Slot<T>]>);

#[cfg(not(loom))]
impl<'s, T> BorrowedRing<'s, T> {
    /// An empty ring over these slots, whatever they hold.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if their number is not a power of two, or more than 2^30.
    pub fn new(storage: &'s mut [MaybeUninit<T>]) -> Result<Self, CapacityError> {
        Self::starting_at(storage, 0)
    }

    /// The same after so many pushes and pops: for tests of the wrap.
    #[doc(hidden)]
    pub fn starting_at(storage: &'s mut [MaybeUninit<T>], position: u32) -> Result<Self, CapacityError> {
        CapacityError::check(storage.len(), true)?;
        let slots = core::ptr::from_mut(storage) as *mut [Slot<T>];
        // SAFETY: a slot is a transparent `UnsafeCell<MaybeUninit<T>>`, and the storage is this ring's alone for `'s`.
        let slots = unsafe { &mut *slots };
        Ok(BorrowedRing(Raw::starting_at(position, slots)))
    }

    /// The two ends of a ring that one has to oneself.
    pub fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        self.0.split()
    }

    /// The two ends, or `None` while an earlier one still exists.
    #[must_use]
    pub fn ends(&self) -> Option<(Producer<'_, T>, Consumer<'_, T>)> {
        self.0.ends()
    }

    /// The most values that the ring holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.slots.len()
    }
}

#[cfg(not(loom))]
impl<T> fmt::Debug for BorrowedRing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedRing").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

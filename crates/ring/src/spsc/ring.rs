//! The rings: storage inline, allocated, or lent by the caller; and how an end reaches it.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::protocol::{Places, Slot};
use super::{CapacityError, Consumer, Producer};
use crate::ends::{End, Ends};
#[cfg(feature = "alloc")]
use crate::primitive::Arc;
use crate::slot::empty_slots;
use crate::storage::Storage;

/// What both ends share beside the slots.
struct Shared {
    places: Places,
    ends: Ends,
}

/// A ring over any storage.
struct Raw<T, S: Storage<Slot<T>>> {
    shared: Shared,
    slots: S,
    _values: PhantomData<T>,
}

// SAFETY: `ends` gives out one producer and one consumer at a time, which share the slots as the protocol says.
unsafe impl<T: Send, S: Storage<Slot<T>>> Sync for Raw<T, S> {}
// SAFETY: a ring that is moved has no ends, and takes its values along.
unsafe impl<T: Send, S: Storage<Slot<T>>> Send for Raw<T, S> {}

impl<T, S: Storage<Slot<T>>> Raw<T, S> {
    not_const_in_models! {
        const fn new(slots: S) -> Self {
            Raw { shared: Shared { places: Places::new(), ends: Ends::none() }, slots, _values: PhantomData }
        }
    }

    fn ends(&self) -> Option<(Producer<'_, T>, Consumer<'_, T>)> {
        let slots = self.slots.slots();
        let link = || Link {
            shared: NonNull::from(&self.shared),
            slots: NonNull::from(slots).cast(),
            capacity: slots.len() as u32,
            #[cfg(feature = "alloc")]
            heap: None,
            _ring: PhantomData,
        };
        // SAFETY: both ends have just been reserved.
        self.shared.ends.reserve().then(|| unsafe { (Producer::new(link()), Consumer::new(link())) })
    }

    fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        let Shared { places, ends } = &mut self.shared;
        // The borrow says that earlier ends are gone; one that was leaked still has its bit. The ring starts anew then.
        if !ends.gone(End::Producer) | ends.settle(End::Consumer) {
            // SAFETY: no end exists.
            unsafe { places.clear(self.slots.slots()) };
        }
        match self.ends() {
            Some(ends) => ends,
            None => unreachable!("no end exists while the ring is borrowed mutably"),
        }
    }
}

impl<T, S: Storage<Slot<T>>> Drop for Raw<T, S> {
    fn drop(&mut self) {
        // SAFETY: an end borrows the ring or owns a share of it, so none exists, and a count orders what they did.
        unsafe { self.shared.places.clear(self.slots.slots()) };
    }
}

/// A ring of `N` values with its storage inline; `N` is at least 1, or it does not compile.
///
/// In a `static`, on the stack, or in a struct. What is left in it is dropped with it.
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
/// use weblane_ring::spsc::Ring;
///
/// static RING: Ring<String, 100> = Ring::new();
///
/// let (mut producer, mut consumer) = RING.ends().expect("nobody else has them");
/// assert!(RING.ends().is_none(), "there is one of each");
/// std::thread::spawn(move || producer.push("hello".into()).expect("there is room")).join().unwrap();
/// assert!(consumer.is_abandoned(), "the producer has gone with its thread");
/// assert_eq!(consumer.pop().as_deref(), Some("hello"));
/// # }
/// ```
///
/// ```compile_fail
/// let ring = weblane_ring::spsc::Ring::<u32, 0>::new();
/// ```
pub struct Ring<T, const N: usize>(Raw<T, [Slot<T>; N]>);

impl<T, const N: usize> Ring<T, N> {
    const CAPACITY: () = assert!(CapacityError::check(N, false).is_ok(), "the capacity of a ring is 1 to 2^30");

    not_const_in_models! {
        /// An empty ring.
        #[must_use]
        pub const fn new() -> Self {
            let () = Self::CAPACITY;
            Ring(Raw::new(empty_slots!(N, Slot::new())))
        }
    }

    /// The two ends of a ring that one has to oneself. If an earlier end was leaked (`mem::forget`), what it left in the ring is dropped.
    pub fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        self.0.split()
    }

    /// The two ends, or `None` while an earlier one still exists. What earlier ends have left in the ring is still there.
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

/// A ring over storage that the caller lends: memory at a fixed address, a part of a larger structure. What is left in it is dropped with it.
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
/// use weblane_ring::spsc::{BorrowedRing, Slot};
///
/// let mut storage = [const { Slot::<u64>::new() }; 48];
/// let mut ring = BorrowedRing::new(&mut storage).expect("1 to 2^30 slots");
/// let (mut producer, mut consumer) = ring.split();
/// producer.push(5).expect("there is room");
/// assert_eq!(consumer.pop(), Some(5));
/// # }
/// ```
pub struct BorrowedRing<'s, T>(Raw<T, &'s mut [Slot<T>]>);

impl<'s, T> BorrowedRing<'s, T> {
    /// An empty ring over these slots.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if there are none, or more than 2^30.
    pub fn new(storage: &'s mut [Slot<T>]) -> Result<Self, CapacityError> {
        CapacityError::check(storage.len(), false)?;
        storage.fill_with(Slot::new);
        Ok(BorrowedRing(Raw::new(storage)))
    }

    /// The two ends of a ring that one has to oneself. If an earlier end was leaked (`mem::forget`), what it left in the ring is dropped.
    pub fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        self.0.split()
    }

    /// The two ends, or `None` while an earlier one still exists. What earlier ends have left in the ring is still there.
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

impl<T> fmt::Debug for BorrowedRing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedRing").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}

/// A ring of `capacity` values in allocated storage: returns its two ends, which may live as long as they like. The ring goes with the second
/// one, and what is left in it is dropped.
///
/// # Panics
///
/// If the capacity is 0 or more than 2^30; the message is [`CapacityError`]'s.
///
/// # Examples
///
/// ```
/// # if weblane_ring::MODEL { return }
/// let (mut producer, mut consumer) = weblane_ring::spsc::channel(3);
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
    CapacityError::require(CapacityError::check(capacity, false));
    let heap = Arc::new(Heap(Raw::new((0..capacity).map(|_| Slot::new()).collect())));
    let reserved = heap.0.shared.ends.reserve();
    debug_assert!(reserved, "nobody else knows the ring");
    let link = |heap: Arc<Heap<T>>| Link {
        shared: NonNull::from(&heap.0.shared),
        slots: NonNull::from(&*heap.0.slots).cast(),
        capacity: capacity as u32,
        heap: NonNull::new(Arc::into_raw(heap).cast_mut()),
        _ring: PhantomData,
    };
    // SAFETY: both ends have just been reserved.
    unsafe { (Producer::new(link(Arc::clone(&heap))), Consumer::new(link(heap))) }
}

/// An allocated ring, shared by its two ends.
#[cfg(feature = "alloc")]
struct Heap<T>(Raw<T, Box<[Slot<T>]>>);

/// One end's way to the ring.
pub(super) struct Link<'a, T> {
    shared: NonNull<Shared>,
    slots: NonNull<Slot<T>>,
    /// The number of slots.
    pub(super) capacity: u32,
    /// Keeps an allocated ring alive: a share of it.
    #[cfg(feature = "alloc")]
    heap: Option<NonNull<Heap<T>>>,
    /// Keeps a borrowed one borrowed, and `T` invariant.
    _ring: PhantomData<&'a [Slot<T>]>,
}

impl<T> Link<'_, T> {
    fn shared(&self) -> &Shared {
        // SAFETY: the ring is borrowed, or kept alive by `heap`, which does not move it.
        unsafe { self.shared.as_ref() }
    }

    pub(super) fn places(&self) -> &Places {
        &self.shared().places
    }

    /// # Safety
    ///
    /// `index` is less than `capacity`.
    pub(super) unsafe fn slot(&self, index: u32) -> &Slot<T> {
        debug_assert!(index < self.capacity);
        // SAFETY: as in `shared`, and as the caller says.
        unsafe { self.slots.add(index as usize).as_ref() }
    }

    /// This end goes, and has said where it stopped.
    pub(super) fn leave(&self, end: End) {
        self.shared().ends.leave(end);
    }

    pub(super) fn gone(&self, end: End) -> bool {
        self.shared().ends.gone(end)
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
        // By value: `Arc`'s destructor takes a reference to the `Arc`. If that were a field, the whole end would have to stay in memory, and each push and pop would
        // store there what could stay in a register.
        if let Some(heap) = self.heap {
            // SAFETY: it came from `Arc::into_raw`, and this link is dropped once.
            unsafe { give_back(heap) };
        }
    }
}

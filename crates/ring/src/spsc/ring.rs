//! The rings: storage inline, allocated, or lent by the caller; and how an end reaches it.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::{CapacityError, Consumer, Producer};
use crate::ends::{End, Ends};
#[cfg(feature = "alloc")]
use crate::primitive::Arc;
use crate::primitive::{AtomicU32, UnsafeCell, publish};
use crate::slot::{self, empty_slots};
use crate::storage::Storage;

/// The flag of a slot that is the producer's.
const EMPTY: u32 = 0;
/// The flag of a slot that holds a value.
const FULL: u32 = 1;

/// One place of a ring, for storage that the caller lends: see [`BorrowedRing`].
///
/// # Progress
///
/// A place does nothing by itself. What happens to it takes one load and one store, without a loop.
///
/// # Memory ordering
///
/// Its flag is set with Release and read with Acquire, by both ends in turn.
pub struct Slot<T> {
    flag: AtomicU32,
    value: slot::Slot<T>,
}

// SAFETY: the flag says which one of two threads may touch the value, which moves between them: `T: Send` is enough. Only rings use slots.
unsafe impl<T: Send> Sync for Slot<T> {}

impl<T> Slot<T> {
    not_const_in_models! {
        /// An empty place.
        #[must_use]
        pub const fn new() -> Self {
            Slot { flag: AtomicU32::new(EMPTY), value: slot::Slot::new() }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        // Acquire: pairs with the Release in `take`; the value has been read.
        self.flag.load(Ordering::Acquire) == EMPTY
    }

    pub(super) fn is_full(&self) -> bool {
        // Acquire: pairs with the Release in `put`; the value is there.
        self.flag.load(Ordering::Acquire) == FULL
    }

    /// # Safety
    ///
    /// The caller is the producer, the slot is the one that comes next, and `is_empty`.
    pub(super) unsafe fn put(&self, value: T) {
        // SAFETY: the slot is the producer's, and empty.
        unsafe { self.value.write(value) };
        // Release: pairs with the Acquire in `is_full`.
        publish(&self.flag, FULL);
    }

    /// # Safety
    ///
    /// The caller is the consumer, the slot is the one that comes next, and `is_full`.
    pub(super) unsafe fn take(&self) -> T {
        // SAFETY: the slot is the consumer's, and full.
        let value = unsafe { self.value.read() };
        // Release: pairs with the Acquire in `is_empty`.
        publish(&self.flag, EMPTY);
        value
    }

    /// # Safety
    ///
    /// As for [`take`](Slot::take), which is not called while the reference lives.
    pub(super) unsafe fn get(&self) -> &T {
        // SAFETY: the slot is the consumer's, and full.
        unsafe { self.value.get() }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if self.is_full() {
            // SAFETY: a slot that is dropped is in nobody's hands, and full.
            drop(unsafe { self.take() });
        }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// What both ends share beside the slots.
struct Shared {
    ends: Ends,
    /// Where the last producer stopped; its bit in `ends` guards it.
    producer_at: UnsafeCell<usize>,
    /// Where the last consumer stopped; likewise.
    consumer_at: UnsafeCell<usize>,
}

/// A ring over any storage.
struct Raw<T, S: Storage<Slot<T>>> {
    shared: Shared,
    slots: S,
    _values: PhantomData<T>,
}

// SAFETY: `ends` gives out one producer and one consumer at a time, which guard the cells and share the slots by their flags.
unsafe impl<T: Send, S: Storage<Slot<T>>> Sync for Raw<T, S> {}
// SAFETY: a ring that is moved has no ends, and takes its values along.
unsafe impl<T: Send, S: Storage<Slot<T>>> Send for Raw<T, S> {}

impl<T, S: Storage<Slot<T>>> Raw<T, S> {
    not_const_in_models! {
        const fn new(slots: S) -> Self {
            let shared = Shared { ends: Ends::none(), producer_at: UnsafeCell::new(0), consumer_at: UnsafeCell::new(0) };
            Raw { shared, slots, _values: PhantomData }
        }
    }

    fn ends(&self) -> Option<(Producer<'_, T>, Consumer<'_, T>)> {
        let link = || Link {
            shared: NonNull::from(&self.shared),
            slots: NonNull::from(self.slots.slots()),
            #[cfg(feature = "alloc")]
            _heap: None,
            _ring: PhantomData,
        };
        self.shared.ends.reserve().then(|| (Producer::new(link()), Consumer::new(link())))
    }

    fn split(&mut self) -> (Producer<'_, T>, Consumer<'_, T>) {
        let Shared { ends, producer_at, consumer_at } = &mut self.shared;
        // The borrow says that earlier ends are gone; one that was leaked has not said where it stopped, so the ring starts anew.
        if !ends.gone(End::Producer) | ends.settle(End::Consumer) {
            for slot in self.slots.slots().iter().filter(|slot| slot.is_full()) {
                // SAFETY: no end exists, and the slot is full.
                drop(unsafe { slot.take() });
            }
            // SAFETY: no end exists.
            producer_at.with_mut(|at| unsafe { *at = 0 });
            // SAFETY: no end exists.
            consumer_at.with_mut(|at| unsafe { *at = 0 });
        }
        match self.ends() {
            Some(ends) => ends,
            None => unreachable!("no end exists while the ring is borrowed mutably"),
        }
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

/// A ring over storage that the caller lends: memory at a fixed address, a part of a larger structure.
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
    /// A ring over these slots. Values that an earlier ring has left in them are dropped.
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
        slots: NonNull::from(&*heap.0.slots),
        _heap: Some(heap),
        _ring: PhantomData,
    };
    (Producer::new(link(Arc::clone(&heap))), Consumer::new(link(heap)))
}

/// An allocated ring, shared by its two ends.
#[cfg(feature = "alloc")]
struct Heap<T>(Raw<T, Box<[Slot<T>]>>);

/// One end's way to the ring.
pub(super) struct Link<'a, T> {
    shared: NonNull<Shared>,
    slots: NonNull<[Slot<T>]>,
    /// Keeps an allocated ring alive.
    #[cfg(feature = "alloc")]
    _heap: Option<Arc<Heap<T>>>,
    /// Keeps a borrowed one borrowed, and `T` invariant.
    _ring: PhantomData<&'a [Slot<T>]>,
}

impl<T> Link<'_, T> {
    fn shared(&self) -> &Shared {
        // SAFETY: the ring is borrowed, or kept alive by `_heap`, which does not move it.
        unsafe { self.shared.as_ref() }
    }

    pub(super) fn slots(&self) -> &[Slot<T>] {
        // SAFETY: as in `shared`.
        unsafe { self.slots.as_ref() }
    }

    fn place(&self, end: End) -> &UnsafeCell<usize> {
        match end {
            End::Producer => &self.shared().producer_at,
            End::Consumer => &self.shared().consumer_at,
        }
    }

    /// Where the last end of this kind stopped; for the end that has just been reserved.
    pub(super) fn arrive(&self, end: End) -> usize {
        // SAFETY: the end is reserved, so the cell is the caller's.
        self.place(end).with(|at| unsafe { *at })
    }

    /// This end goes.
    pub(super) fn leave(&self, end: End, at: usize) {
        // SAFETY: the end is reserved until the next line, so the cell is the caller's.
        self.place(end).with_mut(|cell| unsafe { *cell = at });
        self.shared().ends.leave(end);
    }

    pub(super) fn gone(&self, end: End) -> bool {
        self.shared().ends.gone(end)
    }
}

//! One place for a value, and arrays of them.

use core::mem::MaybeUninit;

use crate::primitive::UnsafeCell;

/// A place that holds a value or not; who may touch it, and when, is the ring's affair.
#[repr(transparent)]
pub(crate) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Slot<T> {
    not_const_in_models! {
        /// An empty place.
        pub(crate) const fn new() -> Self {
            Slot(UnsafeCell::new(MaybeUninit::uninit()))
        }
    }

    /// Moves a value in.
    ///
    /// # Safety
    ///
    /// Nobody else touches the place meanwhile, and it is empty.
    pub(crate) unsafe fn write(&self, value: T) {
        self.0.with_mut(|slot| {
            // SAFETY: the place is the caller's alone.
            unsafe { (*slot).write(value) };
        });
    }

    /// Moves the value out.
    ///
    /// # Safety
    ///
    /// Nobody else touches the place meanwhile, and it holds a value.
    pub(crate) unsafe fn read(&self) -> T {
        self.0.with(|slot| {
            // SAFETY: the place is the caller's alone, and full.
            unsafe { (*slot).assume_init_read() }
        })
    }

    /// The value where it is.
    ///
    /// # Safety
    ///
    /// The place holds a value, and nobody moves it out or changes it for as long as the reference lives.
    pub(crate) unsafe fn get(&self) -> &T {
        self.0.with(|slot| {
            // SAFETY: as the caller says.
            unsafe { (*slot).assume_init_ref() }
        })
    }
}

/// `N` empty places.
#[cfg(not(loom))]
macro_rules! empty_slots {
    ($count:expr, $empty:expr) => {
        [const { $empty }; $count]
    };
}
/// The same for models, whose cells are not made at compile time.
#[cfg(loom)]
macro_rules! empty_slots {
    ($count:expr, $empty:expr) => {
        core::array::from_fn::<_, { $count }, _>(|_| $empty)
    };
}
pub(crate) use empty_slots;

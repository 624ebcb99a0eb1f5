//! The cells and hints of this crate: `core`'s, or loom's when a model runs the code.

pub(crate) use weblane_futex::AtomicU32;

/// `core`'s `UnsafeCell` with the part of loom's interface that a guard needs.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

/// Access to the contents of a cell, for as long as this lives.
#[cfg(not(loom))]
pub(crate) struct MutPtr<T: ?Sized>(*mut T);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> UnsafeCell<T> {
    pub(crate) fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> MutPtr<T> {
    /// # Safety
    ///
    /// Nobody else accesses the cell while the reference lives.
    #[expect(clippy::mut_from_ref, reason = "loom's signature; the caller answers for it")]
    pub(crate) unsafe fn deref(&self) -> &mut T {
        // SAFETY: the pointer is a live cell's, and the caller has it for himself.
        unsafe { &mut *self.0 }
    }
}

#[cfg(loom)]
pub(crate) use loom::cell::{MutPtr, UnsafeCell};

/// One turn of a spin.
pub(crate) fn spin() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}

//! The cells and hints of this crate: `core`'s, or loom's when a model runs the code.

pub(crate) use weblane_futex::AtomicU32;

/// `core`'s `UnsafeCell` with the part of loom's interface that a guard needs.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

/// Shared access to the contents of a cell, for as long as this lives.
#[cfg(not(loom))]
pub(crate) struct ConstPtr<T: ?Sized>(*const T);

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
    pub(crate) fn get(&self) -> ConstPtr<T> {
        ConstPtr(self.0.get())
    }

    pub(crate) fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }

    /// The contents, of a cell that nobody shares.
    pub(crate) fn get_exclusive(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> ConstPtr<T> {
    /// # Safety
    ///
    /// Nobody writes to the cell while the reference lives.
    pub(crate) unsafe fn deref(&self) -> &T {
        // SAFETY: the pointer is a live cell's, and the caller has seen to it that nobody writes.
        unsafe { &*self.0 }
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
pub(crate) use loom::cell::{ConstPtr, MutPtr, UnsafeCell};

/// A `const fn`, but not under loom, whose atomics are made at run time.
macro_rules! constructor {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block) => {
        $(#[$meta])*
        #[cfg(not(loom))]
        $vis const fn $name($($argument: $type),*) -> $result $body

        $(#[$meta])*
        #[cfg(loom)]
        $vis fn $name($($argument: $type),*) -> $result $body
    };
}
pub(crate) use constructor;

/// One turn of a spin that ends by itself. Nothing under loom, where a thread that yields comes last: what it would do next, such as falling
/// asleep, would hardly ever be explored before what others do.
pub(crate) fn spin() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
}

/// Turns before a thread sleeps: about the length of a short critical section.
pub(crate) const SPINS: u32 = if cfg!(loom) { 0 } else { 100 };
/// Turns before a thread that may not block gives up: some hundred microseconds, many times a short critical section.
pub(crate) const PATIENCE: u32 = if cfg!(loom) { 2 } else { 20_000 };

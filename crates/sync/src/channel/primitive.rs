//! The atomics and cells of the channels: `core`'s, or loom's when a model runs the code.

#[cfg(not(loom))]
pub(super) use alloc::sync::Arc;
#[cfg(not(loom))]
pub(super) use core::sync::atomic::AtomicPtr;
#[cfg(all(not(loom), target_has_atomic = "64"))]
pub(super) use core::sync::atomic::AtomicU64;
#[cfg(loom)]
pub(super) use loom::sync::Arc;
#[cfg(loom)]
pub(super) use model::AtomicPtr;
#[cfg(loom)]
pub(super) use weblane_futex::model_atomic::{AtomicU32, AtomicU64};
// `core`'s, or shuttle's in models of who uses this crate.
#[cfg(not(loom))]
pub(super) use weblane_futex::AtomicU32;

/// A cell with loom's interface, so that models see every access.
#[cfg(not(loom))]
pub(super) struct Cell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> Cell<T> {
    pub(super) const fn new(value: T) -> Self {
        Cell(core::cell::UnsafeCell::new(value))
    }

    pub(super) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    pub(super) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

#[cfg(loom)]
pub(super) use loom::cell::UnsafeCell as Cell;

/// A value on a line of its own: 128 bytes, because processors fetch lines in pairs.
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);

/// What models need between "publish" and "look who waits", and between "announce" and "look again".
///
/// The shipped code needs no fence there: the two are a SeqCst read-modify-write and a SeqCst load on each side, which the memory model
/// orders in one total order (and on wasm every atomic access is of that kind). loom takes SeqCst accesses for Acquire and
/// Release ones and knows the total order for fences only, so a model has them as well. With `--cfg weblane_sc` it has none: there every load reads the
/// newest value, as on wasm, and the read-modify-writes must be enough.
#[inline(always)]
pub(super) fn model_fence() {
    #[cfg(all(loom, not(weblane_sc)))]
    loom::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
}

#[cfg(loom)]
mod model {
    use core::sync::atomic::Ordering;

    /// loom's, with the companion that makes it explore both orders of a load and another thread's access (see
    /// `weblane_futex::model_atomic`).
    pub(crate) struct AtomicPtr<T> {
        value: loom::sync::atomic::AtomicPtr<T>,
        #[cfg_attr(weblane_sc, allow(dead_code, reason = "loads are read-modify-writes there"))]
        companion: loom::sync::atomic::AtomicBool,
    }

    impl<T> AtomicPtr<T> {
        pub(crate) fn new(value: *mut T) -> Self {
            AtomicPtr {
                value: loom::sync::atomic::AtomicPtr::new(value),
                companion: loom::sync::atomic::AtomicBool::new(false),
            }
        }

        /// With `--cfg weblane_sc` the newest value, as every load on wasm: an exchange that changes nothing, be it that it fails.
        #[cfg(weblane_sc)]
        pub(crate) fn load(&self, _: Ordering) -> *mut T {
            let null = core::ptr::null_mut();
            match self.value.compare_exchange(null, null, Ordering::AcqRel, Ordering::Acquire) {
                Ok(seen) | Err(seen) => seen,
            }
        }

        #[cfg(not(weblane_sc))]
        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            self.companion.fetch_or(false, Ordering::Relaxed);
            self.value.load(order)
        }

        pub(crate) fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
            self.value.swap(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            self.value.compare_exchange(current, new, success, failure)
        }
    }
}

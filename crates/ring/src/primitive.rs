//! The atomics and cells of this crate: `core`'s, or loom's or shuttle's when a model runs the code.

use core::sync::atomic::Ordering;

#[cfg(loom)]
pub(crate) use crate::model_atomic::{AtomicU32, AtomicU64};
#[cfg(all(not(loom), feature = "alloc"))]
pub(crate) use alloc::sync::Arc;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use core::sync::atomic::AtomicU32;
#[cfg(all(not(any(loom, shuttle)), target_has_atomic = "64"))]
pub(crate) use core::sync::atomic::AtomicU64;
#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;
#[cfg(all(loom, feature = "alloc"))]
pub(crate) use loom::sync::Arc;
// For the pool's models.
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64};

/// `core`'s `UnsafeCell` with loom's interface, so that models see every access.
#[cfg(not(loom))]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    #[inline]
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// A value on a line of its own. 128 bytes on every target: wasm runs on x86-64, which fetches lines in pairs, and on aarch64, whose
/// lines can be that long.
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

/// Stores a position that only the calling thread changes, with Release.
///
/// By a swap on wasm: there an atomic store costs 16 ns in Firefox and a swap 2 ns. Also in models of what wasm does.
#[inline]
pub(crate) fn publish(word: &AtomicU32, value: u32) {
    if cfg!(any(target_arch = "wasm32", weblane_sc)) {
        word.swap(value, Ordering::Release);
    } else {
        word.store(value, Ordering::Release);
    }
}

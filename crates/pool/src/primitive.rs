//! The atomics and cells of this crate: `core`'s, or loom's when a model runs the code.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, fence};
// loom's own atomics miss interleavings; that module says which.
#[cfg(loom)]
pub(crate) use weblane_futex::model_atomic::{AtomicU32, AtomicU64, AtomicUsize};

use core::sync::atomic::Ordering;

/// Orders "publish, then read who sleeps" against "announce sleep, then read the queues".
///
/// On wasm every atomic access is sequentially consistent, and both sides publish by a read-modify-write, so the order is
/// there without an instruction; a fence would cost 16 ns in Chromium and Firefox. Natively, and in models, it must be there.
#[inline]
pub(crate) fn fence_after_publication() {
    if cfg!(not(target_arch = "wasm32")) {
        fence(Ordering::SeqCst);
    }
}

/// A short lock around a few moves of memory, taken by the main thread too; so it spins and never sleeps.
#[cfg(not(loom))]
pub(crate) struct ShortLock<T>(spin::mutex::SpinMutex<T>);

#[cfg(not(loom))]
impl<T> ShortLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        ShortLock(spin::mutex::SpinMutex::new(value))
    }

    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.lock())
    }
}

/// The same for models. A model's lock must tell the scheduler that it waits, which a spinning one cannot.
#[cfg(loom)]
pub(crate) struct ShortLock<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> ShortLock<T> {
    pub(crate) fn new(value: T) -> Self {
        ShortLock(loom::sync::Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        match self.0.lock() {
            Ok(mut guard) => run(&mut guard),
            Err(poisoned) => run(&mut poisoned.into_inner()),
        }
    }
}

/// `core`'s `UnsafeCell` with loom's interface, so that models see every access.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with_mut<R>(&self, run: impl FnOnce(*mut T) -> R) -> R {
        run(self.0.get())
    }
}

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

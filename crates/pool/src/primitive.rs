//! The atomics and cells of this crate: `core`'s, or loom's or shuttle's when a model runs the code.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};
#[cfg(loom)]
use loom as modelled;
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, fence};
#[cfg(all(shuttle, not(loom)))]
use shuttle as modelled;
#[cfg(all(shuttle, not(loom)))]
pub(crate) use shuttle::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, fence};
// loom's own atomics miss interleavings; that module says which.
#[cfg(loom)]
pub(crate) use weblane_futex::model_atomic::{AtomicU32, AtomicU64, AtomicUsize};

use core::sync::atomic::Ordering;

/// Orders "publish, then read who sleeps" against "announce sleep, then read the queues".
///
/// On wasm every atomic access is sequentially consistent, and both sides publish by a read-modify-write, so the order is
/// there without an instruction; a fence would cost 16 ns in Chromium and Firefox. Natively, and in models, it must be there; but not in models
/// with `--cfg weblane_sc`, whose loads read the newest value as wasm's do.
#[inline]
pub(crate) fn fence_after_publication() {
    if cfg!(not(any(target_arch = "wasm32", weblane_sc))) {
        fence(Ordering::SeqCst);
    }
}

/// A short lock around a few moves of memory, taken by the main thread too; so it spins and never sleeps.
#[cfg(not(any(loom, shuttle)))]
pub(crate) struct ShortLock<T>(spin::mutex::SpinMutex<T>);

#[cfg(not(any(loom, shuttle)))]
impl<T> ShortLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        ShortLock(spin::mutex::SpinMutex::new(value))
    }

    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> R {
        run(&mut self.0.lock())
    }
}

/// The same for models. A model's lock must tell the scheduler that it waits, which a spinning one cannot.
#[cfg(any(loom, shuttle))]
pub(crate) struct ShortLock<T>(modelled::sync::Mutex<T>);

#[cfg(any(loom, shuttle))]
impl<T> ShortLock<T> {
    pub(crate) fn new(value: T) -> Self {
        ShortLock(modelled::sync::Mutex::new(value))
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

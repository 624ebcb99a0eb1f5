//! A cure for memory that another thread has just added.
//!
//! In Chromium, when thread A grows the shared memory and hands B an address on the new pages, B can trap there with "memory
//! access out of bounds" although the memory is there: by `memory.copy` and `memory.fill`, by `memory.atomic.wait32` and
//! `memory.atomic.notify`, and by atomic read-modify-writes, so by `Arc::clone` too. Their addresses are checked against a size that B
//! has read earlier: a turn of a loop goes on with the one that it began with, however long the system keeps the thread from its processor in the middle
//! of it. On a machine with more threads than cores that is long enough. Plain loads and stores are not checked like that.
//!
//! `memory.grow(0)` in B brings its size up to date. So whoever hands memory over calls [`publish`], and whoever is about to touch it
//! calls [`adopt`], or [`reach`] if it has the address itself. The latter two cost a load or two and a compare when nothing has grown, the former
//! a `memory.size` more, which is a call in Firefox; elsewhere than on wasm with threads, nothing.
//!
//! The crates of Weblane do that where they hand something over: a channel of `weblane-sync`, a message of `weblane-workers`, a
//! task, a branch or an output of `weblane-pool`. Locks, rings and once cells do not: after taking something that another
//! thread has allocated out of one of these call [`adopt`], and [`publish`] before putting it there.
//!
//! It is a cure for handing over what one has allocated oneself. Memory that a third thread grew, and that the allocator hands on at
//! once, is covered as soon as that third thread has published. A program whose first memory is large enough never meets any of this.

#[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
mod imp {
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::cell::Cell;
    use core::sync::atomic::{AtomicUsize, Ordering};

    const PAGE: usize = 1 << 16;

    /// The largest size that any thread has published, in pages of 64 KiB.
    static PUBLISHED: AtomicUsize = AtomicUsize::new(0);

    /// What `memory.size` has told this thread, in pages: not more than what its code goes on with, which it has read at the beginning of a function or
    /// after a call, and so not before it was told. Asked first, because `memory.size` is a call in Firefox.
    #[thread_local]
    static KNOWN: Cell<usize> = Cell::new(0);

    #[inline]
    pub(super) fn publish() {
        let pages = memory_size::<0>();
        // Relaxed: a size only grows, and the hand-over that follows orders this before what the receiver does.
        if pages > PUBLISHED.load(Ordering::Relaxed) {
            PUBLISHED.fetch_max(pages, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(super) fn adopt() {
        // Relaxed: ordered after the `publish` of the sender by the hand-over itself.
        know(PUBLISHED.load(Ordering::Relaxed));
    }

    #[inline]
    pub(super) fn reach(start: usize, bytes: usize) {
        know((start + (bytes - 1)) / PAGE + 1);
    }

    #[inline]
    fn know(pages: usize) {
        if pages > KNOWN.get() {
            look(pages);
        }
    }

    /// `memory.size` is what addresses are checked against, old or not.
    #[cold]
    fn look(pages: usize) {
        if pages > memory_size::<0>() {
            memory_grow::<0>(0);
        }
        KNOWN.set(memory_size::<0>());
    }
}

/// Tells the other threads that memory may have grown. Call it before handing them anything that was allocated.
///
/// Sending on a channel of `weblane-sync`, sending a message and submitting a task do it already.
#[inline]
pub fn publish() {
    #[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
    imp::publish();
}

/// Brings this thread's view of the memory up to date. Call it before touching what another thread has handed over.
///
/// Receiving from a channel of `weblane-sync`, running a message and running a task do it already; a thread that receives by other
/// ways (a lock, a ring, an atomic pointer) can call it itself.
///
/// ```
/// // In a loop of one's own that takes buffers from a queue:
/// weblane_futex::growth::adopt();
/// ```
#[inline]
pub fn adopt() {
    #[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
    imp::adopt();
}

/// Brings this thread's view of the memory up to date if this object, which another thread may have allocated, lies beyond it. Nobody needs
/// to have published anything.
///
/// The object must be there, or be about to be: this is no check. For a null pointer, and for a type without a size, nothing happens.
///
/// ```
/// use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
///
/// static SHARED: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// # SHARED.store(Box::leak(Box::new(AtomicU32::new(0))), Ordering::Release);
///
/// let shared = SHARED.load(Ordering::Acquire);
/// weblane_futex::growth::reach(shared);
/// // SAFETY: whoever has put it there has leaked it.
/// unsafe { (*shared).fetch_add(1, Ordering::Relaxed) };
/// ```
#[inline]
pub fn reach<T>(object: *const T) {
    #[cfg(all(target_arch = "wasm32", target_feature = "atomics"))]
    if !object.is_null() && size_of::<T>() != 0 {
        imp::reach(object as usize, size_of::<T>());
    }
    #[cfg(not(all(target_arch = "wasm32", target_feature = "atomics")))]
    let _ = object;
}

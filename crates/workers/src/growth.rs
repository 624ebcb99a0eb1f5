//! A cure for memory that another thread has just added.
//!
//! In Chromium, when thread A grows the shared memory and hands B an address on the new pages, B's `memory.copy`,
//! `memory.fill`, `memory.atomic.wait32` and `memory.atomic.notify` can trap "out of bounds" there, because B's instance still
//! checks them against the old size (plain and atomic loads and stores do not trap). `memory.grow(0)` in B brings its
//! instance up to date. Every `Box` or `Vec` that crosses threads can meet this. The words, rings and slabs of Weblane are
//! static and cannot; what users allocate can.
//!
//! So whoever hands memory over calls [`publish`], and whoever is about to touch it calls [`adopt`]. Both cost a load and a
//! compare when nothing has grown. It is a cure for handing over what one has allocated oneself; memory that a third thread
//! grew and freed, and that is handed on at once, is covered as soon as that third thread has published.

#[cfg(target_arch = "wasm32")]
mod imp {
    use core::cell::Cell;
    use core::sync::atomic::{AtomicU32, Ordering};

    /// The largest size that any thread has published, in pages of 64 KiB.
    static PUBLISHED: AtomicU32 = AtomicU32::new(0);

    std::thread_local! {
        /// The published size up to which this thread's instance is known to be up to date.
        static ADOPTED: Cell<u32> = const { Cell::new(0) };
    }

    pub(super) fn publish() {
        let pages = core::arch::wasm32::memory_size::<0>() as u32;
        // Relaxed: a size only grows, and the hand-over that follows orders this store before what the receiver does.
        if pages > PUBLISHED.load(Ordering::Relaxed) {
            PUBLISHED.fetch_max(pages, Ordering::Relaxed);
        }
    }

    pub(super) fn adopt() {
        // Relaxed: ordered after the `publish` of the sender by the hand-over itself.
        let pages = PUBLISHED.load(Ordering::Relaxed);
        ADOPTED.with(|adopted| {
            if adopted.get() != pages {
                adopted.set(pages);
                core::arch::wasm32::memory_grow::<0>(0);
            }
        });
    }
}

/// Tells the other threads that memory may have grown. Call it before handing them anything that was allocated.
///
/// Sending a message and submitting a task to `weblane-pool` do it already.
pub fn publish() {
    #[cfg(target_arch = "wasm32")]
    imp::publish();
}

/// Brings this thread's view of the memory up to date. Call it before touching what another thread has handed over.
///
/// Running a message and running a task of `weblane-pool` do it already; a thread that receives by other ways (a channel, an
/// atomic pointer) can call it itself.
///
/// ```
/// // In a loop of one's own that takes buffers from a queue:
/// weblane_workers::growth::adopt();
/// ```
pub fn adopt() {
    #[cfg(target_arch = "wasm32")]
    imp::adopt();
}

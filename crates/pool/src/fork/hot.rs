//! What a join looks at: one word of the calling thread.
//!
//! `inline_only` is not zero on a thread that is no worker, and on a worker whose window is full: there a join is two calls. Else the slow path sorts
//! out what to do. So one load answers three questions: am I a worker, is there room, is somebody hungry; for a thief that makes room sets the word to
//! zero. It is a hint: the window decides. The owner, who has just filled the window and set the word, looks at the window once more, so that a
//! thief who was in between is not overlooked until the stack unwinds.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;

use super::window::Window;
use crate::primitive::AtomicU32;

/// The word in question.
pub(crate) struct InlineOnly(AtomicU32);

impl InlineOnly {
    /// Returns what it was before.
    pub(crate) fn set(&self, inline_only: bool) -> bool {
        // AcqRel: an owner who overwrites what a thief has left sees the thief's claim when it looks at the window once more. A swap and
        // not a store: on wasm a store costs eight times as much in one engine.
        self.0.swap(u32::from(inline_only), Ordering::AcqRel) != 0
    }
}

struct Hot {
    inline_only: InlineOnly,
    scratch: UnsafeCell<Memory>,
}

type Memory = MaybeUninit<[u64; 8]>;

#[cfg(all(shuttle, not(loom)))]
shuttle::thread_local! {
    static HOT: Hot = Hot { inline_only: InlineOnly(AtomicU32::new(1)), scratch: UnsafeCell::new(Memory::uninit()) };
}

#[cfg(not(any(loom, shuttle)))]
std::thread_local! {
    static HOT: Hot = const { Hot { inline_only: InlineOnly(AtomicU32::new(1)), scratch: UnsafeCell::new(Memory::new([0; 8])) } };
}

#[cfg(loom)]
loom::thread_local! {
    static HOT: Hot = Hot { inline_only: InlineOnly(AtomicU32::new(1)), scratch: UnsafeCell::new(Memory::uninit()) };
}

/// Whether a join on this thread is two calls.
#[inline(always)]
pub(crate) fn inline_only() -> bool {
    // Relaxed: a hint, which orders nothing.
    HOT.with(|hot| hot.inline_only.0.load(Ordering::Relaxed) != 0)
}

/// Brings this thread's word up to date with its window.
pub(crate) fn refresh(window: &Window) {
    HOT.with(|hot| {
        hot.inline_only.set(window.is_full());
        // A thief may have made room between the look and the change.
        if !window.is_full() {
            hot.inline_only.set(false);
        }
    });
}

/// The thread's stay in a pool's loop; its end restores what was before.
pub(crate) struct Stay(bool, PhantomData<*const ()>);

/// This thread is the worker of `window` until the stay ends.
pub(crate) fn enter(window: &Window) -> Stay {
    HOT.with(|hot| {
        window.set_hint(&hot.inline_only);
        Stay(hot.inline_only.set(false), PhantomData)
    })
}

impl Drop for Stay {
    fn drop(&mut self) {
        HOT.with(|hot| hot.inline_only.set(self.0));
    }
}

/// A value in the calling thread's scratch memory.
pub(crate) struct Scratch<T>(*mut T, PhantomData<T>);

impl<T> Scratch<T> {
    /// Whether a value of this type has room.
    pub(crate) const fn fits() -> bool {
        size_of::<T>() <= size_of::<Memory>() && align_of::<T>() <= align_of::<Memory>()
    }

    /// Puts a value there, for the caller to take at once.
    pub(crate) fn put(value: T) -> Scratch<T> {
        assert!(Self::fits());
        HOT.with(|hot| {
            let place = hot.scratch.get().cast::<T>();
            // SAFETY: it fits, and nothing is kept there between `put` and `take`, so nothing is overwritten that somebody wants.
            unsafe { place.write(value) };
            Scratch(place, PhantomData)
        })
    }

    /// # Safety
    ///
    /// On the thread that has put it there, with nothing in between.
    #[inline(always)]
    pub(crate) unsafe fn take(self) -> T {
        // SAFETY: passed on to the caller.
        unsafe { self.0.read() }
    }
}

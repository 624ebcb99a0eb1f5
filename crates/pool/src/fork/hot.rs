//! What a join compares: two words of the calling thread.
//!
//! `word` is the address of the state of the thread's window, and `full` the value which that has while the window is full. While they are equal a join is two
//! calls. They differ when the window has room, when a thief has just taken something, and on a thread that is no worker: a
//! comparison for three questions, of which the slow path then sorts out the answers.

use core::cell::{Cell, UnsafeCell};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use super::window::{Window, WindowState};
use crate::primitive::AtomicU32;

struct Hot {
    word: Cell<*const AtomicU32>,
    full: Cell<u32>,
    scratch: UnsafeCell<Memory>,
}

type Memory = MaybeUninit<[u64; 8]>;

#[cfg(not(loom))]
mod place {
    use core::cell::{Cell, UnsafeCell};

    use super::{Hot, Memory};
    use crate::fork::window::WindowState;
    use crate::primitive::AtomicU32;

    /// The word of threads that are no workers.
    static NOBODY: AtomicU32 = AtomicU32::new(0);

    std::thread_local! {
        pub(super) static HOT: Hot = const {
            Hot {
                word: Cell::new(&raw const NOBODY),
                full: Cell::new(WindowState::NEVER),
                scratch: UnsafeCell::new(Memory::new([0; 8])),
            }
        };
    }
}

#[cfg(loom)]
mod place {
    use core::cell::{Cell, UnsafeCell};

    use super::{Hot, Memory};
    use crate::fork::window::WindowState;

    loom::thread_local! {
        pub(super) static HOT: Hot = Hot {
            word: Cell::new(core::ptr::null()),
            full: Cell::new(WindowState::NEVER),
            scratch: UnsafeCell::new(Memory::uninit()),
        };
    }
}

/// Whether this thread is a worker with a full window.
#[inline(always)]
pub(crate) fn window_is_full() -> bool {
    place::HOT.with(|hot| {
        if cfg!(loom) && hot.word.get().is_null() {
            return false;
        }
        // SAFETY: set by `enter` to a window that outlives the stay, or the static one.
        let word = unsafe { &*hot.word.get() };
        // Relaxed: a thief's claim that is seen a moment later is an opportunity that is seen a moment later.
        word.load(core::sync::atomic::Ordering::Relaxed) == hot.full.get()
    })
}

/// The thread's stay in a pool's loop; its end restores what was before.
pub(crate) struct Stay {
    word: *const AtomicU32,
    full: u32,
}

/// This thread is the worker of `window` until the stay ends.
pub(crate) fn enter(window: &Window) -> Stay {
    place::HOT
        .with(|hot| Stay { word: hot.word.replace(window.word()), full: hot.full.replace(window.own_state().full()) })
}

impl Drop for Stay {
    fn drop(&mut self) {
        place::HOT.with(|hot| {
            hot.word.set(self.word);
            hot.full.set(self.full);
        });
    }
}

/// The owner has changed its count.
pub(crate) fn pushed_is_now(state: WindowState) {
    place::HOT.with(|hot| hot.full.set(state.full()));
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
        place::HOT.with(|hot| {
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

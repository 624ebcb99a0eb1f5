//! Which threads may block: one function pointer for the whole process.
//!
//! The primitives must not know JS, and only JS knows whether a thread is the page's main one. So whoever knows sets a hook.

use core::mem;
use core::ptr;
// Not loom's, also in models: the hook is set once, before anything that a model is about.
use core::sync::atomic::{AtomicPtr, Ordering};

/// A `fn() -> bool`, or null.
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Whether the calling thread may block. Without a hook: no on the web, yes elsewhere.
#[must_use]
pub fn can_block() -> bool {
    // Relaxed: a function pointer carries no data that would have to be seen first.
    let hook = HOOK.load(Ordering::Relaxed);
    if hook.is_null() {
        return cfg!(not(target_arch = "wasm32"));
    }
    // SAFETY: the only value stored beside null is a `fn() -> bool`, by `set_can_block`.
    let hook: fn() -> bool = unsafe { mem::transmute(hook) };
    hook()
}

/// Sets the function that tells whether the calling thread may block, for the whole process.
///
/// It is called before every wait, so it should be cheap: decide once for each thread and remember. The last one set counts.
///
/// ```
/// # if weblane_futex::MODEL { return }
/// // A program with an event loop of its own that must never sleep on this thread:
/// thread_local!(static IN_EVENT_LOOP: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
/// weblane_futex::set_can_block(|| !IN_EVENT_LOOP.get());
/// IN_EVENT_LOOP.set(true);
/// let word = weblane_futex::AtomicU32::new(0);
/// assert_eq!(weblane_futex::wait(&word, 0, None), Err(weblane_futex::MayNotBlock));
/// ```
pub fn set_can_block(hook: fn() -> bool) {
    HOOK.store(hook as *mut (), Ordering::Relaxed);
}

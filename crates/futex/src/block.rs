//! Which threads may block: one function for the whole process, asked once for each thread.
//!
//! The primitives must not know JS, and only JS knows whether a thread is the page's main one. So whoever knows sets a hook.
//! Asking JS costs much more than a wait that finds its word changed, and every lock asks, so the answer is remembered.
//!
//! States. The process has a *generation*, which grows by two with every hook that is set; a thread has a decision, which is a
//! generation with the answer in the lowest bit, or 0 before the first one. A decision counts while its generation is the process's:
//! one load of the thread's own, one of a word that hardly ever changes, one comparison.
//!
//! 1. *set*: store the hook, then add to the generation, Release.
//! 2. *ask*: read the generation, Acquire; if the thread's decision is of another, read the hook, call it, remember. A hook that is read after its
//!    generation is that generation's or a later one's. If a later one's, then the thread asks it again next time, because it remembers the
//!    earlier generation; it never remembers an earlier hook's answer under a later generation.
//!
//! A thread has somewhere to remember only where there are thread-locals: with the feature `std`, and not in models, whose threads
//! share one. Elsewhere the hook is called each time.

use core::mem;
use core::ptr;
// Not the models', also in models: the hook is set once, before anything that a model is about.
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A `fn() -> bool`, or null.
static HOOK: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Even, and never that of a thread that has not decided.
static GENERATION: AtomicU32 = AtomicU32::new(2);

/// What a thread decided, and in which generation; 0 before it did.
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
#[derive(Clone, Copy)]
struct Decision(u32);

#[cfg(all(feature = "std", not(any(loom, shuttle))))]
impl Decision {
    const NONE: Decision = Decision(0);

    fn new(generation: u32, may: bool) -> Self {
        Decision(generation | u32::from(may))
    }

    fn of(self, generation: u32) -> Option<bool> {
        (self.0 & !1 == generation).then_some(self.0 & 1 == 1)
    }
}

/// Whether the calling thread may block. Without a hook: no on the web, yes elsewhere.
///
/// It is decided once for each thread, with the feature `std`, and costs two loads and a comparison from then on. wasm without atomics has one
/// thread, which nobody could wake: it may never block, whatever a hook says.
#[must_use]
pub fn can_block() -> bool {
    if !crate::imp::CAN_SLEEP {
        return false;
    }
    #[cfg(all(feature = "std", not(any(loom, shuttle))))]
    {
        std::thread_local! {
            // Without a destructor, so it is there as long as its thread.
            static DECISION: core::cell::Cell<Decision> = const { core::cell::Cell::new(Decision::NONE) };
        }
        // Acquire: pairs with the Release in `set_can_block`, so that the hook read below is not an earlier one.
        let generation = GENERATION.load(Ordering::Acquire);
        DECISION.get().of(generation).unwrap_or_else(|| {
            let may = ask();
            DECISION.set(Decision::new(generation, may));
            may
        })
    }
    #[cfg(not(all(feature = "std", not(any(loom, shuttle)))))]
    ask()
}

/// What the hook says.
#[cold]
fn ask() -> bool {
    // Relaxed: a function pointer carries no data that would have to be seen first; the generation's Acquire orders it.
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
/// With the feature `std` it is called once on each thread, at that thread's first wait, and its answer counts until another hook is set; without,
/// before every wait. The last one set counts, also for threads that have decided already.
///
/// # Examples
///
/// ```
/// # if weblane_futex::MODEL { return }
/// // A program with an event loop of its own that must never sleep on this thread:
/// thread_local!(static IN_EVENT_LOOP: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
/// IN_EVENT_LOOP.set(true);
/// weblane_futex::set_can_block(|| !IN_EVENT_LOOP.get());
/// let word = weblane_futex::AtomicU32::new(0);
/// assert_eq!(weblane_futex::wait(&word, 0, None), Err(weblane_futex::MayNotBlock));
/// ```
pub fn set_can_block(hook: fn() -> bool) {
    HOOK.store(hook as *mut (), Ordering::Relaxed);
    // Release: pairs with the Acquire in `can_block`. By two: the lowest bit is the answer's. Wraps after two thousand million hooks.
    GENERATION.fetch_add(2, Ordering::Release);
}

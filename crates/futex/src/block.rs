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
#[cfg(all(loom, test))]
use core::ptr;

/// The process's part, twice: in a static with `core`'s atomics, also in models, where the hook is set once and before anything that a model is about; and
/// with loom's, for the model of this protocol itself.
macro_rules! hooks {
    ($($constant:tt)?) => {
        pub(super) struct Hooks {
            /// A `fn() -> bool`, or null.
            hook: AtomicPtr<()>,
            /// Even, and never 0 until it wraps, after two thousand million hooks.
            generation: AtomicU32,
        }

        impl Hooks {
            pub(super) $($constant)? fn new() -> Self {
                Hooks { hook: AtomicPtr::new(ptr::null_mut()), generation: AtomicU32::new(2) }
            }

            pub(super) fn set(&self, hook: *mut ()) {
                // Relaxed: a function pointer carries no data that would have to be seen first; the generation's Release orders it.
                self.hook.store(hook, Ordering::Relaxed);
                // Release: pairs with the Acquire in `generation`. By two: the lowest bit is the answer's.
                self.generation.fetch_add(2, Ordering::Release);
            }

            pub(super) fn get(&self) -> *mut () {
                // Relaxed: read after the generation, whose Acquire orders it.
                self.hook.load(Ordering::Relaxed)
            }

            #[allow(dead_code, reason = "only where decisions are remembered")]
            pub(super) fn generation(&self) -> u32 {
                // Acquire: pairs with the Release in `set`, so that the hook that is read later is not an earlier one.
                self.generation.load(Ordering::Acquire)
            }
        }
    };
}

mod real {
    use core::ptr;
    use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

    hooks!(const);
}

static HOOKS: real::Hooks = real::Hooks::new();

/// What a thread decided, and in which generation; 0 before it did.
#[cfg(any(all(feature = "std", not(any(loom, shuttle))), all(loom, test)))]
#[derive(Clone, Copy)]
struct Decision(u32);

#[cfg(any(all(feature = "std", not(any(loom, shuttle))), all(loom, test)))]
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
        let generation = HOOKS.generation();
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
    let hook = HOOKS.get();
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
    HOOKS.set(hook as *mut ());
}

#[cfg(all(loom, test))]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    mod modelled {
        use core::ptr;
        use loom::sync::atomic::{AtomicPtr, Ordering};

        use crate::model_atomic::AtomicU32;

        hooks!();
    }

    /// `can_block`, with a decision that is the caller's and a hook that is a number: odd says yes.
    fn asks(hooks: &modelled::Hooks, decision: &mut Decision) -> bool {
        let generation = hooks.generation();
        decision.of(generation).unwrap_or_else(|| {
            let may = hooks.get().addr() % 2 == 1;
            *decision = Decision::new(generation, may);
            may
        })
    }

    fn hook(number: usize) -> *mut () {
        ptr::without_provenance_mut(number)
    }

    /// A thread that asks while hooks are set has the last one's answer once it knows that they are set.
    fn the_last_hook_counts(setters: &'static [usize], preemptions: usize) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(|| {
            let hooks = Arc::new(modelled::Hooks::new());
            let setters = setters.iter().map(|number| {
                let hooks = Arc::clone(&hooks);
                thread::spawn(move || hooks.set(hook(*number)))
            });
            let setters: std::vec::Vec<_> = setters.collect();
            let mut decision = Decision::NONE;
            asks(&hooks, &mut decision);
            setters.into_iter().for_each(|setter| setter.join().expect("no panic"));
            assert_eq!(asks(&hooks, &mut decision), hooks.get().addr() % 2 == 1);
        });
    }

    #[test]
    fn a_hook_is_set_while_a_thread_asks() {
        the_last_hook_counts(&[1], 2);
    }

    #[test]
    fn two_hooks_are_set_while_a_thread_asks() {
        // The one who asks before he does, the first setter before its second step, the other one in the middle of its own.
        the_last_hook_counts(&[1, 2], 3);
    }
}

//! Keeping a worker in its event loop.
//!
//! # Why
//!
//! A resident loop sleeps in `memory.atomic.wait32`, and there the browser delivers nothing: no timer, no promise, no animation frame,
//! not even those that a message on this very worker has just begun (races 37 and 45). Messages of ours end the sleep, because their
//! sender counts them; nobody counts the browser's events. So whoever awaits one on a worker holds the worker: while a [`Hold`]
//! lives, the resident is called for slices only ([`Turn::Held`](crate::Turn::Held)), and between them the worker rests in its event loop.
//!
//! # How a resting worker is called
//!
//! By its **call word**, a word of its own beside the one that it sleeps on. A waiter of `Atomics.waitAsync` stays in its word's list
//! until it is notified, and cannot be taken back; a thread that arms one and later blocks on the same word loses wake-ups to itself, in
//! all engines (race 46). On the call word nobody ever blocks. Steps:
//!
//! 1. The manager reads the call word, then calls the resident. The resident announces to its callers that it is about to rest, looks once more
//!    for work, and returns [`Leave::Idle`](crate::Leave::Idle).
//! 2. The worker arms an asynchronous wait *for the value read in step 1*, unless one is armed for that value already.
//! 3. A caller who finds the announcement adds one to the word and notifies all.
//!
//! A call between 1 and 2 has moved the word, so the wait does not begin and the worker comes back at once. Every waiter that was armed for an
//! older value has been notified by the call that ended the value, so at most one is left for each call in flight. A timer looks at the word
//! now and then all the same, for engines that have no asynchronous wait, or lose one.

use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use std::thread_local;

use weblane_futex::AtomicU32;

use crate::threads::thread;
use crate::{ThreadId, resident};

/// The word by which a worker that rests in its event loop is called. On a line of its own: nobody but callers writes to it.
#[repr(align(64))]
pub(crate) struct CallWord(AtomicU32);

impl CallWord {
    pub(crate) const fn new() -> Self {
        CallWord(AtomicU32::new(0))
    }

    /// The value to rest on; read before the last look for work.
    pub(crate) fn load(&self) -> u32 {
        // SeqCst: before the resident's announcement in the order of all threads; partner: `call`.
        self.0.load(Ordering::SeqCst)
    }

    fn call(&self) {
        // SeqCst: after the caller has seen the announcement; partner: `load`, and the compare of `Atomics.waitAsync`.
        self.0.fetch_add(1, Ordering::SeqCst);
        // All: what was armed for older values goes with it.
        weblane_futex::notify_all(&self.0);
    }

    /// The address, for `Atomics.waitAsync`.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }
}

thread_local! {
    static HOLDS: Cell<u32> = const { Cell::new(0) };
}

/// Keeps the calling worker in its event loop while it lives. Made by [`hold`].
#[derive(Debug)]
#[must_use = "dropping a hold lets the worker sleep again"]
pub struct Hold {
    /// It is this thread's: it stays here.
    stays: PhantomData<*const ()>,
}

/// Keeps the calling worker in its event loop until the guard is dropped, so that timers, promises, fetches and animation frames that
/// were begun on it arrive.
///
/// Rust tasks of a pool go on meanwhile, in slices of a few milliseconds between the events, and a worker that rests is
/// woken for them as usual, only not as fast. Holds add up. On the main thread, which is always in its event loop, a hold does nothing.
/// A hold that is never dropped keeps the worker out for ever: that costs speed, never a task.
///
/// # Examples
///
/// ```no_run
/// use wasm_bindgen::{JsCast, JsValue, closure::Closure};
/// # fn set_timeout(_: &JsValue, _: u32) {}
///
/// // On a worker, in a message or in a task.
/// let hold = weblane_workers::hold();
/// let fire = Closure::once_into_js(move || {
///     // ... what the timer is for ...
///     drop(hold);
/// });
/// set_timeout(&fire, 100);
/// ```
pub fn hold() -> Hold {
    HOLDS.set(HOLDS.get() + 1);
    Hold { stays: PhantomData }
}

/// How many holds live on the calling thread.
#[must_use]
pub fn holds() -> u32 {
    HOLDS.get()
}

impl Drop for Hold {
    fn drop(&mut self) {
        let left = HOLDS.get() - 1;
        HOLDS.set(left);
        if left == 0 {
            // A worker that rests goes back to its loop. One that runs a slice right now comes to the same by itself.
            resident::request_entry();
        }
    }
}

/// Calls a worker whose resident has returned [`Leave::Idle`](crate::Leave::Idle). For schedulers; calling a worker that does not rest
/// costs it one turn.
///
/// ```no_run
/// weblane_workers::call(weblane_workers::ThreadId::from_index(1));
/// ```
pub fn call(worker: ThreadId) {
    if let Some(thread) = thread(worker) {
        thread.call.call();
    }
}

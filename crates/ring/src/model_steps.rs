//! Counts the atomic steps of a model's thread, and stops a thread for good before one of them: what a thread that dies does to the others.

extern crate std;

use core::cell::Cell;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

loom::thread_local! {
    /// The steps that the calling thread has made, and how many it may make.
    static STEPS: Cell<(u32, u32)> = Cell::new((0, u32::MAX));
}

/// What a stopped thread unwinds with.
struct Stopped;

/// One atomic step of the calling thread is about to be made.
pub(crate) fn step() {
    let stopped = STEPS.with(|steps| {
        let (made, most) = steps.get();
        steps.set((made + 1, most));
        made >= most
    });
    if stopped {
        // No panic: nobody needs to read about it.
        resume_unwind(Box::new(Stopped));
    }
}

/// Runs something for at most so many atomic steps. Returns its result and the steps that it took, or `None` if it was stopped before the next one:
/// the ring is left as it was then.
pub fn at_most<R>(most: u32, run: impl FnOnce() -> R) -> Option<(R, u32)> {
    STEPS.with(|steps| steps.set((0, most)));
    let result = catch_unwind(AssertUnwindSafe(run));
    let made = STEPS.with(|steps| steps.replace((0, u32::MAX)).0);
    match result {
        Ok(result) => Some((result, made)),
        Err(why) if why.is::<Stopped>() => None,
        Err(why) => resume_unwind(why),
    }
}

//! What models decide about the futex: how often a wait may end for no reason, and by its time-out.
//!
//! A wait may end early at any step, and a model that explores that without bound never ends. So an execution has two budgets, set by its
//! first lines. Within its budget, a wait that nobody has notified yet is ended early in some interleavings, and notified first in others.
//!
//! ```ignore
//! loom::model(|| {
//!     weblane_futex::model::begin();
//!     weblane_futex::model::spurious_wakes(1);
//!     // ... threads that wait and notify ...
//! });
//! ```

use std::boxed::Box;
use std::sync::{Mutex as RealMutex, PoisonError};

#[cfg(loom)]
use loom as modelled;
#[cfg(all(shuttle, not(loom)))]
use shuttle as modelled;

use modelled::sync::Mutex;

/// What is left of a budget; `None` is without bound.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    spurious_wakes: u32,
    time_outs: Option<u32>,
}

const UNSET: Budget = Budget { spurious_wakes: 0, time_outs: None };

modelled::lazy_static! {
    // Whether anything was set: a real mutex, never held across a step of the model. Set before threads begin, so no model depends on its order.
    static ref SET: Box<RealMutex<bool>> = Box::new(RealMutex::new(false));
    // A lock of the model's, so that the explorer knows that the order matters in which threads spend.
    static ref LEFT: Box<Mutex<Budget>> = Box::new(Mutex::new(UNSET));
}

fn is_set() -> bool {
    *SET.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<R>(run: impl FnOnce(&mut Budget) -> R) -> R {
    run(&mut LEFT.lock().expect("a model does not poison"))
}

/// Makes what the futex keeps in this execution of the model. Call it first in a model, before other threads begin.
///
/// Otherwise it is made by the first thread that waits or notifies, and loom takes that for an order: whoever comes to any futex later sees what that thread did before.
/// No real futex orders anything so, and a model in which it does misses orderings that are too weak.
pub fn begin() {
    crate::imp::begin_model();
    drop(is_set());
    with(|_| ());
}

/// In this execution of the model, at most `budget` waits are woken for no reason. Without this call, none.
///
/// Call it before other threads begin. Each one multiplies the executions: 1 or 2 are usual.
pub fn spurious_wakes(budget: u32) {
    *SET.lock().unwrap_or_else(PoisonError::into_inner) = true;
    with(|left| left.spurious_wakes = budget);
}

/// In this execution of the model, at most `budget` timed waits time out, and the others wait for a notification. Without this call there is no
/// bound; then a loop around a timed wait ends only if the model's scheduler lets other threads go on, as loom does.
///
/// Call it before other threads begin.
pub fn time_outs(budget: u32) {
    *SET.lock().unwrap_or_else(PoisonError::into_inner) = true;
    with(|left| left.time_outs = Some(budget));
}

/// Whether a wait may end without a notification, as far as the budgets go now.
pub(crate) fn may_end_early(timed: bool) -> bool {
    if !is_set() {
        return timed;
    }
    with(|left| left.spurious_wakes > 0 || (timed && left.time_outs != Some(0)))
}

/// Spends one time-out, if there is one left.
pub(crate) fn spend_time_out() -> bool {
    !is_set()
        || with(|left| match &mut left.time_outs {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        })
}

/// Spends one spurious wake, if there is one left.
pub(crate) fn spend_spurious_wake() -> bool {
    is_set()
        && with(|left| {
            let some = left.spurious_wakes > 0;
            left.spurious_wakes -= u32::from(some);
            some
        })
}

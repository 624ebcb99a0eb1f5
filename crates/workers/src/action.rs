//! What a message runs at its receiver: a closure of up to 48 bytes inline, a larger one boxed.
//!
//! It lies inside its slot of the receiver's inbox, for the reason for which a pool's tasks lie inside the slots of their queues: on the web the
//! allocator is one global lock, and a box that one thread makes and another drops costs as much as a tenth of the whole message.

use alloc::boxed::Box;
use core::mem::{ManuallyDrop, MaybeUninit};

use wasm_bindgen::JsValue;

use crate::ThreadId;

/// The room for a closure: six 64-bit words.
type Data = MaybeUninit<[u64; 6]>;

/// The sender, and the payload as it arrived.
type Arrived = (ThreadId, JsValue);

/// A closure that runs once, of any type, in a place of known size.
pub(crate) struct Action {
    /// Moves the closure out and calls it, or without arguments drops it in place.
    end: unsafe fn(*mut Data, Option<Arrived>),
    data: Data,
}

// SAFETY: `Action::new` takes only closures that are `Send`; the rest is a function pointer.
unsafe impl Send for Action {}

impl Action {
    const fn fits<F>() -> bool {
        size_of::<F>() <= size_of::<Data>() && align_of::<F>() <= align_of::<Data>()
    }

    pub(crate) fn new<F: FnOnce(ThreadId, JsValue) + Send + 'static>(run: F) -> Action {
        if Self::fits::<F>() {
            // SAFETY: it fits, as was just checked.
            unsafe { Action::inline(run) }
        } else {
            let boxed: Box<dyn FnOnce(ThreadId, JsValue) + Send> = Box::new(run);
            // SAFETY: a box fits.
            unsafe { Action::inline(boxed) }
        }
    }

    /// # Safety
    ///
    /// [`fits`](Action::fits) is true for `F`.
    unsafe fn inline<F: FnOnce(ThreadId, JsValue) + Send + 'static>(run: F) -> Action {
        let mut data = Data::uninit();
        // SAFETY: the caller says that `F` fits into `data`, in size and alignment.
        unsafe { data.as_mut_ptr().cast::<F>().write(run) };
        Action { end: end::<F>, data }
    }

    /// Runs the closure.
    pub(crate) fn run(self, sender: ThreadId, payload: JsValue) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `data` holds the closure that `end` was made for; `this` is never dropped, so it is used up once.
        unsafe { (this.end)(&mut this.data, Some((sender, payload))) };
    }
}

impl Drop for Action {
    fn drop(&mut self) {
        // SAFETY: `data` holds the closure that `end` was made for, and `run` forgets the action, so this is its only end.
        unsafe { (self.end)(&mut self.data, None) };
    }
}

/// Ends a closure of type `F`.
///
/// # Safety
///
/// `data` holds an `F`, and is not used as one afterwards.
unsafe fn end<F: FnOnce(ThreadId, JsValue)>(data: *mut Data, arrived: Option<Arrived>) {
    let closure = data.cast::<F>();
    match arrived {
        // SAFETY: the caller says that an `F` is there, and gives it up.
        Some((sender, payload)) => (unsafe { closure.read() })(sender, payload),
        // SAFETY: as above.
        None => unsafe { closure.drop_in_place() },
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// An action with `N` words beside its counter.
    fn adding<const N: usize>(sum: &Arc<AtomicU64>) -> Action {
        let (sum, words) = (Arc::clone(sum), [3_u64; N]);
        Action::new(move |sender, _| {
            sum.fetch_add(words.iter().sum::<u64>() + u64::from(sender.index()), Ordering::Relaxed);
        })
    }

    #[test]
    fn small_and_large_closures_run_once_or_are_dropped() {
        let sum = Arc::new(AtomicU64::new(0));
        adding::<5>(&sum).run(ThreadId::from_index(1), JsValue::UNDEFINED);
        adding::<50>(&sum).run(ThreadId::from_index(2), JsValue::UNDEFINED);
        assert_eq!((sum.load(Ordering::Relaxed), Arc::strong_count(&sum)), (55 * 3 + 3, 1));
        let unrun = (adding::<5>(&sum), adding::<50>(&sum));
        assert_eq!(Arc::strong_count(&sum), 3);
        drop(unrun);
        assert_eq!((sum.load(Ordering::Relaxed), Arc::strong_count(&sum)), (55 * 3 + 3, 1));
    }

    #[test]
    fn an_over_aligned_closure_is_boxed() {
        #[repr(align(32))]
        struct Aligned(u64);
        let (aligned, sum) = (Aligned(7), Arc::new(AtomicU64::new(0)));
        let inner = Arc::clone(&sum);
        let action = Action::new(move |_, _| {
            let aligned = &aligned;
            assert_eq!(core::ptr::from_ref(aligned) as usize % 32, 0);
            inner.store(aligned.0, Ordering::Relaxed);
        });
        action.run(ThreadId::MAIN, JsValue::UNDEFINED);
        assert_eq!(sum.load(Ordering::Relaxed), 7);
    }
}

//! A task in a slot: a closure of up to 48 bytes inline, a larger one boxed.
//!
//! Tasks live **inside** the slots of the queues, because on the web the allocator is the price of a task, not the queue:
//! `std`'s wasm allocator is one global spin lock, and a `Box` that one thread makes and another drops costs 200 ns when both
//! allocate, ten times the move through a ring.

use alloc::boxed::Box;
use core::mem::{self, ManuallyDrop, MaybeUninit};

/// The room for a closure in a slot: six 64-bit words.
type Data = MaybeUninit<[u64; 6]>;

/// What to do with a closure that is known by address only.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Move it out and call it.
    Run,
    /// Drop it in place.
    Drop,
}

/// A closure that runs once, of any type, in a slot of known size.
pub(crate) struct Task {
    act: unsafe fn(*mut Data, Act),
    data: Data,
}

// SAFETY: `Task::new` takes only closures that are `Send`; the rest of a task is a function pointer.
unsafe impl Send for Task {}

impl Task {
    /// Whether closures of this type need no allocation.
    pub(crate) const fn fits<F>() -> bool {
        size_of::<F>() <= size_of::<Data>() && align_of::<F>() <= align_of::<Data>()
    }

    pub(crate) fn new<F: FnOnce() + Send + 'static>(run: F) -> Task {
        if Self::fits::<F>() {
            // SAFETY: it fits, as was just checked.
            unsafe { Task::inline(run) }
        } else {
            let boxed: Box<dyn FnOnce() + Send> = Box::new(run);
            // SAFETY: a box fits.
            unsafe { Task::inline(boxed) }
        }
    }

    /// # Safety
    ///
    /// [`fits`](Task::fits) is true for `F`.
    unsafe fn inline<F: FnOnce() + Send + 'static>(run: F) -> Task {
        let mut data = Data::uninit();
        // SAFETY: the caller says that `F` fits into `data`, in size and alignment.
        unsafe { data.as_mut_ptr().cast::<F>().write(run) };
        Task { act: act::<F>, data }
    }

    /// Runs the closure.
    pub(crate) fn run(self) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `data` holds the closure that `act` was made for; `this` is never dropped, so it is used up once.
        unsafe { (this.act)(&mut this.data, Act::Run) };
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: `data` holds the closure that `act` was made for, and `run` forgets the task, so this is its only end.
        unsafe { (self.act)(&mut self.data, Act::Drop) };
    }
}

/// Ends a closure of type `F`.
///
/// # Safety
///
/// `data` holds an `F`, and is not used as one afterwards.
unsafe fn act<F: FnOnce()>(data: *mut Data, act: Act) {
    let closure = data.cast::<F>();
    match act {
        // SAFETY: the caller says that an `F` is there, and gives it up.
        Act::Run => (unsafe { closure.read() })(),
        // SAFETY: as above.
        Act::Drop => unsafe { closure.drop_in_place() },
    }
}

const _: () = assert!(mem::size_of::<Task>() <= 56);

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use alloc::sync::Arc;
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn adding<const N: usize>(sum: &Arc<AtomicU64>) -> (impl FnOnce() + Send + use<N>, u64) {
        let (sum, words) = (Arc::clone(sum), [3_u64; N]);
        let expected = 3 * N as u64 + 1;
        (
            move || {
                sum.fetch_add(words.iter().sum::<u64>() + 1, Ordering::Relaxed);
            },
            expected,
        )
    }

    #[test]
    fn small_and_large_closures_run_once_and_drop_what_they_hold() {
        let sum = Arc::new(AtomicU64::new(0));
        let mut expected = 0;
        let (small, by) = adding::<5>(&sum);
        assert!(size_of_val(&small) <= 48);
        Task::new(small).run();
        expected += by;
        let (large, by) = adding::<50>(&sum);
        assert!(size_of_val(&large) > 48);
        Task::new(large).run();
        expected += by;
        assert_eq!(sum.load(Ordering::Relaxed), expected);
        assert_eq!(Arc::strong_count(&sum), 1);
    }

    #[test]
    fn a_task_that_never_runs_drops_its_closure() {
        let sum = Arc::new(AtomicU64::new(0));
        drop(Task::new(adding::<2>(&sum).0));
        drop(Task::new(adding::<20>(&sum).0));
        assert_eq!(Arc::strong_count(&sum), 1);
        assert_eq!(sum.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_over_aligned_closure_is_boxed() {
        #[repr(align(32))]
        struct Aligned(u64);
        let (aligned, sum) = (Aligned(7), Arc::new(AtomicU64::new(0)));
        let inner = Arc::clone(&sum);
        let closure = move || {
            let aligned = &aligned;
            assert_eq!(core::ptr::from_ref(aligned) as usize % 32, 0);
            inner.store(aligned.0, Ordering::Relaxed);
        };
        assert!(!fits_of(&closure));
        Task::new(closure).run();
        assert_eq!(sum.load(Ordering::Relaxed), 7);
    }

    fn fits_of<F>(_: &F) -> bool {
        Task::fits::<F>()
    }
}

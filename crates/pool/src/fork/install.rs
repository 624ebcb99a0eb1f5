//! Going into a pool from outside, with borrowed data, and waiting there.
//!
//! The closure travels as a task that points into the frame of whoever waits. So the frame must outlive the task, however the task ends: run,
//! or dropped by a pool that discards what it has. Both set the latch, which is shared by a counted reference, since the one who sets it
//! notifies after the waiter may have gone.

use alloc::sync::Arc;
use core::mem;
use core::sync::atomic::Ordering;
use std::panic::resume_unwind;

use weblane_futex::AtomicU32;

use crate::ThreadPool;
use crate::handle::JoinError;
use crate::here::Here;
use crate::host::{Host, Payload};
use crate::task::Task;

const WAITING: u32 = 0;
const ENDED: u32 = 1;

/// Sets the latch at its end.
struct SetAtEnd(Arc<AtomicU32>);

impl Drop for SetAtEnd {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `install`: the result.
        self.0.swap(ENDED, Ordering::Release);
        weblane_futex::notify_all(&self.0);
    }
}

/// A mutable borrow in a task's clothes.
struct Place<T>(*mut T);

// SAFETY: made in `install` of places that hold what is `Send`, and used by one thread while the other waits.
unsafe impl<T> Send for Place<T> {}

impl<T> Place<T> {
    /// # Safety
    ///
    /// The place is there, and nobody else uses it.
    unsafe fn get(&mut self) -> &mut T {
        // SAFETY: passed on to the caller.
        unsafe { &mut *self.0 }
    }
}

impl ThreadPool {
    /// Runs `work` inside this pool and waits for it. In there [`join`](crate::join) and its kin are parallel. `work` may borrow.
    ///
    /// From a task of this pool it is a call. From elsewhere the calling thread sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// [`JoinError::MayNotBlock`] on the page's main thread, which must not wait: nothing has run; `pool.spawn(..).await` is for there, with data that
    /// it owns. [`JoinError::Cancelled`] if the pool has dropped the work before it began.
    ///
    /// # Panics
    ///
    /// Where panics unwind: if `work` panics, with its panic.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// let text = String::from("borrowed");
    /// assert_eq!(pool.install(|| text.len())?, 8);
    /// # Ok(())
    /// # }
    /// ```
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<R, JoinError> {
        let core = self.owner.core();
        if Here::seat().is_some_and(|seat| core::ptr::eq(seat.core, core)) || self.is_own_thread() {
            return Ok(work());
        }
        if !weblane_futex::can_block() {
            return Err(JoinError::MayNotBlock);
        }
        let latch = Arc::new(AtomicU32::new(WAITING));
        let (mut work, mut result) = (Some(work), None::<Result<R, Payload>>);
        core.submit(travelling(Place(&raw mut work), Place(&raw mut result), SetAtEnd(Arc::clone(&latch))));
        // Acquire: pairs with the Release of `SetAtEnd`.
        while latch.load(Ordering::Acquire) == WAITING {
            if let Some(seat) = Here::seat() {
                // SAFETY: a seat is only set while its pool's core is alive and running on this thread.
                unsafe { &*seat.core }.hand_over();
            }
            let _ = weblane_futex::wait(&latch, WAITING, None);
        }
        Here::adopt_memory();
        match result {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => resume_unwind(payload),
            None => Err(JoinError::Cancelled),
        }
    }

    /// Whether the calling thread is a worker of this pool which is out in its event loop: then it must not wait for itself.
    fn is_own_thread(&self) -> bool {
        #[cfg(target_arch = "wasm32")]
        return weblane_workers::current()
            .is_some_and(|current| self.owner.core().host().places.iter().any(|place| place.id == current));
        #[cfg(not(target_arch = "wasm32"))]
        false
    }
}

/// The task that runs `work` and leaves `result`, or is dropped; `end` is its last act in both cases.
fn travelling<F: FnOnce() -> R, R>(
    mut work: Place<Option<F>>,
    mut result: Place<Option<Result<R, Payload>>>,
    end: SetAtEnd,
) -> Task {
    let travel = move || {
        let _end = end;
        // SAFETY: `install` waits until `end` is dropped, and does not touch the places meanwhile.
        let (work, result) = unsafe { (work.get().take(), result.get()) };
        *result = work.map(Here::catch);
        Here::publish_memory();
    };
    let travel: alloc::boxed::Box<dyn FnOnce() + Send + '_> = alloc::boxed::Box::new(travel);
    // SAFETY: what it borrows is in the frame of `install`, which waits for the end of the task, whatever that is.
    let travel: alloc::boxed::Box<dyn FnOnce() + Send + 'static> = unsafe { mem::transmute(travel) };
    Task::new(travel)
}

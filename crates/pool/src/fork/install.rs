//! Going into a pool from outside, with borrowed data, and waiting there.
//!
//! The closure travels as a job (`job`) that points into the frame of whoever waits. So the frame must outlive the closure, however that ends: run, or
//! dropped by a pool that discards what it has, or lost with a worker that died. All of these complete the job, and it is the job that is waited for. Other than a handle's
//! owner the waiter never claims it: it is to run inside the pool.

use alloc::boxed::Box;
use core::mem;
use std::panic::resume_unwind;

use crate::ThreadPool;
use crate::handle::JoinError;
use crate::here::Here;
use crate::host::Host;
use crate::injector::Priority;
use crate::job::{JobRef, QueuedJob};
use crate::task::Task;

/// The place for the result, in the frame of whoever waits.
struct Place<R>(*mut Option<R>);

// SAFETY: what is left there is `Send`, and it is used by one thread while the other waits.
unsafe impl<R: Send> Send for Place<R> {}

impl<R> Place<R> {
    /// # Safety
    ///
    /// The place is there, and nobody else uses it.
    unsafe fn fill(self, value: R) {
        // SAFETY: passed on to the caller.
        unsafe { *self.0 = Some(value) };
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
    /// it owns. [`JoinError::Closed`] after a shutdown, [`JoinError::Cancelled`] if the pool has dropped the work before it began, and
    /// [`JoinError::Trapped`] if its worker has died of it.
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
        let mut result = None;
        let place = Place(&raw mut result);
        // SAFETY: this function waits until the job has completed, and does not touch the place meanwhile.
        let travel: Box<dyn FnOnce() + Send + '_> = Box::new(move || unsafe { place.fill(work()) });
        // SAFETY: what it borrows outlives this frame, or is in it; and this function waits for the closure's end.
        let travel: Box<dyn FnOnce() + Send + 'static> = unsafe { mem::transmute(travel) };
        let (queued, waiting) = JobRef::of_pool::<Here, _, ()>(core.tag(), travel);
        let queued = QueuedJob::<Here>::new(queued);
        let task = Task::new(move || queued.run());
        if let Err(refused) = core.submit_at(Priority::Normal, task) {
            drop(refused);
            return Err(JoinError::Closed);
        }
        let header = waiting.header();
        while !header.state().done() {
            let Some(value) = header.announce_sleeper() else { break };
            if let Some(seat) = Here::seat() {
                // SAFETY: a seat is only set while its pool's core is alive and running on this thread.
                unsafe { &*seat.core }.hand_over();
            }
            // It may block: that was asked above.
            let _ = weblane_futex::wait(header.word(), value, None);
        }
        Here::adopt_memory();
        // SAFETY: nobody else has a handle of this job, it was made for `()`, and it is done.
        match (unsafe { header.take_output::<()>() }, result) {
            (Ok(()), Some(value)) => Ok(value),
            (Err(JoinError::Panicked(payload)), _) => resume_unwind(payload),
            (Err(error), _) => Err(error),
            (Ok(()), None) => unreachable!("work that has returned has left its value"),
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

//! Waiting for a task: by blocking in a worker, by `await` anywhere, or by asking now and then.

use core::any::Any;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use alloc::boxed::Box;
use alloc::string::String;

use crate::host::Host;
use crate::job::JobRef;

/// Why a task left no value.
pub enum JoinError {
    /// The task panicked; this is the panic's payload. Only where panics unwind.
    Panicked(Box<dyn Any + Send>),
    /// The task was dropped before it ran.
    Cancelled,
    /// `join` was called where blocking is not allowed, and the task is not done. The handle is as good as before.
    MayNotBlock,
    /// The value has been taken before.
    Taken,
}

impl JoinError {
    /// The panic's message, if the task panicked with a text.
    #[must_use]
    pub fn panic_message(&self) -> Option<&str> {
        let JoinError::Panicked(payload) = self else {
            return None;
        };
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(_) => write!(f, "Panicked({:?})", self.panic_message().unwrap_or("not a text")),
            JoinError::Cancelled => f.write_str("Cancelled"),
            JoinError::MayNotBlock => f.write_str("MayNotBlock"),
            JoinError::Taken => f.write_str("Taken"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(_) => {
                write!(f, "the task panicked: {}", self.panic_message().unwrap_or("its payload is not a text"))
            }
            JoinError::Cancelled => f.write_str("the task was dropped before it ran, because its pool has ended"),
            JoinError::MayNotBlock => f.write_str(
                "`join` was called on a thread that may not block (the page's main thread), and the task is not done; `await` \
                 the handle, ask with `try_join`, or join inside a task",
            ),
            JoinError::Taken => f.write_str("the task's value has been taken from this handle before"),
        }
    }
}

impl core::error::Error for JoinError {}

/// The handle of a task in any pool of host `H`.
pub(crate) struct Handle<T, H: Host> {
    /// `None` when the output has been taken.
    job: Option<JobRef>,
    marker: PhantomData<fn(H) -> T>,
}

impl<T: Send + 'static, H: Host> Handle<T, H> {
    /// A handle for a job that was made for `T`.
    pub(crate) fn new(job: JobRef) -> Handle<T, H> {
        Handle { job: Some(job), marker: PhantomData }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.job.as_ref().is_none_or(|job| job.header().state().done())
    }

    pub(crate) fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        let Some(job) = &self.job else {
            return Some(Err(JoinError::Taken));
        };
        job.header().state().done().then(|| self.take())
    }

    pub(crate) fn join(&mut self) -> Result<T, JoinError> {
        loop {
            let Some(job) = &self.job else {
                return Err(JoinError::Taken);
            };
            let header = job.header();
            let state = header.state();
            if state.done() {
                return self.take();
            }
            if !weblane_futex::can_block() {
                return Err(JoinError::MayNotBlock);
            }
            if !state.claimed() {
                if header.claim() {
                    // SAFETY: just claimed, and the handle holds a reference.
                    unsafe { header.run() };
                }
                continue;
            }
            let Some(value) = header.announce_sleeper() else {
                continue;
            };
            // Others must not wait for what this worker has queued while it sleeps here.
            if let Some(seat) = H::seat() {
                // SAFETY: a seat is only set while its pool's core is alive and running on this thread.
                unsafe { &*seat.core }.hand_over();
            }
            // A spurious return and a value that has moved on are the same to the loop. It may block: that was asked above.
            let _ = weblane_futex::wait(header.word(), value, None);
        }
    }

    fn take(&mut self) -> Result<T, JoinError> {
        match self.job.take() {
            // SAFETY: this is the handle, made for `T`; `done` was seen; and the job is gone from it now.
            Some(job) => unsafe { job.header().take_output::<T>() },
            None => Err(JoinError::Taken),
        }
    }
}

impl<T: Send + 'static, H: Host> Future for Handle<T, H> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(job) = &self.job else {
            return Poll::Ready(Err(JoinError::Taken));
        };
        let header = job.header();
        // SAFETY: this is the handle.
        if header.state().done() || unsafe { header.set_waker(context.waker()) } {
            return Poll::Ready(self.take());
        }
        Poll::Pending
    }
}

impl<T, H: Host> Drop for Handle<T, H> {
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            // SAFETY: this is the handle. Whether the job is done does not matter: the last reference drops what it left.
            let _ = unsafe { job.header().take_waker() };
        }
    }
}

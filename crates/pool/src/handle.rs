//! Waiting for a task: by blocking in a worker, by `await` anywhere, or by asking now and then.

use core::any::Any;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use alloc::boxed::Box;
use alloc::string::String;

use crate::host::Host;
use crate::job::JobRef;

/// Why a task left no value.
pub enum JoinError {
    /// The task panicked; this is the panic's payload. Only where panics unwind.
    Panicked(Box<dyn Any + Send>),
    /// The task was dropped before it ran: it was cancelled, or its pool was told to discard what is queued.
    Cancelled,
    /// The pool was shut down before the task was submitted.
    Closed,
    /// The worker that ran the task is dead: a panic where panics abort, another trap, or the end of the worker. With what it had to say.
    Trapped(String),
    /// The waiting threads wait for one another.
    Deadlock,
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
            JoinError::Closed => f.write_str("Closed"),
            JoinError::Trapped(words) => write!(f, "Trapped({words:?})"),
            JoinError::Deadlock => f.write_str("Deadlock"),
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
            JoinError::Cancelled => {
                f.write_str("the task was dropped before it ran: it was cancelled, or its pool was told to discard what is queued")
            }
            JoinError::Closed => f.write_str("the pool was shut down before the task was submitted; it has not run"),
            JoinError::Trapped(words) => {
                write!(f, "the worker that ran the task has died")?;
                if words.is_empty() { Ok(()) } else { write!(f, ": {words}") }
            }
            JoinError::Deadlock => f.write_str(
                "the task waits, by way of others, for the one that asks for it; none of them can end. Break the circle: let one of                  them end without joining",
            ),
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
    job: Waiting,
    marker: PhantomData<fn(H) -> T>,
}

/// What a handle stands for.
enum Waiting {
    For(JobRef),
    /// The output has been taken.
    Taken,
    /// The pool refused the task.
    Closed,
}

impl Waiting {
    /// The job, or why there is none.
    fn job(&self) -> Result<&JobRef, JoinError> {
        match self {
            Waiting::For(job) => Ok(job),
            Waiting::Taken => Err(JoinError::Taken),
            Waiting::Closed => Err(JoinError::Closed),
        }
    }
}

/// Between two looks for a circle of waiting threads. Seen twice, so far apart, it is no accident.
const CIRCLE: Duration = Duration::from_millis(50);

impl<T: Send + 'static, H: Host> Handle<T, H> {
    /// A handle for a job that was made for `T`.
    pub(crate) fn new(job: JobRef) -> Handle<T, H> {
        Handle { job: Waiting::For(job), marker: PhantomData }
    }

    /// The handle of a task that was refused.
    pub(crate) fn closed() -> Handle<T, H> {
        Handle { job: Waiting::Closed, marker: PhantomData }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.job.job().map_or(true, |job| job.header().state().done())
    }

    pub(crate) fn cancel(&self) -> bool {
        // SAFETY: the handle holds a reference.
        self.job.job().is_ok_and(|job| unsafe { job.header().ask_to_stop(H::runner()) })
    }

    pub(crate) fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        match self.job.job() {
            Ok(job) => job.header().state().done().then(|| self.take()),
            Err(error) => Some(Err(error)),
        }
    }

    /// Waits at most until `timeout` is over; `None` then.
    pub(crate) fn join(&mut self, timeout: Option<Duration>) -> Option<Result<T, JoinError>> {
        let until = timeout.map(|timeout| H::now().saturating_add(timeout));
        let mut circle = false;
        loop {
            let job = match self.job.job() {
                Ok(job) => job,
                Err(error) => return Some(Err(error)),
            };
            let header = job.header();
            let state = header.state();
            if state.done() {
                return Some(self.take());
            }
            if !weblane_futex::can_block() {
                return Some(Err(JoinError::MayNotBlock));
            }
            if !state.claimed() {
                if header.claim(H::runner()) {
                    // SAFETY: just claimed, and the handle holds a reference.
                    unsafe { header.run() };
                }
                continue;
            }
            let left = until.map(|until| until.saturating_sub(H::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            let Some(value) = header.announce_sleeper() else {
                continue;
            };
            let Some(seat) = H::seat() else {
                if let Some(seat) = H::resting() {
                    // SAFETY: while its worker rests a pool's core is alive: the loop that will go on there has it.
                    let core = unsafe { &*seat.core };
                    // Whoever has called this worker meanwhile counts on it, and it will not come.
                    core.end_rest(seat.worker);
                    core.hand_over();
                    // Its next turn comes when this JS has returned.
                    core.host().call(seat.worker);
                }
                // A spurious return and a value that has moved on are the same to the loop. It may block: that was asked above.
                let _ = weblane_futex::wait(header.word(), value, left);
                continue;
            };
            // SAFETY: a seat is only set while its pool's core is alive and running on this thread.
            let core = unsafe { &*seat.core };
            // Others must not wait for what this worker has queued while it sleeps here.
            core.hand_over();
            core.waits_for(seat.worker, state.runner());
            let nap = if cfg!(any(loom, shuttle)) { left } else { Some(left.map_or(CIRCLE, |left| left.min(CIRCLE))) };
            let slept = weblane_futex::wait(header.word(), value, nap);
            let seen = slept == Ok(weblane_futex::Wait::TimedOut) && core.waits_in_circle(seat.worker);
            core.waits_for(seat.worker, 0);
            if seen && circle && !header.state().done() {
                return Some(Err(JoinError::Deadlock));
            }
            circle = seen;
        }
    }

    fn take(&mut self) -> Result<T, JoinError> {
        match core::mem::replace(&mut self.job, Waiting::Taken) {
            Waiting::For(job) => {
                // What the task has made may lie in memory that has grown meanwhile (race 55).
                H::adopt_memory();
                // SAFETY: this is the handle, made for `T`; `done` was seen; and the job is gone from it now.
                unsafe { job.header().take_output::<T>() }
            }
            Waiting::Taken => Err(JoinError::Taken),
            Waiting::Closed => {
                self.job = Waiting::Closed;
                Err(JoinError::Closed)
            }
        }
    }
}

impl<T: Send + 'static, H: Host> Future for Handle<T, H> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let header = match self.job.job() {
            Ok(job) => job.header(),
            Err(error) => return Poll::Ready(Err(error)),
        };
        // SAFETY: this is the handle.
        if header.state().done() || unsafe { header.set_waker(context.waker()) } {
            return Poll::Ready(self.take());
        }
        Poll::Pending
    }
}

impl<T, H: Host> Drop for Handle<T, H> {
    fn drop(&mut self) {
        if let Waiting::For(job) = &self.job {
            // SAFETY: this is the handle. Whether the job is done does not matter: the last reference drops what it left.
            let _ = unsafe { job.header().take_waker() };
        }
    }
}

//! The pool as its users see it, the same on every host.

use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use crate::handle::{Handle, JoinError};
use crate::here::{Here, Owner};
use crate::host::Host;
use crate::injector::Priority;
use crate::job::{CancelToken, JobRef, QueuedJob};
use crate::task::Task;

/// A pool of threads that run tasks from shared memory.
///
/// Cloning gives another handle of the same pool. When the last handle is dropped the pool shuts down as by
/// [`Shutdown::Drain`](crate::Shutdown::Drain), and nobody waits for it: what is queued still runs, then its threads are free for others.
#[derive(Clone)]
pub struct ThreadPool {
    pub(crate) owner: Arc<Owner>,
}

impl ThreadPool {
    /// Runs `task` on some worker and returns a handle for its value.
    ///
    /// From inside a task it goes to the calling worker's own ring, from elsewhere to the shared queue; no message is sent. Takes no lock, never
    /// blocks, and in the steady state allocates nothing, as long as the closure and the value fit into 64 bytes each. After
    /// [`shutdown`](ThreadPool::shutdown) the task is dropped, and its handle says [`JoinError::Closed`].
    ///
    /// # Panics in the task
    ///
    /// Where panics unwind, the handle gets [`JoinError::Panicked`] and the pool goes on. With `panic=abort` (the default on the web) a
    /// panic is a trap: that worker is dead, the task's handle gets [`JoinError::Trapped`], and the others go on.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// let mut answer = pool.spawn(|| 6 * 7);
    /// assert_eq!(answer.join()?, 42); // in a worker, or natively; on the page's main thread: `answer.await?`
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.spawn_at(Priority::Normal, task)
    }

    /// [`spawn`](ThreadPool::spawn) with a priority. Tasks of other priorities than normal go to shared queues also from inside a task.
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// use weblane_pool::Priority;
    ///
    /// let mut thumbnails = pool.spawn_at(Priority::Background, || "drawn");
    /// let mut visible = pool.spawn_at(Priority::High, || "drawn first");
    /// assert_eq!((visible.join()?, thumbnails.join()?), ("drawn first", "drawn"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_at<T: Send + 'static>(
        &self,
        priority: Priority,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.queue(priority, JobRef::of_pool::<Here, _, T>(self.owner.core().tag(), task))
    }

    /// [`spawn`](ThreadPool::spawn) for a long task, which gets a token by which it can ask whether it was cancelled.
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// use weblane_pool::{JoinError, Priority};
    ///
    /// let mut steps = pool.spawn_cancellable(Priority::Normal, |token| {
    ///     (0_u64..).find(|_| token.is_cancelled())
    /// });
    /// if steps.cancel() {
    ///     assert!(matches!(steps.join(), Err(JoinError::Cancelled))); // it had not begun
    /// } else {
    ///     assert!(steps.join()?.is_some()); // it ran, and returned early
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_cancellable<T: Send + 'static>(
        &self,
        priority: Priority,
        task: impl FnOnce(&CancelToken<'_>) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.queue(priority, JobRef::with_token::<Here, _, T>(self.owner.core().tag(), task))
    }

    fn queue<T: Send + 'static>(&self, priority: Priority, (queued, waiting): (JobRef, JobRef)) -> JoinHandle<T> {
        let queued = QueuedJob::<Here>::new(queued);
        let task = Task::new(move || queued.run());
        JoinHandle(match self.owner.core().submit_at(priority, task) {
            Ok(()) => Handle::new(waiting),
            Err(_refused) => Handle::closed(),
        })
    }

    /// Runs `task` on some worker; nobody waits for it. A closure of up to 48 bytes is not allocated anywhere.
    ///
    /// As [`spawn`](ThreadPool::spawn) otherwise. Where panics unwind, one in `task` ends in the panic hook. After
    /// [`shutdown`](ThreadPool::shutdown) the task is dropped unrun; [`try_spawn_detached`](ThreadPool::try_spawn_detached) says so.
    pub fn spawn_detached(&self, task: impl FnOnce() + Send + 'static) {
        let _ = self.try_spawn_detached(Priority::Normal, task);
    }

    /// [`spawn_detached`](ThreadPool::spawn_detached) with a priority, and with an answer.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`shutdown`](ThreadPool::shutdown). The task has been dropped.
    pub fn try_spawn_detached(&self, priority: Priority, task: impl FnOnce() + Send + 'static) -> Result<(), Closed> {
        self.owner.core().submit_at(priority, Task::new(task)).map_err(|_refused| Closed)
    }
}

/// The pool was shut down before the task was submitted. The task has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool was shut down before the task was submitted; it has been dropped unrun")
    }
}

impl core::error::Error for Closed {}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("workers", &self.owner.core().host().workers()).finish_non_exhaustive()
    }
}

/// A task's value to be.
///
/// Three ways to it: [`join`](JoinHandle::join) blocks (in workers), `await` works everywhere, [`try_join`](JoinHandle::try_join) asks.
/// Dropping the handle leaves the task alone.
#[must_use = "dropping the handle is fine, but `spawn_detached` is cheaper"]
pub struct JoinHandle<T: Send + 'static>(Handle<T, Here>);

impl<T: Send + 'static> JoinHandle<T> {
    /// Waits for the value, blocking the calling thread.
    ///
    /// A task that is still queued is run on the spot. Otherwise the worker lets others take what it has queued, and sleeps; while
    /// it does, it serves no JS task, so keep joined tasks short or join outside JS-heavy workers.
    ///
    /// # Errors
    ///
    /// [`JoinError::MayNotBlock`] on the page's main thread, if the task is not done; the handle stays good and can be awaited.
    /// [`JoinError::Deadlock`] if the thread that runs the task waits, directly or by way of others, for the calling one (found within a tenth of a
    /// second). The others as they say.
    pub fn join(&mut self) -> Result<T, JoinError> {
        // Without a time-out it only returns with an answer.
        self.0.join(None).unwrap_or(Err(JoinError::MayNotBlock))
    }

    /// [`join`](JoinHandle::join) that waits no longer than `timeout`: `None` then, and the handle is as good as before.
    ///
    /// A task that is still queued is run on the spot, however long it takes.
    ///
    /// # Errors
    ///
    /// As for [`join`](JoinHandle::join).
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<T, JoinError>> {
        self.0.join(Some(timeout))
    }

    /// Asks the task to stop. If it is still queued it is dropped, and `true` returned; the handle then says [`JoinError::Cancelled`].
    /// If it is running, [`CancelToken::is_cancelled`] turns true for it; its value arrives as ever.
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }

    /// The value if it is there; never blocks.
    ///
    /// # Errors
    ///
    /// As for [`join`](JoinHandle::join), without `MayNotBlock`.
    pub fn try_join(&mut self) -> Option<Result<T, JoinError>> {
        self.0.try_join()
    }

    /// Whether the value is there, or has been taken. `true` stays true.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T: Send + 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T: Send + 'static> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("finished", &self.is_finished()).finish()
    }
}

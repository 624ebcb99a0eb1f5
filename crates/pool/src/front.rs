//! The pool as its users see it, the same on every host.

use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::handle::{Handle, JoinError};
use crate::here::{Here, Owner};
use crate::job::{JobRef, QueuedJob};
use crate::task::Task;

/// A pool of threads that run tasks from shared memory.
///
/// Cloning gives another handle of the same pool. When the last handle is dropped the pool closes: what is queued still
/// runs, then its threads are free for others. Dropping never blocks.
#[derive(Clone)]
pub struct ThreadPool {
    pub(crate) owner: Arc<Owner>,
}

impl ThreadPool {
    /// Runs `task` on some worker and returns a handle for its value.
    ///
    /// From inside a task it goes to the calling worker's own ring, from elsewhere to the shared queue; no message is sent. Never
    /// blocks and never sleeps. On the page's main thread it can spin for as long as another thread holds one of two short
    /// locks (the shared queue's, the header slab's).
    ///
    /// # Panics in the task
    ///
    /// Where panics unwind, the handle gets [`JoinError::Panicked`] and the pool goes on. With `panic=abort` (the default on the web) a
    /// panic is a trap: that worker is dead, the task's handle never resolves, and the console says what happened.
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
        let (queued, waiting) = JobRef::new::<Here, _, T>(task);
        let queued = QueuedJob::new(queued);
        self.owner.core().submit(Task::new(move || queued.run()));
        JoinHandle(Handle::new(waiting))
    }

    /// Runs `task` on some worker; nobody waits for it. A closure of up to 48 bytes is not allocated anywhere.
    ///
    /// As [`spawn`](ThreadPool::spawn) otherwise. Where panics unwind, one in `task` ends in the panic hook.
    pub fn spawn_detached(&self, task: impl FnOnce() + Send + 'static) {
        self.owner.core().submit(Task::new(task));
    }

    /// What every worker has done so far. Cheap, and readable from anywhere; a busy worker publishes every 64 tasks and
    /// before it sleeps or leaves the loop, so what is read may lag by that much.
    #[must_use]
    pub fn stats(&self) -> alloc::vec::Vec<WorkerStats> {
        let host = self.owner.core().host();
        crate::here::stats(host)
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool").field("workers", &self.stats().len()).finish_non_exhaustive()
    }
}

/// What one worker has done since its pool began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker: on the web its thread id, natively its number in the pool from 1.
    pub thread: crate::here::ThreadName,
    /// Rust tasks it took from a queue and ran, JS tasks not counted.
    pub run: u64,
    /// Times it stole from another worker's ring.
    pub stolen: u64,
    /// Times it slept and woke up again.
    pub slept: u64,
    /// JS tasks it ran.
    pub js: u64,
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
    /// [`JoinError::Panicked`], [`JoinError::Cancelled`], [`JoinError::Taken`] as they say.
    pub fn join(&mut self) -> Result<T, JoinError> {
        self.0.join()
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

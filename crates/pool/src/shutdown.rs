//! The end of a pool.
//!
//! 1. The pool is closed: every level of the shared queue refuses what comes from outside. What the workers' own tasks spawn is still accepted.
//! 2. Workers go on: they run what is queued, or drop it.
//! 3. The worker that falls asleep last, with nothing queued anywhere, tells all to stop. While a task runs, its worker is not asleep; a worker
//!    that is out in its event loop for messages is not asleep either; one that rests there, because somebody holds it, is.
//! 4. Each worker stops, its thread becomes free for other pools, and it says so. The last one ends the pool.

use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::ThreadPool;
use crate::here::Here;
use crate::scheduler::Core;

/// What becomes of tasks that are queued when a pool is shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// They run, and so does what they spawn.
    Drain,
    /// They are dropped; their handles say [`JoinError::Cancelled`](crate::JoinError::Cancelled). What runs already runs to its end.
    Discard,
}

impl ThreadPool {
    /// Closes the pool for new tasks, here and for every clone of this handle, and returns what waits for its end.
    ///
    /// Never blocks. Calling it again is allowed; `Discard` after `Drain` discards what is left. The returned handle need not be kept. When it
    /// is done all workers have left, and their threads can join another pool. JS tasks that are under way run in any case.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use weblane_pool::{JoinError, Shutdown, ThreadPool};
    ///
    /// let pool = ThreadPool::with_threads(2)?;
    /// let mut before = pool.spawn(|| 1);
    /// pool.shutdown(Shutdown::Drain).wait()?; // on the page's main thread: `.await`
    /// assert_eq!(before.join()?, 1);
    /// assert!(matches!(pool.spawn(|| 2).join(), Err(JoinError::Closed)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> ShutdownHandle {
        let core = self.owner.share();
        core.close(how == Shutdown::Discard);
        ShutdownHandle { core }
    }

    /// Whether [`shutdown`](ThreadPool::shutdown) was called.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.owner.core().is_closed()
    }
}

/// Waits for the end of a pool that was shut down: by blocking, or as a future.
pub struct ShutdownHandle {
    core: Arc<Core<Here>>,
}

impl ShutdownHandle {
    /// Blocks until all workers have left.
    ///
    /// # Errors
    ///
    /// [`ShutdownError::MayNotBlock`] on the page's main thread, [`ShutdownError::InsideThePool`] in a task of this very pool, which cannot
    /// outlive itself. The shutdown goes on in both cases.
    pub fn wait(&self) -> Result<(), ShutdownError> {
        if self.core.seat().is_some() {
            return Err(ShutdownError::InsideThePool);
        }
        self.core.ended().wait().map_err(|_| ShutdownError::MayNotBlock)
    }

    /// Whether all workers have left.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.core.ended().is_set()
    }
}

impl Future for ShutdownHandle {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.core.ended().poll(context.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownHandle").field("finished", &self.is_finished()).finish()
    }
}

/// Why the end of a pool cannot be waited for by blocking here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownError {
    /// The thread may not block.
    MayNotBlock,
    /// The caller is a task of this pool.
    InsideThePool,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShutdownError::MayNotBlock => {
                "the end of the pool was waited for on a thread that may not block (the page's main thread); `await` it instead"
            }
            ShutdownError::InsideThePool => {
                "a task waited for the end of its own pool, which ends when its tasks do; wait elsewhere, or do not wait"
            }
        })
    }
}

impl core::error::Error for ShutdownError {}

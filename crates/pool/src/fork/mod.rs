//! Fork and join: `join`, and what is built on it.

pub(crate) mod branch;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod child;
#[cfg(any(feature = "std", target_arch = "wasm32", test))]
pub(crate) mod hot;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod install;
#[cfg(any(feature = "std", target_arch = "wasm32", test))]
pub(crate) mod join;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod par;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod scope;
pub(crate) mod window;

use crate::host::Host;
use crate::scheduler::Core;
use crate::task::Task;

#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use api::join;
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use par::{par_chunks, par_chunks_mut, par_for, par_map_reduce};
#[cfg(any(feature = "std", target_arch = "wasm32"))]
pub use scope::{Scope, scope};

/// A branch that a thief has taken, on its way to being run.
struct Taken<H: Host> {
    core: *const Core<H>,
    me: usize,
    branch: *const branch::Header,
}

// SAFETY: it is run by the thread that made it; it only has to pass for a task.
unsafe impl<H: Host> Send for Taken<H> {}

impl<H: Host> Taken<H> {
    fn run(self) {
        // SAFETY: made by `steal_from`, for a core that runs this.
        unsafe { branch::run_taken(&*self.core, self.me, self.branch) };
    }
}

/// The oldest branch of `victim`, as a task that worker `me`, the calling thread, must run at once.
pub(crate) fn steal_from<H: Host>(core: &Core<H>, me: usize, victim: usize) -> Option<Task> {
    let branch = core.host().lane(victim).window.steal()?;
    let taken = Taken { core, me, branch };
    Some(Task::new(move || taken.run()))
}

#[cfg(any(feature = "std", target_arch = "wasm32"))]
mod api {
    use super::join::join_in;
    use crate::ThreadPool;
    use crate::handle::JoinError;
    use crate::here::Here;

    /// Runs both closures and returns what they return; `b` may run on another worker meanwhile.
    ///
    /// Inside a task of a pool, at any depth, this forks; it costs about a comparison when nobody takes `b`, so no cut-off is needed for
    /// small work. On a thread that runs no pool's task it is two calls, one after the other: go into a pool with
    /// [`ThreadPool::join`], [`ThreadPool::install`] or [`ThreadPool::spawn`]. Both closures may borrow.
    ///
    /// There is no promise that they run at the same time: one that waits for the other by a lock or a channel may wait for ever.
    ///
    /// # Panics
    ///
    /// Where panics unwind: if `a` or `b` panics, so does `join`, after both have ended; if both do, with the panic of `a`.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use weblane_pool::{ThreadPool, join};
    ///
    /// fn sum(numbers: &[u64]) -> u64 {
    ///     match numbers {
    ///         [] => 0,
    ///         [one] => *one,
    ///         more => {
    ///             let (left, right) = more.split_at(more.len() / 2);
    ///             let (left, right) = join(|| sum(left), || sum(right));
    ///             left + right
    ///         }
    ///     }
    /// }
    ///
    /// let numbers: Vec<u64> = (1..=1000).collect();
    /// let pool = ThreadPool::with_threads(2)?;
    /// assert_eq!(pool.install(|| sum(&numbers))?, 500_500);
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn join<RA: Send, RB: Send>(a: impl FnOnce() -> RA + Send, b: impl FnOnce() -> RB + Send) -> (RA, RB) {
        join_in::<Here, _, _, _, _>(a, b)
    }

    impl ThreadPool {
        /// [`join`](crate::join) in this pool: from one of its tasks directly, from elsewhere by way of [`install`](ThreadPool::install).
        ///
        /// # Errors
        ///
        /// As for [`install`](ThreadPool::install).
        ///
        /// # Panics
        ///
        /// As [`join`](crate::join).
        ///
        /// # Examples
        ///
        /// ```
        /// # #[cfg(not(target_arch = "wasm32"))]
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let pool = weblane_pool::ThreadPool::with_threads(2)?;
        /// let (mut evens, mut odds) = (vec![], vec![]);
        /// pool.join(|| evens.extend([0, 2, 4]), || odds.extend([1, 3]))?;
        /// assert_eq!((evens.len(), odds.len()), (3, 2));
        /// # Ok(())
        /// # }
        /// ```
        pub fn join<RA: Send, RB: Send>(
            &self,
            a: impl FnOnce() -> RA + Send,
            b: impl FnOnce() -> RB + Send,
        ) -> Result<(RA, RB), JoinError> {
            self.install(|| join(a, b))
        }
    }
}

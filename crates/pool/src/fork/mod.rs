//! Fork and join: `join`, and what is built on it.
//!
//! # The problem
//!
//! `join(a, b)` at every level of a recursion, with no cut-off, must cost next to nothing when nobody takes `b`, for that is so in all but a few of a
//! million joins. A queue cannot do that: the cheapest push and pop are two read-modify-writes, more than a small branch's own work.
//!
//! # The answer: a window
//!
//! A worker exposes at most four pending branches at a time ([`window`]). While four are there a join is two calls, and finding that out is one load of a word
//! of the thread itself ([`hot`]). The oldest branch is taken first; in a recursion it is the largest. When one is taken, the thief says so in that
//! word, and the owner's next join exposes another. Everything pending is public: there is no private work that would have to be promoted, that a
//! worker's second look before sleep would miss, or that would be stuck while its owner is in a long leaf. The price: a join *under* a full window is
//! sequential for good. A recursion whose four outermost pending branches are small and whose inner ones are large is not balanced until somebody takes the
//! outer ones, at the owner's next join.
//!
//! Compared, by reasoning only, with a private stack, one public slot and promotion on demand, which reaches the same speed: there a
//! pending branch is invisible until the owner's next join. With heartbeats the same, and web workers have no cheap clock.
//!
//! # Steps
//!
//! * **join** (`join`). Not a worker, or the window is full: `a()`, then `b()`. Else the branch, in the frame of the join, is pushed; *wake one* and, if a worker sleeps
//!   that waits for a branch of this worker, ring that one too; `a()`; pop. Still there: `b()`. Taken: wait, then settle.
//! * **take.** A searching worker looks into every ring and, beside it, every window; a worker's second look before sleep sees the windows too. It runs what it takes at
//!   once, on an empty window of its own.
//! * **wait** (`join::wait_for`). Until the branch is done: take the oldest branch of *the thief's* window and run it; if there is none for a while, announce it (SLEEPER
//!   in the branch, `helpers` in the thief's window), look again, hand the own ring over, and sleep on the own doorbell.
//! * **scope** (`scope`), **loops** (`par`): built on the window; they have no protocol of their own.
//! * **install** (`install`): into the pool from outside, by a task that points into the waiting frame.
//!
//! # Argument
//!
//! 1. *A branch runs once.* All claims change one word; see [`window`].
//! 2. *Who waits has nothing pending.* The oldest is taken first. So when a join finds its own branch taken, all older ones of the same worker are taken too, and the
//!    younger ones have ended. Hence a waiting worker needs to run nothing of its own, and its window is empty.
//! 3. *What is in the thief's window was forked by the awaited branch.* A thief takes branches when its window is empty: from the loop, or, by 2, from a wait. Until the
//!    branch is done, whatever it pushes lies above it. So a waiter runs only descendants of what it waits for: work that the sequential program would do at
//!    this very point of the stack. No unrelated task runs on a waiting stack, no lock that is held below can be wanted by it that the sequential
//!    program would not want too, and the stack is not deeper than the sequential one's, but for a frame of the wait for each level (race 22).
//! 4. *No deadlock.* Every worker's stack is, from bottom to top, a descent in the tree of forks, and each wait is for a proper descendant of what the waiter has on top.
//!    A chain of waits goes strictly down the tree, which is finite; at its end somebody runs.
//! 5. *No lost wake-up at a push.* Publish (an addition to the window's word), fence, read who sleeps, against announce, fence, look at the windows: as for
//!    tasks, with the same words. The same form once more for helpers: publish, fence, read `helpers`, against `helpers`, fence, look at the thief's window.
//! 6. *No lost end.* The doorbell's count is read, then SLEEPER is set; if DONE was there already the owner does not sleep, else the thief sees
//!    SLEEPER and rings, which changes the count that the sleep compares.
//! 7. *Nothing dangles.* A branch lives in the frame of its join, which is left only after a successful pop or after DONE. `a` cannot unwind out of it: it is caught, and goes on
//!    when the other side has ended. The thief touches the branch last by setting DONE; the doorbell is in the pool's lane.
//!
//! A worker that waits serves no JS message until the branch is done, as in `JoinHandle::join`.
//!
//! # Death
//!
//! A worker that traps inside a branch leaves it without a result. Whoever buries the worker follows the list of branches that it had on its stack (`running` in the window,
//! `below` in each header), marks them LOST and DONE and rings their owners; and withdraws what the worker had exposed. The owner of a lost branch has no
//! value to return: it panics when its other side has ended. Where panics abort it dies in turn, and its task's handle says so. A thread that dies
//! between its claim of a branch and the mark (nothing traps there, but a page can terminate it) has not got the branch into its list; it has written down what it
//! wanted, the owner is rung, and finds by elimination that the claimer is dead ([`window`]).
//!
//! # Mutants
//!
//! Each was put in by hand; the models are in `tests/model_fork.rs`.
//!
//! | broken | noticed by |
//! |---|---|
//! | a slot is used again without its receipt | `window_slot_is_used_again_after_its_receipt` (a crash) |
//! | a push wakes nobody; the second look leaves the windows out | `lazy_join_promotion`, `lazy_join_promotion_of_two` |
//! | a push calls no helper; no look after `helpers`; no fence there | `join_running_helps_the_thief` |
//! | DONE does not ring; the first mark does not ring | `join_running`, `join_running_helps_the_thief` |
//! | the doorbell's count is read after SLEEPER is set | `join_running` |
//! | a pop, or a theft, does not compare | `join_claim_vs_thief`, `join_claim_vs_two_thieves` |
//! | a taken branch is not waited for | `join_claim_vs_thief` |
//! | DONE, or the read of it, is relaxed | `join_claim_vs_thief`, `join_claim_vs_two_thieves` |
//! | the reaper does not ring; the dead are not marked; the wish is not written down, or struck out too soon | `claimed_and_died` |
//! | the receipt is not given in the dead one's place | `claimed_and_died_before_the_receipt` |
//! | a wish of somebody alive does not count | `wanted_by_the_dead_claimed_by_the_living` |
//! | the mark is not looked at again | `marked_while_the_owner_looks_for_the_dead` |
//! | the wish is not struck out | `claimed_by_the_dead_after_the_living` |
//! | the hint is not looked at again, is relaxed, or is not left by the thief | `window_hint_is_not_overlooked` |

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

/// Its end is its run, so that one who drops the task instead of running it (a pool that discards what is queued) does not leave the owner waiting: what has
/// begun, and a join has, goes on to its end.
impl<H: Host> Drop for Taken<H> {
    fn drop(&mut self) {
        // SAFETY: made by `steal_from`, for a core that runs this.
        unsafe { branch::run_taken(&*self.core, self.me, self.branch) };
    }
}

/// The oldest branch of `victim`, as a task that worker `me`, the calling thread, must run at once.
pub(crate) fn steal_from<H: Host>(core: &Core<H>, me: usize, victim: usize) -> Option<Task> {
    let branch = core.host().lane(victim).window.steal(victim, &core.host().lane(me).window)?;
    let taken = Taken { core, me, branch };
    Some(Task::new(move || drop(taken)))
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

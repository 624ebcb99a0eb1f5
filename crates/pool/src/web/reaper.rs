//! What happens in a pool when one of its workers dies.
//!
//! The manager notices the death and calls `bury` on the main thread, once. By then the worker runs nothing, and messages to it are
//! refused. In this order:
//!
//! 1. Jobs that it had claimed are completed as [`Trapped`](crate::JoinError::Trapped), with the thread's last words. Whoever waits is told.
//! 2. Jobs of its pool that nobody has claimed are queued once more: one of them may have been on the worker's stack, on its way from a queue to its ring or to its run. A
//!    job is run once, however often it is queued.
//! 3. Its pool goes on without it (`Core::bury`): what it was, said it would do, or had claimed in the shared queue is settled.
//!
//! So what is lost is: the tasks that it ran; and *detached* tasks (no handle) that it had taken from a queue, and neither put into its ring nor begun. A trap strikes in users' code, where it has taken
//! nothing else; only a page that terminates a worker can strike there. With each such job the dead one's reference is lost, and so its header, to the slab.

use std::sync::{Arc, Weak};

use weblane_workers::{MAX_THREADS, ThreadId, last_words, on_death};

use super::host::WebHost;
use crate::job::QueuedJob;
use crate::primitive::ShortLock;
use crate::scheduler::Core;
use crate::slab;
use crate::task::Task;

/// The pool that each thread belongs to, and its number there.
///
/// The locks are taken when a pool is made and when a worker has died, by whoever does that, for a few moves.
static POOLS: [ShortLock<Option<(Weak<Core<WebHost>>, usize)>>; MAX_THREADS] =
    [const { ShortLock::new(None) }; MAX_THREADS];

/// From now on the death of these workers is this pool's affair.
pub(super) fn watch(core: &Arc<Core<WebHost>>) {
    for (worker, place) in core.host().places.iter().enumerate() {
        let now = Some((Arc::downgrade(core), worker));
        // The one before is dropped outside the lock.
        let before = POOLS[place.id.index() as usize].with(|pool| core::mem::replace(pool, now));
        drop(before);
    }
    // Sixteen hooks have room; the same one twice is one.
    let _ = on_death(bury);
}

fn bury(dead: ThreadId) {
    let words = last_words(dead).unwrap_or_default();
    // SAFETY: the manager says that this thread runs nothing any more, and calls this once.
    unsafe { slab::trap_all(dead.index(), &words) };
    let pool = POOLS[dead.index() as usize].with(Option::take);
    if let Some((core, worker)) = pool
        && let Some(core) = core.upgrade()
    {
        for job in slab::unclaimed(core.tag()) {
            let queued = QueuedJob::<WebHost>::new(job);
            core.queue_again(Task::new(move || queued.run()));
        }
        core.bury(worker);
    }
}

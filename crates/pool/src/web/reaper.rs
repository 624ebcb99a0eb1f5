//! What happens in a pool when one of its workers dies.
//!
//! The manager notices the death and calls `bury` on the main thread, once. By then the worker runs nothing, and messages to it are
//! refused. In this order:
//!
//! 1. Jobs that it had claimed are completed as [`Trapped`](crate::JoinError::Trapped), with the thread's last words. Whoever waits is told.
//! 2. Its pool goes on without it (`Core::bury`): what it was, said it would do, or had claimed in the shared queue is settled.
//!
//! A task that it was about to move from one ring to another at that moment is lost; if it has a handle, a `join` still claims and runs it.

use std::sync::{Arc, Weak};

use weblane_workers::{MAX_THREADS, ThreadId, last_words, on_death};

use super::host::WebHost;
use crate::primitive::ShortLock;
use crate::scheduler::Core;
use crate::slab;

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
        core.bury(worker);
    }
}

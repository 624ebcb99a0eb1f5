//! Building a pool from the manager's workers.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::vec::Vec;

use weblane_workers::{
    Leave as Out, Message, ResidentError, SendError, SendErrorReason, Status, ThreadId, reserve, send, set_resident,
    status, word,
};

use super::host::WebHost;
use super::js::{JsHandle, JsTask};
use crate::ThreadPool;
use crate::idle::MAX_POOL;
use crate::scheduler::{Core, Leave};

/// Why [`ThreadPool::new`] made no pool. The threads are as free as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolError {
    /// The list of threads is empty.
    NoThreads,
    /// The page's main thread is in the list.
    MainThread,
    /// No worker has this id.
    UnknownThread(ThreadId),
    /// This thread is in the list more than once.
    Duplicate(ThreadId),
    /// This thread belongs to another pool, or to another loop.
    Taken(ThreadId),
    /// This thread did not start, or has died.
    LostThread(ThreadId, Status),
    /// More threads than one pool can have.
    TooMany {
        /// The threads in the list.
        asked: usize,
    },
    /// A worker could not be told.
    NotSent(SendErrorReason),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no pool was made: ")?;
        match self {
            PoolError::NoThreads => {
                f.write_str("the list of threads is empty; give it the ids that `weblane_workers::init` returned")
            }
            PoolError::MainThread => f.write_str(
                "the list has the page's main thread in it, which must never block; leave `ThreadId::MAIN` out",
            ),
            PoolError::UnknownThread(id) => {
                write!(f, "there is no {id}; use the ids that `weblane_workers::init` returned")
            }
            PoolError::Duplicate(id) => write!(f, "{id} is in the list more than once; name each thread once"),
            PoolError::Taken(id) => write!(
                f,
                "{id} belongs to another pool; use other threads, or drop that pool and try again when it has drained"
            ),
            PoolError::LostThread(id, status) => {
                write!(f, "{id} is lost ({status:?}); leave it out, and see what `weblane_workers::ready` says")
            }
            PoolError::TooMany { asked } => {
                write!(f, "the list has {asked} threads, and a pool can have {MAX_POOL}; make two pools of it")
            }
            PoolError::NotSent(reason) => write!(f, "a worker could not be told: {reason}"),
        }
    }
}

impl core::error::Error for PoolError {}

impl From<ResidentError> for PoolError {
    fn from(error: ResidentError) -> PoolError {
        match error {
            ResidentError::NotAWorker(id) => PoolError::UnknownThread(id),
            ResidentError::Occupied(id) | ResidentError::WrongThread(id) => PoolError::Taken(id),
            _ => PoolError::UnknownThread(ThreadId::MAIN),
        }
    }
}

/// What the handles of one pool share. Its end closes the pool.
pub(crate) struct Owner {
    core: Arc<Core<WebHost>>,
    /// Whose turn it is to get a JS task when nobody sleeps.
    next_js: AtomicUsize,
}

impl Owner {
    pub(crate) fn core(&self) -> &Core<WebHost> {
        &self.core
    }

    pub(crate) fn share(&self) -> Arc<Core<WebHost>> {
        Arc::clone(&self.core)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // A worker that is asleep wakes up for it; one that is out meets STOP when its handler comes back to the loop.
        self.core.close(false);
    }
}

/// A worker's part in its pool. It ends when the thread is free for another one: after the reservation, or with a message that is lost.
struct Tenant {
    core: Arc<Core<WebHost>>,
    worker: usize,
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.core.left(self.worker);
    }
}

impl ThreadPool {
    /// A pool of these workers, which must belong to no other.
    ///
    /// The workers need not be up yet: tasks wait for them. May be called on any of Weblane's threads. Never blocks.
    ///
    /// # Errors
    ///
    /// [`PoolError`]: an empty list, the main thread, an unknown or lost or doubled id, a thread that another pool has, more than
    /// 32. No thread is taken then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use weblane_pool::ThreadPool;
    /// use weblane_workers::{Options, init};
    ///
    /// # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = ThreadPool::new(init(Options::new())?)?;
    /// let sum = pool.spawn(|| (1..=1_000_000_u64).sum::<u64>()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(threads: Vec<ThreadId>) -> Result<ThreadPool, PoolError> {
        check(&threads)?;
        let reservations = threads.iter().map(|id| reserve(*id)).collect::<Result<Vec<_>, _>>()?;
        let core = Arc::new(Core::new(WebHost::new(&threads)));
        // Made first: if a worker cannot be told, its end stops the ones that were.
        let pool = ThreadPool { owner: Arc::new(Owner { core: Arc::clone(&core), next_js: AtomicUsize::new(0) }) };
        for (index, reservation) in reservations.into_iter().enumerate() {
            let (id, tenant) = (reservation.thread(), Tenant { core: Arc::clone(&core), worker: index });
            let move_in = Message::new(move |_, _| {
                // The reservation is for this thread, so it cannot be refused.
                let _ = set_resident(reservation, move || match tenant.core.run(tenant.worker) {
                    Leave::Messages => Out::Messages,
                    Leave::Again => Out::Again,
                    Leave::Stop => {
                        if let Some(word) = word(id) {
                            word.clear_stop();
                        }
                        Out::Stop
                    }
                });
            });
            send(id, move_in).map_err(|error| PoolError::NotSent(error.reason().clone()))?;
        }
        Ok(pool)
    }

    /// The pool's threads, in the order in which they were given.
    #[must_use]
    pub fn threads(&self) -> Vec<ThreadId> {
        self.owner.core().host().places.iter().map(|place| place.id).collect()
    }

    /// Runs a JS task on some worker: one that sleeps if there is one, else each in turn.
    ///
    /// JS tasks come before Rust tasks: the worker finishes the Rust task that it is running, returns to its event loop, runs
    /// the JS task, and goes back. Never blocks.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the browser's own words if the payload cannot be copied or transferred; nothing is queued then.
    pub fn spawn_js(&self, task: JsTask) -> Result<JsHandle, SendError> {
        let places = &self.owner.core().host().places;
        let first = self.owner.core().sleeping_worker().unwrap_or_else(|| {
            // Relaxed: any order of turns will do.
            self.owner.next_js.fetch_add(1, Ordering::Relaxed) % places.len()
        });
        // Past workers that are dead; if all are, the first one's error says so.
        let alive = |index: &usize| status(places[*index].id).is_some_and(|status| !status.is_lost());
        let index = (first..places.len()).chain(0..first).find(alive).unwrap_or(first);
        super::js::spawn_on(places[index].id, task)
    }

    /// Runs a JS task on this worker of the pool.
    ///
    /// # Errors
    ///
    /// As [`spawn_js`](ThreadPool::spawn_js), and [`SendErrorReason::UnknownThread`] for a thread that is not in this pool.
    pub fn spawn_js_on(&self, thread: ThreadId, task: JsTask) -> Result<JsHandle, SendError> {
        if self.owner.core().host().places.iter().any(|place| place.id == thread) {
            super::js::spawn_on(thread, task)
        } else {
            Err(task.refuse(SendErrorReason::UnknownThread(thread)))
        }
    }
}

/// Everything that can be said of a list before a thread is reserved.
fn check(threads: &[ThreadId]) -> Result<(), PoolError> {
    if threads.is_empty() {
        return Err(PoolError::NoThreads);
    }
    if threads.len() > MAX_POOL {
        return Err(PoolError::TooMany { asked: threads.len() });
    }
    for (index, id) in threads.iter().enumerate() {
        if id.is_main() {
            return Err(PoolError::MainThread);
        }
        match status(*id) {
            None => return Err(PoolError::UnknownThread(*id)),
            Some(status) if status.is_lost() => return Err(PoolError::LostThread(*id, status)),
            Some(_) => {}
        }
        if threads[..index].contains(id) {
            return Err(PoolError::Duplicate(*id));
        }
    }
    Ok(())
}

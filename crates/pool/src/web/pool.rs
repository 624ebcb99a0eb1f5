//! Building a pool from the manager's workers.

use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::vec::Vec;

use wasm_bindgen::JsValue;
use weblane_workers::{
    Leave as Out, Message, ResidentError, SendError, SendErrorReason, Status, ThreadId, Turn, reserve, send,
    set_message_budget, set_resident, status, word,
};

use super::host::{Place, WebHost};
use super::js::{self, JsReply, JsTask};
use super::reply::{JsBatch, JsBroadcast, JsHandle, watch_deaths};
use crate::ThreadPool;
use crate::held::SliceEnd;
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
        // Before anybody is looked at: who dies from now on is reported.
        watch_deaths();
        check(&threads)?;
        let reservations = threads.iter().map(|id| reserve(*id)).collect::<Result<Vec<_>, _>>()?;
        let core = Arc::new(Core::new(WebHost::new(&threads)));
        super::reaper::watch(&core);
        // Made first: if a worker cannot be told, its end stops the ones that were.
        let pool = ThreadPool { owner: Arc::new(Owner { core: Arc::clone(&core), next_js: AtomicUsize::new(0) }) };
        for (index, reservation) in reservations.into_iter().enumerate() {
            let (id, tenant) = (reservation.thread(), Tenant { core: Arc::clone(&core), worker: index });
            let move_in = Message::new(move |_, _| {
                // The reservation is for this thread, so it cannot be refused.
                let _ = set_resident(reservation, move |turn| turn_of(&tenant.core, tenant.worker, id, turn));
            });
            send(id, move_in).map_err(|error| PoolError::NotSent(error.reason().clone()))?;
        }
        #[cfg(any(debug_assertions, feature = "watchdog"))]
        super::watch::watch(Arc::downgrade(&pool.owner.core));
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
        js::spawn_on(self.place_js(), task)
    }

    /// As [`spawn_js`](ThreadPool::spawn_js) without a handle: nothing comes back, and nothing is kept for it.
    ///
    /// # Errors
    ///
    /// As for [`spawn_js`](ThreadPool::spawn_js).
    pub fn spawn_js_detached(&self, task: JsTask) -> Result<(), SendError> {
        js::spawn_detached_on(self.place_js(), task)
    }

    /// Runs many JS tasks on one worker, in this order, by **one** message: for many small ones. Each has its own payload and its own result; one
    /// that fails does not keep the others from running.
    ///
    /// # Errors
    ///
    /// [`SendError`] if any of the payloads cannot be sent; nothing is queued then. If the message cannot be deserialised at the worker, every
    /// result is [`JsError::Lost`](crate::JsError::Lost).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasm_bindgen::JsValue;
    /// use weblane_pool::{JsTask, ThreadPool};
    ///
    /// # async fn demo(pool: ThreadPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let tasks = (0..64).map(|i| JsTask::new(Ok::<JsValue, JsValue>).payload(i.into()));
    /// let results = pool.spawn_js_batch(tasks)?.await;
    /// assert_eq!(results.len(), 64);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_js_batch(&self, tasks: impl IntoIterator<Item = JsTask>) -> Result<JsBatch, SendError> {
        js::spawn_batch_on(self.place_js(), tasks.into_iter().collect())
    }

    /// As [`spawn_js_batch`](ThreadPool::spawn_js_batch) without a handle.
    ///
    /// # Errors
    ///
    /// As for [`spawn_js_batch`](ThreadPool::spawn_js_batch).
    pub fn spawn_js_batch_detached(&self, tasks: impl IntoIterator<Item = JsTask>) -> Result<(), SendError> {
        js::spawn_batch_detached_on(self.place_js(), tasks.into_iter().collect())
    }

    /// Runs many JS tasks on this worker of the pool, by one message.
    ///
    /// # Errors
    ///
    /// As for [`spawn_js_batch`](ThreadPool::spawn_js_batch), and [`SendErrorReason::UnknownThread`] for a thread that is not in this pool.
    pub fn spawn_js_batch_on(
        &self,
        thread: ThreadId,
        tasks: impl IntoIterator<Item = JsTask>,
    ) -> Result<JsBatch, SendError> {
        let tasks = tasks.into_iter().collect();
        if self.has(thread) { js::spawn_batch_on(thread, tasks) } else { Err(js::refuse_batch(thread, tasks)) }
    }

    fn has(&self, thread: ThreadId) -> bool {
        self.owner.core().host().places.iter().any(|place| place.id == thread)
    }

    /// Runs one JS task on **every** worker of the pool, each with its own copy of the payload, and completes when all have run it: to
    /// hand every worker a new `WebAssembly.Module`, a port, a set of parameters. A worker that is lost, or dies before it has run it,
    /// completes with an error.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the payload cannot be copied; nothing is queued then. (It is copied for each worker, so it cannot be transferred.)
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use wasm_bindgen::JsValue;
    /// use weblane_pool::ThreadPool;
    ///
    /// # async fn demo(pool: ThreadPool, module: JsValue) -> Result<(), Box<dyn std::error::Error>> {
    /// let done = pool.broadcast_js(
    ///     |module: JsValue| {
    ///         // On each worker: instantiate it, keep it.
    ///         Ok::<JsValue, JsValue>(JsValue::UNDEFINED)
    ///     },
    ///     &module,
    /// )?;
    /// for (worker, result) in done.await {
    ///     result.map_err(|error| format!("{worker}: {error}"))?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast_js<R: Into<JsReply>>(
        &self,
        run: impl Fn(JsValue) -> Result<R, JsValue> + Send + Sync + 'static,
        payload: &JsValue,
    ) -> Result<JsBroadcast, SendError> {
        js::broadcast(self.owner.core().host().places.iter().map(|place| place.id), run, payload)
    }

    /// Limits how long JS tasks may keep Rust tasks of their worker waiting: after `tasks` of them in a row, or `time`, a Rust task runs
    /// before the next one, if there is one. `None` for both, as at the start, is no limit: JS comes first.
    ///
    /// It is told to each worker by a message, so it holds from the next messages on.
    ///
    /// # Errors
    ///
    /// [`SendError`] of the first worker that could not be told, because it is lost; the others are told.
    pub fn set_js_budget(&self, tasks: Option<NonZeroU32>, time: Option<Duration>) -> Result<(), SendError> {
        let tell = |place: &Place| send(place.id, Message::new(move |_, _| set_message_budget(tasks, time)));
        self.owner.core().host().places.iter().map(tell).fold(Ok(()), Result::and)
    }

    /// Where a JS task goes that may go anywhere: to a worker that sleeps, else to one that rests in its event loop, else to each in turn.
    fn place_js(&self) -> ThreadId {
        let core = self.owner.core();
        let places = &core.host().places;
        let resting = || {
            let held = core.held.load();
            (held != 0).then(|| held.trailing_zeros() as usize)
        };
        let first = core.sleeping_worker().or_else(resting).unwrap_or_else(|| {
            // Relaxed: any order of turns will do.
            self.owner.next_js.fetch_add(1, Ordering::Relaxed) % places.len()
        });
        // Past workers that are dead; if all are, the first one's error says so.
        let alive = |index: &usize| status(places[*index].id).is_some_and(|status| !status.is_lost());
        places[(first..places.len()).chain(0..first).find(alive).unwrap_or(first)].id
    }

    /// Runs a JS task on this worker of the pool.
    ///
    /// # Errors
    ///
    /// As [`spawn_js`](ThreadPool::spawn_js), and [`SendErrorReason::UnknownThread`] for a thread that is not in this pool.
    pub fn spawn_js_on(&self, thread: ThreadId, task: JsTask) -> Result<JsHandle, SendError> {
        if self.has(thread) {
            js::spawn_on(thread, task)
        } else {
            Err(task.refuse(SendErrorReason::UnknownThread(thread)))
        }
    }
}

/// How long a slice may last, and how many tasks it may have.
const SLICE_MS: f64 = 4.0;
const SLICE_TASKS: u32 = 1_000;

/// One turn of the worker `index` of this pool, which is the thread `id`.
fn turn_of(core: &Core<WebHost>, index: usize, id: ThreadId, turn: Turn) -> Out {
    let stop = || {
        if let Some(word) = word(id) {
            word.clear_stop();
        }
        Out::Stop
    };
    let mut left = if turn == Turn::One { 1 } else { SLICE_TASKS };
    let mut until = None;
    let mut more = || {
        left -= 1;
        // A coarse clock will do, and is only asked where a task may follow.
        left > 0 && js_sys::Date::now() < *until.get_or_insert_with(|| js_sys::Date::now() + SLICE_MS)
    };
    let end = match turn {
        Turn::Full => {
            return match core.run(index) {
                Leave::Messages => Out::Messages,
                Leave::Again => Out::Again,
                Leave::Stop => stop(),
            };
        }
        Turn::Held => core.run_slice(index, false, &mut more),
        Turn::Overdue | Turn::One => core.run_slice(index, true, &mut more),
    };
    match end {
        SliceEnd::Messages => Out::Messages,
        SliceEnd::Spent => Out::Again,
        SliceEnd::Rest => Out::Idle,
        SliceEnd::Stop => stop(),
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

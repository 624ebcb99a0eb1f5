//! Tasks that carry a JS value.
//!
//! A JS value belongs to the thread that made it, and moves between threads by `postMessage` only. So a JS task is one message
//! to one worker, and its reply, if somebody waits for it, is one message back (`reply`). Many tasks for one worker can share a message.
//!
//! A task returns a value, an error, or a promise. With a promise the task is not over when its closure returns, but its message is: it is counted
//! down, and Rust tasks go on. Until the promise settles a hold keeps the worker in its event loop, or what the promise waits for would
//! never come (race 45).

use core::cell::Cell;
use core::fmt;
use std::borrow::Cow;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

use js_sys::{Array, Promise};
use wasm_bindgen::{JsCast, JsValue};
use weblane_workers::{Message, SendError, SendErrorReason, ThreadId, hold, on_settled, send, timing, word};

use super::reply::{Answer, JsBatch, JsBroadcast, JsHandle, here, not_sent};

/// What a JS task gives back: a value, and which parts of it move instead of being copied.
///
/// A plain `JsValue` converts into one.
#[derive(Debug)]
pub struct JsReply {
    pub(super) value: JsValue,
    pub(super) transfer: Option<Array>,
}

impl JsReply {
    /// A reply that is copied.
    #[must_use]
    pub fn new(value: JsValue) -> JsReply {
        JsReply { value, transfer: None }
    }

    /// The parts of the value that move: ports, buffers, bitmaps.
    #[must_use]
    pub fn transfer(mut self, objects: Array) -> JsReply {
        self.transfer = Some(objects);
        self
    }
}

impl From<JsValue> for JsReply {
    fn from(value: JsValue) -> JsReply {
        JsReply::new(value)
    }
}

type Run = Box<dyn FnOnce(JsValue) -> Result<JsReply, JsValue> + Send>;

/// A task with a JS value: a closure that runs on a worker's event loop, with the worker's own copy of the value.
///
/// The closure captures what is `Send`; JS values travel as the payload.
///
/// # Examples
///
/// ```no_run
/// use wasm_bindgen::JsValue;
/// use weblane_pool::{JsTask, ThreadPool};
///
/// # async fn demo(pool: ThreadPool, canvas: JsValue) -> Result<(), Box<dyn std::error::Error>> {
/// let task = JsTask::new(|canvas: JsValue| {
///     // On the worker, which now owns the canvas.
///     Ok::<JsValue, JsValue>("ready".into())
/// })
/// .payload(canvas.clone())
/// .transfer(js_sys::Array::of1(&canvas));
/// let reply = pool.spawn_js(task)?.await?;
/// assert_eq!(reply, "ready");
/// # Ok(())
/// # }
/// ```
#[must_use = "a task does nothing until it is spawned"]
pub struct JsTask {
    run: Run,
    payload: JsValue,
    transfer: Option<Array>,
    name: Option<Cow<'static, str>>,
}

impl JsTask {
    /// A task that runs `run` with its payload (`undefined` without one). What it returns is sent back; an `Err` is a value
    /// that it threw. If it returns a promise, what the promise settles to is sent back, and the worker stays in its event loop until then.
    pub fn new<R: Into<JsReply>>(run: impl FnOnce(JsValue) -> Result<R, JsValue> + Send + 'static) -> JsTask {
        JsTask {
            run: Box::new(move |payload| run(payload).map(Into::into)),
            payload: JsValue::UNDEFINED,
            transfer: None,
            name: None,
        }
    }

    /// A name, which the browser's profiler shows with the feature `user-timing`: from the call of the closure to its return.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> JsTask {
        self.name = Some(name.into());
        self
    }

    /// The JS value to send along.
    pub fn payload(mut self, payload: JsValue) -> JsTask {
        self.payload = payload;
        self
    }

    /// The parts of the payload that move instead of being copied.
    pub fn transfer(mut self, objects: Array) -> JsTask {
        self.transfer = Some(objects);
        self
    }

    /// This task as a message, for an error that gives it back.
    pub(super) fn refuse(self, reason: SendErrorReason) -> SendError {
        let JsTask { run, payload, transfer, .. } = self;
        let mut message = Message::new(move |_, payload| drop(run(payload))).payload(payload);
        if let Some(objects) = transfer {
            message = message.transfer(objects);
        }
        SendError::new(reason, message)
    }
}

impl fmt::Debug for JsTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsTask")
            .field("payload", &self.payload)
            .field("transfer", &self.transfer)
            .finish_non_exhaustive()
    }
}

/// Why a JS task gave no value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JsError {
    /// The task returned `Err` with this value, or a promise that was rejected with it.
    Threw(JsValue),
    /// One worker of a broadcast could not be told: why.
    NotSent(String),
    /// The task returned a value that cannot be sent back: the exception's name and message.
    ReplyNotSent(String),
    /// The task did not finish: it panicked, its payload could not be deserialised, or its worker is lost.
    Lost,
}

impl fmt::Display for JsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsError::Threw(value) => write!(f, "the JS task returned an error: {value:?}"),
            JsError::NotSent(message) => f.write_str(message),
            JsError::ReplyNotSent(message) => write!(
                f,
                "the JS task ran, but its reply could not be sent back ({message}); return structured-cloneable values, and list \
                 transferable ones with `JsReply::transfer`"
            ),
            JsError::Lost => f.write_str(
                "the JS task did not finish: it panicked, its payload could not be deserialised, or its worker did not start or has \
                 died; the console says which",
            ),
        }
    }
}

impl core::error::Error for JsError {}

// ---------------------------------------------------------------------------------------------------------------- sending

/// How many messages wait at a worker in a flood, of which only every so manieth is timed.
const FLOOD: u32 = 8;

thread_local! {
    /// Messages that the calling thread has sent since it last timed one.
    static UNTIMED: Cell<u32> = const { Cell::new(0) };
}

/// When a message was posted, by the page's clock, and for how many it counts: none where others stand for it.
struct Posted {
    at: f64,
    times: u32,
}

impl Posted {
    /// Now, for a message to this thread.
    fn now(thread: ThreadId) -> Posted {
        let times = UNTIMED.get() + 1;
        let flood = times < FLOOD && word(thread).is_some_and(|word| word.load().messages() >= FLOOD as i32);
        UNTIMED.set(if flood { times } else { 0 });
        if flood { Posted { at: 0.0, times: 0 } } else { Posted { at: timing::clock(), times } }
    }

    /// The message's first task is about to start.
    fn started(self) {
        if self.times != 0 {
            super::host::count_latency(timing::clock() - self.at, self.times);
        }
    }
}

/// Runs one task on this worker. `None`: it panicked, where panics unwind.
fn run_one(run: Run, name: Option<&str>, payload: JsValue) -> Option<Result<JsReply, JsValue>> {
    super::host::count_js();
    let _span = name.map(crate::named::span::begin);
    catch_unwind(AssertUnwindSafe(|| run(payload))).ok()
}

/// Whether this result is a promise: then it is not yet a result.
fn promised(result: &Result<JsReply, JsValue>) -> Option<Promise> {
    let reply = result.as_ref().ok()?;
    reply.value.dyn_ref::<Promise>().cloned()
}

/// Keeps the worker in its event loop until the promise settles, and answers then.
fn answer_later(promise: &Promise, answer: Option<Answer>) {
    // Its own timers, fetches and promises would never come if the worker slept (races 37, 45).
    let hold = hold();
    on_settled(promise, move |result| {
        if let Some(answer) = answer {
            answer.send(result.map(JsReply::new));
        }
        drop(hold);
    });
}

fn finish(result: Option<Result<JsReply, JsValue>>, answer: Option<Answer>) {
    match (result.as_ref().and_then(promised), result) {
        (Some(promise), _) => answer_later(&promise, answer),
        (None, Some(result)) => {
            if let Some(answer) = answer {
                answer.send(result);
            }
        }
        // The answer is dropped, and says so.
        (None, None) => {}
    }
}

/// The message of one task, to be sent to this thread at once.
fn envelope(thread: ThreadId, task: JsTask, answer: Option<Answer>) -> Message {
    let JsTask { run, payload, transfer, name } = task;
    let posted = Posted::now(thread);
    // Two closures, so that the one that answers nobody is small enough to need no allocation.
    let message = match answer {
        None => Message::new(move |_, payload| {
            posted.started();
            finish(run_one(run, name.as_deref(), payload), None);
        }),
        Some(answer) => Message::new(move |_, payload| {
            posted.started();
            finish(run_one(run, name.as_deref(), payload), Some(answer));
        }),
    };
    let message = message.payload(payload);
    match transfer {
        Some(objects) => message.transfer(objects),
        None => message,
    }
}

/// Sends a JS task to a worker.
pub(super) fn spawn_on(thread: ThreadId, task: JsTask) -> Result<JsHandle, SendError> {
    let Some(here) = here() else {
        return Err(task.refuse(SendErrorReason::UnknownSender));
    };
    let handle = JsHandle::open(thread);
    let answer = handle.answer(here);
    // On an error the handle ends here, first, so that the answer in the returned message has nobody to tell.
    send(thread, envelope(thread, task, Some(answer))).map(|()| handle)
}

/// Sends a JS task to a worker, without a handle.
pub(super) fn spawn_detached_on(thread: ThreadId, task: JsTask) -> Result<(), SendError> {
    send(thread, envelope(thread, task, None))
}

/// The message of many tasks, which is counted once and lost as a whole.
fn envelope_of_many(thread: ThreadId, tasks: Vec<JsTask>, answer: Option<Answer>) -> Message {
    let payloads = Array::new_with_length(tasks.len() as u32);
    let objects = Array::new();
    let mut runs = Vec::with_capacity(tasks.len());
    for (index, JsTask { run, payload, transfer, name }) in tasks.into_iter().enumerate() {
        if !payload.is_undefined() {
            payloads.set(index as u32, payload);
        }
        append(&objects, transfer.as_ref());
        runs.push((run, name));
    }
    let posted = Posted::now(thread);
    let deliver = move |_, payloads| {
        posted.started();
        run_many(runs, payloads, answer);
    };
    let message = Message::new(deliver).payload(payloads.into());
    if objects.length() > 0 { message.transfer(objects) } else { message }
}

/// Adds one transfer list to another.
pub(super) fn append(objects: &Array, more: Option<&Array>) {
    for object in more.iter().flat_map(|more| more.iter()) {
        objects.push(&object);
    }
}

/// Runs a batch. Each task by itself: one that fails, panics or returns a promise does not keep the others from their turn.
fn run_many(runs: Vec<(Run, Option<Cow<'static, str>>)>, payloads: JsValue, mut answer: Option<Answer>) {
    let payloads: Array = payloads.unchecked_into();
    let mut ready = Vec::with_capacity(if answer.is_some() { runs.len() } else { 0 });
    for (index, (run, name)) in runs.into_iter().enumerate() {
        let result = run_one(run, name.as_deref(), payloads.get(index as u32));
        match (result.as_ref().and_then(promised), &mut answer) {
            (Some(promise), None) => answer_later(&promise, None),
            (Some(promise), Some(answer)) => {
                answer.send_some(core::mem::take(&mut ready));
                answer_later(&promise, Some(answer.split()));
            }
            (None, Some(_)) => ready.push(result),
            (None, None) => {}
        }
    }
    if let Some(mut answer) = answer {
        answer.send_some(ready);
    }
}

/// Sends many JS tasks to a worker, in one message.
pub(super) fn spawn_batch_on(thread: ThreadId, tasks: Vec<JsTask>) -> Result<JsBatch, SendError> {
    let count = tasks.len();
    let Some(here) = here() else {
        return Err(SendError::new(SendErrorReason::UnknownSender, envelope_of_many(thread, tasks, None)));
    };
    let handle = JsBatch::open(thread, count);
    if count == 0 {
        return Ok(handle);
    }
    let answer = handle.answer(here, count);
    send(thread, envelope_of_many(thread, tasks, Some(answer))).map(|()| handle)
}

/// A batch for a thread that is not in the pool.
pub(super) fn refuse_batch(thread: ThreadId, tasks: Vec<JsTask>) -> SendError {
    SendError::new(SendErrorReason::UnknownThread(thread), envelope_of_many(thread, tasks, None))
}

/// The same without a handle.
pub(super) fn spawn_batch_detached_on(thread: ThreadId, tasks: Vec<JsTask>) -> Result<(), SendError> {
    if tasks.is_empty() { Ok(()) } else { send(thread, envelope_of_many(thread, tasks, None)) }
}

/// Sends one JS task to each of these workers.
pub(super) fn broadcast<R: Into<JsReply>>(
    threads: impl Iterator<Item = ThreadId> + Clone,
    run: impl Fn(JsValue) -> Result<R, JsValue> + Send + Sync + 'static,
    payload: &JsValue,
) -> Result<JsBroadcast, SendError> {
    let run = Arc::new(run);
    let task = || {
        let run = Arc::clone(&run);
        JsTask::new(move |payload| run(payload)).payload(payload.clone())
    };
    let Some(here) = here() else {
        return Err(task().refuse(SendErrorReason::UnknownSender));
    };
    let handle = JsBroadcast::open(threads.clone());
    let mut sent = 0;
    for (index, thread) in threads.enumerate() {
        let answer = handle.answer(here, index);
        match send(thread, envelope(thread, task(), Some(answer))) {
            Ok(()) => sent += 1,
            // The payload is the same for all, so the first one tells, before anything is queued.
            Err(error) if sent == 0 && matches!(error.reason(), SendErrorReason::Payload { .. }) => return Err(error),
            Err(error) => handle.fail(index, not_sent(error.reason())),
        }
    }
    Ok(handle)
}

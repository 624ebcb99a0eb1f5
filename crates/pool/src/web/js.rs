//! Tasks that carry a JS value, and their replies.
//!
//! A JS value belongs to the thread that made it, and moves between threads by `postMessage` only. So a JS task is one message
//! to one worker, and its reply is one message back. A reply reaches nobody by blocking: the thread that waits must be in
//! its event loop to receive it. That is why the handle is a future and has no `join`.
//!
//! Steps:
//!
//! 1. The spawner opens a place for the reply in a table of its own thread, and sends the task with the place's number.
//! 2. The worker leaves its loop, its event loop delivers the message, the task runs.
//! 3. Its [`Answer`] sends the result back, unless the handle is gone. An answer that is dropped without a result, because the
//!    task panicked, or was lost with its worker, sends that.
//! 4. The reply fills the place and wakes whoever awaits the handle.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::format;
use std::string::String;
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

use js_sys::Array;
use wasm_bindgen::JsValue;
use weblane_workers::{Message, SendError, SendErrorReason, ThreadId, current, send};

/// What a JS task gives back: a value, and which parts of it move instead of being copied.
///
/// A plain `JsValue` converts into one.
#[derive(Debug)]
pub struct JsReply {
    value: JsValue,
    transfer: Option<Array>,
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
}

impl JsTask {
    /// A task that runs `run` with its payload (`undefined` without one). What it returns is sent back; an `Err` is a value
    /// that it threw.
    pub fn new<R: Into<JsReply>>(run: impl FnOnce(JsValue) -> Result<R, JsValue> + Send + 'static) -> JsTask {
        JsTask {
            run: Box::new(move |payload| run(payload).map(Into::into)),
            payload: JsValue::UNDEFINED,
            transfer: None,
        }
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
        let JsTask { run, payload, transfer } = self;
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
    /// The task returned `Err` with this value.
    Threw(JsValue),
    /// The task returned a value that cannot be sent back: the exception's name and message.
    ReplyNotSent(String),
    /// The task did not finish: it panicked, its payload could not be deserialised, or its worker is lost.
    Lost,
}

impl fmt::Display for JsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsError::Threw(value) => write!(f, "the JS task returned an error: {value:?}"),
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

// ------------------------------------------------------------------------------------------------------------------ replies

enum Reply {
    Open,
    Awaited(Waker),
    Here(Result<JsValue, JsError>),
}

/// The replies that the calling thread waits for, by place. A place is used again; its serial number tells late replies.
struct Replies {
    places: Vec<Option<(u32, Reply)>>,
    free: Vec<usize>,
    serial: u32,
}

thread_local! {
    static REPLIES: RefCell<Replies> = const { RefCell::new(Replies { places: Vec::new(), free: Vec::new(), serial: 0 }) };
}

/// Where a reply belongs.
#[derive(Clone, Copy, PartialEq)]
struct PlaceId {
    index: usize,
    serial: u32,
}

impl PlaceId {
    fn open() -> PlaceId {
        REPLIES.with_borrow_mut(|replies| {
            let serial = replies.serial;
            replies.serial = serial.wrapping_add(1);
            let index = replies.free.pop().unwrap_or_else(|| {
                replies.places.push(None);
                replies.places.len() - 1
            });
            replies.places[index] = Some((serial, Reply::Open));
            PlaceId { index, serial }
        })
    }

    /// Runs `use_it` with the reply in this place, if the place is still open.
    fn with<R>(self, use_it: impl FnOnce(&mut Reply) -> R) -> Option<R> {
        REPLIES.with_borrow_mut(|replies| match replies.places.get_mut(self.index) {
            Some(Some((serial, reply))) if *serial == self.serial => Some(use_it(reply)),
            _ => None,
        })
    }

    fn close(self) -> Option<Reply> {
        REPLIES.with_borrow_mut(|replies| match replies.places.get_mut(self.index) {
            Some(place) if place.as_ref().is_some_and(|(serial, _)| *serial == self.serial) => {
                replies.free.push(self.index);
                place.take().map(|(_, reply)| reply)
            }
            _ => None,
        })
    }

    fn fill(self, result: Result<JsValue, JsError>) {
        let before = self.with(|reply| core::mem::replace(reply, Reply::Here(result)));
        // Woken outside the table's borrow: a waker may do anything.
        if let Some(Reply::Awaited(waker)) = before {
            waker.wake();
        }
    }
}

/// A JS task's reply to be: await it on the thread that spawned the task.
///
/// There is no blocking wait: a JS value reaches a thread through its event loop only. Inside a pool's worker the reply
/// arrives when the worker has returned to its event loop, so await it in a JS task's own future, or on the main thread.
/// Dropping the handle leaves the task alone and its reply unsent.
#[must_use = "dropping the handle leaves the reply unsent"]
pub struct JsHandle {
    place: PlaceId,
    wanted: Arc<AtomicBool>,
    thread: ThreadId,
    /// The place is in this thread's table: the handle stays here.
    stays: PhantomData<*const ()>,
}

impl JsHandle {
    /// The worker that the task was sent to.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }
}

impl Future for JsHandle {
    type Output = Result<JsValue, JsError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Wakers are cloned and dropped outside the table's borrow: theirs is any code, which may use other handles.
        let mut waker = Some(context.waker().clone());
        let before = self.place.with(|reply| match reply {
            Reply::Here(_) => None,
            Reply::Open | Reply::Awaited(_) => {
                waker.take().map(|waker| core::mem::replace(reply, Reply::Awaited(waker)))
            }
        });
        match before {
            Some(Some(_open)) => Poll::Pending,
            Some(None) => match self.place.close() {
                Some(Reply::Here(result)) => Poll::Ready(result),
                _ => Poll::Ready(Err(JsError::Lost)),
            },
            // Polled again after it was ready.
            None => Poll::Ready(Err(JsError::Lost)),
        }
    }
}

impl Drop for JsHandle {
    fn drop(&mut self) {
        // Relaxed: a hint that saves a message; a reply that comes all the same finds no place.
        self.wanted.swap(false, Ordering::Relaxed);
        drop(self.place.close());
    }
}

impl fmt::Debug for JsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// The duty to answer. It travels with the task, and is met when it is dropped at the latest.
struct Answer {
    to: ThreadId,
    place: PlaceId,
    wanted: Arc<AtomicBool>,
    met: bool,
}

impl Answer {
    fn send(mut self, result: Result<JsReply, JsValue>) {
        self.met = true;
        if !self.is_wanted() {
            return;
        }
        let place = self.place;
        let (threw, JsReply { value, transfer }) = match result {
            Ok(reply) => (false, reply),
            Err(value) => (true, JsReply::new(value)),
        };
        let mut message =
            Message::new(move |_, value| place.fill(if threw { Err(JsError::Threw(value)) } else { Ok(value) }));
        message = message.payload(value);
        if let Some(objects) = transfer {
            message = message.transfer(objects);
        }
        if let Err(error) = send(self.to, message) {
            let text = match error.reason() {
                SendErrorReason::Payload { name, message } => format!("{name}: {message}"),
                reason => format!("{reason}"),
            };
            self.send_error(Some(text));
        }
    }

    fn is_wanted(&self) -> bool {
        // Relaxed: see `JsHandle::drop`.
        self.wanted.load(Ordering::Relaxed)
    }

    /// Sends an error that has no JS value in it: `Lost` for `None`, `ReplyNotSent` for a text.
    fn send_error(&self, text: Option<String>) {
        let place = self.place;
        let fill = move |_, _| place.fill(Err(text.map_or(JsError::Lost, JsError::ReplyNotSent)));
        // If the spawner is lost too, nobody waits.
        let _ = send(self.to, Message::new(fill));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.met && self.is_wanted() {
            self.send_error(None);
        }
    }
}

/// Sends a JS task to a worker.
pub(super) fn spawn_on(thread: ThreadId, task: JsTask) -> Result<JsHandle, SendError> {
    let Some(here) = current() else {
        return Err(task.refuse(SendErrorReason::UnknownSender));
    };
    let JsTask { run, payload, transfer } = task;
    let place = PlaceId::open();
    let wanted = Arc::new(AtomicBool::new(true));
    let handle = JsHandle { place, wanted: Arc::clone(&wanted), thread, stays: PhantomData };
    let answer = Answer { to: here, place, wanted, met: false };
    let mut message = Message::new(move |_, payload| {
        super::host::count_js();
        // If `run` unwinds, the answer is dropped and says so.
        let result = run(payload);
        answer.send(result);
    })
    .payload(payload);
    if let Some(objects) = transfer {
        message = message.transfer(objects);
    }
    // On an error the handle ends here, first, so that the answer in the returned message has nobody to tell.
    send(thread, message).map(|()| handle)
}

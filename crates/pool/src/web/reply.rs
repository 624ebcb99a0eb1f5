//! How the results of JS tasks come back.
//!
//! A reply reaches nobody by blocking: the thread that waits must be in its event loop to receive it. That is why the handles are futures
//! and have no `join`.
//!
//! Steps:
//!
//! 1. The spawner opens a **place** in a table of its own thread, with one slot for each result: one for a task, many for a batch or a
//!    broadcast. Each slot knows the worker that owes it.
//! 2. The duty to answer, an [`Answer`], travels with the tasks. It is met by one message for all results that are there when the tasks
//!    have returned, and by one message for each promise, when it settles. If the handle is gone, nobody is told: a task whose handle was
//!    dropped costs no reply.
//! 3. An answer that is dropped without being met, because its envelope came without contents or the task panicked, sends [`JsError::Lost`].
//! 4. When a worker dies, its answers die with it. So every thread is told ([`lost_thread`]) and fills the slots that this worker owes with `Lost`.
//!
//! A slot is filled once: what comes later, a reply that overtook the news of a death or the other way round, finds it full. A place is
//! used again; its serial number tells late replies.

use core::cell::RefCell;
use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::ops::Range;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::format;
use std::string::String;
use std::sync::Arc;
use std::thread_local;
use std::vec::Vec;

use js_sys::Array;
use wasm_bindgen::JsValue;
use weblane_workers::{Message, SendErrorReason, Status, ThreadId, current, is_main_thread, on_death, send, status};

use super::js::{JsError, JsReply, append};

/// What one task gave.
pub(super) type JsResult = Result<JsValue, JsError>;

struct Slot {
    /// Who owes it.
    thread: ThreadId,
    result: Option<JsResult>,
}

/// One slot is the usual number, and is not worth an allocation.
enum Slots {
    One(Slot),
    Many(Vec<Slot>),
}

impl Slots {
    fn all(&mut self) -> &mut [Slot] {
        match self {
            Slots::One(slot) => core::slice::from_mut(slot),
            Slots::Many(slots) => slots,
        }
    }
}

struct Place {
    serial: u32,
    slots: Slots,
    missing: usize,
    waker: Option<Waker>,
}

impl Place {
    /// Fills a slot, if it is empty. Returns whom to wake if it was the last one.
    fn fill(&mut self, index: usize, result: JsResult) -> Option<Waker> {
        let slot = self.slots.all().get_mut(index)?;
        if slot.result.is_some() {
            return None;
        }
        slot.result = Some(result);
        self.missing -= 1;
        if self.missing == 0 { self.waker.take() } else { None }
    }
}

/// The replies that the calling thread waits for.
struct Places {
    places: Vec<Option<Place>>,
    free: Vec<usize>,
    serial: u32,
}

thread_local! {
    static PLACES: RefCell<Places> = const { RefCell::new(Places { places: Vec::new(), free: Vec::new(), serial: 0 }) };
}

/// The name of a place in the table of one thread.
#[derive(Clone, Copy)]
pub(super) struct PlaceId {
    index: usize,
    serial: u32,
}

impl PlaceId {
    fn open(slots: Slots, missing: usize) -> PlaceId {
        PLACES.with_borrow_mut(|table| {
            let serial = table.serial;
            table.serial = serial.wrapping_add(1);
            let index = table.free.pop().unwrap_or_else(|| {
                table.places.push(None);
                table.places.len() - 1
            });
            table.places[index] = Some(Place { serial, slots, missing, waker: None });
            PlaceId { index, serial }
        })
    }

    /// Runs `use_it` with this place, if it is still open.
    fn with<R>(self, use_it: impl FnOnce(&mut Place) -> R) -> Option<R> {
        PLACES.with_borrow_mut(|table| match table.places.get_mut(self.index) {
            Some(Some(place)) if place.serial == self.serial => Some(use_it(place)),
            _ => None,
        })
    }

    fn close(self) -> Option<Place> {
        PLACES.with_borrow_mut(|table| match table.places.get_mut(self.index) {
            Some(place) if place.as_ref().is_some_and(|place| place.serial == self.serial) => {
                table.free.push(self.index);
                place.take()
            }
            _ => None,
        })
    }

    pub(super) fn fill(self, first: usize, results: impl IntoIterator<Item = JsResult>) {
        let mut waker = None;
        // What a slot has no use for is dropped outside the borrow, as are wakers woken: theirs is any code.
        let results: Vec<_> = results.into_iter().collect();
        self.with(|place| {
            for (index, result) in results.into_iter().enumerate() {
                waker = place.fill(first + index, result).or(waker.take());
            }
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether all is there; else `context` is woken when it is.
    fn poll(self, context: &mut Context<'_>) -> Poll<Option<Place>> {
        // Wakers are cloned and dropped outside the table's borrow.
        let waker = context.waker().clone();
        let before = self.with(|place| if place.missing == 0 { Err(waker) } else { Ok(place.waker.replace(waker)) });
        match before {
            Some(Ok(_open)) => Poll::Pending,
            Some(Err(_)) => Poll::Ready(self.close()),
            // Polled again after it was ready.
            None => Poll::Ready(None),
        }
    }
}

/// A worker has died: what it owes to the calling thread is lost.
fn lose(thread: ThreadId) {
    let mut wakers = Vec::new();
    PLACES.with_borrow_mut(|table| {
        for place in table.places.iter_mut().flatten() {
            for index in 0..place.slots.all().len() {
                if place.slots.all()[index].thread == thread {
                    wakers.extend(place.fill(index, Err(JsError::Lost)));
                }
            }
        }
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// The hook of deaths, on the main thread: tells every thread that can wait for a JS task.
pub(super) fn lost_thread(dead: ThreadId) {
    debug_assert!(is_main_thread());
    lose(dead);
    let workers = (1..).map(ThreadId::from_index).map_while(|id| status(id).map(|status| (id, status)));
    for (id, _) in workers.filter(|(_, status)| !status.is_lost()) {
        // One that dies at this moment has nobody waiting any more.
        let _ = send(id, Message::new(move |_, _| lose(dead)));
    }
}

/// Has this module told about deaths. The first call settles it.
pub(super) fn watch_deaths() {
    // There is room for 16 hooks, and nobody but pools and locks has one.
    let _ = on_death(lost_thread);
}

// ---------------------------------------------------------------------------------------------------------------- answers

/// The duty to answer for some slots of a place. It travels with the tasks, and is met when it is dropped at the latest.
pub(super) struct Answer {
    to: ThreadId,
    place: PlaceId,
    wanted: Arc<AtomicBool>,
    slots: Range<usize>,
}

impl Answer {
    fn is_wanted(&self) -> bool {
        // Relaxed: a hint that saves a message; a reply that comes all the same finds no place.
        self.wanted.load(Ordering::Relaxed)
    }

    /// Takes one slot out, the first one, to be answered by itself.
    pub(super) fn split(&mut self) -> Answer {
        let slot = self.slots.start;
        self.slots.start += 1;
        Answer { to: self.to, place: self.place, wanted: Arc::clone(&self.wanted), slots: slot..slot + 1 }
    }

    /// Sends the one result.
    pub(super) fn send(mut self, result: Result<JsReply, JsValue>) {
        let (place, slot) = (self.place, self.slots.start);
        self.slots.start = self.slots.end;
        if !self.is_wanted() {
            return;
        }
        let (threw, JsReply { value, transfer }) = match result {
            Ok(reply) => (false, reply),
            Err(value) => (true, JsReply::new(value)),
        };
        let mut message = Message::new(move |_, value| {
            place.fill(slot, [if threw { Err(JsError::Threw(value)) } else { Ok(value) }]);
        });
        message = message.payload(value);
        if let Some(objects) = transfer {
            message = message.transfer(objects);
        }
        if let Err(error) = send(self.to, message) {
            let text = match error.reason() {
                SendErrorReason::Payload { name, message } => format!("{name}: {message}"),
                reason => format!("{reason}"),
            };
            self.send_error(slot..slot + 1, JsError::ReplyNotSent(text));
        }
    }

    /// Sends the results of the first slots in one message, and keeps the others. A result that cannot be sent fails alone.
    pub(super) fn send_some(&mut self, results: Vec<Option<Result<JsReply, JsValue>>>) {
        if !self.is_wanted() {
            self.slots.start += results.len();
            return;
        }
        let values = Array::new_with_length(results.len() as u32);
        let objects = Array::new();
        let kinds: Vec<_> = results.iter().map(|result| result.as_ref().map(Result::is_ok)).collect();
        for (index, result) in results.iter().enumerate() {
            match result {
                Some(Ok(reply)) => {
                    values.set(index as u32, reply.value.clone());
                    append(&objects, reply.transfer.as_ref());
                }
                Some(Err(value)) => values.set(index as u32, value.clone()),
                None => {}
            }
        }
        let (place, first) = (self.place, self.slots.start);
        let mut message = Message::new(move |_, values| {
            let values = Array::from(&values);
            place.fill(
                first,
                kinds.into_iter().enumerate().map(|(index, kind)| match kind {
                    Some(true) => Ok(values.get(index as u32)),
                    Some(false) => Err(JsError::Threw(values.get(index as u32))),
                    None => Err(JsError::Lost),
                }),
            );
        })
        .payload(values.into());
        if objects.length() > 0 {
            message = message.transfer(objects);
        }
        if send(self.to, message).is_ok() {
            self.slots.start += results.len();
        } else {
            // Nothing was sent, so each is tried by itself.
            for result in results {
                let answer = self.split();
                match result {
                    Some(result) => answer.send(result),
                    None => drop(answer),
                }
            }
        }
    }

    /// Sends an error that has no JS value in it.
    fn send_error(&self, slots: Range<usize>, error: JsError) {
        // `JsError` can hold a JS value, which stays on its thread; these do not.
        let text: Option<String> = match error {
            JsError::ReplyNotSent(text) => Some(text),
            _ => None,
        };
        let place = self.place;
        let fill = move |_, _| {
            let error = text.map_or(JsError::Lost, JsError::ReplyNotSent);
            place.fill(slots.start, slots.map(|_| Err(error.clone())));
        };
        // If the spawner is lost too, nobody waits.
        let _ = send(self.to, Message::new(fill));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.slots.is_empty() && self.is_wanted() {
            self.send_error(self.slots.clone(), JsError::Lost);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------- handles

/// What the handles have in common: a place in this thread's table, and the say whether its results are wanted.
struct Claim {
    place: PlaceId,
    wanted: Arc<AtomicBool>,
    /// The place is in this thread's table: the handle stays here.
    stays: PhantomData<*const ()>,
}

impl Claim {
    fn new(slots: Slots, missing: usize) -> Claim {
        let place = PlaceId::open(slots, missing);
        Claim { place, wanted: Arc::new(AtomicBool::new(true)), stays: PhantomData }
    }

    fn answer(&self, to: ThreadId, slots: Range<usize>) -> Answer {
        Answer { to, place: self.place, wanted: Arc::clone(&self.wanted), slots }
    }

    /// The results, or `None` when they have been taken before.
    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Vec<Slot>>> {
        self.place.poll(context).map(|place| {
            place.map(|place| match place.slots {
                Slots::One(slot) => Vec::from([slot]),
                Slots::Many(slots) => slots,
            })
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Relaxed: see `Answer::is_wanted`.
        self.wanted.swap(false, Ordering::Relaxed);
        drop(self.place.close());
    }
}

fn empty(thread: ThreadId) -> Slot {
    Slot { thread, result: None }
}

fn result_of(slot: Slot) -> JsResult {
    slot.result.unwrap_or(Err(JsError::Lost))
}

/// A JS task's reply to be: await it on the thread that spawned the task.
///
/// A task that returns a promise replies with what the promise settles to.
///
/// There is no blocking wait: a JS value reaches a thread through its event loop only. Inside a pool's worker the reply
/// arrives when the worker has returned to its event loop, so await it in a JS task's own future, or on the main thread.
/// Dropping the handle leaves the task alone and its reply unsent.
#[must_use = "dropping the handle leaves the reply unsent; `spawn_js_detached` is cheaper"]
pub struct JsHandle {
    claim: Claim,
    thread: ThreadId,
}

impl JsHandle {
    pub(super) fn open(thread: ThreadId) -> JsHandle {
        JsHandle { claim: Claim::new(Slots::One(empty(thread)), 1), thread }
    }

    pub(super) fn answer(&self, to: ThreadId) -> Answer {
        self.claim.answer(to, 0..1)
    }

    /// The worker that the task was sent to.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }
}

impl Future for JsHandle {
    type Output = Result<JsValue, JsError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.claim.place.poll(context).map(|place| match place.map(|place| place.slots) {
            Some(Slots::One(slot)) => result_of(slot),
            _ => Err(JsError::Lost),
        })
    }
}

impl fmt::Debug for JsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// The replies to be of a batch of JS tasks, in the order of the tasks. A handle in every respect like [`JsHandle`].
#[must_use = "dropping the handle leaves the replies unsent; `spawn_js_batch_detached` is cheaper"]
pub struct JsBatch {
    claim: Claim,
    thread: ThreadId,
}

impl JsBatch {
    pub(super) fn open(thread: ThreadId, tasks: usize) -> JsBatch {
        JsBatch { claim: Claim::new(Slots::Many((0..tasks).map(|_| empty(thread)).collect()), tasks), thread }
    }

    pub(super) fn answer(&self, to: ThreadId, tasks: usize) -> Answer {
        self.claim.answer(to, 0..tasks)
    }

    /// The worker that the tasks were sent to.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.thread
    }
}

impl Future for JsBatch {
    type Output = Vec<Result<JsValue, JsError>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.claim.poll(context).map(|slots| slots.unwrap_or_default().into_iter().map(result_of).collect())
    }
}

impl fmt::Debug for JsBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsBatch").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// The replies to be of one JS task on every worker, each with its worker. Ready when all have run it.
#[must_use = "dropping the handle leaves the replies unsent"]
pub struct JsBroadcast {
    claim: Claim,
}

impl JsBroadcast {
    pub(super) fn open(threads: impl Iterator<Item = ThreadId>) -> JsBroadcast {
        let slots: Vec<_> = threads.map(empty).collect();
        let missing = slots.len();
        JsBroadcast { claim: Claim::new(Slots::Many(slots), missing) }
    }

    pub(super) fn answer(&self, to: ThreadId, index: usize) -> Answer {
        self.claim.answer(to, index..index + 1)
    }

    /// This worker could not be told.
    pub(super) fn fail(&self, index: usize, error: JsError) {
        self.claim.place.fill(index, [Err(error)]);
    }
}

impl Future for JsBroadcast {
    type Output = Vec<(ThreadId, Result<JsValue, JsError>)>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let pair = |slot: Slot| (slot.thread, result_of(slot));
        self.claim.poll(context).map(|slots| slots.unwrap_or_default().into_iter().map(pair).collect())
    }
}

impl fmt::Debug for JsBroadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsBroadcast").finish_non_exhaustive()
    }
}

/// The calling thread, if it can receive replies.
pub(super) fn here() -> Option<ThreadId> {
    current()
}

/// Why a worker that could not be told gives no result.
pub(super) fn not_sent(reason: &SendErrorReason) -> JsError {
    match reason {
        SendErrorReason::LostThread(_, Status::Failed | Status::Dead) => JsError::Lost,
        reason => JsError::NotSent(format!("{reason}")),
    }
}

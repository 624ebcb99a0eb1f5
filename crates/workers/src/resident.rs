//! A loop that lives on a worker, and how it shares the worker with the event loop.
//!
//! A worker that blocks in a loop of its own receives no message: the browser delivers only when the JS stack is empty. So a
//! resident is a function that the manager calls from a macrotask of its own, and that **returns** when messages are under
//! way. Steps:
//!
//! 1. The resident runs, and sleeps on its thread's word when it has nothing to do.
//! 2. A sender posts a message, then adds one to the count in that word; that ends the sleep. The resident sees the count and
//!    returns [`Leave::Messages`]. Nothing is polled: the message's own handler takes over.
//! 3. The event loop delivers the message; its closure runs; the count goes down by one.
//! 4. When the count is not positive any more, one re-entry is asked for: a macrotask, so that promises and messages that
//!    are already queued go first.
//! 5. The resident is called again.
//!
//! A resident is called for a *turn*, and the manager says what it may do in it:
//!
//! | turn | when | the resident |
//! |---|---|---|
//! | [`Turn::Full`] | usually | runs until messages are under way; may sleep |
//! | [`Turn::Held`] | somebody holds the worker (see [`hold`](crate::hold())) | runs for a few milliseconds; must not sleep; leaves for messages |
//! | [`Turn::Overdue`] | messages are counted and have not come for some ms (race 53) | as `Held`, and ignores the count |
//! | [`Turn::One`] | the worker's budget for messages is used up (race 34) | does one piece of work, ignores the count |
//!
//! Why nobody is stranded: a message is posted before it is counted, so a positive count means a message that the event loop
//! will deliver, and its delivery asks for the re-entry. A message that is handled before it was counted makes the count
//! negative for a moment; that is no reason to leave.

use alloc::boxed::Box;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::thread_local;

use wasm_bindgen::JsValue;

use crate::glue::{self, Loop, OnLoop};
use crate::settled::settled;
use crate::threads::{current, thread};
use crate::{ThreadId, death, holds};

/// Why a resident returned to the event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Messages are under way; call again when they are handled.
    Messages,
    /// Call again after what the event loop has queued.
    Again,
    /// Nothing to do: call again when somebody has [called](crate::call) this worker, or when a message was handled. Only from a turn in
    /// which the resident must not sleep, and only after it has told its callers and looked for work once more.
    Idle,
    /// Never call again.
    Stop,
}

/// What a resident may do this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Everything: run until messages are under way, and sleep on the thread's word.
    Full,
    /// Run for a few milliseconds, not sleep, and leave for messages: somebody [holds](crate::hold()) this worker.
    Held,
    /// The same without leaving for messages: they are counted, but they do not come.
    Overdue,
    /// One piece of work, whatever messages wait: the budget of messages is used up.
    One,
}

/// The right to let a loop live on one worker. There is one for each worker; dropping it gives it back.
///
/// It is taken before the loop is sent to its worker, from any thread, so that two loops never meet there.
#[derive(Debug)]
#[must_use = "dropping a reservation gives it back"]
pub struct Reservation(ThreadId);

impl Reservation {
    /// The worker that is reserved.
    #[must_use]
    pub fn thread(&self) -> ThreadId {
        self.0
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(thread) = thread(self.0) {
            // Release: pairs with the Acquire in `reserve`; the next loop sees what this one left.
            thread.reserved.swap(false, Ordering::Release);
        }
    }
}

/// Reserves a worker for a loop.
///
/// # Errors
///
/// [`ResidentError`]: the id is not a worker's, or a loop lives there already.
pub fn reserve(worker: ThreadId) -> Result<Reservation, ResidentError> {
    match thread(worker) {
        Some(thread) if !worker.is_main() => {
            // Acquire: pairs with the Release in `drop`.
            if thread.reserved.swap(true, Ordering::AcqRel) {
                return Err(ResidentError::Occupied(worker));
            }
            Ok(Reservation(worker))
        }
        _ => Err(ResidentError::NotAWorker(worker)),
    }
}

/// Why a loop could not move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResidentError {
    /// The id is the main thread's, which must not block, or nobody's.
    NotAWorker(ThreadId),
    /// Another loop lives on this worker.
    Occupied(ThreadId),
    /// The reservation is for this worker, and the calling thread is another.
    WrongThread(ThreadId),
}

impl fmt::Display for ResidentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResidentError::NotAWorker(id) => {
                write!(f, "no loop can live on {id}, because it is not one of the workers that `init` returned")
            }
            ResidentError::Occupied(id) => {
                write!(f, "another loop lives on {id} already; end that one first, or use another worker")
            }
            ResidentError::WrongThread(id) => {
                write!(f, "a loop for {id} was started on another thread; `send` it there and start it in the message")
            }
        }
    }
}

impl core::error::Error for ResidentError {}

struct Body {
    /// Given back when the resident stops. First, so that the thread is free when the loop's closure is dropped.
    _reservation: Reservation,
    run: Box<dyn FnMut(Turn) -> Leave>,
}

enum Flat {
    Free,
    /// The resident is running, or about to be put back.
    Away,
    Home(Body),
}

/// In WebKit a port message needs a free main thread. Milliseconds after which messages that were counted and have not come do not keep the resident out any longer.
const OVERDUE_AFTER: u32 = 8;

/// What a worker's loop asks of Rust, as `worker.js` numbers it.
const ENTER: u32 = 0;
const OVERDUE: u32 = 1;
const RESOLVED: u32 = 2;

thread_local! {
    static FLAT: RefCell<Flat> = const { RefCell::new(Flat::Free) };
    /// The loop's JS half. Set when the worker starts.
    static LOOP: RefCell<Option<Loop>> = const { RefCell::new(None) };
    /// Messages that this thread has begun to handle, and turns of its resident.
    static PROGRESS: Cell<u32> = const { Cell::new(0) };
    /// The progress when the timer for overdue messages was set, while it is set.
    static WATCHED: Cell<Option<u32>> = const { Cell::new(None) };
    /// Whether messages are overdue: counted, and not come.
    static LATE: Cell<bool> = const { Cell::new(false) };
    static BUDGET: Cell<Budget> = const { Cell::new(Budget { messages: 0, milliseconds: 0.0, used: 0, since: 0.0 }) };
}

/// Prepares the loop of this worker, `me`. `die` reports an exception that crossed wasm frames.
pub(crate) fn prepare(me: ThreadId, die: &JsValue) {
    let Some(thread) = thread(me) else { return };
    let rust = OnLoop::new(|what, key, value| match what {
        ENTER => enter(),
        OVERDUE => overdue(),
        what => settled(key, if what == RESOLVED { Ok(value) } else { Err(value) }),
    });
    let events = glue::weblane_loop(&rust, die, &wasm_bindgen::memory(), thread.call.address());
    // The closure lives as long as the worker, which never ends by itself.
    rust.forget();
    LOOP.set(Some(events));
}

/// The calling worker's loop, if it is one of ours.
pub(crate) fn with_loop(run: impl FnOnce(&Loop)) {
    LOOP.with_borrow(|events| events.as_ref().map(run));
}

/// Lets `run` live on the calling worker: it is called from the event loop until it returns [`Leave::Stop`].
///
/// # Errors
///
/// [`ResidentError::WrongThread`] if the reservation is for another thread; it is given back.
///
/// # Examples
///
/// ```no_run
/// use weblane_workers::{Leave, Message, ThreadId, reserve, send, set_resident, word};
///
/// # fn demo(worker: ThreadId) -> Result<(), Box<dyn std::error::Error>> {
/// let reservation = reserve(worker)?;
/// send(worker, Message::new(move |_, _| {
///     let word = word(worker).expect("our own");
///     let _ = set_resident(reservation, move |turn| {
///         while word.load().messages() <= 0 {
///             // ... work, or sleep on the word ...
///         }
///         Leave::Messages
///     });
/// }))?;
/// # Ok(())
/// # }
/// ```
pub fn set_resident(reservation: Reservation, run: impl FnMut(Turn) -> Leave + 'static) -> Result<(), ResidentError> {
    let worker = reservation.thread();
    if current() != Some(worker) {
        return Err(ResidentError::WrongThread(worker));
    }
    FLAT.with_borrow_mut(|flat| match flat {
        Flat::Free => {
            *flat = Flat::Home(Body { run: Box::new(run), _reservation: reservation });
            Ok(())
        }
        // Not reached: the reservation is the only one.
        Flat::Away | Flat::Home(_) => Err(ResidentError::Occupied(worker)),
    })?;
    request_entry();
    Ok(())
}

/// Asks for one call of the resident in a macrotask of its own, if there is a resident. Asking twice is asking once.
pub(crate) fn request_entry() {
    if FLAT.with_borrow(|flat| matches!(flat, Flat::Free)) {
        return;
    }
    with_loop(Loop::request);
}

fn progress() -> u32 {
    let next = PROGRESS.get().wrapping_add(1);
    PROGRESS.set(next);
    next
}

/// The re-entry: runs the resident with an empty JS stack below it.
fn enter() {
    let turn = match (LATE.get(), holds()) {
        (true, _) => Turn::Overdue,
        (false, 0) => Turn::Full,
        (false, _) => Turn::Held,
    };
    turn_of(turn);
}

fn turn_of(turn: Turn) {
    let Some(thread) = current().and_then(thread) else { return };
    // A resident that is Away runs below this very call: a handler inside a task cannot enter the loop a second time (race 36).
    let body = FLAT.with_borrow_mut(|flat| match core::mem::replace(flat, Flat::Away) {
        Flat::Home(body) => Some(body),
        other => {
            *flat = other;
            None
        }
    });
    let Some(mut body) = body else { return };
    let now = progress();
    BUDGET.with(Budget::renew);
    // Read before the resident's last look for work: `hold` has the argument.
    let seen = thread.call.load();
    let leave = (body.run)(turn);
    let next = if leave == Leave::Stop { Flat::Free } else { Flat::Home(body) };
    FLAT.with_borrow_mut(|flat| *flat = next);
    match leave {
        // The message that used up the budget goes on, and brings the next turn.
        _ if turn == Turn::One && leave != Leave::Stop => {}
        // A hold that ended meanwhile, or work that needs the whole loop: its drop has asked for the entry already, and asking is cheap.
        Leave::Idle if turn == Turn::Held && holds() == 0 => request_entry(),
        Leave::Again => request_entry(),
        Leave::Idle => with_loop(|events| events.rest(seen as i32)),
        Leave::Messages => watch(now),
        Leave::Stop => {}
    }
}

/// Sets the timer for overdue messages, unless it is set.
fn watch(now: u32) {
    if WATCHED.get().is_none() {
        WATCHED.set(Some(now));
        with_loop(|events| events.overdue(OVERDUE_AFTER));
    }
}

/// Has [`overdue`] called once more, for a settlement that could not be made yet.
pub(crate) fn look_again(milliseconds: u32) {
    with_loop(|events| events.overdue(milliseconds));
}

/// The timer for overdue messages.
fn overdue() {
    let settled = death::try_to_settle();
    let watched = WATCHED.replace(None);
    let word = current().and_then(thread).map(|thread| thread.word.load());
    if settled && word.is_some_and(|word| word.messages() <= 0) {
        // What was taken off the word was the last that kept the resident out.
        request_entry();
    }
    if word.is_none_or(|word| word.messages() <= 0) || LATE.get() {
        return;
    }
    let now = PROGRESS.get();
    if watched == Some(now) {
        LATE.set(true);
        enter();
    } else {
        watch(now);
    }
}

/// A message has come and is about to be run, with an empty JS stack below it.
pub(crate) fn message_came() {
    progress();
    LATE.set(false);
    if BUDGET.with(Budget::used_up) {
        turn_of(Turn::One);
    }
    BUDGET.with(Budget::count);
}

/// How many messages in a row may keep a resident waiting.
#[derive(Clone, Copy)]
struct Budget {
    /// 0: as many as there are.
    messages: u32,
    /// 0: as long as it takes.
    milliseconds: f64,
    used: u32,
    since: f64,
}

impl Budget {
    /// The resident has its turn.
    fn renew(cell: &Cell<Budget>) {
        let budget = cell.get();
        if budget.used != 0 {
            cell.set(Budget { used: 0, ..budget });
        }
    }

    /// Whether the resident must have a turn before the next message.
    fn used_up(cell: &Cell<Budget>) -> bool {
        let Budget { messages, milliseconds, used, since } = cell.get();
        used != 0
            && ((messages != 0 && used >= messages)
                || (milliseconds > 0.0 && glue::weblane_now() - since >= milliseconds))
    }

    /// One more message.
    fn count(cell: &Cell<Budget>) {
        let mut budget = cell.get();
        if budget.messages != 0 || budget.milliseconds > 0.0 {
            if budget.used == 0 && budget.milliseconds > 0.0 {
                budget.since = glue::weblane_now();
            }
            budget.used = budget.used.saturating_add(1);
            cell.set(budget);
        }
    }
}

/// Limits how long messages may keep the calling worker's resident waiting: after `messages` of them, or `time`, it gets [`Turn::One`] before
/// the next one. `None` for both, as at the start, is no limit: messages come first.
///
/// ```no_run
/// // On a worker: at least one piece of the resident's work after each 100 messages.
/// weblane_workers::set_message_budget(core::num::NonZeroU32::new(100), None);
/// ```
pub fn set_message_budget(messages: Option<NonZeroU32>, time: Option<Duration>) {
    let budget = Budget {
        messages: messages.map_or(0, NonZeroU32::get),
        // Nothing is no time at all, which is not the same as no limit.
        milliseconds: time.map_or(0.0, |time| (time.as_secs_f64() * 1e3).max(1e-6)),
        used: 0,
        since: 0.0,
    };
    BUDGET.set(budget);
}

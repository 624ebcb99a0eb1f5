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
//! Why nobody is stranded: a message is posted before it is counted, so a positive count means a message that the event loop
//! will deliver, and its delivery asks for the re-entry. A message that is handled before it was counted makes the count
//! negative for a moment; that is no reason to leave.

use alloc::boxed::Box;
use core::cell::RefCell;
use core::fmt;
use core::sync::atomic::Ordering;
use std::thread_local;

use js_sys::Function;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};

use crate::threads::{current, thread};
use crate::{ThreadId, glue};

/// Why a resident returned to the event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Messages are under way; call again when they are handled.
    Messages,
    /// Call again after what the event loop has queued.
    Again,
    /// Never call again.
    Stop,
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
    run: Box<dyn FnMut() -> Leave>,
}

enum Flat {
    Free,
    /// The resident is running, or about to be put back.
    Away,
    Home(Body),
}

thread_local! {
    static FLAT: RefCell<Flat> = const { RefCell::new(Flat::Free) };
    /// Asks the event loop for one call of `enter`. Set when the worker starts.
    static ENTRY: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Prepares re-entry on this worker. `die` reports an exception that crossed wasm frames.
pub(crate) fn prepare(die: &JsValue) {
    let enter = Closure::<dyn FnMut()>::new(enter);
    let request = glue::weblane_entry(&enter, die);
    // The closure lives as long as the worker, which never ends by itself.
    enter.forget();
    ENTRY.with_borrow_mut(|entry| *entry = Some(request.unchecked_into()));
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
///     let _ = set_resident(reservation, move || {
///         while word.load().messages() <= 0 {
///             // ... work, or sleep on the word ...
///         }
///         Leave::Messages
///     });
/// }))?;
/// # Ok(())
/// # }
/// ```
pub fn set_resident(reservation: Reservation, run: impl FnMut() -> Leave + 'static) -> Result<(), ResidentError> {
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
    ENTRY.with_borrow(|entry| {
        if let Some(request) = entry {
            // It only posts a message to itself and sets a timer, which cannot fail.
            let _ = request.call0(&JsValue::UNDEFINED);
        }
    });
}

/// The re-entry: runs the resident with an empty JS stack below it.
fn enter() {
    let body = FLAT.with_borrow_mut(|flat| match core::mem::replace(flat, Flat::Away) {
        Flat::Home(body) => Some(body),
        other => {
            *flat = other;
            None
        }
    });
    let Some(mut body) = body else { return };
    let leave = (body.run)();
    let next = if leave == Leave::Stop { Flat::Free } else { Flat::Home(body) };
    FLAT.with_borrow_mut(|flat| *flat = next);
    if leave == Leave::Again {
        request_entry();
    }
}

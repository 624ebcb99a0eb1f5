//! What a thread has given to its JS engine: the waiters of `Atomics.waitAsync`, which cannot be taken back, and timers.
//!
//! An engine calls back whom it was told to call, whenever that is; a future may be gone by then. So nothing of a future is given to the
//! engine. A thread has one JS function, made once and kept for ever, and the engine gets that function with two numbers: what happened, and to whom. Whom
//! the registry does not know any more has been dropped, and nothing is called.
//!
//! A *waiter* is an entry of the engine's list for one word. It stays there until it is notified or its own time-out comes; there is no call to
//! withdraw it. What may happen to it:
//!
//! - *owned*: a future waits for it.
//! - *left*: its future was dropped, or ended otherwise. A waiter that is left is still in the list, before those that come later, and takes a
//!   notification from them. Therefore:
//!   1. the next future of this thread for the same word *adopts* it instead of arming another one. So a loop of futures that are dropped, or whose time
//!      is up, leaves one waiter and not thousands.
//!   2. if it is notified while nobody owns it, it *passes the notification on*: `notify(word, 1)`. Each waiter is passed at most once, so this ends. It
//!      happens in this thread's event loop, and so only while this thread does not block.
//!   3. a thread that has a waiter for a word, owned or left, must not block on that word: the waiter is before it in the list, takes the notification, and
//!      could pass it on only when the thread no longer blocks. [`assert_not_armed`] is called by each wait.
//! - *ended*: the engine has resolved its promise; it is forgotten.
//!
//! Words are `'static`, because a waiter that is left names its word until it ends.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, OnceCell, RefCell};
use core::task::Waker;
use std::thread_local;

use js_sys::{Function, Int32Array, SharedArrayBuffer, WebAssembly};
use wasm_bindgen::prelude::{Closure, wasm_bindgen};
use wasm_bindgen::{JsCast, JsValue};

use crate::{AtomicU32, Wait, notify};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32, whom: f64, what: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);

    // An error where the function is missing, where the memory is not shared, and in threads that may not wait so.
    #[wasm_bindgen(catch, js_namespace = Atomics, js_name = waitAsync)]
    fn atomics_wait_async(words: &Int32Array, index: u32, expected: i32, milliseconds: f64) -> Result<Answer, JsValue>;

    type Answer;
    #[wasm_bindgen(method, getter, js_name = async)]
    fn is_async(this: &Answer) -> bool;
    #[wasm_bindgen(method, getter)]
    fn value(this: &Answer) -> JsValue;

    type Thenable;
    #[wasm_bindgen(method)]
    fn then(this: &Thenable, callback: &JsValue) -> JsValue;

    type Callback;
    #[wasm_bindgen(method, js_name = bind)]
    fn with(this: &Callback, receiver: &JsValue, whom: f64, what: u32) -> JsValue;
}

/// What the engine tells.
const RESOLVED: u32 = 0;
const TIME_IS_UP: u32 = 1;
const LOOK_AGAIN: u32 = 2;

/// The longest that `setTimeout` takes; what is longer fires at once.
const LONGEST_TIMER: f64 = i32::MAX as f64;

/// A future, as its thread's registry knows it.
pub(super) struct Future {
    /// What ended it, before it was polled.
    outcome: Cell<Option<Wait>>,
    /// Whether that was a notification, which somebody else must get if this future is dropped now.
    notified: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Milliseconds that the deadline's timer does not cover.
    left: Cell<f64>,
    deadline: RefCell<Option<JsValue>>,
    /// Only without `waitAsync`.
    tick: RefCell<Option<JsValue>>,
}

struct Waiter {
    id: f64,
    word: &'static AtomicU32,
    owner: Option<f64>,
    /// Whose time-out the engine got.
    armed_by: f64,
}

struct Registry {
    next: f64,
    futures: Vec<(f64, Rc<Future>)>,
    waiters: Vec<Waiter>,
}

thread_local! {
    static REGISTRY: RefCell<Registry> =
        const { RefCell::new(Registry { next: 1.0, futures: Vec::new(), waiters: Vec::new() }) };
    static CALLBACK: OnceCell<Function> = const { OnceCell::new() };
    static WORDS: RefCell<Option<Int32Array>> = const { RefCell::new(None) };
}

impl Registry {
    /// Whole numbers below 2^53 are exact, and more are not counted in a life.
    fn id(&mut self) -> f64 {
        self.next += 1.0;
        self.next
    }

    fn future(&self, id: f64) -> Option<Rc<Future>> {
        self.futures.iter().find(|(known, _)| *known == id).map(|(_, future)| Rc::clone(future))
    }
}

fn with<R>(run: impl FnOnce(&mut Registry) -> R) -> R {
    REGISTRY.with_borrow_mut(run)
}

/// This thread's function for the engine.
fn callback() -> Function {
    CALLBACK.with(|callback| {
        let make = || {
            let closure: Closure<dyn Fn(f64, u32, JsValue)> = Closure::new(hear);
            closure.into_js_value().unchecked_into()
        };
        callback.get_or_init(make).clone()
    })
}

/// The engine's call.
fn hear(whom: f64, what: u32, answer: JsValue) {
    match what {
        RESOLVED => resolved(whom, answer.as_string().is_some_and(|answer| answer == "timed-out")),
        TIME_IS_UP => time_is_up(whom),
        _ => wake(with(|registry| registry.future(whom)).as_deref()),
    }
}

/// A waiter ended.
fn resolved(id: f64, timed_out: bool) {
    let ended = with(|registry| {
        let place = registry.waiters.iter().position(|waiter| waiter.id == id)?;
        let waiter = registry.waiters.swap_remove(place);
        let adopted = waiter.owner != Some(waiter.armed_by);
        let owner = waiter.owner.and_then(|owner| registry.future(owner));
        Some((waiter.word, owner, adopted))
    });
    let Some((word, owner, adopted)) = ended else { return };
    match owner {
        Some(owner) if owner.outcome.get().is_none() => {
            if !timed_out {
                owner.outcome.set(Some(Wait::Woken));
                owner.notified.set(true);
            } else if !adopted {
                owner.outcome.set(Some(Wait::TimedOut));
            }
            // Else it was an earlier future's time. This one arms again when it is polled.
            wake(Some(&owner));
        }
        _ if !timed_out => {
            notify(word, 1);
        }
        _ => {}
    }
}

/// A future's timer fired.
fn time_is_up(id: f64) {
    let Some(future) = with(|registry| registry.future(id)) else { return };
    if future.left.get() > 0.0 {
        future.start_deadline(id);
    } else if future.outcome.get().is_none() {
        future.outcome.set(Some(Wait::TimedOut));
        wake(Some(&future));
    }
}

fn wake(future: Option<&Future>) {
    // Taken out first: a waker may poll at once, which puts another one in.
    if let Some(waker) = future.and_then(|future| future.waker.take()) {
        waker.wake();
    }
}

impl Future {
    /// Starts the timer for as much of the time as one timer takes.
    fn start_deadline(&self, id: f64) {
        let part = self.left.get().min(LONGEST_TIMER);
        self.left.set(self.left.get() - part);
        // Where there are no timers, in a worklet, there are no time-outs.
        self.deadline.replace(set_timeout(&callback(), part as i32, id, TIME_IS_UP).ok());
    }

    pub(super) fn start_tick(&self, id: f64, milliseconds: i32) {
        let before = self.tick.replace(set_timeout(&callback(), milliseconds, id, LOOK_AGAIN).ok());
        before.iter().for_each(clear_timeout);
    }

    pub(super) fn outcome(&self) -> Option<Wait> {
        self.outcome.get()
    }

    pub(super) fn was_notified(&self) -> bool {
        self.notified.get()
    }

    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// Makes a future known, and starts its time.
pub(super) fn enter(milliseconds: Option<f64>) -> (f64, Rc<Future>) {
    let future = Rc::new(Future {
        outcome: Cell::new(None),
        notified: Cell::new(false),
        waker: RefCell::new(None),
        left: Cell::new(milliseconds.unwrap_or(0.0)),
        deadline: RefCell::new(None),
        tick: RefCell::new(None),
    });
    let id = with(|registry| {
        let id = registry.id();
        registry.futures.push((id, Rc::clone(&future)));
        id
    });
    if milliseconds.is_some() {
        future.start_deadline(id);
    }
    (id, future)
}

/// Forgets a future: no timer and no waiter reaches it any more.
pub(super) fn leave(id: f64) {
    let future = with(|registry| {
        registry.waiters.iter_mut().filter(|waiter| waiter.owner == Some(id)).for_each(|waiter| waiter.owner = None);
        let place = registry.futures.iter().position(|(known, _)| *known == id)?;
        Some(registry.futures.swap_remove(place).1)
    });
    if let Some(future) = future {
        future.deadline.take().iter().chain(future.tick.take().iter()).for_each(clear_timeout);
    }
}

/// What came of arming.
pub(super) enum Armed {
    /// There is a waiter in the engine's list. If it was adopted, it was there before: the word is to be looked at now.
    Waiting,
    /// The word differs.
    Mismatch,
    TimedOut,
    /// There is no such function here.
    Unsupported,
}

/// Sees to it that the future `id` owns a waiter for `word`.
pub(super) fn arm(id: f64, word: &'static AtomicU32, expected: u32, milliseconds: Option<f64>) -> Armed {
    let has_one = with(|registry| {
        let place = |found: &dyn Fn(&Waiter) -> bool| registry.waiters.iter().position(found);
        let own = place(&|waiter| waiter.owner == Some(id));
        let left = || place(&|waiter| waiter.owner.is_none() && core::ptr::eq(waiter.word, word));
        let place = own.or_else(left);
        place.map(|place| registry.waiters[place].owner = Some(id)).is_some()
    });
    if has_one {
        return Armed::Waiting;
    }
    let Some(words) = words(word) else { return Armed::Unsupported };
    let index = word.as_ptr().addr() as u32 / 4;
    // A longer time is over at once in Firefox, as a timer's would be.
    let milliseconds = milliseconds.filter(|milliseconds| *milliseconds <= LONGEST_TIMER).unwrap_or(f64::INFINITY);
    let Ok(answer) = atomics_wait_async(&words, index, expected as i32, milliseconds) else {
        return Armed::Unsupported;
    };
    let value = answer.value();
    if !answer.is_async() {
        return if value.as_string().is_some_and(|value| value == "timed-out") {
            Armed::TimedOut
        } else {
            Armed::Mismatch
        };
    }
    let waiter = with(|registry| {
        let waiter = registry.id();
        registry.waiters.push(Waiter { id: waiter, word, owner: Some(id), armed_by: id });
        waiter
    });
    let told = callback().unchecked_into::<Callback>().with(&JsValue::UNDEFINED, waiter, RESOLVED);
    value.unchecked_into::<Thenable>().then(&told);
    Armed::Waiting
}

/// The program's memory as JS sees it; `None` where it is not shared. Kept for as long as it covers the word: memory grows, and the old view ends where it
/// ended.
fn words(word: &AtomicU32) -> Option<Int32Array> {
    let index = word.as_ptr().addr() as u32 / 4;
    WORDS.with_borrow_mut(|known| {
        if known.as_ref().is_none_or(|words| words.length() <= index) {
            let buffer = wasm_bindgen::memory().unchecked_into::<WebAssembly::Memory>().buffer();
            *known = buffer.is_instance_of::<SharedArrayBuffer>().then(|| Int32Array::new(&buffer));
        }
        known.clone()
    })
}

/// How many waiters of [`wait_async`](super::wait_async) this thread has in the engine's lists: those of futures that wait, and those that were left and that
/// nobody has notified since. For tests and curiosity.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(target_arch = "wasm32")]
/// assert_eq!(weblane_futex::web::waiters_of_this_thread(), 0);
/// ```
#[must_use]
pub fn waiters_of_this_thread() -> usize {
    with(|registry| registry.waiters.len())
}

/// Fails if this thread is about to block on a word for which it has a waiter, which would take the notification meant for it.
#[cfg(target_feature = "atomics")]
pub(crate) fn assert_not_armed(word: &AtomicU32) {
    let armed = with(|registry| registry.waiters.iter().any(|waiter| core::ptr::eq(waiter.word, word)));
    assert!(
        !armed,
        "this thread blocks on a word for which it has armed `wait_async`: the notification would go there and this thread sleep on; use a word for each"
    );
}

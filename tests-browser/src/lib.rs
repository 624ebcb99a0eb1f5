//! What the browser tests share: one set of workers and one pool for each page, and ways to wait without blocking.
#![cfg(target_arch = "wasm32")]

pub mod growth;
pub mod stress;

use std::cell::RefCell;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::Poll;

use js_sys::{Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use weblane_pool::ThreadPool;
use weblane_workers::{Options, ThreadId};

/// Workers of every page: more than the cores of a small machine, so that preemption happens.
pub const WORKERS: usize = 4;

thread_local! {
    static IDS: RefCell<Option<Vec<ThreadId>>> = const { RefCell::new(None) };
    static POOL: RefCell<Option<ThreadPool>> = const { RefCell::new(None) };
}

/// This page's workers, started on the first call: four.
pub async fn workers() -> Vec<ThreadId> {
    workers_of(WORKERS).await
}

/// The same with so many workers; the first call of a page decides.
pub async fn workers_of(count: usize) -> Vec<ThreadId> {
    let known = IDS.with_borrow(Clone::clone);
    let ids = known.unwrap_or_else(|| {
        let ids = weblane_workers::init(
            Options::new().count(count).name("test").start_timeout(std::time::Duration::from_secs(60)),
        )
        .expect("workers");
        IDS.set(Some(ids.clone()));
        ids
    });
    // It ends by itself, and says more than `soon` would.
    weblane_workers::ready().await.expect("all workers start");
    ids
}

/// This page's pool over all its workers.
pub async fn pool() -> ThreadPool {
    let ids = workers().await;
    POOL.with_borrow_mut(|pool| pool.get_or_insert_with(|| ThreadPool::new(ids).expect("a pool")).clone())
}

/// Locks a mutex of std's that is held for moments only, on any thread: the main thread may not wait for it, and a worker is often preempted while it has it.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let mut guard = None;
    spin_until("a lock of std's, held for a moment", || {
        guard = match mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(error)) => panic!("{error}"),
        };
        guard.is_some()
    });
    guard.expect("locked")
}

/// Forgets this page's pool.
pub fn drop_pool() {
    POOL.set(None);
}

/// Makes this the page's pool.
pub fn set_pool(pool: ThreadPool) {
    POOL.set(Some(pool));
}

/// Resolves after so many milliseconds.
pub async fn sleep(milliseconds: u32) {
    let promise = Promise::new(&mut |resolve, _| {
        let set = get(&js_sys::global(), "setTimeout").unchecked_into::<js_sys::Function>();
        set.call2(&JsValue::UNDEFINED, &resolve, &milliseconds.into()).expect("a timer");
    });
    JsFuture::from(promise).await.expect("a timer does not fail");
}

/// The watchdog never fires in these tests: asked wherever they wait, so also at their ends.
fn no_watchdog() {
    assert_eq!(weblane_pool::watchdog_barks(), 0, "the watchdog has barked: the console says why");
}

/// How long a test waits at most, in milliseconds: a minute, on any machine. Once a test of the page has waited in vain, the others, which share its
/// workers, get five seconds: all tests of the page fail in a line each before the page's time is up.
fn patience() -> f64 {
    if LATE.load(Ordering::Relaxed) { 5_000.0 } else { 60_000.0 }
}

static LATE: AtomicBool = AtomicBool::new(false);

/// A test has waited in vain.
fn late(patience: f64, what: &dyn Display) -> ! {
    LATE.store(true, Ordering::Relaxed);
    panic!("not in {} s: {what}", patience / 1_000.0);
}

/// Waits, without blocking, until `done`; fails after a minute with `what`, or if the watchdog of a pool has barked meanwhile.
pub async fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_watched(what, done).await;
    no_watchdog();
}

/// [`eventually`] where the watchdog may bark.
pub async fn eventually_watched(what: &str, mut done: impl FnMut() -> bool) {
    let (start, patience) = (now(), patience());
    while !done() {
        if now() - start > patience {
            late(patience, &what);
        }
        sleep(1).await;
    }
}

/// Turns until `done`, on any thread, and holds it; fails after a minute with `what`. For what other threads do in a moment.
pub fn spin_until(what: &str, mut done: impl FnMut() -> bool) {
    let (mut start, patience) = (None, patience());
    while !done() {
        // The clock is JS, which takes long beside a look at a word.
        turns(100);
        if now() - *start.get_or_insert_with(now) > patience {
            late(patience, &what);
        }
    }
}

/// So many turns of about a nanosecond each. (A loop of `spin_loop` is nothing on wasm, and is optimised away.)
pub fn turns(count: u32) {
    (0..count).for_each(|turn| {
        std::hint::black_box(turn);
    });
}

/// The future's value; fails after a minute with `what`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    soon_or(what, future).await
}

async fn soon_or<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    let patience = patience();
    let (mut future, mut over) = (pin!(future), pin!(sleep(patience as u32)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Pending => {
            if over.as_mut().poll(context).is_ready() {
                late(patience, &what);
            }
            Poll::Pending
        }
        ready => {
            no_watchdog();
            ready
        }
    })
    .await
}

/// `future.soon().await`: no test awaits anything else that depends on other threads without it, so that none hangs in silence.
pub trait Soon: Future + Sized {
    /// The future's value; fails after a minute with the place of this call.
    #[track_caller]
    fn soon(self) -> impl Future<Output = Self::Output> {
        let place = Location::caller();
        soon_or(place, self)
    }
}

impl<F: Future> Soon for F {}

/// Milliseconds since the thread began, with a fraction.
pub fn now() -> f64 {
    let performance = get(&js_sys::global(), "performance");
    let now = get(&performance, "now").unchecked_into::<js_sys::Function>();
    now.call0(&performance).ok().and_then(|value| value.as_f64()).expect("a clock")
}

/// A property of a JS object.
pub fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).expect("an object")
}

/// A property of the calling thread's global scope, as a number; 0 if it is not one.
pub fn global_number(name: &str) -> f64 {
    get(&js_sys::global(), name).as_f64().unwrap_or(0.0)
}

/// Runs some JS in the calling thread's global scope.
pub fn eval(code: &str) -> JsValue {
    js_sys::eval(code).expect("the code runs")
}

/// A line on the page's console, which the test runner prints.
pub fn report(line: &str) {
    wasm_bindgen_test::console_log!("{line}");
}

/// Runs `work` once on every worker of the pool, as a Rust task: each waits until all have one.
pub async fn on_each_worker(pool: &ThreadPool, work: impl Fn() + Send + Sync + 'static) {
    let count = pool.threads().len() as u32;
    let (work, arrived, done) = (Arc::new(work), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    for _ in 0..count {
        let (work, arrived, done) = (Arc::clone(&work), Arc::clone(&arrived), Arc::clone(&done));
        pool.spawn_detached(move || {
            arrived.fetch_add(1, Ordering::SeqCst);
            weblane_futex::notify_all(&arrived);
            loop {
                let seen = arrived.load(Ordering::SeqCst);
                if seen == count {
                    break;
                }
                let _ = weblane_futex::wait(&arrived, seen, None);
            }
            work();
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    eventually("a task on every worker", || done.load(Ordering::SeqCst) == count).await;
}

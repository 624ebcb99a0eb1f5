//! What the browser tests share: one set of workers and one pool for each page, and ways to wait without blocking.
#![cfg(target_arch = "wasm32")]

pub mod stress;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
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
    loop {
        match mutex.try_lock() {
            Ok(guard) => return guard,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Poisoned(error)) => panic!("{error}"),
        }
    }
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

/// Waits, without blocking, until `done`; fails after a minute with `what`, or if the watchdog of a pool has barked meanwhile.
pub async fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_watched(what, done).await;
    no_watchdog();
}

/// [`eventually`] where the watchdog may bark.
pub async fn eventually_watched(what: &str, mut done: impl FnMut() -> bool) {
    let start = now();
    while !done() {
        assert!(now() - start < 60_000.0, "not in a minute: {what}");
        sleep(1).await;
    }
}

/// The future's value; fails after a minute with `what`.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let (mut future, mut late) = (pin!(future), pin!(sleep(60_000)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Pending => {
            assert!(late.as_mut().poll(context).is_pending(), "not in a minute: {what}");
            Poll::Pending
        }
        ready => {
            no_watchdog();
            ready
        }
    })
    .await
}

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

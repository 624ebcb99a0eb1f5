//! A worker that does not report in time.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests_browser::{Soon, eval, eventually, sleep};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::{AtomicU32, notify_all, wait};
use weblane_workers::{Message, Options, StartCause, Status, ThreadId, init, ready, send, status};

wasm_bindgen_test_configure!(run_in_browser);

static GO: AtomicU32 = AtomicU32::new(0);
static HANGS: AtomicBool = AtomicBool::new(false);
static HAS_HUNG: AtomicBool = AtomicBool::new(false);

/// The start's timer fires when the test says so, not when a slow machine has had no time for the other worker. (`start_late` has a real one.)
const KEEP_TIMER: &str = "{ const timer = globalThis.setTimeout; globalThis.setTimeout = (run, after, ...args) => { \
    if (after !== 1500) return timer(run, after, ...args); \
    globalThis.weblaneTimeIsUp = run; globalThis.setTimeout = timer; return 0; }; } 1";

#[wasm_bindgen_test]
async fn a_worker_that_does_not_report_is_an_error_that_says_how_far_it_came() {
    let timeout = Duration::from_millis(1500);
    let hang_in_the_second = |id: ThreadId| {
        if id.index() == 2 {
            HANGS.store(true, Ordering::Release);
            while GO.load(Ordering::Acquire) == 0 {
                let _ = wait(&GO, 0, None);
            }
            HAS_HUNG.store(true, Ordering::Release);
        }
    };
    eval(KEEP_TIMER);
    let ids = init(Options::new().count(2).start_timeout(timeout).on_init(hang_in_the_second)).expect("workers");
    eventually("one to be up, and one to hang", || {
        status(ids[0]) == Some(Status::Ready) && HANGS.load(Ordering::Acquire)
    })
    .await;
    eval("weblaneTimeIsUp(); 1");
    let error = ready().soon().await.expect_err("one hangs");
    assert_eq!((error.thread(), error.reached()), (ids[1], Status::Instantiated));
    assert_eq!(*error.cause(), StartCause::TimedOut { after: timeout });
    let text = error.to_string();
    assert!(
        text.contains("worker 2") && text.contains("1500 ms") && text.contains("`on_init` has not returned"),
        "{text}"
    );
    let expected = (Some(Status::Ready), Some(Status::Failed));
    assert_eq!((status(ids[0]), status(ids[1])), expected);
    // When `on_init` returns at last, the worker learns that it was given up.
    GO.store(1, Ordering::Release);
    notify_all(&GO);
    eventually("the worker has hung", || HAS_HUNG.load(Ordering::Acquire)).await;
    sleep(300).await;
    assert_eq!((status(ids[0]), status(ids[1])), expected);
    assert!(send(ids[1], Message::new(|_, _| ())).is_err(), "nobody would run it");
}

//! A worker that does not report in time.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests_browser::{Soon, eventually, sleep};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::{AtomicU32, wait};
use weblane_workers::{Message, Options, StartCause, Status, ThreadId, init, ready, send, status};

wasm_bindgen_test_configure!(run_in_browser);

static HAS_HUNG: AtomicBool = AtomicBool::new(false);

#[wasm_bindgen_test]
async fn a_worker_that_does_not_report_is_an_error_that_says_how_far_it_came() {
    let timeout = Duration::from_millis(1500);
    let hang_in_the_second = |id: ThreadId| {
        if id.index() == 2 {
            // Far longer than the time-out.
            let _ = wait(&AtomicU32::new(0), 0, Some(Duration::from_secs(4)));
            HAS_HUNG.store(true, Ordering::Release);
        }
    };
    let ids = init(Options::new().count(2).start_timeout(timeout).on_init(hang_in_the_second)).expect("workers");
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
    eventually("the worker has hung", || HAS_HUNG.load(Ordering::Acquire)).await;
    sleep(300).await;
    assert_eq!((status(ids[0]), status(ids[1])), expected);
    assert!(send(ids[1], Message::new(|_, _| ())).is_err(), "nobody would run it");
}

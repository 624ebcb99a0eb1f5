//! A worker that would block on a word for which it has armed `wait_async` is told so. The panic costs that worker, so this page is its own.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tests_browser::{eventually, sleep, workers};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::web::wait_async;
use weblane_futex::{Wait, wait_timeout};
use weblane_workers::{Message, Status, send, status};

wasm_bindgen_test_configure!(run_in_browser);

static ARMED: AtomicU32 = AtomicU32::new(0);
static OTHER: AtomicU32 = AtomicU32::new(0);

#[wasm_bindgen_test]
async fn blocking_on_a_word_that_is_armed_here_is_a_panic_and_not_a_hang() {
    let ids = workers().await;
    let step = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&step);
    let run = move |_, _| {
        let mut waiting = Box::pin(wait_async(&ARMED, 0, None));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // Another word is no matter.
        assert_eq!(wait_timeout(&OTHER, 0, Duration::from_millis(1)), Ok(Wait::TimedOut));
        // A waiter whose future is gone is in the list all the same.
        drop(waiting);
        inner.store(1, Ordering::SeqCst);
        let _ = wait_timeout(&ARMED, 0, Duration::from_millis(1));
        inner.store(2, Ordering::SeqCst);
    };
    send(ids[0], Message::new(run)).expect("a living worker");
    eventually("the worker to come", || step.load(Ordering::SeqCst) > 0).await;
    eventually("the worker to be lost", || status(ids[0]) == Some(Status::Dead)).await;
    assert_eq!(step.load(Ordering::SeqCst), 1, "the console shows the panic");

    // Another thread may block on it: only the armed one may not.
    let step = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&step);
    let run = move |_, _| {
        let _ = wait_timeout(&ARMED, 0, Duration::from_millis(1));
        inner.store(2, Ordering::SeqCst);
    };
    send(ids[1], Message::new(run)).expect("a living worker");
    eventually("the other worker", || step.load(Ordering::SeqCst) == 2).await;
    sleep(1).await;
}

//! A worker that comes up after its start time-out.
#![cfg(target_arch = "wasm32")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use tests_browser::{Soon, sleep};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::{AtomicU32, notify_all, wait};
use weblane_workers::{Message, Options, SendErrorReason, StartCause, Status, init, ready, send, status};

wasm_bindgen_test_configure!(run_in_browser);

static GO: AtomicU32 = AtomicU32::new(0);

#[wasm_bindgen_test]
async fn a_worker_that_comes_up_late_stays_failed_and_gets_no_messages() {
    let timeout = Duration::from_millis(1);
    // However quick they are, and however slow this thread.
    let late = |_| {
        while GO.load(Ordering::SeqCst) == 0 {
            let _ = wait(&GO, 0, None);
        }
    };
    let ids = init(Options::new().count(2).start_timeout(timeout).on_init(late)).expect("workers");
    let error = ready().soon().await.expect_err("they are late");
    assert_eq!(*error.cause(), StartCause::TimedOut { after: timeout });
    GO.store(1, Ordering::SeqCst);
    notify_all(&GO);
    // Those that had not come so far when their time was up have stopped by themselves.
    sleep(1500).await;
    for id in ids {
        assert_eq!(status(id), Some(Status::Failed));
        let refused = send(id, Message::new(|_, _| ())).expect_err("nobody would run it");
        assert_eq!(*refused.reason(), SendErrorReason::LostThread(id, Status::Failed));
    }
    assert!(ready().soon().await.is_err(), "still");
}

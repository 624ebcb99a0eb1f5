//! A worker that comes up after its start time-out.
#![cfg(target_arch = "wasm32")]

use std::time::Duration;

use tests_browser::{Soon, sleep};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_workers::{Message, Options, SendErrorReason, StartCause, Status, init, ready, send, status};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn a_worker_that_comes_up_late_stays_failed_and_gets_no_messages() {
    // No worker is as quick as this; all of them come up a moment later.
    let timeout = Duration::from_millis(1);
    let ids = init(Options::new().count(2).start_timeout(timeout)).expect("workers");
    let error = ready().soon().await.expect_err("they are late");
    assert_eq!(*error.cause(), StartCause::TimedOut { after: timeout });
    sleep(1500).await;
    for id in ids {
        assert_eq!(status(id), Some(Status::Failed));
        let refused = send(id, Message::new(|_, _| ())).expect_err("nobody would run it");
        assert_eq!(*refused.reason(), SendErrorReason::LostThread(id, Status::Failed));
    }
    assert!(ready().soon().await.is_err(), "still");
}

//! A worker script that is not there.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;

use tests_browser::Soon;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{PoolError, ThreadPool};
use weblane_workers::{Message, Options, SendErrorReason, StartCause, Status, init, ready, send, status};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn a_script_that_is_not_there_is_named() {
    let ids = init(Options::new().count(2).script_url("/nowhere/worker.js")).expect("the browser tells later");
    let held = Arc::new(());
    let inner = Arc::clone(&held);
    send(ids[1], Message::new(move |_, _| drop(inner))).expect("queued: nobody knows yet");
    let error = ready().soon().await.expect_err("it is not there");
    match error.cause() {
        StartCause::ScriptNotLoaded { url } => {
            assert!(url.starts_with("http") && url.ends_with("/nowhere/worker.js"), "{url}")
        }
        other => panic!("{other:?}"),
    }
    assert!(ids.contains(&error.thread()));
    assert_eq!(error.reached(), Status::Created);
    let text = error.to_string();
    assert!(
        text.contains("/nowhere/worker.js") && text.contains("status 200") && text.contains("script_url"),
        "{text}"
    );

    // Both are lost, what waited for them is gone, and nothing hangs.
    tests_browser::eventually("both to fail", || ids.iter().all(|id| status(*id) == Some(Status::Failed))).await;
    assert_eq!(Arc::strong_count(&held), 1, "the closure is dropped");
    let error = send(ids[0], Message::new(|_, _| ())).expect_err("it is lost");
    assert_eq!(*error.reason(), SendErrorReason::LostThread(ids[0], Status::Failed));
    assert_eq!(ThreadPool::new(ids.clone()).expect_err("no threads"), PoolError::LostThread(ids[0], Status::Failed));
}

//! A task that traps, in a build where panics abort: its worker is lost, and nothing else.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tests_browser::{Soon, WORKERS, eventually, pool, workers};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{JoinError, JsTask, PoolError, ThreadPool};
use weblane_workers::{Message, SendErrorReason, Status, send, status};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn race_18_a_trap_costs_one_worker_and_the_pool_goes_on() {
    let (ids, pool) = (workers().await, pool().await);
    let handle = pool.spawn(|| -> u32 { panic!("on purpose: the console shows this") });
    let dead = || ids.iter().copied().filter(|id| status(*id) == Some(Status::Dead)).collect::<Vec<_>>();
    eventually("a dead worker", || !dead().is_empty()).await;
    let lost = dead()[0];
    match handle.soon().await {
        Err(JoinError::Trapped(words)) => assert!(words.contains("on purpose"), "{words:?}"),
        other => panic!("{other:?}"),
    }

    // Rust tasks from outside and inside, on the workers that are left.
    let count = Arc::new(AtomicU32::new(0));
    for _ in 0..1000 {
        let (count, inner) = (Arc::clone(&count), pool.clone());
        pool.spawn_detached(move || {
            let count = Arc::clone(&count);
            inner.spawn_detached(move || {
                count.fetch_add(1, Ordering::SeqCst);
            });
        });
    }
    eventually("all tasks", || count.load(Ordering::SeqCst) == 1000).await;

    // JS tasks go around it; one that is for it is an error.
    for _ in 0..2 * WORKERS {
        let handle =
            pool.spawn_js(JsTask::new(Ok::<JsValue, JsValue>).payload(1.into())).expect("placed on a living worker");
        assert_ne!(handle.thread(), lost);
        assert_eq!(handle.soon().await.expect("a reply"), 1);
    }
    let reason = SendErrorReason::LostThread(lost, Status::Dead);
    let error = pool.spawn_js_on(lost, JsTask::new(Ok::<JsValue, JsValue>)).expect_err("it is dead");
    assert_eq!(*error.reason(), reason);
    assert_eq!(*send(lost, Message::new(|_, _| ())).expect_err("it is dead").reason(), reason);
    assert_eq!(ThreadPool::new(vec![lost]).expect_err("it is dead"), PoolError::LostThread(lost, Status::Dead));
    assert_eq!(dead(), [lost], "nobody else");
}

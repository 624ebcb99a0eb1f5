//! The watchdog in a page: a wake-up that is lost on purpose is noticed by the main thread's timer, reported with every word, and cured.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tests_browser::{eval, eventually_watched, sleep, workers};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{ThreadPool, lose_a_wake_up, watchdog_barks};
use weblane_workers::word;

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn a_lost_wake_up_is_noticed_reported_and_cured_in_a_page() {
    let ids = workers().await;
    let pool = ThreadPool::new(ids.clone()).expect("a pool");
    let asleep = || ids.iter().all(|id| word(*id).expect("there").load().parked());
    eval(
        "globalThis.weblaneErrors = []; { const original = console.error; console.error = (...args) => { weblaneErrors.push(args.join(' ')); original(...args); }; } 1",
    );
    eventually_watched("all asleep", asleep).await;
    // Asleep with nothing queued: silence.
    sleep(2_500).await;
    assert_eq!(watchdog_barks(), 0);

    let ran = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&ran);
    lose_a_wake_up(&pool, move || {
        inner.fetch_add(1, Ordering::SeqCst);
    });
    // Nobody comes for it, until the watchdog calls.
    sleep(0).await;
    assert_eq!((ran.load(Ordering::SeqCst), watchdog_barks()), (0, 0));
    eventually_watched("the watchdog to call", || ran.load(Ordering::SeqCst) == 1).await;
    assert_eq!(watchdog_barks(), 1);
    let report = eval("weblaneErrors.filter(text => text.includes('all workers sleep')).join('\\n')");
    let report = report.as_string().expect("a text");
    for part in [
        "sleepers: 0b1111",
        "in the shared queues: [0, 1, 0]",
        "present: 0b1111",
        "worker 3: WordState",
        "parked: true",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    // It has its pool going again, and is quiet.
    let (mut task, mut value) = (pool.spawn(|| 3), None);
    eventually_watched("a task", || {
        value = task.try_join();
        value.is_some()
    })
    .await;
    assert!(matches!(value, Some(Ok(3))));
    eventually_watched("all asleep again", asleep).await;
    sleep(2_500).await;
    assert_eq!(watchdog_barks(), 1);
}

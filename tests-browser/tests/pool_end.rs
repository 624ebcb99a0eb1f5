//! How pools end in a browser, and how tasks do: shutdown, cancellation, priorities; a pool that loses a worker.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tests_browser::{Soon, eventually, sleep, soon, workers};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{Closed, JoinError, JsTask, Priority, Shutdown, ShutdownError, ThreadPool};
use weblane_sync::{LockError, Mutex};
use weblane_workers::{Status, status};

wasm_bindgen_test_configure!(run_in_browser);

/// A pool of the workers that are alive.
async fn pool() -> ThreadPool {
    let ids = workers().await;
    ThreadPool::new(ids.into_iter().filter(|id| status(*id) == Some(Status::Ready)).collect()).expect("they are free")
}

fn count_up(count: &Arc<AtomicU32>) -> impl FnOnce() + Send + 'static {
    let count = Arc::clone(count);
    move || {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Races 28, 29: the main thread awaits the end; everything that was accepted has run, what comes later is told; the threads are free at once.
#[wasm_bindgen_test]
async fn race_28_a_drained_pool_has_run_everything_and_its_threads_are_free() {
    for round in 0..20_u32 {
        let pool = pool().await;
        let count = Arc::new(AtomicU32::new(0));
        for _ in 0..500 {
            let (inner, child) = (pool.clone(), count_up(&count));
            pool.spawn_detached(move || inner.spawn_detached(child));
        }
        let js = pool.spawn_js(JsTask::new(Ok::<JsValue, JsValue>).payload(round.into())).expect("sent");
        let end = pool.shutdown(Shutdown::Drain);
        assert_eq!(pool.try_spawn_detached(Priority::Normal, || ()), Err(Closed));
        assert!(matches!(pool.spawn(|| 1).soon().await, Err(JoinError::Closed)));
        // It may be over at any moment.
        assert!(matches!(end.wait(), Ok(()) | Err(ShutdownError::MayNotBlock)));
        soon("the end", end).await;
        assert_eq!(count.load(Ordering::Relaxed), 500, "round {round}");
        assert_eq!(soon("the JS task", js).await, Ok(round.into()), "what is under way runs in any case");
    }
}

#[wasm_bindgen_test]
async fn race_29_discarded_tasks_tell_their_handles() {
    let pool = pool().await;
    let (gate, started) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let workers = pool.threads().len();
    for _ in 0..workers {
        let (gate, started) = (Arc::clone(&gate), count_up(&started));
        pool.spawn_detached(move || {
            started();
            while gate.load(Ordering::Relaxed) == 0 {
                let _ = weblane_futex::wait(&gate, 0, None);
            }
        });
    }
    eventually("all are busy", || started.load(Ordering::Relaxed) as usize == workers).await;
    let handles: Vec<_> = (0..300).map(|i| pool.spawn(move || i)).collect();
    let end = pool.shutdown(Shutdown::Discard);
    gate.store(1, Ordering::Relaxed);
    weblane_futex::notify_all(&gate);
    soon("the end", end).await;
    for handle in handles {
        assert!(matches!(handle.soon().await, Err(JoinError::Cancelled)));
    }
    assert_eq!(pool.metrics().workers.iter().map(|worker| worker.discarded).sum::<u64>(), 300);
}

#[wasm_bindgen_test]
async fn a_running_task_learns_that_it_was_cancelled_and_a_queued_one_is_dropped() {
    let pool = pool().await;
    let workers = pool.threads().len();
    let started = Arc::new(AtomicU32::new(0));
    let running: Vec<_> = (0..workers)
        .map(|_| {
            let started = count_up(&started);
            pool.spawn_cancellable(Priority::Normal, move |token| {
                started();
                let nap = weblane_futex::AtomicU32::new(0);
                while !token.is_cancelled() {
                    let _ = weblane_futex::wait(&nap, 0, Some(core::time::Duration::from_millis(1)));
                }
                "early"
            })
        })
        .collect();
    eventually("all are busy", || started.load(Ordering::Relaxed) as usize == workers).await;
    let queued = pool.spawn(|| "never");
    assert!(queued.cancel());
    assert!(matches!(queued.soon().await, Err(JoinError::Cancelled)));
    for handle in running {
        assert!(!handle.cancel(), "it runs");
        assert_eq!(soon("the task", handle).await.expect("it returned"), "early");
    }
    soon("the end", pool.shutdown(Shutdown::Drain)).await;
}

/// Races 14, 18: panics abort here. The worker is lost; its task's handle says so, with the panic's words; whoever waits for the task in another worker is told;
/// a lock that it held says that its holder is dead; and the pool goes on, drains, and ends.
#[wasm_bindgen_test]
async fn race_18_a_trapped_task_tells_everybody_who_waits() {
    static SHARED: Mutex<u32> = Mutex::new(1);
    let pool = pool().await;
    let alive = pool.threads().len();
    let (gate, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (waiting, started) = (Arc::clone(&gate), count_up(&count));
    let mut doomed = pool.spawn(move || {
        let guard = SHARED.lock().expect("free");
        started();
        while waiting.load(Ordering::Relaxed) == 0 {
            let _ = weblane_futex::wait(&waiting, 0, None);
        }
        assert!(*guard > 100, "on purpose: the console shows this");
    });
    eventually("it runs", || count.load(Ordering::Relaxed) == 1).await;
    assert!(doomed.try_join().is_none());
    let joining = pool.spawn(move || match doomed.join() {
        Err(JoinError::Trapped(words)) => words,
        other => format!("{other:?}"),
    });
    let locking = pool.spawn(|| SHARED.lock().map(|_| ()).err());
    sleep(20).await;
    gate.store(1, Ordering::Relaxed);
    weblane_futex::notify_all(&gate);
    let words = soon("the one that joined", joining).await.expect("no panic");
    assert!(words.contains("on purpose"), "{words:?}");
    assert_eq!(soon("the one that locked", locking).await.expect("no panic"), Some(LockError::Abandoned));
    // The others go on.
    let after = Arc::new(AtomicU32::new(0));
    for _ in 0..1_000 {
        let (inner, child) = (pool.clone(), count_up(&after));
        pool.spawn_detached(move || inner.spawn_detached(child));
    }
    soon("the end", pool.shutdown(Shutdown::Drain)).await;
    assert_eq!(after.load(Ordering::Relaxed), 1_000);
    let ids = workers().await;
    assert_eq!(ids.into_iter().filter(|id| status(*id) == Some(Status::Ready)).count(), alive - 1);
}

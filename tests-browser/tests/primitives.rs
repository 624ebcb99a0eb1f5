//! futex and locks where blocking is forbidden, and where it is not.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tests_browser::{Soon, eventually, pool, sleep};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::{AtomicU32, MayNotBlock, Wait, can_block, notify_all, wait};
use weblane_sync::{Condvar, LockError, Mutex};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
async fn the_main_thread_may_not_wait_and_workers_may() {
    let pool = pool().await;
    assert!(!can_block());
    assert_eq!(wait(&AtomicU32::new(0), 0, None), Err(MayNotBlock), "an error, not a trap");
    let outcomes = pool.spawn(|| {
        let word = AtomicU32::new(0);
        (can_block(), wait(&word, 1, None), wait(&word, 0, Some(Duration::from_millis(5))))
    });
    assert_eq!(outcomes.soon().await.expect("no panic"), (true, Ok(Wait::Mismatch), Ok(Wait::TimedOut)));
}

#[wasm_bindgen_test]
async fn the_main_thread_wakes_a_worker() {
    let pool = pool().await;
    let word = Arc::new(AtomicU32::new(0));
    let inner = Arc::clone(&word);
    let waiter = pool.spawn(move || {
        while inner.load(Ordering::Acquire) == 0 {
            wait(&inner, 0, None).expect("may block");
        }
        inner.load(Ordering::Relaxed)
    });
    sleep(20).await;
    word.swap(9, Ordering::Release);
    notify_all(&word);
    assert_eq!(waiter.soon().await.expect("no panic"), 9);
}

/// Race 42: the main thread and workers share a lock, and the main thread never sleeps on it.
#[wasm_bindgen_test]
async fn race_42_a_mutex_is_for_the_main_thread_too() {
    const EACH: u32 = 20_000;
    let pool = pool().await;
    let total = Arc::new(Mutex::new(0_u32));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let total = Arc::clone(&total);
            pool.spawn(move || (0..EACH).for_each(|_| *total.lock().expect("may block") += 1))
        })
        .collect();
    let mut own = 0;
    eventually("the main thread's share", || {
        while own < EACH {
            match total.lock() {
                Ok(mut total) => {
                    *total += 1;
                    own += 1;
                }
                // Held for longer than the main thread spins: later.
                Err(_) => return false,
            }
        }
        true
    })
    .await;
    for task in tasks {
        task.soon().await.expect("no panic");
    }
    assert_eq!(*total.lock().expect("nobody has it"), 4 * EACH);
}

#[wasm_bindgen_test]
async fn a_lock_that_stays_held_is_an_error_on_the_main_thread() {
    let pool = pool().await;
    let (mutex, held, release) =
        (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (inner, inner_held, inner_release) = (Arc::clone(&mutex), Arc::clone(&held), Arc::clone(&release));
    let holder = pool.spawn(move || {
        let _guard = inner.lock().expect("may block");
        inner_held.store(true, Ordering::SeqCst);
        while inner_release.load(Ordering::SeqCst) == 0 {
            wait(&inner_release, 0, None).expect("may block");
        }
        inner_held.store(false, Ordering::SeqCst);
    });
    eventually("the lock to be held", || held.load(Ordering::SeqCst)).await;
    assert!(mutex.try_lock().is_none());
    assert_eq!(mutex.lock().err(), Some(LockError::MayNotBlock));
    assert!(held.load(Ordering::SeqCst), "the main thread did not wait for it");
    release.store(1, Ordering::SeqCst);
    notify_all(&release);
    holder.soon().await.expect("no panic");
    assert!(mutex.lock().is_ok());
}

#[wasm_bindgen_test]
async fn a_condition_wakes_workers_and_gives_the_main_thread_its_guard_back() {
    let pool = pool().await;
    let shared = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
    let consumers: Vec<_> = (0..3)
        .map(|_| {
            let shared = Arc::clone(&shared);
            pool.spawn(move || {
                let (queue, filled) = &*shared;
                let guard = queue.lock().expect("may block");
                filled.wait_while(guard, |queue| queue.is_empty()).expect("may block").pop().expect("not empty")
            })
        })
        .collect();
    sleep(20).await;
    let mut sum = 0;
    for value in 1..=3_u32 {
        let mut free = None;
        eventually("the lock", || {
            free = shared.0.lock().ok();
            free.is_some()
        })
        .await;
        let mut guard = free.expect("locked");
        guard = shared.1.wait(guard).expect_err("the main thread may not wait").into_guard().expect("still held");
        guard.push(value);
        drop(guard);
        shared.1.notify_one();
        sleep(5).await;
    }
    for consumer in consumers {
        sum += consumer.soon().await.expect("no panic");
    }
    assert_eq!(sum, 6);
}

//! A worker that traps while it holds locks: everybody who waits for them, or comes for them, learns it.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tests_browser::{Soon, eventually, pool, sleep, workers};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_sync::{LockError, Mutex, OnceLock, RwLock, ThreadNumber};
use weblane_workers::{Status, status};

wasm_bindgen_test_configure!(run_in_browser);

#[derive(Default)]
struct Shared {
    mutex: Mutex<u32>,
    lock: RwLock<u32>,
    cell: OnceLock<u32>,
    held: AtomicBool,
    die: AtomicBool,
    waiting: AtomicU32,
}

#[wasm_bindgen_test]
async fn everybody_learns_that_the_holder_is_dead() {
    let (ids, pool) = (workers().await, pool().await);
    let shared = Arc::new(Shared::default());
    let number = ThreadNumber::claim().expect("few threads").to_bits();
    let inner = Arc::clone(&shared);
    pool.spawn_detached(move || {
        ThreadNumber::from_bits(number).expect("a number").adopt();
        let mut guards = (inner.mutex.lock().expect("free"), inner.lock.write().expect("free"));
        (*guards.0, *guards.1) = (1, 1);
        _ = inner.cell.get_or_init(|| {
            inner.held.store(true, Ordering::SeqCst);
            while !inner.die.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            panic!("on purpose: the console shows this")
        });
    });
    eventually("the locks to be held", || shared.held.load(Ordering::SeqCst)).await;

    // Two workers that sleep, one with a number and one without; and a future.
    let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
    let sleeper = pool.spawn(move || {
        ThreadNumber::claim().expect("few threads").adopt();
        one.waiting.fetch_add(1, Ordering::SeqCst);
        (one.mutex.lock().err(), one.lock.read().err(), *one.cell.get_or_init(|| 5).expect("may block"))
    });
    let nameless = pool.spawn(move || {
        two.waiting.fetch_add(1, Ordering::SeqCst);
        two.lock.write().err()
    });
    eventually("the workers to wait", || shared.waiting.load(Ordering::SeqCst) == 2).await;
    sleep(50).await;
    assert_eq!(shared.mutex.lock().err(), Some(LockError::MayNotBlock), "held, by a thread that lives");

    shared.die.store(true, Ordering::SeqCst);
    eventually("a dead worker", || ids.iter().any(|id| status(*id) == Some(Status::Dead))).await;
    ThreadNumber::from_bits(number).expect("a number").abandon();

    let dead = Some(LockError::Abandoned);
    assert_eq!(shared.mutex.lock_async().soon().await.err(), dead);
    assert_eq!(sleeper.soon().await.expect("no panic"), (dead, dead, 5));
    assert_eq!(nameless.soon().await.expect("no panic"), dead);
    assert_eq!((shared.mutex.lock().err(), shared.lock.read_spinning(9).err()), (dead, dead));
    assert!(shared.mutex.try_lock().is_none() && shared.mutex.is_abandoned());

    // As it was left; and afterwards a lock like any other.
    assert_eq!(shared.mutex.recover().map(|guard| *guard), Some(1));
    assert_eq!(shared.lock.recover().map(|guard| *guard), Some(1));
    assert!(shared.mutex.recover().is_none());
    assert!(shared.mutex.lock().is_ok() && shared.lock.read().is_ok());
    assert_eq!(shared.cell.get(), Some(&5), "made by who waited for it");
}

//! Every interleaving of a thread's death with those who wait for what it held.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{block_on, model};
use loom::sync::Arc;
use loom::thread;
use weblane_sync::{LockError, Mutex, RwLock, ThreadNumber};

/// A number for this thread; and one for the thread that is going to die.
fn numbers() -> ThreadNumber {
    ThreadNumber::claim().unwrap().adopt();
    ThreadNumber::claim().unwrap()
}

/// Another thread, which dies: what it does is done as `number`.
fn as_the_dead(number: ThreadNumber, work: impl FnOnce() + 'static) {
    thread::spawn(move || {
        number.adopt();
        work()
    })
    .join()
    .unwrap()
}

/// A thread that waits for a mutex whose holder dies learns it, however far it has come; and it can be recovered, with what was written.
#[test]
fn mutex_sleeper_vs_abandon() {
    model(|| {
        let dead = numbers();
        let mutex = Arc::new(Mutex::new(0));
        let other = Arc::clone(&mutex);
        as_the_dead(dead, move || {
            let mut guard = other.lock().unwrap();
            *guard = 1;
            guard.keep();
        });
        let other = Arc::clone(&mutex);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            match other.lock() {
                Err(error) => {
                    assert_eq!(error, LockError::Abandoned);
                    other.recover().map(|guard| *guard)
                }
                // The other one was faster.
                Ok(_) => None,
            }
        });
        dead.abandon();
        let own = mutex.recover().map(|guard| *guard);
        assert!(matches!((own, waiter.join().unwrap()), (Some(1), None) | (None, Some(1))), "one recovers it");
        assert!(mutex.lock().is_ok());
    });
}

/// The same for a future.
#[test]
fn mutex_future_vs_abandon() {
    model(|| {
        let dead = numbers();
        let mutex = Arc::new(Mutex::new(0));
        let other = Arc::clone(&mutex);
        as_the_dead(dead, move || other.lock().unwrap().keep());
        let other = Arc::clone(&mutex);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            assert_eq!(block_on(other.lock_async()).err(), Some(LockError::Abandoned));
        });
        dead.abandon();
        waiter.join().unwrap();
    });
}

/// For a writer, who sleeps on another word than the one that is marked.
#[test]
fn rwlock_writer_vs_abandon() {
    model(|| {
        let dead = numbers();
        let lock = Arc::new(RwLock::new(0));
        let other = Arc::clone(&lock);
        as_the_dead(dead, move || other.write().unwrap().keep());
        let other = Arc::clone(&lock);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            assert_eq!(other.write().err(), Some(LockError::Abandoned));
        });
        dead.abandon();
        waiter.join().unwrap();
        assert!(lock.recover().is_some());
        assert!(lock.try_read().is_some());
    });
}

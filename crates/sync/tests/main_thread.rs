//! A thread that may not block, in a process of its own because the hook is process-wide.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use weblane_sync::{Condvar, LockError, MayNotBlock, Mutex, ThreadWord, set_can_block};

#[test]
fn a_thread_that_may_not_block_never_waits() {
    set_can_block(|| thread::current().name() == Some("worker"));
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    *shared.0.lock().expect("free locks are for everybody") = 1;

    // Held by a worker for as long as we like: an error, in bounded time.
    let (held, is_held) = channel();
    let (release, released) = channel::<()>();
    let inner = Arc::clone(&shared);
    let worker = thread::Builder::new().name("worker".into()).spawn(move || {
        let guard = inner.0.lock().expect("may block");
        held.send(()).expect("the test waits");
        released.recv().expect("the test releases");
        drop(guard);
        let guard = inner.1.wait_while(inner.0.lock().expect("may block"), |value| *value != 2).expect("may block");
        *guard
    });
    is_held.recv().expect("the worker holds it");
    assert_eq!(shared.0.lock().err(), Some(LockError::MayNotBlock));
    assert!(shared.0.try_lock().is_none());
    release.send(()).expect("the worker waits");

    // Race 42: released soon, it is ours without ever sleeping.
    let mut guard = loop {
        if let Ok(guard) = shared.0.lock() {
            break guard;
        }
    };

    // A condition gives the guard back, still locked.
    guard = shared.1.wait(guard).expect_err("may not block").into_guard().expect("still held");
    guard = shared
        .1
        .wait_timeout(guard, Duration::from_secs(1))
        .expect_err("may not block")
        .into_guard()
        .expect("still held");
    let text = shared.1.wait_while(guard, |_| true).expect_err("may not block").to_string();
    assert!(text.contains("may not block"), "{text}");
    *shared.0.lock().expect("the error's guard is gone") = 2;
    shared.1.notify_all();
    assert_eq!(worker.expect("a thread").join().expect("no panic"), 2);

    let word = ThreadWord::new();
    assert_eq!(word.park(), Err(MayNotBlock));
    assert!(!word.load().parked());
}

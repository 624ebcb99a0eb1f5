//! The model futex against its own promises: `RUSTFLAGS="--cfg loom" cargo test -p weblane-futex --release`.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use loom::sync::Arc;
use loom::thread;
use std::sync::Mutex as RealMutex;
use std::sync::atomic::Ordering;

use weblane_futex::{AtomicU32, Wait, notify, notify_all, notify_one, wait};

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(check);
}

/// A change followed by a notification is not missed, at whatever step of the wait it comes.
#[test]
fn change_and_notify_vs_wait() {
    model(|| {
        let word = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&word);
        let waiter = thread::spawn(move || {
            while other.load(Ordering::Acquire) == 0 {
                wait(&other, 0, None).unwrap();
            }
        });
        word.store(1, Ordering::Release);
        notify_one(&word);
        waiter.join().unwrap();
    });
}

/// Two sleepers, one notification: exactly one of them goes on until the second comes.
#[test]
fn counts_are_exact() {
    model(|| {
        let word = Arc::new(AtomicU32::new(0));
        let waiters = [0, 1].map(|_| {
            let word = Arc::clone(&word);
            thread::spawn(move || wait(&word, 0, None).unwrap() == Wait::Woken)
        });
        let first = notify(&word, 1);
        assert!(first <= 1);
        word.store(1, Ordering::Release);
        let rest = notify_all(&word);
        let slept = waiters.map(|waiter| waiter.join().unwrap()).iter().filter(|slept| **slept).count();
        assert_eq!(slept as u32, first + rest);
    });
}

/// A timed wait ends in both ways, and never hangs.
#[test]
fn time_outs_come_before_and_after() {
    let seen = std::sync::Arc::new(RealMutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    model(move || {
        let word = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&word);
        let waiter = thread::spawn(move || wait(&other, 0, Some(core::time::Duration::from_secs(1))).unwrap());
        notify_one(&word);
        let outcome = waiter.join().unwrap();
        log.lock().unwrap().push(outcome);
    });
    let seen = seen.lock().unwrap();
    assert!(seen.contains(&Wait::TimedOut) && seen.contains(&Wait::Woken));
}

//! Every interleaving of a thread's death with those who wait for what it held.
//!
//! The main thread plays the dead one: it takes the dead one's number for as long as that lives, and ends its guards without unlocking. The waiters exist before, so
//! that they know of nothing but what the words and tables tell them.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{block_on, model};
use loom::sync::Arc;
use loom::thread;
use weblane_sync::{LockError, Mutex, RwLock, ThreadNumber, ThreadWord};

/// Lives as another thread, holds what `work` leaves held, and dies.
fn live_and_die(work: impl FnOnce()) {
    let (own, dead) = (ThreadNumber::claim().unwrap(), ThreadNumber::claim().unwrap());
    dead.adopt();
    work();
    own.adopt();
    dead.abandon();
}

/// A thread that waits for a mutex whose holder dies learns it, however far it has come; one recovers it, and sees what was written.
#[test]
fn mutex_sleeper_vs_abandon() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let other = Arc::clone(&mutex);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            match other.lock() {
                Err(error) => {
                    assert_eq!(error, LockError::Abandoned);
                    other.recover().map(|guard| *guard)
                }
                // Before it, or after the other one has recovered it.
                Ok(_) => None,
            }
        });
        live_and_die(|| {
            let mut guard = mutex.lock().unwrap();
            *guard = 1;
            guard.keep();
        });
        let own = mutex.recover().map(|guard| *guard);
        assert!(matches!((own, waiter.join().unwrap()), (Some(1), None) | (None, Some(1))), "one recovers it");
        assert!(mutex.lock().is_ok());
    });
}

/// Somebody sleeps, so the lock is marked; and somebody comes at any moment who has not waited and takes it over. He sees what was written, and has it for himself.
#[test]
fn mutex_recovered_while_it_is_marked() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let (sleeps, comes) = (Arc::clone(&mutex), Arc::clone(&mutex));
        let sleeps = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            drop(sleeps.lock());
        });
        let comes = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            comes.recover().map(|guard| *guard)
        });
        live_and_die(|| {
            let mut guard = mutex.lock().unwrap();
            *guard = 1;
            guard.keep();
        });
        let here = mutex.recover().map(|guard| *guard);
        let there = comes.join().unwrap();
        assert!(matches!((here, there), (Some(1), None) | (None, Some(1))), "one recovers it: {here:?}, {there:?}");
        sleeps.join().unwrap();
    });
}

/// Race 14: the reaper calls a thread anyway while somebody counts a message for it. Both are in the word.
#[test]
fn race_14_called_anyway_beside_a_message() {
    model(|| {
        let word = Arc::new(ThreadWord::new());
        let other = Arc::clone(&word);
        let other = thread::spawn(move || _ = other.message_posted());
        word.call_anyway();
        other.join().unwrap();
        assert!(word.load().token() && word.load().messages() == 1);
    });
    // And its own count is put right while another one is counted.
    model(|| {
        let word = Arc::new(ThreadWord::new());
        word.message_posted();
        let other = Arc::clone(&word);
        let other = thread::spawn(move || _ = other.message_posted());
        word.correct_messages(-1);
        other.join().unwrap();
        assert_eq!(word.load().messages(), 1);
    });
}

/// Nobody recovers it: the waiter learns it all the same.
#[test]
fn mutex_sleeper_is_woken() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let other = Arc::clone(&mutex);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            other.lock().is_ok()
        });
        live_and_die(|| mutex.lock().unwrap().keep());
        waiter.join().unwrap();
        assert_eq!(mutex.lock().err(), Some(LockError::Abandoned));
    });
}

/// The same for a future.
#[test]
fn mutex_future_vs_abandon() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let other = Arc::clone(&mutex);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            block_on(other.lock_async()).is_ok()
        });
        live_and_die(|| mutex.lock().unwrap().keep());
        waiter.join().unwrap();
        assert_eq!(block_on(mutex.lock_async()).err(), Some(LockError::Abandoned));
    });
}

/// For a writer, who sleeps on another word than the one that is marked.
#[test]
fn rwlock_writer_vs_abandon() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let other = Arc::clone(&lock);
        let waiter = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            other.write().is_ok()
        });
        live_and_die(|| lock.write().unwrap().keep());
        waiter.join().unwrap();
        assert!(lock.recover().is_some());
        assert!(lock.try_read().is_some());
    });
}

/// The same for a lock that is held for writing: a reader sleeps, so it is marked; and somebody comes at any moment who has not waited and takes it over. He sees what was written, and has it for himself.
#[test]
fn rwlock_recovered_while_it_is_marked() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let (sleeps, comes) = (Arc::clone(&lock), Arc::clone(&lock));
        let sleeps = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            drop(sleeps.read());
        });
        let comes = thread::spawn(move || {
            ThreadNumber::claim().unwrap().adopt();
            comes.recover().map(|guard| *guard)
        });
        live_and_die(|| {
            let mut guard = lock.write().unwrap();
            *guard = 1;
            guard.keep();
        });
        let here = lock.recover().map(|guard| *guard);
        let there = comes.join().unwrap();
        assert!(matches!((here, there), (Some(1), None) | (None, Some(1))), "one recovers it: {here:?}, {there:?}");
        sleeps.join().unwrap();
    });
}

/// The same for futures that read and write, however far they have come: dead is looked for once more when they are listed.
#[test]
fn rwlock_futures_vs_abandon() {
    for writes in [false, true] {
        model(move || {
            let lock = Arc::new(RwLock::new(0));
            let other = Arc::clone(&lock);
            let waiter = thread::spawn(move || {
                ThreadNumber::claim().unwrap().adopt();
                if writes { block_on(other.write_async()).is_ok() } else { block_on(other.read_async()).is_ok() }
            });
            live_and_die(|| lock.write().unwrap().keep());
            waiter.join().unwrap();
            assert_eq!(block_on(lock.read_async()).err(), Some(LockError::Abandoned));
        });
    }
}

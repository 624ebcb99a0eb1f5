//! Dead holders on real threads. Needs the feature `std`, without which threads have no numbers.
#![cfg(all(feature = "std", not(loom)))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::mem;
use std::thread;
use std::time::Duration;

use common::block_on;
use weblane_sync::{Condvar, LockError, Mutex, OnceLock, RwLock, ThreadNumber, WaitError};

/// A thread that dies: what its work has locked stays locked.
fn die(work: impl FnOnce() + Send) -> ThreadNumber {
    let number = ThreadNumber::claim().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            number.adopt();
            work();
        });
    });
    number
}

#[test]
fn sleepers_of_all_kinds_learn_it() {
    let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
    let number = die(|| mem::forget((mutex.lock(), lock.write())));
    thread::scope(|scope| {
        for named in [true, false] {
            let (mutex, lock) = (&mutex, &lock);
            let adopt = move || {
                if named {
                    ThreadNumber::claim().unwrap().adopt();
                }
            };
            scope.spawn(move || {
                adopt();
                assert_eq!(mutex.lock().err(), Some(LockError::Abandoned));
            });
            scope.spawn(move || {
                adopt();
                assert_eq!(lock.write().err(), Some(LockError::Abandoned));
            });
            scope.spawn(move || {
                adopt();
                assert_eq!(lock.read().err(), Some(LockError::Abandoned));
            });
            scope.spawn(move || {
                adopt();
                assert_eq!(block_on(mutex.lock_async()).err(), Some(LockError::Abandoned));
                assert_eq!(block_on(lock.read_async()).err(), Some(LockError::Abandoned));
            });
        }
        // Time for some of them to fall asleep; the outcome does not depend on it.
        thread::sleep(Duration::from_millis(20));
        number.abandon();
    });
    assert_eq!(mutex.lock_spinning(1).err(), Some(LockError::Abandoned));
    assert!(mutex.try_lock().is_none() && mutex.is_abandoned() && lock.is_abandoned());
    assert_eq!(format!("{mutex:?} {lock:?}"), "Mutex { <abandoned> } RwLock { <abandoned> }");
    *mutex.recover().unwrap() += 1;
    *lock.recover().unwrap() += 1;
    assert!(mutex.recover().is_none() && lock.recover().is_none());
    assert_eq!((*mutex.lock().unwrap(), *lock.read().unwrap()), (2, 2));
}

/// A waiter that is notified, and finds that the notifier has died with the lock in its hands.
#[test]
fn a_condition_whose_lock_is_abandoned() {
    let (mutex, condition) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        let guard = mutex.lock().unwrap();
        let dying = scope.spawn(|| {
            die(|| {
                let guard = mutex.lock().unwrap();
                condition.notify_one();
                mem::forget(guard);
            })
            .abandon();
        });
        let mut guard = Ok(guard);
        while let Ok(held) = guard {
            guard = condition.wait_timeout(held, Duration::from_millis(50)).map(|(guard, _)| guard);
        }
        assert!(matches!(guard, Err(WaitError::Abandoned)));
        dying.join().unwrap();
    });
    assert!(mutex.recover().is_some());
}

/// The maker's thread stays as it is for ever, in the middle of making: for all that others can tell it is dead.
#[test]
fn who_waits_for_a_value_makes_it_when_its_maker_dies() {
    static CELL: OnceLock<u32> = OnceLock::new();
    let number = ThreadNumber::claim().unwrap();
    let (begun, has_begun) = std::sync::mpsc::channel();
    thread::spawn(move || {
        number.adopt();
        _ = CELL.get_or_init(|| {
            begun.send(()).unwrap();
            loop {
                thread::park();
            }
        });
    });
    has_begun.recv().unwrap();
    let waiter = thread::spawn(|| {
        ThreadNumber::claim().unwrap().adopt();
        CELL.get_or_init(|| 3)
    });
    thread::sleep(Duration::from_millis(20));
    assert_eq!(CELL.try_get_or_init(|| 4), None, "it lives");
    number.abandon();
    assert_eq!(waiter.join().unwrap(), Ok(&3));
}

#[test]
fn numbers_are_used_again_unless_their_threads_died() {
    let number = ThreadNumber::claim().unwrap();
    assert_eq!(ThreadNumber::from_bits(number.to_bits()), Some(number));
    assert!(ThreadNumber::from_bits(0).is_none() && ThreadNumber::from_bits(1024).is_none());
    number.abandon();
    for _ in 0..2000 {
        let other = ThreadNumber::claim().unwrap();
        assert_ne!(other, number);
        other.retire();
    }
}

/// Threads that claim and retire at once: nobody has another one's number, and none is lost.
#[test]
fn numbers_are_nobody_elses_stress() {
    const THREADS: usize = 4;
    let mine: Mutex<Vec<ThreadNumber>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    let numbers = [(); 3].map(|()| ThreadNumber::claim().expect("enough of them"));
                    {
                        let mut all = mine.lock().unwrap();
                        for number in numbers {
                            assert!(!all.contains(&number), "two have {number:?}");
                            all.push(number);
                        }
                    }
                    // The others must be told before the numbers are given back.
                    mine.lock().unwrap().retain(|number| !numbers.contains(number));
                    numbers.into_iter().for_each(ThreadNumber::retire);
                }
            });
        }
    });
}

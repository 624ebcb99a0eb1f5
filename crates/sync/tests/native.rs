//! The locks on real threads.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use weblane_sync::{Condvar, Mutex, ThreadWord, Wake};

#[test]
fn increments_from_many_threads_add_up() {
    const THREADS: u64 = 4;
    const TIMES: u64 = 50_000;
    let total = Arc::new(Mutex::new(0_u64));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let total = Arc::clone(&total);
            thread::spawn(move || (0..TIMES).for_each(|_| *total.lock().expect("may block") += 1))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(*total.lock().expect("may block"), THREADS * TIMES);
}

#[test]
fn a_held_lock_is_not_taken_twice() {
    let mutex = Mutex::new(String::from("a"));
    let guard = mutex.lock().expect("free");
    assert!(mutex.try_lock().is_none());
    assert_eq!(format!("{mutex:?}"), "Mutex { <locked> }");
    drop(guard);
    assert_eq!(format!("{mutex:?}"), "Mutex { value: \"a\" }");
    assert_eq!(mutex.into_inner(), "a");
}

#[test]
fn a_panic_unlocks() {
    let mutex = Arc::new(Mutex::new(1));
    let inner = Arc::clone(&mutex);
    let panicked = thread::spawn(move || {
        let _guard = inner.lock();
        panic!("on purpose");
    });
    assert!(panicked.join().is_err());
    assert_eq!(*mutex.lock().expect("free again"), 1);
}

/// A bounded queue of one, both ways, with a condition for each side.
#[test]
fn conditions_hand_over_every_value() {
    const VALUES: u32 = 20_000;
    let shared = Arc::new((Mutex::new(None), Condvar::new(), Condvar::new()));
    let producer = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (slot, filled, emptied) = &*shared;
            for value in 0..VALUES {
                let mut slot =
                    emptied.wait_while(slot.lock().expect("may block"), |slot| slot.is_some()).expect("may block");
                *slot = Some(value);
                filled.notify_one();
            }
        })
    };
    let (slot, filled, emptied) = &*shared;
    for value in 0..VALUES {
        let mut slot = filled.wait_while(slot.lock().expect("may block"), |slot| slot.is_none()).expect("may block");
        assert_eq!(slot.take(), Some(value));
        emptied.notify_one();
    }
    producer.join().expect("no panic");
}

/// Race 41: a timed wait that nobody notified says so.
#[test]
fn race_41_a_time_out_is_told_from_a_notification() {
    let (mutex, condition) = (Mutex::new(()), Condvar::new());
    let guard = mutex.lock().expect("free");
    let (guard, notified) = condition.wait_timeout(guard, Duration::from_millis(1)).expect("may block");
    assert!(!notified);
    drop(guard);
}

#[test]
fn reasons_are_counted_and_kept() {
    let word = ThreadWord::new();
    assert_eq!(word.set_token(), Wake::NotNeeded, "nobody is parked");
    assert!(word.load().token() && word.load().has_reason());
    assert_eq!(word.park(), Ok(0), "a token is used up without sleeping");
    assert!(!word.load().has_reason() && !word.load().parked());
    assert_eq!(word.message_done(), -1, "race 6: handled before it was counted");
    assert!(!word.load().has_reason());
    assert_eq!(word.message_posted(), Wake::NotNeeded);
    assert!(!word.load().has_reason());
    word.message_posted();
    word.message_posted();
    assert_eq!(word.message_done(), 1, "race 5: two messages are two");
    assert_eq!(word.park(), Ok(0));
    assert_eq!(word.load().messages(), 1, "parking does not settle messages");
    word.set_stop();
    assert_eq!(word.message_done(), 0);
    assert_eq!(word.park(), Ok(0), "STOP stays in the word");
    word.clear_stop();
    assert_eq!(format!("{word:?}"), "WordState { parked: false, token: false, stop: false, messages: 0 }");
}

#[test]
fn two_threads_call_one_another_awake() {
    const ROUNDS: u32 = 20_000;
    let words = Arc::new([ThreadWord::new(), ThreadWord::new()]);
    let other = {
        let words = Arc::clone(&words);
        thread::spawn(move || {
            for _ in 0..ROUNDS {
                words[1].park().expect("may block");
                words[0].set_token();
            }
        })
    };
    for _ in 0..ROUNDS {
        words[1].set_token();
        words[0].park().expect("may block");
    }
    other.join().expect("no panic");
}

/// Race 11: of many reasons only the first notifies a parked thread.
#[test]
fn race_11_only_the_first_reason_notifies() {
    let word = Arc::new(ThreadWord::new());
    let (woken, inner) = (Arc::new(AtomicBool::new(false)), Arc::clone(&word));
    let flag = Arc::clone(&woken);
    let sleeper = thread::spawn(move || {
        inner.park().expect("may block");
        // Stays awake until every reason was given, so that none of them finds it parked again.
        while !flag.load(Ordering::Acquire) {
            thread::yield_now();
        }
    });
    while !word.load().parked() {
        thread::yield_now();
    }
    let wakes = [word.message_posted(), word.message_posted(), word.set_token(), word.set_stop()];
    woken.store(true, Ordering::Release);
    sleeper.join().expect("no panic");
    assert_ne!(wakes[0], Wake::NotNeeded);
    assert_eq!(wakes[1..], [Wake::NotNeeded; 3]);
}

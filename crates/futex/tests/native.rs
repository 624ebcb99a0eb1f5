//! Waiting and notifying on real threads.
#![cfg(not(any(loom, shuttle)))]
#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use weblane_futex::{AtomicU32, Wait, notify, notify_all, notify_one, wait};

#[test]
fn a_word_that_differs_is_not_slept_on() {
    assert_eq!(wait(&AtomicU32::new(1), 2, None), Ok(Wait::Mismatch));
}

#[cfg(target_os = "linux")]
#[test]
fn time_runs_out() {
    for timeout in [Duration::ZERO, Duration::from_millis(2)] {
        let word = AtomicU32::new(1);
        // A signal may end one wait early; it does not end all of them.
        let outcomes: Vec<_> = (0..10).map(|_| wait(&word, 1, Some(timeout))).collect();
        assert!(outcomes.contains(&Ok(Wait::TimedOut)), "{outcomes:?}");
    }
}

#[test]
fn nobody_sleeps_nobody_is_woken() {
    let word = AtomicU32::new(0);
    assert_eq!((notify(&word, 3), notify_one(&word), notify_all(&word)), (0, false, 0));
}

/// Two threads hand a number back and forth; a lost notification would hang.
#[test]
fn ping_pong_loses_nothing() {
    const ROUNDS: u32 = 20_000;
    let word = Arc::new(AtomicU32::new(0));
    let players: Vec<_> = (0..2)
        .map(|me| {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                for turn in (me..ROUNDS).step_by(2) {
                    loop {
                        let now = word.load(Ordering::Acquire);
                        if now == turn {
                            break;
                        }
                        wait(&word, now, None).expect("may block");
                    }
                    word.store(turn + 1, Ordering::Release);
                    notify_all(&word);
                }
            })
        })
        .collect();
    players.into_iter().for_each(|player| player.join().expect("no panic"));
    assert_eq!(word.load(Ordering::Relaxed), ROUNDS);
}

#[cfg(target_os = "linux")]
#[test]
fn notify_counts_whom_it_wakes() {
    const THREADS: u32 = 4;
    let (word, awake) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let sleepers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (word, awake) = (Arc::clone(&word), Arc::clone(&awake));
            thread::spawn(move || {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, None).expect("may block");
                }
                awake.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    // One sleeper after the other goes back to sleep when it is woken while the word is still 0, so ask until one was asleep.
    while !notify_one(&word) {
        thread::yield_now();
    }
    assert_eq!(awake.load(Ordering::SeqCst), 0);
    word.store(1, Ordering::Release);
    assert!(notify(&word, THREADS) <= THREADS);
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("no panic"));
}

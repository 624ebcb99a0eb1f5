//! Waiting and notifying on real threads.
#![cfg(not(any(loom, shuttle)))]
#![allow(missing_docs, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use weblane_futex::{AtomicU32, Wait, notify, notify_all, notify_one, wait, wait_timeout};

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

/// One call reaches all who sleep, and counts them.
#[cfg(target_os = "linux")]
#[test]
fn notify_all_wakes_all_at_once() {
    const THREADS: u32 = 3;
    let word = Arc::new(AtomicU32::new(0));
    let sleepers: Vec<_> = (0..THREADS)
        .map(|_| {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, None).expect("may block");
                }
            })
        })
        .collect();
    // They go back to sleep while the word is 0, so at some moment all of them are asleep.
    let all = (0..1_000_000).any(|_| {
        thread::yield_now();
        notify_all(&word) == THREADS
    });
    word.store(1, Ordering::Release);
    notify_all(&word);
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("no panic"));
    assert!(all);
}

/// Race 41: threads time out while another notifies. Every notification that was counted ended a wait as woken, and no other wait ended so.
#[cfg(target_os = "linux")]
#[test]
fn race_41_time_outs_against_notifications_stress() {
    const ENOUGH: u32 = 1000;
    let (word, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let (word, stop) = (Arc::clone(&word), Arc::clone(&stop));
            thread::spawn(move || {
                let (mut woken, mut timed_out) = (0, 0);
                while stop.load(Ordering::Acquire) == 0 || timed_out < ENOUGH {
                    match wait_timeout(&word, 0, Duration::from_micros(20)).expect("may block") {
                        Wait::Woken => woken += 1,
                        Wait::TimedOut => timed_out += 1,
                        Wait::Mismatch => unreachable!("nobody changes the word"),
                    }
                }
                woken
            })
        })
        .collect();
    let mut counted = 0;
    while counted < ENOUGH {
        counted += notify(&word, 1);
    }
    stop.store(1, Ordering::Release);
    let woken: u32 = waiters.into_iter().map(|waiter| waiter.join().expect("no panic")).sum();
    // A signal would end a wait early too; nobody sends one here.
    assert_eq!(woken, counted);
}

/// The textbook's lock: 0 free, 1 held, 2 held and waited for. Nobody is left asleep, and no increment is lost.
#[test]
fn a_mutex_of_three_states_stress() {
    const EACH: usize = 20_000;
    let shared = Arc::new((AtomicU32::new(0), std::sync::atomic::AtomicUsize::new(0)));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, total) = &*shared;
                for _ in 0..EACH {
                    if word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
                        while word.swap(2, Ordering::Acquire) != 0 {
                            wait(word, 2, None).expect("may block");
                        }
                    }
                    total.store(total.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                    if word.swap(0, Ordering::Release) == 2 {
                        notify_one(word);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    assert_eq!(shared.1.load(Ordering::Relaxed), 4 * EACH);
}

/// A time that no clock can name is for ever, and not an error that returns at once.
#[cfg(target_os = "linux")]
#[test]
fn the_longest_time_is_for_ever() {
    let word = Arc::new(AtomicU32::new(0));
    let other = Arc::clone(&word);
    let sleeper = thread::spawn(move || wait_timeout(&other, 0, Duration::MAX));
    while !notify_one(&word) {
        thread::yield_now();
    }
    assert_eq!(sleeper.join().expect("no panic"), Ok(Wait::Woken));
}

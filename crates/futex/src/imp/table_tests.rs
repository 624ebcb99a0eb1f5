//! The table of sleepers against its promises: models under loom, stress natively. It is used on systems that no machine of ours runs.
#![cfg(all(test, any(loom, all(not(shuttle), feature = "std"))))]

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::vec::Vec;

use crate::table::Table;
use crate::{AtomicU32, Wait};

#[cfg(not(loom))]
mod native {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn a_word_that_differs_is_not_slept_on() {
        let table = Table::<2>::new();
        assert_eq!(table.wait(&AtomicU32::new(1), 2, None), Wait::Mismatch);
    }

    #[test]
    fn time_runs_out_and_leaves_nobody_behind() {
        let (table, word) = (Table::<2>::new(), AtomicU32::new(0));
        for timeout in [Duration::ZERO, Duration::from_millis(2)] {
            assert_eq!(table.wait(&word, 0, Some(timeout)), Wait::TimedOut);
        }
        assert_eq!(table.notify(&word, u32::MAX), 0);
    }

    /// Who sleeps on one word is not counted for another in the same bucket.
    #[test]
    fn a_neighbour_is_not_counted() {
        let shared = Arc::new((Table::<1>::new(), AtomicU32::new(0), AtomicU32::new(0)));
        let other = Arc::clone(&shared);
        let sleeper = thread::spawn(move || other.0.wait(&other.1, 0, None));
        loop {
            assert_eq!(shared.0.notify(&shared.2, 1), 0);
            if shared.0.notify(&shared.1, 1) == 1 {
                break;
            }
        }
        assert_eq!(sleeper.join().expect("no panic"), Wait::Woken);
    }

    /// One bucket for both words, many sleepers: nobody is left.
    #[test]
    fn neighbours_in_a_bucket_are_left_asleep() {
        let shared = Arc::new((Table::<1>::new(), [AtomicU32::new(0), AtomicU32::new(0)]));
        let sleepers: Vec<_> = (0..4)
            .map(|index| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (table, words) = &*shared;
                    let word = &words[index % 2];
                    while word.load(Ordering::Acquire) == 0 {
                        table.wait(word, 0, None);
                    }
                })
            })
            .collect();
        let (table, words) = &*shared;
        for word in words {
            word.store(1, Ordering::Release);
            table.notify(word, u32::MAX);
        }
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("no panic"));
        assert_eq!(table.notify(&words[0], 9) + table.notify(&words[1], 9), 0);
    }

    /// Race 41: threads time out while others notify; every notification that was counted ended a wait as woken.
    #[test]
    fn race_41_time_outs_against_notifications_stress() {
        const ENOUGH: u32 = 500;
        let shared = Arc::new((Table::<1>::new(), AtomicU32::new(0), AtomicU32::new(0)));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (mut woken, mut timed_out) = (0, 0);
                    while shared.2.load(Ordering::Acquire) == 0 || timed_out < ENOUGH {
                        match shared.0.wait(&shared.1, 0, Some(Duration::from_micros(5))) {
                            Wait::Woken => woken += 1,
                            _ => timed_out += 1,
                        }
                    }
                    woken
                })
            })
            .collect();
        let mut counted = 0;
        while counted < ENOUGH {
            counted += shared.0.notify(&shared.1, 1);
        }
        shared.2.store(1, Ordering::Release);
        let woken: u32 = waiters.into_iter().map(|waiter| waiter.join().expect("no panic")).sum();
        assert_eq!(woken, counted);
    }
}

#[cfg(loom)]
mod models {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;
    use std::sync::Mutex as RealMutex;

    fn model(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = builder.preemption_bound.or(Some(2));
        builder.check(check);
    }

    type Shared = Arc<(Table<1>, AtomicU32)>;

    fn shared() -> Shared {
        Arc::new((Table::new(), AtomicU32::new(0)))
    }

    /// Race 3, on the table: a change followed by a notification is not missed.
    #[test]
    fn race_3_change_and_notify_vs_wait() {
        model(|| {
            let shared = shared();
            let other = Arc::clone(&shared);
            let waiter = thread::spawn(move || {
                while other.1.load(Ordering::Acquire) == 0 {
                    other.0.wait(&other.1, 0, None);
                }
            });
            shared.1.store(1, Ordering::Release);
            shared.0.notify(&shared.1, 1);
            waiter.join().expect("no panic");
        });
    }

    /// Two sleepers, one notification: one of them goes on until the second comes.
    #[test]
    fn counts_are_exact() {
        model(|| {
            let shared = shared();
            let waiters = [0, 1].map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.0.wait(&shared.1, 0, None) == Wait::Woken)
            });
            let first = shared.0.notify(&shared.1, 1);
            assert!(first <= 1);
            shared.1.store(1, Ordering::Release);
            let rest = shared.0.notify(&shared.1, u32::MAX);
            let slept = waiters.map(|waiter| waiter.join().expect("no panic"));
            assert_eq!(slept.iter().filter(|slept| **slept).count() as u32, first + rest);
        });
    }

    /// Race 41, on the table: a notification that was counted is a wake-up, also when the time is up at the same moment; both ends are reached.
    #[test]
    fn race_41_time_out_vs_notify() {
        let seen = std::sync::Arc::new(RealMutex::new(Vec::new()));
        let log = std::sync::Arc::clone(&seen);
        model(move || {
            let shared = shared();
            let other = Arc::clone(&shared);
            let waiter = thread::spawn(move || other.0.wait(&other.1, 0, Some(Duration::from_secs(1))));
            let counted = shared.0.notify(&shared.1, 1);
            let outcome = waiter.join().expect("no panic");
            assert_eq!(outcome == Wait::Woken, counted == 1);
            assert_eq!(shared.0.notify(&shared.1, 1), 0, "nobody is left in the table");
            log.lock().expect("no panic").push(outcome);
        });
        let seen = seen.lock().expect("no panic");
        assert!(seen.contains(&Wait::TimedOut) && seen.contains(&Wait::Woken));
    }
}

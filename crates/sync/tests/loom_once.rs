//! Every interleaving of the once cells, the barrier, the parker and the wait group, of threads that sleep.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::model;
use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;
use weblane_sync::{Barrier, Member, Once, OnceLock, Parker, WaitGroup};

/// One of three makes the value; the others wait for it, and see it whole.
#[test]
fn one_makes_it_and_all_see_it() {
    model(|| {
        let cell = Arc::new((OnceLock::new(), AtomicU32::new(0)));
        let make = |cell: &(OnceLock<u32>, AtomicU32), value| {
            *cell.0.get_or_init(|| cell.1.fetch_add(1, Ordering::Relaxed) * 10 + value).unwrap()
        };
        let threads = [1, 2].map(|value| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || make(&cell, value))
        });
        let value = make(&cell, 3);
        assert!((1..=3).contains(&value), "made once");
        for thread in threads {
            assert_eq!(thread.join().unwrap(), value);
        }
    });
}

/// Somebody waits, and never does it himself.
#[test]
fn wait_vs_call_once() {
    model(|| {
        let once = Arc::new((Once::new(), AtomicU32::new(0)));
        let other = Arc::clone(&once);
        let waiter = thread::spawn(move || {
            other.0.wait().unwrap();
            assert_eq!(other.1.load(Ordering::Relaxed), 1);
        });
        once.0.call_once(|| once.1.store(1, Ordering::Relaxed)).unwrap();
        waiter.join().unwrap();
    });
}

/// Who tries after one that panicked sees what that one had done, also if it looked before.
#[test]
fn a_panic_vs_call_once() {
    model(|| {
        let once = Arc::new((Once::new(), AtomicU32::new(0)));
        let other = Arc::clone(&once);
        let fails = thread::spawn(move || {
            let attempt = || other.0.try_call_once(|| panic::panic_any(other.1.store(1, Ordering::Relaxed)));
            panic::catch_unwind(AssertUnwindSafe(attempt)).is_err()
        });
        let mut seen = None;
        once.0.try_call_once(|| seen = Some(once.1.load(Ordering::Relaxed)));
        let failed = fails.join().unwrap();
        // Either one was there first. If both have tried, then the second was this one.
        assert!(!failed || seen != Some(0), "it was tried, and that was not seen");
    });
}

/// `get` races with the making: nothing, or the whole.
#[test]
fn get_vs_set() {
    model(|| {
        let cell = Arc::new(OnceLock::new());
        let other = Arc::clone(&cell);
        let setter = thread::spawn(move || other.set(7).is_ok());
        if let Some(value) = cell.get() {
            assert_eq!(*value, 7);
        }
        let own = cell.set(8).is_ok();
        assert_eq!(setter.join().unwrap(), !own, "one of two succeeds");
    });
}

/// Two rounds: nobody passes early, and what was written before is seen after.
#[test]
fn barrier_two_rounds() {
    model(|| {
        let shared = Arc::new((Barrier::new(2), AtomicU32::new(0)));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            other.1.fetch_add(1, Ordering::Relaxed);
            let first = other.0.wait().unwrap().is_leader();
            assert!(other.1.load(Ordering::Relaxed) >= 2);
            other.1.fetch_add(1, Ordering::Relaxed);
            (first, other.0.wait().unwrap().is_leader())
        });
        shared.1.fetch_add(1, Ordering::Relaxed);
        let first = shared.0.wait().unwrap().is_leader();
        assert!(shared.1.load(Ordering::Relaxed) >= 2);
        shared.1.fetch_add(1, Ordering::Relaxed);
        let second = shared.0.wait().unwrap().is_leader();
        assert_eq!(shared.1.load(Ordering::Relaxed), 4);
        assert_eq!(thread.join().unwrap(), (!first, !second), "one leads");
    });
}

/// One gives up at any moment: either the round was over, and it sees what the other one did before, or it does not count.
#[test]
fn barrier_give_up_vs_arrive() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let notes = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let meet = |barrier: &Barrier, notes: &[AtomicU32; 2], own: usize| {
            notes[own].store(1, Ordering::Relaxed);
            let met = barrier.wait_spinning(0).is_ok();
            assert!(!met || notes[1 - own].load(Ordering::Relaxed) == 1);
            met
        };
        let (other, other_notes) = (Arc::clone(&barrier), Arc::clone(&notes));
        let thread = thread::spawn(move || meet(&other, &other_notes, 1));
        let met = meet(&barrier, &notes, 0);
        assert_eq!(thread.join().unwrap(), met, "both, or none");
        assert!(barrier.wait_spinning(0).is_err(), "nobody is left in there");
    });
}

/// One gives up as the round ends, and somebody is there for the next one already: his arrival is left alone.
#[test]
fn barrier_give_up_vs_the_next_round() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        let other = Arc::clone(&barrier);
        let thread = thread::spawn(move || (other.wait_spinning(0).is_ok(), other.wait_spinning(0).is_ok()));
        let met = barrier.wait_spinning(0).is_ok();
        let (first, second) = thread.join().unwrap();
        assert_eq!(u32::from(met), u32::from(first) + u32::from(second), "all who met have met somebody");
        assert!(barrier.wait_spinning(0).is_err(), "nobody is left in there");
    });
}

/// A token is not lost, whenever it comes; and what came before it is seen.
#[test]
fn park_vs_unpark() {
    model(|| {
        let shared = Arc::new((Parker::new(), AtomicU32::new(0)));
        let other = Arc::clone(&shared);
        let parked = thread::spawn(move || {
            other.0.park().unwrap();
            assert_eq!(other.1.load(Ordering::Relaxed), 1);
        });
        shared.1.store(1, Ordering::Relaxed);
        shared.0.unpark();
        parked.join().unwrap();
        assert!(!shared.0.try_park(), "taken");
    });
}

/// Two wait, two tokens come one after the other: each lets one go on.
#[test]
fn two_parked_threads() {
    model(|| {
        let shared = Arc::new((Parker::new(), Parker::new()));
        let threads = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.0.park().unwrap();
                // Whoever has it says so, and only then comes the next.
                shared.1.unpark();
            })
        });
        for _ in 0..2 {
            shared.0.unpark();
            shared.1.park().unwrap();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Race 41: a token that comes as the time is up is got, or stays.
#[test]
fn race_41_park_timeout_vs_unpark() {
    model(|| {
        let parker = Arc::new(Parker::new());
        let other = Arc::clone(&parker);
        let caller = thread::spawn(move || other.unpark());
        let got = parker.park_timeout(Duration::from_secs(1)).unwrap();
        caller.join().unwrap();
        assert_ne!(got, parker.try_park());
    });
}

/// Race 40: the last of two members lets the waiter go on, who sees what both have done.
#[test]
fn race_40_wait_group_of_two() {
    model(|| {
        let (group, done) = (Arc::new(WaitGroup::new()), Arc::new(AtomicU32::new(0)));
        let threads = [(); 2].map(|()| {
            let (member, done) = (Member::of(Arc::clone(&group)), Arc::clone(&done));
            thread::spawn(move || {
                done.fetch_add(1, Ordering::Relaxed);
                drop(member);
            })
        });
        group.wait().unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

//! Every interleaving of the locks: `RUSTFLAGS="--cfg loom" cargo test -p weblane-sync --release --tests`.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use std::sync::Mutex as RealMutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;

use weblane_sync::{Condvar, Mutex, ThreadWord, Wake};

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(move || {
        weblane_sync::begin_model();
        check();
    });
}

/// The lock excludes, orders, and wakes its waiters: three threads, so that one may overtake a woken one.
#[test]
fn three_threads_lock() {
    model(|| {
        let total = Arc::new(Mutex::new(0));
        let threads = [1, 2].map(|by| {
            let total = Arc::clone(&total);
            thread::spawn(move || *total.lock().unwrap() += by)
        });
        *total.lock().unwrap() += 4;
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*total.lock().unwrap(), 7);
    });
}

/// A condition that becomes true while the waiter goes to sleep.
#[test]
fn condition_vs_notify() {
    model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            let guard = other.0.lock().unwrap();
            assert!(*other.1.wait_while(guard, |ready| !*ready).unwrap());
        });
        *shared.0.lock().unwrap() = true;
        shared.1.notify_one();
        waiter.join().unwrap();
    });
}

/// One notification after another, so that the first may find nobody asleep, and say so in the word, as the waiter comes for the second.
#[test]
fn two_notifications_in_a_row() {
    model(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&shared);
        let notifier = thread::spawn(move || {
            for value in 1..=2 {
                *other.0.lock().unwrap() = value;
                other.1.notify_one();
            }
        });
        let guard = shared.0.lock().unwrap();
        assert_eq!(*shared.1.wait_while(guard, |value| *value < 2).unwrap(), 2);
        notifier.join().unwrap();
    });
}

/// Race 41, the other direction: a notification that is made with the lock held has come when the waiter has it again, and is reported.
#[test]
fn race_41_notified_under_the_lock() {
    model(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&shared);
        let notifier = thread::spawn(move || {
            let mut guard = other.0.lock().unwrap();
            *guard = 1;
            other.1.notify_all();
        });
        let guard = shared.0.lock().unwrap();
        let before = *guard;
        let (guard, notified) = shared.1.wait_timeout(guard, Duration::from_secs(1)).unwrap();
        assert_eq!(notified, before != *guard);
        drop(guard);
        notifier.join().unwrap();
    });
}

/// A second waiter marks the word as a notification comes and the first is about to sleep: what the notification did to the word stays.
#[test]
fn a_mark_beside_a_notification() {
    let mut builder = loom::model::Builder::new();
    // The first before it sleeps, the notifier before it notifies, the second in the middle of its mark.
    builder.preemption_bound = Some(3);
    builder.check(|| {
        weblane_sync::begin_model();
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
        let first = thread::spawn(move || {
            let guard = one.0.lock().unwrap();
            drop(one.1.wait_while(guard, |value| *value == 0).unwrap());
        });
        let notifier = thread::spawn(move || {
            *two.0.lock().unwrap() = 1;
            two.1.notify_all();
        });
        let guard = shared.0.lock().unwrap();
        drop(shared.1.wait_timeout(guard, Duration::from_secs(1)).unwrap());
        first.join().unwrap();
        notifier.join().unwrap();
    });
}

/// Two notify all, one of them for nothing, as the waiter goes to sleep: neither undoes what the other one did to the word, be it that the first
/// clears the mark in the middle, and the waiter sets it again.
#[test]
fn two_notifications_to_all_at_once() {
    let mut builder = loom::model::Builder::new();
    // One notifier before it clears the mark, the waiter before it sleeps, the other notifier in the middle of its step.
    builder.preemption_bound = Some(3);
    builder.check(|| {
        weblane_sync::begin_model();
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        // Leaves the mark, with nobody asleep.
        drop(shared.1.wait_timeout(shared.0.lock().unwrap(), Duration::from_secs(1)).unwrap());
        let (one, two) = (Arc::clone(&shared), Arc::clone(&shared));
        let waiter = thread::spawn(move || {
            let guard = one.0.lock().unwrap();
            drop(one.1.wait_while(guard, |value| *value == 0).unwrap());
        });
        let notifier = thread::spawn(move || {
            *two.0.lock().unwrap() = 1;
            two.1.notify_all();
        });
        shared.1.notify_all();
        waiter.join().unwrap();
        notifier.join().unwrap();
    });
}

/// Two wait, and each is told by name.
#[test]
fn two_waiters_and_two_notifications() {
    model(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let waiters = [(); 2].map(|()| {
            let other = Arc::clone(&shared);
            thread::spawn(move || {
                let guard = other.0.lock().unwrap();
                *other.1.wait_while(guard, |tokens| *tokens == 0).unwrap() -= 1;
            })
        });
        for _ in 0..2 {
            *shared.0.lock().unwrap() += 1;
            shared.1.notify_one();
        }
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// Race 41: whatever the timed sleep returns, a notification that came before the waiter locked again is reported.
#[test]
fn race_41_time_out_vs_notify() {
    let seen = std::sync::Arc::new(RealMutex::new([false; 2]));
    let log = std::sync::Arc::clone(&seen);
    model(move || {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&shared);
        let notifier = thread::spawn(move || {
            *other.0.lock().unwrap() = 1;
            other.1.notify_all();
        });
        let guard = shared.0.lock().unwrap();
        let before = *guard;
        let (guard, notified) = shared.1.wait_timeout(guard, Duration::from_secs(1)).unwrap();
        assert!(!notified || *guard == 1, "a notification comes after the change");
        if before == 0 {
            log.lock().unwrap()[usize::from(notified)] = true;
        }
        drop(guard);
        notifier.join().unwrap();
    });
    assert_eq!(*seen.lock().unwrap(), [true; 2], "both outcomes are explored");
}

/// Each way to give a reason, and whether the thread was found parked.
const REASONS: [fn(&ThreadWord) -> bool; 4] = [
    |word| word.set_token() != Wake::NotNeeded,
    |word| word.set_stop() != Wake::NotNeeded,
    |word| word.message_posted() != Wake::NotNeeded,
    |word| {
        word.call_anyway();
        false
    },
];

/// Who finds the thread parked sees what it did before it parked.
#[test]
fn who_calls_sees_what_came_before_parking() {
    for reason in REASONS {
        model(move || {
            let (word, note) = (Arc::new(ThreadWord::new()), Arc::new(AtomicU32::new(0)));
            let (inner, inner_note) = (Arc::clone(&word), Arc::clone(&note));
            let sleeper = thread::spawn(move || {
                inner_note.store(1, Ordering::Relaxed);
                inner.park().unwrap();
            });
            if reason(&word) {
                assert_eq!(note.load(Ordering::Relaxed), 1);
            }
            sleeper.join().unwrap();
        });
    }
}

/// A second call that comes beside the first is used up with it; then the thread has seen why it came, or the token is left.
#[test]
fn race_11_a_token_that_is_cleared_was_seen() {
    model(|| {
        let word = Arc::new(ThreadWord::new());
        let notes = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
        let callers = notes.clone().map(|note| {
            let word = Arc::clone(&word);
            thread::spawn(move || {
                note.store(1, Ordering::Relaxed);
                word.set_token();
            })
        });
        word.park().unwrap();
        let seen = notes.map(|note| note.load(Ordering::Relaxed));
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(seen == [1, 1] || word.load().token(), "a call that nobody has seen");
    });
}

/// The count of messages carries what was done before counting, both ways; and so does the end of STOP.
#[test]
fn counts_carry_what_came_before() {
    model(|| {
        let word = Arc::new(ThreadWord::new());
        let notes = Arc::new([(); 3].map(|()| AtomicU32::new(0)));
        word.set_stop();
        word.message_posted();
        let (inner, inner_notes) = (Arc::clone(&word), Arc::clone(&notes));
        let other = thread::spawn(move || {
            inner_notes[0].store(1, Ordering::Relaxed);
            inner.message_posted();
            let seen = inner.load();
            if !seen.stop() {
                assert_eq!(inner_notes[1].load(Ordering::Relaxed), 1, "stopped");
            }
            if seen.messages() == 0 {
                assert_eq!(inner_notes[2].load(Ordering::Relaxed), 1, "handled");
            }
        });
        notes[1].store(1, Ordering::Relaxed);
        word.clear_stop();
        if word.message_done() > 0 {
            assert_eq!(notes[0].load(Ordering::Relaxed), 1, "posted");
        }
        notes[2].store(1, Ordering::Relaxed);
        word.message_done();
        other.join().unwrap();
        assert_eq!(word.load().messages(), 0);
    });
}

/// Races 2, 3: a reason that comes at any step of parking. A lost one is a deadlock, which loom reports.
#[test]
fn park_vs_each_reason() {
    for reason in REASONS {
        model(move || {
            let (word, note) = (Arc::new(ThreadWord::new()), Arc::new(AtomicU32::new(0)));
            let (inner, inner_note) = (Arc::clone(&word), Arc::clone(&note));
            let sleeper = thread::spawn(move || {
                inner.park().unwrap();
                assert_eq!(inner_note.load(Ordering::Relaxed), 1, "what was written before the reason is seen");
                assert!(!inner.load().parked() && !inner.load().token());
            });
            note.store(1, Ordering::Relaxed);
            reason(&word);
            sleeper.join().unwrap();
        });
    }
}

/// Races 5, 6, 11: two senders, and a thread that handles a message before its sender has counted it.
#[test]
fn messages_counted_late_vs_park() {
    model(|| {
        let word = Arc::new(ThreadWord::new());
        let posted = Arc::new(AtomicU32::new(0));
        let senders = [0, 1].map(|_| {
            let (word, posted) = (Arc::clone(&word), Arc::clone(&posted));
            thread::spawn(move || {
                posted.fetch_add(1, Ordering::Release);
                word.message_posted();
            })
        });
        let mut handled = 0;
        while handled < 2 {
            // The event loop: handles whatever is posted, counted or not.
            while posted.load(Ordering::Acquire) > handled {
                handled += 1;
                word.message_done();
            }
            // Back in the loop of its own, which it leaves for a positive count.
            if handled < 2 {
                word.park().unwrap();
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(word.load().messages(), 0);
    });
}

/// A token beside a message: each is seen, and only one of them needs to notify.
#[test]
fn token_and_message_together() {
    model(|| {
        let word = Arc::new(ThreadWord::new());
        let (a, b) = (Arc::clone(&word), Arc::clone(&word));
        let caller = thread::spawn(move || a.set_token());
        let sender = thread::spawn(move || b.message_posted());
        word.park().unwrap();
        caller.join().unwrap();
        sender.join().unwrap();
        let state = word.load();
        assert_eq!(state.messages(), 1);
        assert!(!state.parked());
    });
}

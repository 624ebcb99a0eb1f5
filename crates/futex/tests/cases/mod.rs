//! What a futex promises, as models that loom and shuttle run: each function is one execution.
//!
//! Whoever includes this has a module `modelled`, the explorer's `thread` and `sync`.

use std::collections::BTreeSet;
use std::sync::Mutex as RealMutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::modelled::sync::Arc;
use crate::modelled::thread;
use weblane_futex::{AtomicU32, Wait, model, notify, notify_all, notify_one, wait, wait_timeout};

/// Any time: models have no clock.
const LONG: Duration = Duration::from_secs(1);

/// What was seen in any execution. A model that never reaches an outcome has not tried it.
#[derive(Clone, Default)]
pub(crate) struct Seen(std::sync::Arc<RealMutex<BTreeSet<String>>>);

impl Seen {
    fn note(&self, what: impl std::fmt::Debug) {
        self.0.lock().unwrap().insert(format!("{what:?}"));
    }

    /// Everything that was noted, in alphabetical order.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().cloned().collect()
    }
}

fn word() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(0))
}

fn until_changed(word: &AtomicU32, timeout: Option<Duration>) {
    while word.load(Ordering::Acquire) == 0 {
        wait(word, 0, timeout).unwrap();
    }
}

/// Race 3: a change followed by a notification is not missed, at whatever step of the wait it comes.
pub(crate) fn race_3_change_and_notify_vs_wait() {
    let word = word();
    let other = Arc::clone(&word);
    let waiter = thread::spawn(move || until_changed(&other, None));
    word.store(1, Ordering::Release);
    notify_one(&word);
    waiter.join().unwrap();
}

/// The same, also when a wait ends for no reason.
pub(crate) fn race_3_with_spurious_wakes() {
    model::spurious_wakes(2);
    race_3_change_and_notify_vs_wait();
}

/// The same with waits that time out; the loop ends, and after the budget's end it sleeps.
pub(crate) fn race_3_with_time_outs() {
    model::time_outs(1);
    let word = word();
    let other = Arc::clone(&word);
    let waiter = thread::spawn(move || until_changed(&other, Some(LONG)));
    word.store(1, Ordering::Release);
    notify_one(&word);
    waiter.join().unwrap();
}

/// Two sleepers, one notification: exactly one of them goes on until the second comes.
pub(crate) fn counts_are_exact(seen: &Seen) {
    let word = word();
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
    seen.note((first, rest));
}

/// Two sleepers, one is called: the other one sleeps on, although the model lets both look.
pub(crate) fn who_was_not_called_sleeps_on() {
    let (word, calls) = (word(), word());
    let waiters = [0, 1].map(|_| {
        let (word, calls) = (Arc::clone(&word), Arc::clone(&calls));
        thread::spawn(move || {
            if wait(&word, 0, None).unwrap() == Wait::Woken {
                assert_ne!(calls.fetch_sub(1, Ordering::AcqRel), 0, "nobody has called");
            }
        })
    });
    calls.store(1, Ordering::Release);
    if notify(&word, 1) == 0 {
        calls.store(0, Ordering::Release);
    }
    word.store(1, Ordering::Release);
    calls.fetch_add(2, Ordering::AcqRel);
    notify_all(&word);
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
}

/// Notifying one word leaves who sleeps on another asleep.
pub(crate) fn words_are_apart() {
    let (one, two) = (word(), word());
    let slept_on = Arc::clone(&one);
    let waiter = thread::spawn(move || wait(&slept_on, 0, None).unwrap());
    assert_eq!(notify_all(&two), 0);
    one.store(1, Ordering::Release);
    let woken = notify_all(&one);
    assert_eq!(waiter.join().unwrap(), if woken == 1 { Wait::Woken } else { Wait::Mismatch });
}

/// Race 41: a time-out against a notification. Who was counted was woken, and who was not timed out; nobody stays in the queue.
pub(crate) fn race_41_time_out_vs_notify(seen: &Seen) {
    let word = word();
    let other = Arc::clone(&word);
    let waiter = thread::spawn(move || wait_timeout(&other, 0, LONG).unwrap());
    let counted = notify_one(&word);
    let outcome = waiter.join().unwrap();
    assert_eq!(outcome, if counted { Wait::Woken } else { Wait::TimedOut });
    assert!(!notify_one(&word), "nobody is left");
    seen.note(outcome);
}

/// Race 41, what a condition's user must do: the word decides, not the wait's answer. A time-out may come after the change.
pub(crate) fn race_41_the_word_decides(seen: &Seen) {
    let word = word();
    let other = Arc::clone(&word);
    let waiter = thread::spawn(move || {
        let outcome = wait_timeout(&other, 0, LONG).unwrap();
        (outcome, other.load(Ordering::Acquire))
    });
    word.store(1, Ordering::Release);
    notify_one(&word);
    let (outcome, now) = waiter.join().unwrap();
    if outcome == Wait::Woken {
        assert_eq!(now, 1, "nobody but the notifier wakes, and it came after the change");
    }
    seen.note((outcome, now));
}

/// A wait that nobody notifies, in a program that allows one wake for no reason: it takes it. The second wait must be notified.
pub(crate) fn spurious_wakes_are_bounded(seen: &Seen) {
    model::spurious_wakes(1);
    let word = word();
    let other = Arc::clone(&word);
    let waiter = thread::spawn(move || [(); 2].map(|()| wait(&other, 0, None).unwrap()));
    let first = notify_one(&word);
    word.store(1, Ordering::Release);
    let second = notify_one(&word);
    let slept = waiter.join().unwrap().iter().filter(|outcome| **outcome == Wait::Woken).count();
    let notified = usize::from(first) + usize::from(second);
    assert!(slept == notified || slept == notified + 1, "{slept} against {notified}");
    seen.note((slept, notified));
}

/// The only wake for no reason is spent by a wait that nobody else ends; the next one is notified, or finds the word changed.
pub(crate) fn a_spent_budget_is_spent() {
    model::spurious_wakes(1);
    let (turn, word) = (word(), word());
    let (other, other_turn) = (Arc::clone(&word), Arc::clone(&turn));
    let waiter = thread::spawn(move || {
        assert_eq!(wait(&other, 0, None).unwrap(), Wait::Woken);
        other_turn.store(1, Ordering::Release);
        wait(&other, 0, None).unwrap()
    });
    while turn.load(Ordering::Acquire) == 0 {
        thread::yield_now();
    }
    word.store(1, Ordering::Release);
    let notified = notify_one(&word);
    assert_eq!(waiter.join().unwrap(), if notified { Wait::Woken } else { Wait::Mismatch });
}

/// With a budget of none, a timed wait is an untimed one.
pub(crate) fn no_time_outs() {
    model::time_outs(0);
    let word = word();
    let other = Arc::clone(&word);
    let waiter = thread::spawn(move || wait_timeout(&other, 0, LONG).unwrap());
    word.store(1, Ordering::Release);
    notify_one(&word);
    assert_ne!(waiter.join().unwrap(), Wait::TimedOut);
}

/// Two threads share a budget of one time-out.
pub(crate) fn time_outs_are_bounded(seen: &Seen) {
    model::time_outs(1);
    let word = word();
    let waiters = [0, 1].map(|_| {
        let word = Arc::clone(&word);
        thread::spawn(move || wait_timeout(&word, 0, LONG).unwrap())
    });
    word.store(1, Ordering::Release);
    notify_all(&word);
    let outcomes = waiters.map(|waiter| waiter.join().unwrap());
    let timed_out = outcomes.iter().filter(|outcome| **outcome == Wait::TimedOut).count();
    assert!(timed_out <= 1);
    seen.note((outcomes[0] == Wait::TimedOut, outcomes[1] == Wait::TimedOut));
}

/// The lock that every textbook builds on a futex: 0 free, 1 held, 2 held and waited for. Nobody is in it together, nobody is left asleep.
pub(crate) fn a_mutex_of_three_states() {
    model::spurious_wakes(1);
    let shared = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let work = |(word, inside): &(AtomicU32, AtomicU32)| {
        if word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            while word.swap(2, Ordering::Acquire) != 0 {
                wait(word, 2, None).unwrap();
            }
        }
        assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
        inside.fetch_sub(1, Ordering::Relaxed);
        if word.swap(0, Ordering::Release) == 2 {
            notify_one(word);
        }
    };
    let other = Arc::clone(&shared);
    let second = thread::spawn(move || work(&other));
    work(&shared);
    second.join().unwrap();
}

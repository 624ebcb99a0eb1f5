//! Every interleaving of futures with one another, with threads that sleep, and with being dropped.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::pin::pin;
use std::sync::atomic::Ordering;

use common::{block_on, model, poll_once};
use loom::sync::Arc;
use loom::thread;
use weblane_futex::AtomicU32;
use weblane_sync::{Barrier, Condvar, Mutex, OnceLock, Parker, RwLock, WaitGroup};

/// A future, a thread that sleeps, and the holder: both get the lock.
#[test]
fn mutex_future_and_sleeper() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let (one, two) = (Arc::clone(&mutex), Arc::clone(&mutex));
        let future = thread::spawn(move || *block_on(one.lock_async()).unwrap() += 1);
        let sleeper = thread::spawn(move || *two.lock().unwrap() += 2);
        drop(guard);
        future.join().unwrap();
        sleeper.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 3);
    });
}

/// Two futures wait; one is dropped at any moment, chosen or not. The other one is not forgotten.
#[test]
fn mutex_dropped_future_passes_its_turn_on() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let other = Arc::clone(&mutex);
        {
            let mut dropped = pin!(mutex.lock_async());
            assert!(poll_once(dropped.as_mut()).is_pending(), "it is listed first");
            let future = thread::spawn(move || *block_on(other.lock_async()).unwrap() += 1);
            drop(guard);
            future
        }
        .join()
        .unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 1);
    });
}

/// The lock's turn is passed on to futures, of which some stay, while two come who do not wait: one at a time has it.
#[test]
fn mutex_turn_of_futures_vs_two_who_come() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let (mut first, mut second) = (pin!(mutex.lock_async()), pin!(mutex.lock_async()));
        assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
        let other = Arc::clone(&mutex);
        let comes = thread::spawn(move || other.try_lock().map(|mut guard| *guard += 1).is_some());
        drop(guard);
        let here = mutex.try_lock().map(|mut guard| *guard += 1).is_some();
        let there = comes.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), u32::from(here) + u32::from(there));
    });
}

/// The same for writing: the turn is passed on to futures, of which some stay, while two come who do not wait: one at a time has it.
#[test]
fn rwlock_turn_of_futures_vs_two_who_come() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.write().unwrap();
        let (mut first, mut second) = (pin!(lock.write_async()), pin!(lock.write_async()));
        assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
        let other = Arc::clone(&lock);
        let comes = thread::spawn(move || other.try_write().map(|mut guard| *guard += 1).is_some());
        drop(guard);
        let here = lock.try_write().map(|mut guard| *guard += 1).is_some();
        let there = comes.join().unwrap();
        assert_eq!(*lock.try_write().unwrap(), u32::from(here) + u32::from(there));
    });
}

/// Three futures, of which two come to the table while the lock changes hands: the mark is set again for who is left.
#[test]
fn mutex_two_futures_after_one_another() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock().unwrap();
        let threads = [1, 2].map(|by| {
            let mutex = Arc::clone(&mutex);
            thread::spawn(move || *block_on(mutex.lock_async()).unwrap() += by)
        });
        drop(guard);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*mutex.try_lock().unwrap(), 3);
    });
}

/// Somebody takes the lock just as it is free and the mark is set again: he sees what its last holder wrote, by nothing but the word.
#[test]
fn mutex_one_comes_between_an_unlock_and_its_turn() {
    model(|| {
        let mutex = Arc::new(Mutex::new(0));
        let mut guard = mutex.lock().unwrap();
        let mut futures = [Box::pin(mutex.lock_async()), Box::pin(mutex.lock_async())];
        assert!(futures.iter_mut().all(|future| poll_once(future.as_mut()).is_pending()));
        let other = Arc::clone(&mutex);
        let thread = thread::spawn(move || other.try_lock().map(|value| *value));
        *guard = 5;
        drop(guard);
        assert!(matches!(thread.join().unwrap(), None | Some(5)));
    });
}

/// The same for writing, where the mark stays in the word.
#[test]
fn rwlock_one_comes_between_an_unlock_and_its_turn() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let mut guard = lock.write().unwrap();
        let mut future = Box::pin(lock.write_async());
        assert!(poll_once(future.as_mut()).is_pending());
        let other = Arc::clone(&lock);
        let thread =
            thread::spawn(move || (other.try_write().map(|value| *value), other.try_read().map(|value| *value)));
        *guard = 5;
        drop(guard);
        let (written, read) = thread.join().unwrap();
        assert!(written.is_none_or(|value| value == 5) && read.is_none_or(|value| value == 5));
    });
}

/// A writing and a reading future, and a thread that reads.
#[test]
fn rwlock_futures_and_a_reader() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.read().unwrap();
        let (one, two) = (Arc::clone(&lock), Arc::clone(&lock));
        let writer = thread::spawn(move || *block_on(one.write_async()).unwrap() += 1);
        let reader = thread::spawn(move || *two.read().unwrap());
        drop(first);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*block_on(lock.read_async()).unwrap(), 1);
    });
}

/// Two writing futures behind a writer: the mark stays for the second.
#[test]
fn rwlock_two_writing_futures() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.write().unwrap();
        let futures = [1, 2].map(|by| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *block_on(lock.write_async()).unwrap() += by)
        });
        drop(first);
        futures.into_iter().for_each(|future| future.join().unwrap());
        assert_eq!(*lock.try_read().unwrap(), 3);
    });
}

/// A writing thread and a reading future behind a writer.
#[test]
fn rwlock_future_and_a_writer() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let mut first = lock.write().unwrap();
        let (one, two) = (Arc::clone(&lock), Arc::clone(&lock));
        let writer = thread::spawn(move || *one.write().unwrap() += 1);
        let reader = thread::spawn(move || assert!(*block_on(two.read_async()).unwrap() >= 5));
        *first = 5;
        drop(first);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*lock.try_read().unwrap(), 6);
    });
}

/// A writing future, dropped at any moment, before a reading one.
#[test]
fn rwlock_dropped_writer_passes_its_turn_on() {
    model(|| {
        let lock = Arc::new(RwLock::new(0));
        let guard = lock.write().unwrap();
        let other = Arc::clone(&lock);
        {
            let mut dropped = pin!(lock.write_async());
            assert!(poll_once(dropped.as_mut()).is_pending(), "it is listed first");
            let reader = thread::spawn(move || *block_on(other.read_async()).unwrap());
            drop(guard);
            reader
        }
        .join()
        .unwrap();
        assert!(lock.try_write().is_some());
    });
}

/// A condition that becomes true while the future gives up the lock.
#[test]
fn condition_vs_notify() {
    model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            block_on(async {
                let guard = other.0.lock_async().await.unwrap();
                assert!(*other.1.wait_while_async(guard, |ready| !*ready).await.unwrap());
            });
        });
        *shared.0.lock().unwrap() = true;
        shared.1.notify_one();
        waiter.join().unwrap();
    });
}

/// Two futures wait for a condition, one notification comes, and the one that is chosen is dropped, also when it waits for the lock already.
#[test]
fn condition_dropped_future_passes_the_notification_on() {
    model(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let mut dropped = Box::pin(shared.1.wait_async(shared.0.lock().unwrap()));
        assert!(poll_once(dropped.as_mut()).is_pending(), "it is listed first");
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            let guard = other.0.lock().unwrap();
            drop(block_on(other.1.wait_while_async(guard, |value| *value == 0)).unwrap());
        });
        *shared.0.lock().unwrap() = 1;
        shared.1.notify_one();
        let guard = shared.0.lock().unwrap();
        assert!(poll_once(dropped.as_mut()).is_pending(), "chosen, and behind the lock; or not chosen");
        drop(guard);
        drop(dropped);
        waiter.join().unwrap();
    });
}

/// A thread goes to sleep as the last future is taken out of the list and its mark is cleared: the thread's own mark stays.
#[test]
fn condition_sleeper_comes_as_the_futures_mark_goes() {
    model(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let mut future = Box::pin(shared.1.wait_async(shared.0.lock().unwrap()));
        assert!(poll_once(future.as_mut()).is_pending(), "it is listed first");
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            let guard = other.0.lock().unwrap();
            drop(other.1.wait_while(guard, |value| *value == 0).unwrap());
        });
        shared.1.notify_all();
        *shared.0.lock().unwrap() = 1;
        shared.1.notify_one();
        waiter.join().unwrap();
    });
}

/// Futures of what calls all: a cell, a parker, a wait group.
#[test]
fn cell_future_vs_maker() {
    model(|| {
        let cell = Arc::new(OnceLock::new());
        let other = Arc::clone(&cell);
        let waiter = thread::spawn(move || *block_on(other.wait_async()).unwrap());
        let value = *block_on(cell.get_or_init_async(|| 3));
        assert_eq!((value, waiter.join().unwrap()), (3, 3));
    });
}

#[test]
fn two_makers_one_of_them_a_future() {
    model(|| {
        let cell = Arc::new(OnceLock::new());
        let other = Arc::clone(&cell);
        let maker = thread::spawn(move || *other.get_or_init(|| 1).unwrap());
        let value = *block_on(cell.get_or_init_async(|| 2));
        assert_eq!(maker.join().unwrap(), value);
    });
}

#[test]
fn parker_future_vs_unpark() {
    model(|| {
        let shared = Arc::new((Parker::new(), AtomicU32::new(0)));
        let other = Arc::clone(&shared);
        let parked = thread::spawn(move || {
            block_on(other.0.park_async());
            assert_eq!(other.1.load(Ordering::Relaxed), 1);
        });
        shared.1.store(1, Ordering::Relaxed);
        shared.0.unpark();
        parked.join().unwrap();
    });
}

#[test]
fn group_future_vs_last_member() {
    model(|| {
        let group = Arc::new(WaitGroup::new());
        let other = Arc::clone(&group);
        let member = group.add();
        let waiter = thread::spawn(move || block_on(other.wait_async()));
        drop(member);
        waiter.join().unwrap();
    });
}

/// A future and a thread meet; and one that is dropped has not been there.
#[test]
fn barrier_future_and_a_thread() {
    model(|| {
        let barrier = Arc::new(Barrier::new(2));
        {
            let mut dropped = pin!(barrier.wait_async());
            assert!(poll_once(dropped.as_mut()).is_pending());
        }
        let other = Arc::clone(&barrier);
        let future = thread::spawn(move || block_on(other.wait_async()).is_leader());
        let leads = barrier.wait().unwrap().is_leader();
        assert_ne!(future.join().unwrap(), leads);
    });
}

/// A future begins to wait as all are notified, one of whom is a thread on its way to sleep: the notification stays in the word, and the thread sees it.
#[test]
fn condvar_future_enters_as_all_are_notified() {
    let mut builder = loom::model::Builder::new();
    // One more: the thread before it sleeps, this one in its step, and the notifier in between.
    builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2) + 1);
    builder.check(|| {
        weblane_sync::begin_model();
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let (mutex, condition) = &*shared;
        // Marked for futures all the time.
        let mut first = Box::pin(condition.wait_async(mutex.lock().unwrap()));
        assert!(poll_once(first.as_mut()).is_pending());
        let sleeps = Arc::clone(&shared);
        let sleeps = thread::spawn(move || {
            let (mutex, condition) = &*sleeps;
            drop(condition.wait_while(mutex.lock().unwrap(), |done| !*done).unwrap());
        });
        // It comes as far as it likes, at no cost of a preemption.
        thread::yield_now();
        *mutex.lock().unwrap() = true;
        let notifies = Arc::clone(&shared);
        let notifies = thread::spawn(move || notifies.1.notify_all());
        let mut second = Box::pin(condition.wait_async(mutex.lock().unwrap()));
        assert!(poll_once(second.as_mut()).is_pending());
        notifies.join().unwrap();
        sleeps.join().unwrap();
    });
}

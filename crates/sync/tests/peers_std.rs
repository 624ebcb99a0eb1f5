//! What std's tests of its locks assert, asserted of ours: `library/std/tests/sync` (mutex, rwlock, condvar, barrier), rewritten for
//! these interfaces. Where std poisons, the property is ours instead.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use weblane_sync::{Barrier, Condvar, Mutex, RwLock};

/// Counts how often it was dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn panics(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

mod mutex {
    use super::*;

    #[test]
    fn smoke() {
        let mutex = Mutex::new(());
        drop(mutex.lock().unwrap());
        drop(mutex.lock().unwrap());
    }

    #[test]
    fn lots_and_lots() {
        const TIMES: u32 = 1000;
        const THREADS: u32 = 3;
        let count = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..2 * THREADS {
                scope.spawn(|| (0..TIMES).for_each(|_| *count.lock().unwrap() += 1));
            }
        });
        assert_eq!(*count.lock().unwrap(), 2 * TIMES * THREADS);
    }

    #[test]
    fn try_lock() {
        let mutex = Mutex::new(());
        let guard = mutex.try_lock();
        assert!(guard.is_some() && mutex.try_lock().is_none());
        drop(guard);
        assert!(mutex.try_lock().is_some());
    }

    #[test]
    fn into_inner_and_get_mut_and_default_and_from() {
        let mut mutex = Mutex::new(10);
        *mutex.get_mut() = 20;
        assert_eq!(mutex.into_inner(), 20);
        assert_eq!(Mutex::<u32>::default().into_inner(), 0);
        assert_eq!(Mutex::from(3).into_inner(), 3);
    }

    #[test]
    fn into_inner_drops_once() {
        let count = Arc::new(AtomicUsize::new(0));
        let mutex = Mutex::new(Dropped(Arc::clone(&count)));
        assert_eq!(count.load(Ordering::SeqCst), 0);
        {
            let _inner = mutex.into_inner();
            assert_eq!(count.load(Ordering::SeqCst), 0);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn unsized_values() {
        let mutex: &Mutex<[i32]> = &Mutex::new([1, 2, 3]);
        mutex.lock().unwrap()[0] = 4;
        assert_eq!(&*mutex.lock().unwrap(), &[4, 2, 3]);
    }

    #[test]
    fn nested() {
        let outer = Arc::new(Mutex::new(Arc::new(Mutex::new(1))));
        thread::spawn(move || {
            let outer = outer.lock().unwrap();
            assert_eq!(*outer.lock().unwrap(), 1);
        })
        .join()
        .unwrap();
    }

    /// std: poisoned. Here: unlocked, with what was written.
    #[test]
    fn a_panic_unlocks_and_access_in_unwinding_works() {
        struct Unwinder(Arc<Mutex<i32>>);
        impl Drop for Unwinder {
            fn drop(&mut self) {
                *self.0.lock().unwrap() += 1;
            }
        }
        let mutex = Arc::new(Mutex::new(1));
        let inner = Arc::clone(&mutex);
        assert!(
            thread::spawn(move || {
                let _unwinder = Unwinder(Arc::clone(&inner));
                *inner.lock().unwrap() = 5;
                panic!("on purpose");
            })
            .join()
            .is_err()
        );
        assert_eq!(*mutex.lock().unwrap(), 6);
    }
}

mod rwlock {
    use super::*;

    #[test]
    fn smoke() {
        let lock = RwLock::new(());
        drop(lock.read().unwrap());
        drop(lock.write().unwrap());
        drop((lock.read().unwrap(), lock.read().unwrap()));
        drop(lock.write().unwrap());
    }

    /// Writers are alone, readers are not disturbed.
    #[test]
    fn frob() {
        const THREADS: usize = 10;
        const TIMES: usize = 500;
        let lock = RwLock::new((0_usize, 0_usize));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let lock = &lock;
                scope.spawn(move || {
                    for turn in 0..TIMES {
                        if (thread * 31 + turn * 7) % THREADS == 0 {
                            let mut both = lock.write().unwrap();
                            both.0 += 1;
                            thread::yield_now();
                            both.1 += 1;
                        } else {
                            let both = lock.read().unwrap();
                            assert_eq!(both.0, both.1);
                        }
                    }
                });
            }
        });
        let both = lock.into_inner();
        assert!(both.0 == both.1 && both.0 > 0);
    }

    #[test]
    fn readers_share_and_a_writer_does_not() {
        let lock = RwLock::new(0);
        let reader = lock.read().unwrap();
        assert!(lock.try_write().is_none() && lock.try_read().is_some());
        drop(reader);
        let writer = lock.write().unwrap();
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        assert_eq!(format!("{lock:?}"), "RwLock { <locked> }");
        drop(writer);
        assert!(lock.try_write().is_some());
        assert_eq!(format!("{lock:?}"), "RwLock { value: 0 }");
    }

    /// Readers that run side by side with a writer that counts: sums are never seen to shrink.
    #[test]
    fn arc_access() {
        let lock = Arc::new(RwLock::new(0));
        let (done, is_done) = channel();
        let inner = Arc::clone(&lock);
        thread::spawn(move || {
            for _ in 0..10 {
                let mut value = inner.write().unwrap();
                let before = *value;
                *value = -1;
                thread::yield_now();
                *value = before + 1;
            }
            done.send(()).unwrap();
        });
        let readers: Vec<_> = (0..5)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || assert!(*lock.read().unwrap() >= 0))
            })
            .collect();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        is_done.recv().unwrap();
        assert_eq!(*lock.read().unwrap(), 10);
    }

    #[test]
    fn a_panic_unlocks_for_reading_and_writing() {
        let lock = RwLock::new(1);
        assert!(panics(|| {
            let _writer = lock.write();
            panic!("on purpose");
        }));
        assert!(panics(|| {
            let _reader = lock.read();
            panic!("on purpose");
        }));
        assert_eq!(*lock.try_write().unwrap(), 1);
    }

    #[test]
    fn unsized_values_and_get_mut_and_into_inner() {
        let lock: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
        lock.write().unwrap()[0] = 4;
        assert_eq!(&*lock.read().unwrap(), &[4, 2, 3]);
        let mut lock = RwLock::new(String::from("a"));
        lock.get_mut().push('b');
        assert_eq!(lock.into_inner(), "ab");
    }

    /// A writer that waits is not starved by readers that come one after another.
    #[test]
    fn a_writer_gets_its_turn() {
        let lock = RwLock::new(());
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while done.load(Ordering::SeqCst) == 0 {
                        drop(lock.read().unwrap());
                    }
                });
            }
            for _ in 0..50 {
                drop(lock.write().unwrap());
            }
            done.store(1, Ordering::SeqCst);
        });
    }
}

mod condvar {
    use super::*;

    #[test]
    fn notify_with_nobody_there() {
        let condition = Condvar::new();
        condition.notify_one();
        condition.notify_all();
    }

    #[test]
    fn notify_one_under_the_lock() {
        let (mutex, condition) = (Mutex::new(()), Condvar::new());
        thread::scope(|scope| {
            let guard = mutex.lock().unwrap();
            scope.spawn(|| {
                let _guard = mutex.lock().unwrap();
                condition.notify_one();
            });
            drop(condition.wait(guard).unwrap());
        });
    }

    #[test]
    fn notify_all_reaches_all() {
        const THREADS: usize = 10;
        let shared = (Mutex::new((0, false)), Condvar::new(), Condvar::new());
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let (mutex, all_here, go) = &shared;
                    let mut guard = mutex.lock().unwrap();
                    guard.0 += 1;
                    if guard.0 == THREADS {
                        all_here.notify_one();
                    }
                    drop(go.wait_while(guard, |state| !state.1).unwrap());
                });
            }
            let (mutex, all_here, go) = &shared;
            let mut guard = all_here.wait_while(mutex.lock().unwrap(), |state| state.0 < THREADS).unwrap();
            guard.1 = true;
            go.notify_all();
        });
    }

    #[test]
    fn wait_timeout_wakes_by_a_notification() {
        let shared = (Mutex::new(false), Condvar::new());
        thread::scope(|scope| {
            let mut guard = shared.0.lock().unwrap();
            scope.spawn(|| {
                *shared.0.lock().unwrap() = true;
                shared.1.notify_one();
            });
            while !*guard {
                guard = shared.1.wait_timeout(guard, Duration::from_secs(1000)).unwrap().0;
            }
        });
    }

    /// Unlike std we allow two locks with one condition, one after the other; what they wait for is their own.
    #[test]
    fn two_mutexes() {
        let condition = Condvar::new();
        for mutex in [Mutex::new(()), Mutex::new(())] {
            let guard = mutex.lock().unwrap();
            let (_guard, notified) = condition.wait_timeout(guard, Duration::from_millis(1)).unwrap();
            assert!(!notified);
        }
    }
}

mod barrier {
    use super::*;

    #[test]
    fn all_wait_for_the_last_and_one_leads() {
        const THREADS: usize = 10;
        let barrier = Arc::new(Barrier::new(THREADS));
        let (sender, receiver) = channel();
        let waiting: Vec<_> = (0..THREADS - 1)
            .map(|_| {
                let (barrier, sender) = (Arc::clone(&barrier), sender.clone());
                thread::spawn(move || sender.send(barrier.wait().unwrap().is_leader()).unwrap())
            })
            .collect();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "all are waiting");
        let mut leaders = usize::from(barrier.wait().unwrap().is_leader());
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        drop(sender);
        leaders += receiver.iter().filter(|leader| *leader).count();
        assert_eq!(leaders, 1);
    }

    #[test]
    fn rounds_do_not_mix() {
        const THREADS: usize = 4;
        const ROUNDS: usize = 500;
        let (barrier, count) = (Barrier::new(THREADS), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 1..=ROUNDS {
                        count.fetch_add(1, Ordering::Relaxed);
                        barrier.wait().unwrap();
                        assert_eq!(count.load(Ordering::Relaxed), round * THREADS);
                        barrier.wait().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn none_and_one_do_not_wait() {
        assert!(Barrier::new(0).wait().unwrap().is_leader());
        assert!(Barrier::new(1).wait().unwrap().is_leader());
        assert!(panics(|| drop(Barrier::new(Barrier::MAX + 1))));
    }

    #[test]
    fn who_gives_up_has_not_arrived() {
        let barrier = Barrier::new(2);
        assert!(barrier.wait_spinning(3).is_err());
        thread::scope(|scope| {
            scope.spawn(|| barrier.wait().unwrap());
            barrier.wait().unwrap();
        });
    }
}

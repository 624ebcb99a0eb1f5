//! The futures on real threads: everybody gets his turn, whatever is dropped meanwhile.
#![cfg(not(loom))]
#![allow(missing_docs, reason = "tests")]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;

use common::{block_on, poll_once};
use weblane_sync::{Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, Parker, RwLock, WaitGroup};

const THREADS: u32 = 4;
const TIMES: u32 = 5_000;

/// Threads that sleep, futures, futures that are dropped after the first poll, and one that spins.
#[test]
fn race_42_mutex_for_all_kinds() {
    let mutex = Mutex::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let mutex = &mutex;
            scope.spawn(move || {
                for turn in 0..TIMES {
                    match (thread + turn) % 4 {
                        0 => *mutex.lock().unwrap() += 1,
                        1 => *block_on(mutex.lock_async()).unwrap() += 1,
                        2 => {
                            let mut future = pin!(mutex.lock_async());
                            if poll_once(future.as_mut()).is_pending() {
                                thread::yield_now();
                            }
                        }
                        _ => drop(mutex.lock_spinning(10)),
                    }
                }
            });
        }
    });
    let expected =
        (0..THREADS).flat_map(|thread| (0..TIMES).map(move |turn| (thread + turn) % 4)).filter(|kind| *kind < 2);
    assert_eq!(*mutex.try_lock().unwrap() as usize, expected.count());
}

#[test]
fn rwlock_for_all_kinds() {
    let lock = RwLock::new((0_u32, 0_u32));
    let written = AtomicU32::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (lock, written) = (&lock, &written);
            scope.spawn(move || {
                let write = |both: &mut (u32, u32)| {
                    both.0 += 1;
                    std::hint::spin_loop();
                    both.1 += 1;
                    written.fetch_add(1, Ordering::Relaxed);
                };
                let read = |both: &(u32, u32)| assert_eq!(both.0, both.1);
                for turn in 0..TIMES {
                    match (thread * 3 + turn) % 7 {
                        0 => write(&mut lock.write().unwrap()),
                        1 => write(&mut block_on(lock.write_async()).unwrap()),
                        2 | 3 => read(&lock.read().unwrap()),
                        4 => read(&block_on(lock.read_async()).unwrap()),
                        5 => _ = poll_once(pin!(lock.write_async())),
                        _ => _ = poll_once(pin!(lock.read_async())),
                    }
                }
            });
        }
    });
    let both = lock.try_read().unwrap();
    assert_eq!((both.0, both.1), (written.load(Ordering::Relaxed), written.load(Ordering::Relaxed)));
}

/// A queue of one, both ways, a thread on one side and a future on the other; every now and then a wait is dropped.
#[test]
fn conditions_hand_over_every_value() {
    let shared = (Mutex::new(None), Condvar::new(), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            let (slot, filled, emptied) = &shared;
            for value in 0..TIMES {
                let mut slot = emptied.wait_while(slot.lock().unwrap(), |slot| slot.is_some()).unwrap();
                *slot = Some(value);
                filled.notify_one();
            }
        });
        block_on(async {
            let (slot, filled, emptied) = &shared;
            for value in 0..TIMES {
                if value % 5 == 0 {
                    let guard = slot.lock_async().await.unwrap();
                    _ = poll_once(pin!(filled.wait_async(guard)));
                }
                let guard = slot.lock_async().await.unwrap();
                let mut slot = filled.wait_while_async(guard, |slot| slot.is_none()).await.unwrap();
                assert_eq!(slot.take(), Some(value));
                emptied.notify_one();
            }
        });
    });
}

#[test]
fn a_notification_to_all_reaches_more_futures_than_one_batch() {
    const MANY: u32 = 40;
    let shared = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..MANY)
            .map(|_| {
                scope.spawn(|| {
                    block_on(async {
                        let mut guard = shared.0.lock_async().await.unwrap();
                        *guard += 1;
                        drop(shared.1.wait_while_async(guard, |state| *state < 1000).await.unwrap());
                    });
                })
            })
            .collect();
        while *shared.0.lock().unwrap() < MANY {
            thread::yield_now();
        }
        *shared.0.lock().unwrap() = 1000;
        shared.1.notify_all();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn cells_parkers_groups_and_barriers() {
    for _ in 0..200 {
        let (once, cell, group, barrier) = (Once::new(), OnceLock::new(), WaitGroup::new(), Barrier::new(3));
        let made = AtomicU32::new(0);
        let make = || made.fetch_add(1, Ordering::Relaxed);
        let lazy = LazyLock::new(|| cell.get_or_init(make).map(|value| value + 1));
        let parkers = [Parker::new(), Parker::new()];
        thread::scope(|scope| {
            let member = group.add();
            scope.spawn(|| {
                let _member = member;
                barrier.wait().unwrap();
                cell.get_or_init(make).unwrap();
                once.call_once(|| _ = make()).unwrap();
                parkers[0].park().unwrap();
                parkers[1].unpark();
            });
            scope.spawn(|| {
                block_on(async {
                    barrier.wait_async().await;
                    assert_eq!(*cell.wait_async().await.unwrap(), *cell.get().unwrap());
                    once.wait_async().await.unwrap();
                    group.wait_async().await;
                    assert!(parkers[1].try_park());
                });
            });
            block_on(async {
                barrier.wait_async().await;
                cell.get_or_init_async(make).await;
                once.call_once_async(|| _ = make()).await;
                assert_eq!(*LazyLock::force_async(&lazy).await, Ok(cell.get().unwrap() + 1));
                parkers[0].unpark();
            });
        });
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}

/// Counts how often it is called.
#[derive(Default)]
struct Calls(AtomicU32);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// In order; the newest waker is called; one that is chosen and dropped passes its turn on, one that was not takes nothing along.
#[test]
fn turns_in_order() {
    let mutex = Mutex::new(());
    let calls: [Arc<Calls>; 4] = Default::default();
    let called = || calls.each_ref().map(|calls| calls.0.load(Ordering::Relaxed));
    let wakers = calls.each_ref().map(|calls| Waker::from(Arc::clone(calls)));
    let guard = mutex.lock().unwrap();
    let mut futures: Vec<_> = (0..3).map(|_| Box::pin(mutex.lock_async())).collect();
    for (future, waker) in futures.iter_mut().zip(&wakers) {
        assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    // Another waker for the second.
    assert!(futures[1].as_mut().poll(&mut Context::from_waker(&wakers[3])).is_pending());
    drop(guard);
    assert_eq!(called(), [1, 0, 0, 0]);
    // Too late: somebody else has it. Back to the front.
    let guard = mutex.lock().unwrap();
    assert!(futures[0].as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
    drop(guard);
    assert_eq!(called(), [2, 0, 0, 0]);
    drop(futures.remove(0));
    assert_eq!(called(), [2, 0, 0, 1], "passed on");
    drop(futures.remove(1));
    assert_eq!(called(), [2, 0, 0, 1], "the third had no turn");
    assert!(futures[0].as_mut().poll(&mut Context::from_waker(&wakers[1])).is_ready());
}

/// All readers up to the first writer are called at once.
#[test]
fn readers_are_called_together() {
    let lock = RwLock::new(());
    let calls: [Arc<Calls>; 4] = Default::default();
    let wakers = calls.each_ref().map(|calls| Waker::from(Arc::clone(calls)));
    let guard = lock.write().unwrap();
    let mut readers: Vec<_> = (0..3).map(|_| Box::pin(lock.read_async())).collect();
    let mut writer = Box::pin(lock.write_async());
    for reader in 0..2 {
        assert!(readers[reader].as_mut().poll(&mut Context::from_waker(&wakers[reader])).is_pending());
    }
    assert!(writer.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
    assert!(readers[2].as_mut().poll(&mut Context::from_waker(&wakers[3])).is_pending());
    drop(guard);
    let called = || calls.each_ref().map(|calls| calls.0.load(Ordering::Relaxed));
    assert_eq!(called(), [1, 1, 0, 0]);
    // The two take their turns, and the writer is next, alone.
    let guards: Vec<_> = readers.drain(..2).map(|reader| block_on(reader).unwrap()).collect();
    drop(guards);
    assert_eq!(called(), [1, 1, 1, 0]);
}

/// A task that polls itself as soon as it is called, in the middle of the call.
struct Eager {
    token: &'static Parker,
    future: std::sync::Mutex<Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>>,
    calls: AtomicU32,
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        assert!(self.calls.fetch_add(1, Ordering::Relaxed) < 10, "called again and again");
        // Somebody else is faster.
        self.token.try_park();
        self.poll();
    }
}

impl Eager {
    fn poll(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut future = self.future.lock().unwrap();
        if future.as_mut().unwrap().as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            *future = None;
        }
    }
}

/// A call to all reaches those who are there, more than fit into one batch, and does not go round with those who come back during it.
#[test]
fn a_call_to_all_ends() {
    static TOKEN: Parker = Parker::new();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let future = std::sync::Mutex::new(Some(Box::pin(TOKEN.park_async()) as _));
            Arc::new(Eager { token: &TOKEN, future, calls: AtomicU32::new(0) })
        })
        .collect();
    tasks.iter().for_each(Eager::poll);
    TOKEN.unpark();
    for task in tasks {
        assert_eq!(task.calls.load(Ordering::Relaxed), 1);
        *task.future.lock().unwrap() = None;
    }
}

/// Futures may go from thread to thread, also those that have given up a guard.
#[test]
fn futures_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let (mutex, condition, lock, cell) = (Mutex::new(0), Condvar::new(), RwLock::new(0), OnceLock::<u32>::new());
    _ = is_send((mutex.lock_async(), lock.read_async(), lock.write_async()));
    _ = is_send((cell.wait_async(), cell.get_or_init_async(|| 1)));
    {
        let waiting = is_send(condition.wait_async(mutex.lock().unwrap()));
        assert!(mutex.try_lock().is_none(), "held until it is polled or dropped");
        drop(waiting);
        assert!(mutex.try_lock().is_some());
    }
    let (barrier, group, parker, once) = (Barrier::new(2), WaitGroup::new(), Parker::new(), Once::new());
    _ = is_send((barrier.wait_async(), group.wait_async(), parker.park_async(), once.wait_async()));
}

//! Every primitive of `weblane-sync` between the main thread, which tries, spins and awaits, and workers, which sleep.
#![cfg(target_arch = "wasm32")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tests_browser::{Soon, eventually, pool};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex as futex;
use weblane_sync::{
    Barrier, Condvar, LazyLock, LockError, MayNotBlock, Mutex, NotYet, Once, OnceLock, Parker, RwLock, WaitGroup,
};

wasm_bindgen_test_configure!(run_in_browser);

const EACH: u32 = 10_000;

/// Keeps a worker busy, asleep, until it is opened.
#[derive(Default)]
struct Gate {
    reached: AtomicBool,
    open: futex::AtomicU32,
}

impl Gate {
    fn pass(&self) {
        self.reached.store(true, Ordering::SeqCst);
        while self.open.load(Ordering::SeqCst) == 0 {
            futex::wait(&self.open, 0, Some(Duration::from_secs(1))).expect("may block");
        }
    }

    async fn reached(&self) {
        eventually("the worker to get there", || self.reached.load(Ordering::SeqCst)).await;
    }

    fn open(&self) {
        self.open.store(1, Ordering::SeqCst);
        futex::notify_all(&self.open);
    }
}

/// Polls once, and leaves no waker that matters.
fn poll_once(future: impl Future) {
    _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
}

/// What a refusal says: that this thread may not block, and what to do instead.
fn assert_refused(text: &str) {
    assert!(text.contains("may not block") && text.contains("await"), "{text}");
}

#[wasm_bindgen_test]
async fn mutex_main_awaits_spins_and_tries_while_workers_sleep() {
    let pool = pool().await;
    let total = Arc::new(Mutex::new(0_u32));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let total = Arc::clone(&total);
            pool.spawn(move || (0..EACH).for_each(|_| *total.lock().expect("may block") += 1))
        })
        .collect();
    let mut own = 0;
    for turn in 0..EACH {
        // Futures that are dropped, chosen or not, take nobody's turn along.
        if turn % 3 == 0 {
            poll_once(total.lock_async());
        }
        match turn % 3 {
            0 => own += total.try_lock().map_or(0, |mut total| add(&mut total)),
            1 => own += total.lock_spinning(1000).map_or(0, |mut total| add(&mut total)),
            _ => own += add(&mut total.lock_async().soon().await.expect("nobody dies")),
        }
    }
    for task in tasks {
        task.soon().await.expect("no panic");
    }
    assert!(own >= EACH / 3);
    assert_eq!(*total.lock().expect("nobody has it"), 3 * EACH + own);
}

fn add(total: &mut u32) -> u32 {
    *total += 1;
    1
}

#[wasm_bindgen_test]
async fn rwlock_main_awaits_spins_and_tries_while_workers_sleep() {
    let pool = pool().await;
    let both = Arc::new(RwLock::new((0_u32, 0_u32)));
    let write = |both: &mut (u32, u32)| {
        both.0 += 1;
        both.1 += 1;
    };
    let read = |both: &(u32, u32)| assert_eq!(both.0, both.1);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let both = Arc::clone(&both);
            pool.spawn(move || {
                for turn in 0..EACH {
                    match turn % 4 {
                        0 => write(&mut both.write().expect("may block")),
                        _ => read(&both.read().expect("may block")),
                    }
                }
            })
        })
        .collect();
    let mut own = 0;
    for turn in 0..EACH {
        match turn % 6 {
            0 => _ = both.try_read().map(|both| read(&both)),
            1 => _ = both.read_spinning(1000).map(|both| read(&both)),
            2 => read(&*both.read_async().soon().await.expect("nobody dies")),
            3 => poll_once(both.write_async()),
            4 => own += both.write_spinning(1000).map_or(0, |mut both| add(&mut both.0) * add(&mut both.1)),
            _ => {
                write(&mut *both.write_async().soon().await.expect("nobody dies"));
                own += 1;
            }
        }
    }
    for task in tasks {
        task.soon().await.expect("no panic");
    }
    let writes = 3 * (EACH / 4) + own;
    assert_eq!(*both.try_read().expect("nobody writes"), (writes, writes));
}

#[wasm_bindgen_test]
async fn a_held_lock_is_refused_to_main_with_a_word_on_what_to_do() {
    let pool = pool().await;
    let (shared, gate) = (Arc::new((Mutex::new(0), RwLock::new(0))), Arc::new(Gate::default()));
    let (inner, inner_gate) = (Arc::clone(&shared), Arc::clone(&gate));
    let holder = pool.spawn(move || {
        let mut guards = (inner.0.lock().expect("may block"), inner.1.write().expect("may block"));
        inner_gate.pass();
        *guards.0 += 1;
        *guards.1 += 1;
    });
    gate.reached().await;
    let refused = [shared.0.lock().err(), shared.1.read().err(), shared.1.write().err()];
    assert_eq!(refused, [Some(LockError::MayNotBlock); 3]);
    assert_refused(&LockError::MayNotBlock.to_string());
    assert!(shared.0.try_lock().is_none() && shared.1.try_read().is_none() && shared.1.try_write().is_none());
    assert_eq!(shared.0.lock_spinning(100).err(), Some(LockError::Held));
    assert_eq!(shared.1.read_spinning(100).err(), Some(LockError::Held));
    // Awaiting works: the worker goes on while this is pending.
    gate.open();
    assert_eq!(*shared.0.lock_async().soon().await.expect("nobody dies"), 1);
    assert_eq!(*shared.1.read_async().soon().await.expect("nobody dies"), 1);
    holder.soon().await.expect("no panic");
}

#[wasm_bindgen_test]
async fn conditions_both_ways() {
    let pool = pool().await;
    let shared = Arc::new((Mutex::new(0_u32), Condvar::new()));
    let inner = Arc::clone(&shared);
    let worker = pool.spawn(move || {
        for round in 0..200 {
            let guard = inner.0.lock().expect("may block");
            let mut guard = inner.1.wait_while(guard, |state| *state != 2 * round + 1).expect("may block");
            *guard += 1;
            inner.1.notify_all();
        }
    });
    for round in 0..200 {
        let guard = shared.0.lock_async().soon().await.expect("nobody dies");
        let refused = shared.1.wait(guard).expect_err("the main thread may not wait");
        assert_refused(&refused.to_string());
        let mut guard = refused.into_guard().expect("still held");
        *guard += 1;
        shared.1.notify_one();
        let guard =
            shared.1.wait_while_async(guard, |state| *state != 2 * round + 2).soon().await.expect("nobody dies");
        drop(guard);
    }
    worker.soon().await.expect("no panic");
}

#[wasm_bindgen_test]
async fn what_a_worker_makes_main_awaits() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static LAZY: LazyLock<u32> = LazyLock::new(|| MADE.fetch_add(1, Ordering::SeqCst) + 40);
    let pool = pool().await;
    let (shared, gate) = (Arc::new((OnceLock::new(), Once::new())), Arc::new(Gate::default()));
    let (inner, inner_gate) = (Arc::clone(&shared), Arc::clone(&gate));
    let maker = pool.spawn(move || {
        let value = inner.0.get_or_init(|| {
            inner_gate.pass();
            7
        });
        assert_eq!(value, Ok(&7));
        inner.1.call_once(|| ()).expect("nobody else is at it");
    });
    gate.reached().await;
    assert_eq!(shared.0.get_or_init(|| 8), Err(MayNotBlock));
    assert_refused(&MayNotBlock.to_string());
    assert_eq!(shared.0.get_or_init_spinning(100, || 8), Err(NotYet));
    assert_eq!((shared.0.get(), shared.0.try_get_or_init(|| 8), shared.0.set(8)), (None, None, Err(8)));
    assert_eq!(shared.0.wait(), Err(LockError::MayNotBlock));
    gate.open();
    assert_eq!(*shared.0.get_or_init_async(|| 8).soon().await, 7);
    shared.1.wait_async().soon().await.expect("nobody dies");
    maker.soon().await.expect("no panic");

    let makers: Vec<_> = (0..3).map(|_| pool.spawn(|| *LAZY)).collect();
    assert_eq!(*LazyLock::force_async(&LAZY).soon().await, 40);
    assert_eq!(*LAZY, 40, "made: no reason to wait");
    for maker in makers {
        assert_eq!(maker.soon().await.expect("no panic"), 40);
    }
}

#[wasm_bindgen_test]
async fn a_barrier_for_main_and_workers() {
    const ROUNDS: u32 = 100;
    let pool = pool().await;
    let shared = Arc::new((Barrier::new(3), AtomicU32::new(0)));
    assert_eq!(shared.0.wait().err(), Some(MayNotBlock), "nobody else comes; and it has not arrived");
    assert_eq!(shared.0.wait_spinning(100).err(), Some(NotYet));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let shared = Arc::clone(&shared);
            pool.spawn(move || {
                let mut leads = 0;
                for _ in 0..ROUNDS {
                    shared.1.fetch_add(1, Ordering::SeqCst);
                    leads += u32::from(shared.0.wait().expect("may block").is_leader());
                    leads += u32::from(shared.0.wait().expect("may block").is_leader());
                }
                leads
            })
        })
        .collect();
    let mut leads = 0;
    for round in 1..=ROUNDS {
        shared.1.fetch_add(1, Ordering::SeqCst);
        leads += u32::from(shared.0.wait_async().soon().await.is_leader());
        assert_eq!(shared.1.load(Ordering::SeqCst), 3 * round);
        leads += u32::from(shared.0.wait_async().soon().await.is_leader());
    }
    for worker in workers {
        leads += worker.soon().await.expect("no panic");
    }
    assert_eq!(leads, 2 * ROUNDS);
}

#[wasm_bindgen_test]
async fn parkers_and_groups() {
    const ROUNDS: u32 = 200;
    let pool = pool().await;
    let parkers = Arc::new([Parker::new(), Parker::new()]);
    assert_eq!(parkers[0].park(), Err(MayNotBlock));
    assert_eq!(parkers[0].park_spinning(100), Err(NotYet));
    let inner = Arc::clone(&parkers);
    let group = Arc::new(WaitGroup::new());
    let member = weblane_sync::Member::of(Arc::clone(&group));
    let worker = pool.spawn(move || {
        for _ in 0..ROUNDS {
            inner[1].park().expect("may block");
            inner[0].unpark();
        }
        drop(member);
    });
    assert_eq!(group.wait(), Err(MayNotBlock));
    assert_eq!(group.wait_spinning(100), Err(NotYet));
    assert!(!group.try_wait());
    for _ in 0..ROUNDS {
        parkers[1].unparker().unpark();
        parkers[0].park_async().soon().await;
    }
    group.wait_async().soon().await;
    assert_eq!((group.wait(), group.members()), (Ok(()), 0));
    worker.soon().await.expect("no panic");
}

/// Workers wait for a lock in turns with futures of the main thread, of which every second is dropped while it waits.
#[wasm_bindgen_test]
async fn dropped_futures_pass_their_turns_on() {
    let pool = pool().await;
    let total = Arc::new(Mutex::new(0_u32));
    for _ in 0..100 {
        let gate = Arc::new(Gate::default());
        let (inner, inner_gate) = (Arc::clone(&total), Arc::clone(&gate));
        let holder = pool.spawn(move || {
            let mut guard = inner.lock().expect("may block");
            inner_gate.pass();
            *guard += 1;
        });
        gate.reached().await;
        let mut dropped = Box::pin(total.lock_async());
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut waits = Box::pin(total.lock_async());
        assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        gate.open();
        holder.soon().await.expect("no panic");
        // It was chosen; now the other one is.
        drop(dropped);
        *waits.soon().await.expect("nobody dies") += 1;
    }
    assert_eq!(*total.lock().expect("free"), 200);
}

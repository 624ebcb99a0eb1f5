//! Futex, locks, barriers and channels under stress: four workers and the main thread, on one of them each, all at once as fast as they
//! can. The main thread never blocks: it tries, and awaits.
//!
//! In CI each test lasts a second; `cargo xtask test-wasm --long` makes it ten.
#![cfg(target_arch = "wasm32")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tests_browser::stress::{Sum, all, milliseconds, on_all_four};
use tests_browser::{WORKERS, now, pool, report, soon};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::web::wait_async;
use weblane_sync::{Barrier, Condvar, Mutex, Parker, RwLock, WaitGroup, channel};

wasm_bindgen_test_configure!(run_in_browser);

/// The bare futex: a baton goes round from worker to worker to the main thread, each on a word of its own, and a wake-up that is lost stops it.
/// Everybody notifies everybody else's word in vain now and then.
#[wasm_bindgen_test]
async fn stress_futex_batons() {
    const STOP: u32 = u32::MAX;
    let pool = pool().await;
    // For ever, as every word with asynchronous waiters.
    let words: &'static [AtomicU32] = Vec::leak((0..=WORKERS).map(|_| AtomicU32::new(0)).collect());
    let inner = words;
    let handles = on_all_four(&pool, move |index| {
        let (mine, next) = (&inner[index], &inner[index + 1]);
        let (mut seen, mut sleeps) = (0, 0_u64);
        loop {
            let now = mine.load(Ordering::Acquire);
            if now == seen {
                let _ = weblane_futex::wait(mine, seen, None);
                sleeps += 1;
                continue;
            }
            seen = now;
            next.store(seen, Ordering::Release);
            weblane_futex::notify_all(next);
            if seen % 5 == index as u32 {
                weblane_futex::notify_one(&inner[(index + 2) % WORKERS]);
            }
            if seen == STOP {
                return sleeps;
            }
        }
    });
    let (start, mut round) = (now(), 0);
    let last = &words[WORKERS];
    let send = |baton: u32| {
        words[0].store(baton, Ordering::Release);
        weblane_futex::notify_all(&words[0]);
    };
    while now() - start < milliseconds() {
        round += 1;
        send(round);
        loop {
            let seen = last.load(Ordering::Acquire);
            if seen == round {
                break;
            }
            soon("the baton", wait_async(last, seen, None)).await;
        }
    }
    send(STOP);
    let sleeps: u64 = all("the workers", handles).await.into_iter().sum();
    report(&format!("futex: {round} rounds of five threads, {sleeps} sleeps of workers"));
}

/// A mutex and a lock for readers and writers around pairs that must be equal, a condition with a queue behind it; by workers that sleep and by the
/// main thread, which tries and awaits, and gives up half-way now and then.
#[wasm_bindgen_test]
async fn stress_mutex_rwlock_and_condvar() {
    #[derive(Default)]
    struct Shared {
        pair: Mutex<(u64, u64)>,
        lock: RwLock<(u64, u64)>,
        queue: Mutex<VecDeque<u64>>,
        filled: Condvar,
        emptied: Condvar,
        stop: AtomicBool,
        into: Sum,
        out: Sum,
        reads: AtomicU64,
    }
    /// What ends a consumer.
    const END: u64 = u64::MAX;
    const ROOM: usize = 8;
    let pool = pool().await;
    let shared = Arc::new(Shared::default());
    let inner = Arc::clone(&shared);
    let handles = on_all_four(&pool, move |index| {
        let Shared { pair, lock, queue, filled, emptied, stop, into, out, reads } = &*inner;
        let mut turn = 0_u64;
        loop {
            turn += 1;
            {
                let mut pair = pair.lock().expect("may block");
                assert_eq!(pair.0, pair.1);
                pair.0 += 1;
                pair.1 += 1;
            }
            if turn % 4 == 0 {
                let mut both = lock.write().expect("may block");
                both.0 += 1;
                std::hint::spin_loop();
                both.1 += 1;
            } else {
                let both = lock.read().expect("may block");
                assert_eq!(both.0, both.1);
                reads.fetch_add(1, Ordering::Relaxed);
            }
            if index < 2 {
                let value = (index as u64) << 56 | turn;
                let full = |queue: &mut VecDeque<u64>| queue.len() >= ROOM;
                let mut queue = emptied.wait_while(queue.lock().expect("may block"), full).expect("may block");
                queue.push_back(value);
                drop(queue);
                into.one(value);
                filled.notify_one();
                if stop.load(Ordering::Relaxed) {
                    return turn;
                }
            } else {
                let empty = |queue: &mut VecDeque<u64>| queue.is_empty();
                let mut queue = filled.wait_while(queue.lock().expect("may block"), empty).expect("may block");
                let value = queue.pop_front().expect("not empty");
                drop(queue);
                emptied.notify_all();
                if value == END {
                    return turn;
                }
                out.one(value);
            }
        }
    });
    let Shared { pair, lock, queue, filled, emptied, stop, into, out, reads } = &*shared;
    let (start, mut turn) = (now(), 0_u64);
    while now() - start < milliseconds() {
        turn += 1;
        {
            let mut pair = soon("the mutex", pair.lock_async()).await.expect("nobody dies");
            assert_eq!(pair.0, pair.1);
            pair.0 += 1;
            pair.1 += 1;
        }
        if turn % 3 == 0 {
            let mut both = soon("the writer's turn", lock.write_async()).await.expect("nobody dies");
            both.0 += 1;
            both.1 += 1;
        } else {
            let both = soon("a reader's turn", lock.read_async()).await.expect("nobody dies");
            assert_eq!(both.0, both.1);
        }
        // Asks once, and goes away.
        poll_once(pair.lock_async());
        poll_once(lock.write_async());
        poll_once(lock.read_async());
        if let Some(pair) = pair.try_lock() {
            assert_eq!(pair.0, pair.1);
        }
        let queue = soon("the queue", queue.lock_async()).await.expect("nobody dies");
        let waiting = filled.wait_while_async(queue, |queue| queue.is_empty());
        let value = soon("a value", waiting).await.expect("nobody dies").pop_front();
        emptied.notify_all();
        out.one(value.expect("not empty"));
    }
    stop.store(true, Ordering::Relaxed);
    let mut handles = handles.into_iter();
    let producers = all("the producers", handles.by_ref().take(2).collect()).await;
    for _ in 0..2 {
        soon("the queue", queue.lock_async()).await.expect("nobody dies").push_back(END);
        filled.notify_all();
    }
    let consumers = all("the consumers", handles.collect()).await;
    let left: Vec<u64> = queue.try_lock().expect("free").drain(..).collect();
    left.iter().for_each(|value| out.one(*value));
    assert_eq!(into.read(), out.read());
    let turns = producers.iter().chain(&consumers).sum::<u64>() + turn;
    assert_eq!(*pair.try_lock().expect("free"), (turns, turns), "every turn took the mutex once");
    let writes = lock.try_read().expect("free").0;
    report(&format!(
        "locks: {turns} turns ({turn} of main), {} reads, {writes} writes, {} values by the condition",
        reads.load(Ordering::Relaxed),
        out.read().0
    ));
}

fn poll_once(future: impl Future) {
    let mut future = pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _: Poll<_> = future.as_mut().poll(&mut context);
}

/// Barriers of four workers and the main thread; and between two of them each worker calls the next one's parker, and joins a group that the main
/// thread waits for.
#[wasm_bindgen_test]
async fn stress_barriers_parkers_and_groups() {
    struct Shared {
        barrier: Barrier,
        group: WaitGroup,
        parkers: [Parker; WORKERS],
        arrived: AtomicU32,
        leads: AtomicU32,
        stop: AtomicBool,
    }
    let pool = pool().await;
    let shared = Arc::new(Shared {
        barrier: Barrier::new(WORKERS + 1),
        group: WaitGroup::new(),
        parkers: [const { Parker::new() }; WORKERS],
        arrived: AtomicU32::new(0),
        leads: AtomicU32::new(0),
        stop: AtomicBool::new(false),
    });
    let inner = Arc::clone(&shared);
    let handles = on_all_four(&pool, move |index| {
        let Shared { barrier, group, parkers, arrived, leads, stop } = &*inner;
        let meet = || {
            let leader = barrier.wait().expect("may block").is_leader();
            leads.fetch_add(leader.into(), Ordering::Relaxed);
        };
        let mut rounds = 0_u32;
        loop {
            rounds += 1;
            let member = group.add();
            arrived.fetch_add(1, Ordering::Relaxed);
            meet();
            assert_eq!(arrived.load(Ordering::Relaxed), rounds * WORKERS as u32);
            let last = stop.load(Ordering::Relaxed);
            parkers[(index + 1) % WORKERS].unpark();
            parkers[index].park().expect("may block");
            drop(member);
            meet();
            if last {
                return rounds;
            }
        }
    });
    let Shared { barrier, group, leads, stop, .. } = &*shared;
    let (start, mut rounds, mut led) = (now(), 0_u32, 0);
    loop {
        rounds += 1;
        let last = now() - start > milliseconds();
        // Before the barrier, so that all see the same.
        stop.store(last, Ordering::Relaxed);
        led += u32::from(soon("the first meeting", barrier.wait_async()).await.is_leader());
        soon("the group", group.wait_async()).await;
        assert_eq!(group.members(), 0);
        led += u32::from(soon("the second meeting", barrier.wait_async()).await.is_leader());
        if last {
            break;
        }
    }
    assert_eq!(all("the workers", handles).await, [rounds; WORKERS]);
    assert_eq!(leads.load(Ordering::Relaxed) + led, 2 * rounds, "one leader for each meeting");
    report(&format!("barriers: {} meetings of five threads, main led {led}", 2 * rounds));
}

/// Channels of all kinds between four workers and the main thread: two workers send, two receive, the main thread does both, by futures. Then the
/// senders go, and the receivers find the end.
#[wasm_bindgen_test]
async fn stress_channels_of_all_kinds() {
    let pool = pool().await;
    for (name, (sender, receiver)) in [
        ("bounded(1)", channel::bounded(1)),
        ("bounded(64)", channel::bounded(64)),
        ("unbounded", channel::unbounded()),
    ] {
        let (into, out, stop) = (Arc::new(Sum::default()), Arc::new(Sum::default()), Arc::new(AtomicBool::new(false)));
        // Each sender's end is taken by its task, and ends with it.
        let senders = Mutex::new(vec![sender.clone(), sender.clone()]);
        let theirs = receiver.clone();
        let (their_into, their_out, their_stop) = (Arc::clone(&into), Arc::clone(&out), Arc::clone(&stop));
        let handles = on_all_four(&pool, move |index| {
            let mut number = 0_u64;
            if index < 2 {
                let sender = senders.lock().expect("may block").pop().expect("two");
                while !their_stop.load(Ordering::Relaxed) {
                    number += 1;
                    let value = (index as u64) << 56 | number;
                    sender.send(value).expect("somebody receives");
                    their_into.one(value);
                    // No channel without an end grows for ever.
                    while sender.len() > 10_000 && !their_stop.load(Ordering::Relaxed) {
                        let _ = weblane_futex::wait(&AtomicU32::new(0), 0, Some(Duration::from_micros(200)));
                    }
                }
                return number;
            }
            while let Ok(value) = theirs.recv() {
                number += 1;
                their_out.one(value);
            }
            number
        });
        let (start, mut number) = (now(), 0_u64);
        while now() - start < milliseconds() / 3.0 {
            number += 1;
            let value = 7 << 56 | number;
            soon("room", sender.send_async(value)).await.expect("somebody receives");
            into.one(value);
            // A future that is dropped takes nothing with it.
            let _ = receiver.try_recv().map(|value| out.one(value));
            if number % 3 == 0 {
                out.one(soon("a value", receiver.recv_async()).await.expect("somebody sends"));
            }
        }
        stop.store(true, Ordering::Relaxed);
        drop(sender);
        while let Ok(value) = soon("the end", receiver.recv_async()).await {
            out.one(value);
        }
        all("the workers", handles).await;
        assert_eq!(into.read(), out.read(), "{name}");
        report(&format!("channel {name}: {} values, {number} of them main's", out.read().0));
    }
}

//! The primitives under stress: four workers and the main thread, on every kind of ring, the futex, the locks, the barriers, the channels, all at
//! once as fast as they can. The main thread never blocks: it tries, and awaits.
//!
//! In CI each test lasts a second; `cargo xtask test-wasm --long` makes it ten, which is more than a minute for the page.
#![cfg(target_arch = "wasm32")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tests_browser::{WORKERS, now, pool, report, sleep, soon};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_futex::web::wait_async;
use weblane_pool::{JoinHandle, ThreadPool};
use weblane_ring::{mpmc, spsc, steal};
use weblane_sync::{Barrier, Condvar, Mutex, Parker, RwLock, WaitGroup, channel};

wasm_bindgen_test_configure!(run_in_browser);

/// How long each test lasts.
fn milliseconds() -> f64 {
    if option_env!("WEBLANE_LONG").is_some() { 10_000.0 } else { 1_000.0 }
}

/// Starts `work` on all four workers, each with its number; nobody begins before all are there.
fn on_all_four<T: Send + 'static>(
    pool: &ThreadPool,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<JoinHandle<T>> {
    let (work, arrived) = (Arc::new(work), Arc::new(AtomicU32::new(0)));
    let start = |index| {
        let (work, arrived) = (Arc::clone(&work), Arc::clone(&arrived));
        pool.spawn(move || {
            arrived.fetch_add(1, Ordering::SeqCst);
            weblane_futex::notify_all(&arrived);
            loop {
                let seen = arrived.load(Ordering::SeqCst);
                if seen == WORKERS as u32 {
                    break;
                }
                let _ = weblane_futex::wait(&arrived, seen, None);
            }
            work(index)
        })
    };
    (0..WORKERS).map(start).collect()
}

async fn all<T: Send>(what: &str, handles: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut values = Vec::new();
    for handle in handles {
        values.push(soon(what, handle).await.expect("no panic"));
    }
    values
}

/// Lets other threads run, on a worker that has found nothing: first by spinning, then by sleeping for a moment.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    fn nothing(&mut self) {
        self.0 += 1;
        if self.0 < 200 {
            std::hint::spin_loop();
        } else {
            let _ = weblane_futex::wait(&AtomicU32::new(0), 0, Some(Duration::from_micros(100)));
        }
    }

    fn something(&mut self) {
        self.0 = 0;
    }
}

/// A number that does not look like its neighbours: sums of these do not cancel out.
fn mixed(value: u64) -> u64 {
    (value ^ value >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What went in, or came out.
#[derive(Default)]
struct Sum {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Sum {
    fn add(&self, count: u64, sum: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.sum.fetch_add(sum, Ordering::Relaxed);
    }

    fn one(&self, value: u64) {
        self.add(1, mixed(value));
    }

    fn read(&self) -> (u64, u64) {
        (self.count.load(Ordering::Relaxed), self.sum.load(Ordering::Relaxed))
    }
}

/// Single-producer rings in a circle: what worker 0 makes passes through all others and the main thread, in order, without a gap.
#[wasm_bindgen_test]
async fn stress_spsc_rings_from_worker_to_worker_to_main() {
    const END: u64 = u64::MAX;
    let pool = pool().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut ends: Vec<_> = (0..WORKERS).map(|index| spsc::channel::<u64>([8, 64, 256, 1_024][index])).collect();
    let (last, mut at_main) = ends.pop().expect("four");
    let mut takes = None;
    let stages: Vec<_> =
        ends.into_iter().map(|(producer, consumer)| Mutex::new(Some((producer, takes.replace(consumer))))).collect();
    let last = Mutex::new(Some((last, takes)));
    let stages: Vec<_> = stages.into_iter().chain([last]).collect();
    let inner = Arc::clone(&stop);
    let handles = on_all_four(&pool, move |index| {
        let (mut to, mut from) = stages[index].lock().expect("free").take().expect("once each");
        let (mut next, mut pause) = (0, Pause::default());
        loop {
            let mut value = match &mut from {
                None if inner.load(Ordering::Relaxed) => END,
                None => next,
                Some(from) => match from.pop() {
                    Some(value) => value,
                    None => {
                        pause.nothing();
                        continue;
                    }
                },
            };
            pause.something();
            assert!(value == next || value == END, "{value} instead of {next}");
            while let Err(again) = to.push(value) {
                value = again;
                pause.nothing();
            }
            if value == END {
                return next;
            }
            next += 1;
        }
    });
    let (start, mut next) = (now(), 0);
    'all: loop {
        for _ in 0..2_000 {
            match at_main.pop() {
                Some(END) => break 'all,
                Some(value) => {
                    assert_eq!(value, next);
                    next += 1;
                }
                None => break,
            }
        }
        if now() - start > milliseconds() {
            stop.store(true, Ordering::Relaxed);
        }
        assert!(now() - start < milliseconds() + 60_000.0, "the end does not come");
        sleep(0).await;
    }
    assert_eq!(all("the stages", handles).await, [next; WORKERS]);
    report(&format!("spsc: {next} values through four rings, 4 workers and main"));
}

/// One test body for both many-to-many rings, which have the same methods: everybody pushes and pops, one by one and several at once; of each
/// producer's values every consumer sees the later ones later; and all that went in came out.
macro_rules! stress_mpmc {
    ($name:ident, $ring:ident, $text:literal) => {
        #[wasm_bindgen_test]
        async fn $name() {
            let pool = pool().await;
            let ring = Arc::new($ring::<u64>::with_capacity(64));
            let (into, out, stop) =
                (Arc::new(Sum::default()), Arc::new(Sum::default()), Arc::new(AtomicBool::new(false)));
            // The producer above, its values below.
            let check = |last: &mut [u64; WORKERS + 1], value: u64| {
                let (producer, number) = ((value >> 56) as usize, value & !(0xff << 56));
                assert!(number > last[producer], "{number} after {} of producer {producer}", last[producer]);
                last[producer] = number;
            };
            let work = {
                let (ring, into, out, stop) =
                    (Arc::clone(&ring), Arc::clone(&into), Arc::clone(&out), Arc::clone(&stop));
                move |index: usize| {
                    let (mut last, mut number, mut pause) = ([0; WORKERS + 1], 0_u64, Pause::default());
                    while !stop.load(Ordering::Relaxed) {
                        let mut moved = false;
                        for _ in 0..1 + number % 7 {
                            let value = (index as u64) << 56 | (number + 1);
                            if ring.push(value).is_ok() {
                                number += 1;
                                into.one(value);
                                moved = true;
                            }
                        }
                        if index % 2 == 0 {
                            moved |= ring.pop_many(5, |value| {
                                check(&mut last, value);
                                out.one(value);
                            }) > 0;
                        } else if let Some(value) = ring.pop() {
                            check(&mut last, value);
                            out.one(value);
                            moved = true;
                        }
                        if moved {
                            pause.something();
                        } else {
                            pause.nothing();
                        }
                    }
                }
            };
            let handles = on_all_four(&pool, work);
            let (start, mut last, mut number) = (now(), [0; WORKERS + 1], 0_u64);
            while now() - start < milliseconds() {
                for _ in 0..200 {
                    let value = (WORKERS as u64) << 56 | (number + 1);
                    if ring.push(value).is_ok() {
                        number += 1;
                        into.one(value);
                    }
                    if let Some(value) = ring.pop() {
                        check(&mut last, value);
                        out.one(value);
                    }
                }
                sleep(0).await;
            }
            stop.store(true, Ordering::Relaxed);
            all("the workers", handles).await;
            while let Some(value) = ring.pop() {
                check(&mut last, value);
                out.one(value);
            }
            assert_eq!(into.read(), out.read());
            assert!(number > 0, "the main thread had its part");
            report(&format!(concat!($text, ": {} values, {} of them main's"), out.read().0, number));
        }
    };
}

type LockFree<T> = mpmc::BoxedRing<T>;
type Fast<T> = mpmc::fast::BoxedRing<T>;
stress_mpmc!(stress_the_lock_free_mpmc_ring, LockFree, "mpmc");
stress_mpmc!(stress_the_fast_mpmc_ring, Fast, "mpmc::fast");

/// The ring that is stolen from: its owner pushes, pops from both ends and drains; two workers steal halves into rings of their own, one steals one
/// by one, and so does the main thread.
#[wasm_bindgen_test]
async fn stress_the_stealing_ring() {
    const N: usize = 256;
    let pool = pool().await;
    let ring = Arc::new(steal::Ring::<u64, N>::new());
    let (into, out, stop) = (Arc::new(Sum::default()), Arc::new(Sum::default()), Arc::new(AtomicBool::new(false)));
    let stolen = Arc::new(AtomicU64::new(0));
    let work = {
        let (ring, into, out, stop) = (Arc::clone(&ring), Arc::clone(&into), Arc::clone(&out), Arc::clone(&stop));
        let stolen = Arc::clone(&stolen);
        move |index: usize| {
            let mut pause = Pause::default();
            if index == 0 {
                // SAFETY: only this task makes an owner, once.
                let mut own = unsafe { ring.owner() };
                let mut next = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..1 + next % 61 {
                        match own.push(next) {
                            Ok(()) => {
                                into.one(next);
                                next += 1;
                            }
                            Err(_) if next % 3 == 0 => {
                                own.drain_half(|value| out.one(value));
                            }
                            Err(_) => break,
                        }
                    }
                    for turn in 0..next % 29 {
                        if let Some(value) = if turn % 2 == 0 { own.pop() } else { own.pop_lifo() } {
                            out.one(value);
                        }
                    }
                }
                return next;
            }
            let mut mine = steal::Ring::<u64, 64>::new();
            let (mut own, _) = mine.split();
            let mut taken = 0;
            while !stop.load(Ordering::Relaxed) {
                let first = if index == 1 {
                    ring.stealer_numbered(1).steal().success()
                } else {
                    ring.stealer_numbered(index as u32).steal_half_into(&mut own).success().map(|(first, _)| first)
                };
                match first {
                    Some(value) => {
                        out.one(value);
                        taken += 1;
                        pause.something();
                    }
                    None => pause.nothing(),
                }
                while let Some(value) = own.pop() {
                    out.one(value);
                    taken += 1;
                }
            }
            stolen.fetch_add(taken, Ordering::Relaxed);
            taken
        }
    };
    let handles = on_all_four(&pool, work);
    let (start, mut by_main) = (now(), 0_u64);
    while now() - start < milliseconds() {
        for _ in 0..200 {
            if let Some(value) = ring.stealer_numbered(9).steal().success() {
                out.one(value);
                by_main += 1;
            }
        }
        sleep(0).await;
    }
    stop.store(true, Ordering::Relaxed);
    let parts = all("the workers", handles).await;
    while let Some(value) = ring.stealer().steal().success() {
        out.one(value);
    }
    assert_eq!(into.read(), out.read());
    assert_eq!(into.read().0, parts[0]);
    report(&format!(
        "steal: {} values, {} stolen by workers, {by_main} by main",
        parts[0],
        stolen.load(Ordering::Relaxed)
    ));
}

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

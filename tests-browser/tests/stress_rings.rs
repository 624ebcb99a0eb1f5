//! The rings under stress: four workers and the main thread, on every kind of ring, all at once as fast as they
//! can. The main thread never blocks: it tries, and awaits.
//!
//! In CI each test lasts a second; `cargo xtask test-wasm --long` makes it ten.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tests_browser::stress::{Pause, Sum, all, milliseconds, on_all_four};
use tests_browser::{WORKERS, now, pool, report, sleep};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_ring::{mpmc, spsc, steal};
use weblane_sync::Mutex;

wasm_bindgen_test_configure!(run_in_browser);

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

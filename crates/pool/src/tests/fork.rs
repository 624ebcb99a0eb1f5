//! Fork and join on native threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use std::vec::Vec;
use std::{string::String, vec};

use crate::{ThreadPool, join};

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(|| fib(n - 1), || fib(n - 2));
    a + b
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPool::with_threads(threads).expect("threads")
}

#[test]
fn joins_at_every_level_add_up_whatever_the_number_of_workers() {
    for threads in [1, 2, 4, 8] {
        let pool = pool(threads);
        for _ in 0..20 {
            assert_eq!(pool.install(|| fib(20)).expect("installed"), 6765);
        }
    }
    assert_eq!(fib(15), 610, "outside a pool it is two calls");
}

/// Leaves of very different size, so that workers wait, help and sleep.
#[test]
fn uneven_trees_add_up() {
    fn tree(depth: u32, seed: u32) -> u64 {
        if depth == 0 {
            if seed.is_multiple_of(97) {
                thread::sleep(Duration::from_micros(200));
            }
            return (0..seed % 50).map(u64::from).sum();
        }
        let (a, b) = join(
            || tree(depth - 1, seed.wrapping_mul(31) + 1),
            || if seed.is_multiple_of(3) { 1 } else { tree(depth - 1, seed.wrapping_mul(17) + 3) },
        );
        a + b
    }
    let expected = tree(12, 5);
    for threads in [1, 2, 4, 8] {
        let pool = pool(threads);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        assert_eq!(pool.install(|| tree(12, 5)).expect("installed"), expected);
                    }
                });
            }
        });
    }
}

#[test]
fn a_join_borrows_and_returns() {
    let pool = pool(2);
    let text = String::from("borrowed");
    let mut list = vec![1];
    let ((), length) = pool.join(|| list.push(2), || text.len()).expect("joined");
    assert_eq!((list, length), (vec![1, 2], 8));
}

/// The second branch runs on another worker while the first one is in the middle of a long leaf: pending work is never hidden.
#[test]
fn every_pending_branch_can_be_taken_during_a_long_leaf() {
    let pool = pool(4);
    let ran = AtomicU32::new(0);
    let count = || {
        ran.fetch_add(1, Ordering::SeqCst);
    };
    let leaf = || {
        while ran.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
    };
    pool.install(|| join(|| join(|| join(leaf, count), count), count)).expect("installed");
    assert_eq!(ran.into_inner(), 3);
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    payload.downcast_ref::<&str>().copied().unwrap_or("not a text")
}

#[test]
fn both_sides_end_before_a_panic_goes_on_and_the_first_one_wins() {
    for threads in [1, 2, 4] {
        let pool = pool(threads);
        for round in 0..100_u32 {
            let other = AtomicBool::new(false);
            let nap = || {
                if round % 3 == 0 {
                    thread::sleep(Duration::from_micros(50));
                }
            };
            let end = || {
                nap();
                other.store(true, Ordering::SeqCst);
            };
            let caught =
                catch_unwind(AssertUnwindSafe(|| pool.join(|| -> () { panic!("a") }, end))).expect_err("it panicked");
            assert!(other.load(Ordering::SeqCst), "b ran");
            assert_eq!(message(&*caught), "a");
            let caught =
                catch_unwind(AssertUnwindSafe(|| pool.join(nap, || -> () { panic!("b") }))).expect_err("it panicked");
            assert_eq!(message(&*caught), "b");
            let both = || {
                pool.join(
                    || -> () {
                        nap();
                        panic!("a")
                    },
                    || -> () { panic!("b") },
                )
            };
            assert_eq!(message(&*catch_unwind(AssertUnwindSafe(both)).expect_err("it panicked")), "a");
        }
        assert_eq!(pool.install(|| fib(10)).expect("the pool goes on"), 55);
    }
}

/// Deep inside, where the window is full, a panic has the same meaning.
#[test]
fn a_panic_under_a_full_window_runs_the_other_side_too() {
    let pool = pool(1);
    let ran = AtomicU32::new(0);
    fn down(depth: u32, ran: &AtomicU32) {
        if depth == 0 {
            panic!("the bottom");
        }
        join(
            || down(depth - 1, ran),
            || {
                ran.fetch_add(1, Ordering::SeqCst);
            },
        );
    }
    let caught = catch_unwind(AssertUnwindSafe(|| pool.install(|| down(10, &ran)))).expect_err("it panicked");
    assert_eq!(message(&*caught), "the bottom");
    assert_eq!(ran.into_inner(), 10);
}

/// Races 20, 22: joins and handles mixed; tasks that wait for tasks.
#[test]
fn joins_inside_tasks_that_others_wait_for() {
    let pool = pool(3);
    let sum: u64 = (0..200)
        .map(|i| {
            let inner = pool.clone();
            pool.spawn(move || {
                let (a, mut handle) = join(|| fib(i % 12), || inner.spawn(move || fib(i % 9)));
                a + handle.join().expect("no panic")
            })
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|mut handle| handle.join().expect("no panic"))
        .sum();
    assert_eq!(sum, (0..200).map(|i| fib(i % 12) + fib(i % 9)).sum());
}

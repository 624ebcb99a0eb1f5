//! Fork and join on native threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;
use std::vec::Vec;
use std::{string::String, vec};

use crate::{Scope, ThreadPool, join, par_chunks, par_chunks_mut, par_for, par_map_reduce, scope};

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

fn counters(count: usize) -> Vec<AtomicU32> {
    (0..count).map(|_| AtomicU32::new(0)).collect()
}

fn all_once(counters: &[AtomicU32]) -> bool {
    counters.iter().all(|counter| counter.load(Ordering::Relaxed) == 1)
}

#[test]
fn every_child_of_a_scope_runs_once_and_before_its_end() {
    for threads in [1, 2, 4, 8] {
        let pool = pool(threads);
        for children in [0, 1, 2, 3, 10, 1000, 20_000] {
            let ran = counters(children);
            pool.scope(|scope| {
                for counter in &ran {
                    scope.spawn(|_| {
                        counter.fetch_add(1, Ordering::Relaxed);
                    });
                }
            })
            .expect("installed");
            assert!(all_once(&ran), "{threads} threads, {children} children");
        }
    }
    let mut here = 0;
    scope(|scope| scope.spawn(|_| here += 1));
    assert_eq!(here, 1, "outside a pool, too");
}

/// Children that spawn children, joins inside scopes, scopes inside joins, and a scope that is spawned into from inside an inner one.
#[test]
fn scopes_and_joins_nest() {
    fn tree<'scope>(scope: &Scope<'scope>, depth: u32, count: &'scope AtomicU32) {
        count.fetch_add(1, Ordering::Relaxed);
        if depth > 0 {
            for _ in 0..3 {
                scope.spawn(move |scope| tree(scope, depth - 1, count));
            }
        }
    }
    for threads in [1, 2, 4] {
        let pool = pool(threads);
        for _ in 0..20 {
            let (count, other) = (AtomicU32::new(0), AtomicU32::new(0));
            let add = || {
                other.fetch_add(1, Ordering::Relaxed);
            };
            let ((), sum) = pool
                .join(
                    || scope(|scope| tree(scope, 6, &count)),
                    || {
                        scope(|outer| {
                            outer.spawn(|_| add());
                            scope(|inner| {
                                inner.spawn(|inner| {
                                    inner.spawn(|_| add());
                                    assert_eq!(join(|| fib(10), || fib(11)), (55, 89));
                                });
                                // Below the inner scope's branches: kept, and not exposed.
                                (0..20).for_each(|_| outer.spawn(|_| add()));
                                inner.spawn(|_| add());
                            });
                            fib(12)
                        })
                    },
                )
                .expect("installed");
            assert_eq!((count.into_inner(), other.into_inner(), sum), ((3_u32.pow(7) - 1) / 2, 23, 144));
        }
    }
}

/// A chain of children, each of which spawns the next, is a loop: it needs no stack.
#[test]
fn a_long_chain_of_children_needs_no_stack() {
    fn next<'scope>(scope: &Scope<'scope>, left: u32, count: &'scope AtomicU32) {
        count.fetch_add(1, Ordering::Relaxed);
        if left > 0 {
            scope.spawn(move |scope| next(scope, left - 1, count));
        }
    }
    let (pool, count) = (pool(1), AtomicU32::new(0));
    pool.scope(|scope| next(scope, 300_000, &count)).expect("installed");
    assert_eq!(count.into_inner(), 300_001);
}

#[test]
fn large_children_and_what_they_hold_are_dropped_once() {
    let (pool, held) = (pool(2), std::sync::Arc::new(()));
    let sum = AtomicU32::new(0);
    pool.scope(|scope| {
        for i in 0..500_u32 {
            let (held, large, sum) = (std::sync::Arc::clone(&held), [i; 40], &sum);
            scope.spawn(move |_| {
                sum.fetch_add(large.iter().sum::<u32>() / 40, Ordering::Relaxed);
                drop(held);
            });
        }
    })
    .expect("installed");
    assert_eq!((sum.into_inner(), std::sync::Arc::strong_count(&held)), ((0..500).sum(), 1));
}

#[test]
fn a_panic_in_a_scope_comes_out_when_every_child_has_ended() {
    for threads in [1, 2, 4] {
        let pool = pool(threads);
        for body_panics in [false, true] {
            let ran = counters(300);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.scope(|scope| {
                    for (i, counter) in ran.iter().enumerate() {
                        scope.spawn(move |_| {
                            counter.fetch_add(1, Ordering::Relaxed);
                            if i % 50 == 7 {
                                panic!("a child");
                            }
                        });
                    }
                    if body_panics {
                        panic!("the body");
                    }
                })
            }));
            assert_eq!(message(&*caught.expect_err("it panicked")), if body_panics { "the body" } else { "a child" });
            assert!(all_once(&ran));
        }
        assert_eq!(pool.install(|| fib(10)).expect("the pool goes on"), 55);
    }
}

#[test]
fn loops_visit_every_index_once() {
    for threads in [1, 2, 4] {
        let pool = pool(threads);
        for length in [0, 1, 2, 3, 7, 1000, 50_000] {
            let ran = counters(length);
            let visit = |i: usize| {
                ran[i].fetch_add(1, Ordering::Relaxed);
            };
            pool.par_for(0..length, visit).expect("installed");
            assert!(all_once(&ran));
            pool.install(|| par_chunks(&ran, 7, |number, chunk| assert!(all_once(chunk) && number <= length / 7)))
                .expect("installed");
            let mut numbers = vec![0; length];
            pool.install(|| par_chunks_mut(&mut numbers, 9, |number, chunk| chunk.fill(number + 1)))
                .expect("installed");
            assert!(numbers.iter().enumerate().all(|(i, number)| *number == i / 9 + 1));
            // Not commutative, so that the order shows.
            let text = |i: usize| String::from(char::from(b'a' + (i % 26) as u8));
            let joined = pool.install(|| par_map_reduce(0..length.min(1000), text, |a, b| a + &b)).expect("installed");
            assert_eq!(joined.unwrap_or_default(), (0..length.min(1000)).map(text).collect::<String>());
        }
    }
    par_for(5..8, |i| assert!((5..8).contains(&i)));
}

/// A loop whose first index is long gives the rest away, but for the few that come with the first when the window is full.
#[test]
fn a_loop_with_one_long_index_gives_the_rest_away() {
    let (pool, ran) = (pool(2), AtomicU32::new(0));
    let body = |i: usize| {
        if i == 0 {
            while ran.load(Ordering::SeqCst) < 90 {
                thread::yield_now();
            }
        } else {
            ran.fetch_add(1, Ordering::SeqCst);
        }
    };
    pool.par_for(0..100, body).expect("installed");
    assert_eq!(ran.into_inner(), 99);
}

/// Race 16 for branches: a worker dies inside a branch. Its owner panics instead of waiting for ever, after the other side has ended.
#[test]
fn race_16_the_owner_of_a_lost_branch_panics() {
    use crate::host::{Host, Seat};
    use crate::native::NativeHost;
    use crate::scheduler::Core;

    let core: &'static Core<NativeHost> = std::boxed::Box::leak(std::boxed::Box::new(Core::new(NativeHost::new(2))));
    for with_scope in [false, true] {
        let inside = std::sync::Arc::new(AtomicBool::new(false));
        let at_thief = std::sync::Arc::clone(&inside);
        // For ever: to the pool this is a thread that has trapped.
        let trap = move || {
            at_thief.store(true, Ordering::SeqCst);
            while at_thief.load(Ordering::SeqCst) {
                thread::park();
            }
        };
        let is_inside = move || {
            while !inside.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            // SAFETY: the thread runs nothing of the pool any more; this is done once for each death.
            unsafe { crate::fork::branch::bury(core, 1) };
        };
        let victim = thread::spawn(move || {
            let before = NativeHost::set_seat(Some(Seat { core, worker: 0 }));
            let stay = crate::fork::hot::enter(&core.host().lane(0).window);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                if with_scope {
                    scope(|scope| {
                        scope.spawn(move |_| trap());
                        is_inside();
                    });
                } else {
                    join(is_inside, trap);
                }
            }));
            drop(stay);
            NativeHost::set_seat(before);
            assert!(core.host().lane(0).window.is_empty());
            message(&*caught.expect_err("it panicked")).contains("has died")
        });
        thread::spawn(move || {
            loop {
                if let Some(branch) = core.host().lane(0).window.steal(0, &core.host().lane(1).window) {
                    // SAFETY: just taken; this thread is worker 1.
                    unsafe { crate::fork::branch::run_taken(core, 1, branch) };
                }
                thread::yield_now();
            }
        });
        assert!(victim.join().expect("no panic"));
    }
}

/// What a join has begun goes on to its end, also in a pool that discards what is queued: a branch that was taken is run.
#[test]
fn a_pool_that_discards_runs_the_branches_of_what_runs() {
    for _ in 0..200 {
        let pool = ThreadPool::with_threads(2).expect("two threads");
        let mut sum = pool.spawn(|| {
            fn sum(from: u64, to: u64) -> u64 {
                if to - from == 1 {
                    return from;
                }
                let middle = from.midpoint(to);
                let (left, right) = join(|| sum(from, middle), || sum(middle, to));
                left + right
            }
            (0..200).map(|_| sum(0, 64)).sum::<u64>()
        });
        thread::yield_now();
        let end = pool.shutdown(crate::Shutdown::Discard);
        match sum.join() {
            Ok(sum) => assert_eq!(sum, 200 * 63 * 32),
            Err(error) => assert!(matches!(error, crate::JoinError::Cancelled), "{error:?}"),
        }
        end.wait().expect("this thread may block");
    }
}

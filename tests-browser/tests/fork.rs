//! Fork and join in a browser: storms of joins, scopes and loops on two and on four workers, with JS tasks in between; and what is so on threads that are no
//! workers.
#![cfg(target_arch = "wasm32")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tests_browser::{Soon, eventually, spin_until, turns, workers};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use weblane_pool::{JoinError, JsTask, ThreadPool, join, par_chunks_mut, par_for, par_map_reduce, scope};
use weblane_workers::ThreadId;

wasm_bindgen_test_configure!(run_in_browser);

/// A pool of these workers, as soon as the one before has let them go.
async fn pool_of(threads: &[ThreadId]) -> ThreadPool {
    let mut pool = None;
    eventually("the threads to be free", || {
        pool = ThreadPool::new(threads.to_vec()).ok();
        pool.is_some()
    })
    .await;
    pool.expect("made")
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(move || fib(n - 1), move || fib(n - 2));
    a + b
}

/// A tree whose branches differ much in size, with memory that one worker allocates and another one reads and frees.
fn tree(depth: u32, seed: u32) -> Vec<u32> {
    if depth == 0 {
        return vec![seed; (seed % 40) as usize];
    }
    let (mut a, b) = join(
        || tree(depth - 1, seed.wrapping_mul(31).wrapping_add(1)),
        || if seed.is_multiple_of(3) { Vec::new() } else { tree(depth - 1, seed.wrapping_mul(17).wrapping_add(3)) },
    );
    a.extend(b);
    a
}

/// All kinds of forking in one task; returns what must be the same each time.
fn storm(round: u32) -> u64 {
    let (numbers, nodes) = join(|| fib(16 + round % 4), || tree(9, round).iter().map(|n| u64::from(*n)).sum::<u64>());
    let sum = AtomicU64::new(0);
    scope(|scope| {
        for i in 0..100_u64 {
            let sum = &sum;
            scope.spawn(move |scope| {
                sum.fetch_add(i, Ordering::Relaxed);
                if i % 10 == 0 {
                    scope.spawn(move |_| {
                        sum.fetch_add(fib(8), Ordering::Relaxed);
                    });
                }
            });
        }
    });
    par_for(0..200, |i| {
        sum.fetch_add(i as u64, Ordering::Relaxed);
    });
    let mut list = vec![0_u64; 333];
    par_chunks_mut(&mut list, 10, |number, chunk| chunk.fill(number as u64));
    let squares = par_map_reduce(0..100, |i| (i * i) as u64, |a, b| a + b).unwrap_or(0);
    numbers + nodes + sum.into_inner() + list.iter().sum::<u64>() + squares
}

async fn storms_on(count: usize) {
    let threads = workers().await;
    let pool = pool_of(&threads[..count]).await;
    let expected: Vec<u64> = (0..8).map(storm).collect();
    let js = Arc::new(AtomicU32::new(0));
    for _ in 0..20 {
        let handles: Vec<_> = (0..8).map(|round| pool.spawn(move || storm(round))).collect();
        for _ in 0..3 {
            let js = Arc::clone(&js);
            let task = JsTask::new(move |payload| {
                js.fetch_add(1, Ordering::Relaxed);
                Ok::<JsValue, JsValue>(payload)
            });
            drop(pool.spawn_js(task).expect("sent"));
        }
        for (handle, expected) in handles.into_iter().zip(&expected) {
            assert_eq!(handle.soon().await.expect("no panic"), *expected);
        }
    }
    eventually("the JS tasks", || js.load(Ordering::Relaxed) == 60).await;
}

/// Races 1, 20, 22, 24, 38, 55 for branches.
#[wasm_bindgen_test]
async fn storms_on_two_workers_add_up() {
    storms_on(2).await;
}

/// The same with more workers than a small machine has cores, so that thieves are preempted.
#[wasm_bindgen_test]
async fn storms_on_four_workers_add_up() {
    storms_on(4).await;
}

/// A branch that is pushed while the others go to sleep is taken: its other half waits for it (race 1 for branches, and lost helpers).
#[wasm_bindgen_test]
async fn a_branch_at_the_parking_edge_is_taken() {
    let threads = workers().await;
    let pool = pool_of(&threads[..2]).await;
    let taken = pool.spawn(|| {
        let mut taken = 0;
        for round in 0..2_000_u32 {
            let flag = AtomicU32::new(0);
            join(
                || spin_until("the other branch to run", || flag.load(Ordering::Acquire) != 0),
                || flag.store(1, Ordering::Release),
            );
            taken += flag.into_inner();
            // A pause of another length each time, so that the thief is somewhere else on its way to sleep.
            turns((round % 100) * 1_000);
        }
        taken
    });
    assert_eq!(taken.soon().await.expect("no panic"), 2_000);
}

/// The owner of a branch that runs elsewhere sleeps, and is woken to help with what is forked there.
#[wasm_bindgen_test]
async fn a_sleeping_owner_helps() {
    let threads = workers().await;
    let pool = pool_of(&threads[..2]).await;
    let helped = pool.spawn(|| {
        let mut helped = 0;
        for round in 0..200_u32 {
            let (taken, flag) = (AtomicU32::new(0), AtomicU32::new(0));
            let wait_for = |word: &AtomicU32| spin_until("a branch to run", || word.load(Ordering::Acquire) != 0);
            join(
                || wait_for(&taken),
                || {
                    taken.store(1, Ordering::Release);
                    // Long enough, in most rounds, for the owner to fall asleep.
                    turns(round * 2_000);
                    join(|| wait_for(&flag), || flag.store(1, Ordering::Release));
                },
            );
            helped += flag.into_inner();
        }
        helped
    });
    assert_eq!(helped.soon().await.expect("no panic"), 200);
}

/// The page's main thread must not wait; there, and in JS handlers, a join is two calls (race 23, 36).
#[wasm_bindgen_test]
async fn outside_the_loop_a_join_is_two_calls() {
    let threads = workers().await;
    let pool = pool_of(&threads[..1]).await;
    assert_eq!(fib(12), 144);
    assert!(matches!(pool.install(|| fib(12)), Err(JoinError::MayNotBlock)));
    assert!(matches!(pool.join(|| 1, || 2), Err(JoinError::MayNotBlock)));
    assert!(matches!(pool.scope(|_| ()), Err(JoinError::MayNotBlock)));
    let inner = pool.clone();
    let task = JsTask::new(move |_| {
        // On the pool's only worker, which is out of its loop: it must not wait for itself.
        let both = inner.install(|| join(|| fib(10), || fib(11))).map_err(|error| JsValue::from(error.to_string()))?;
        Ok::<JsValue, JsValue>(((both.0 + both.1) as f64).into())
    });
    let reply = pool.spawn_js(task).expect("sent").soon().await.expect("no error");
    assert_eq!(reply.as_f64(), Some(144.0));
}

//! Fork and join: Fibonacci numbers the stupid way, with a join at every level and no cut-off, so that nothing but the price of a join is
//! measured.
//!
//! rayon's threads on the web are workers of a pool that is lent to it for good. That is what wasm-bindgen-rayon does, with workers of its own: what
//! runs on them is the same.

use weblane_pool::{ThreadPool, join};

use crate::{Clock, Pools, Row, side_by_side};

const N: u32 = 30;

fn sequential(n: u32) -> u64 {
    if n < 2 { u64::from(n) } else { sequential(n - 1) + sequential(n - 2) }
}

pub(crate) fn joining(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = join(move || joining(n - 1), move || joining(n - 2));
    a + b
}

/// The same calls as [`joining`]: of `sequential`'s two, the compiler makes one a loop.
pub(crate) fn both_calls(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = (both_calls(n - 1), both_calls(n - 2));
    // Never so, but the compiler does not know it, and so the second call is no tail call.
    if n > 100 { sequential(n) } else { a + b }
}

pub(crate) fn rayon_joining(n: u32) -> u64 {
    if n < 2 {
        return u64::from(n);
    }
    let (a, b) = rayon_core::join(move || rayon_joining(n - 1), move || rayon_joining(n - 2));
    a + b
}

/// Milliseconds for one number.
pub(crate) fn time(clock: Clock, fib: impl FnOnce(u32) -> u64) -> f64 {
    let start = clock();
    assert_eq!(fib(std::hint::black_box(N)), 832_040);
    clock() - start
}

/// Gives the workers of the contender before the time to go to sleep, so that each has the cores for itself.
fn settle(clock: Clock) {
    let start = clock();
    while clock() - start < 2.0 {
        std::hint::spin_loop();
    }
}

/// rayon on the workers of this pool, which it keeps.
pub(crate) fn rayon_on(pool: &ThreadPool, threads: usize) -> rayon_core::ThreadPool {
    let builder = rayon_core::ThreadPoolBuilder::new().num_threads(threads).spawn_handler(|thread| {
        pool.spawn_detached(move || thread.run());
        Ok(())
    });
    builder.build().expect("threads")
}

/// Tasks in one scope.
const CHILDREN: u32 = 100_000;

/// Nanoseconds for each task of a scope that does next to nothing, from the scope's beginning to its end.
fn scope_weblane(clock: Clock) -> f64 {
    let start = clock();
    weblane_pool::scope(|scope| {
        for i in 0..CHILDREN {
            scope.spawn(move |_| {
                std::hint::black_box(i);
            });
        }
    });
    (clock() - start) * 1e6 / f64::from(CHILDREN)
}

fn scope_rayon(clock: Clock) -> f64 {
    let start = clock();
    rayon_core::scope(|scope| {
        for i in 0..CHILDREN {
            scope.spawn(move |_| {
                std::hint::black_box(i);
            });
        }
    });
    (clock() - start) * 1e6 / f64::from(CHILDREN)
}

pub(crate) fn rows(pools: &Pools, clock: Clock) -> Vec<Row> {
    let two = |task: fn(Clock) -> f64| {
        move || {
            settle(clock);
            pools.two.install(|| task(clock)).expect("a worker may block")
        }
    };
    let weblane = |pool: &ThreadPool| {
        let pool = pool.clone();
        move || {
            settle(clock);
            pool.install(|| time(clock, joining)).expect("a worker may block")
        }
    };
    let rayon = rayon_on(&pools.peer, 2);
    let mut rows = side_by_side(
        "fib30_join_ms",
        vec![
            ("sequential", Box::new(|| time(clock, sequential))),
            ("sequential, both calls", Box::new(|| time(clock, both_calls))),
            ("weblane, 2 workers", Box::new(weblane(&pools.two))),
            ("weblane, 1 worker", Box::new(weblane(&pools.one))),
            (
                "rayon, 2 workers",
                Box::new(|| {
                    settle(clock);
                    rayon.install(|| time(clock, rayon_joining))
                }),
            ),
        ],
    );
    rows.extend(side_by_side(
        "scope_spawn_ns",
        vec![
            ("weblane, 2 workers", Box::new(two(scope_weblane))),
            (
                "rayon, 2 workers",
                Box::new(|| {
                    settle(clock);
                    rayon.install(|| scope_rayon(clock))
                }),
            ),
        ],
    ));
    rows
}

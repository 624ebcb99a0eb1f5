//! Weblane beside its peers: the same work, one after the other in every round, so that what the machine does to one it does to all.
//!
//! A figure by itself says little on a shared machine; the ratios of one run do. Every contender is warmed before the first
//! round; the result is the median of the rounds, with the least and the most.

// For the contender that is the bare instruction.
#![cfg_attr(all(target_arch = "wasm32", target_feature = "atomics"), feature(stdarch_wasm_atomic_wait))]

mod channel;
mod deque;
mod fork;
mod lock;
mod mpmc;
pub mod pool;
mod sleep;
#[cfg(target_arch = "wasm32")]
pub mod soak;
mod spsc;
#[cfg(target_arch = "wasm32")]
pub mod web;

use weblane_pool::ThreadPool;

/// One contender's figure.
pub struct Row {
    /// What was measured, with its unit at the end of the name.
    pub metric: &'static str,
    /// Who: `weblane ...` is ours.
    pub peer: &'static str,
    /// The median of the rounds.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// Something that is measured: its name, and one round, which returns the figure.
type Contender<'a> = (&'static str, Box<dyn FnMut() -> f64 + 'a>);

/// Milliseconds since some moment.
pub type Clock = fn() -> f64;

const ROUNDS: usize = 9;
/// Where threads contend, one round says little: more of them, shorter ones.
const CONTENDED_ROUNDS: usize = 31;

/// Measures the contenders of one metric side by side.
fn side_by_side(metric: &'static str, contenders: Vec<Contender<'_>>) -> Vec<Row> {
    in_rounds(ROUNDS, metric, contenders)
}

/// The same in so many rounds, an odd number.
fn in_rounds(rounds: usize, metric: &'static str, mut contenders: Vec<Contender<'_>>) -> Vec<Row> {
    let mut figures = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..=rounds {
        for ((_, run), figures) in contenders.iter_mut().zip(&mut figures) {
            let figure = run();
            // The first round warms: the engine compiles, the caches fill.
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    let row = |((peer, _), mut figures): (Contender<'_>, Vec<f64>)| {
        figures.sort_by(f64::total_cmp);
        Row { metric, peer, median: figures[rounds / 2], min: figures[0], max: figures[rounds - 1] }
    };
    contenders.into_iter().zip(figures).map(row).collect()
}

/// The groups of metrics.
pub const GROUPS: [&str; 7] = ["deque", "spsc", "mpmc", "sleep", "lock", "channel", "fork"];

/// The pools of the benchmark, on threads of their own.
#[derive(Clone)]
pub struct Pools {
    /// Four workers. The benchmark itself runs on one of them.
    pub four: ThreadPool,
    /// Two workers.
    pub two: ThreadPool,
    /// One worker.
    pub one: ThreadPool,
    /// Two workers, which are given to a peer.
    pub peer: ThreadPool,
}

/// One group of metrics, `rings` for those of the primitives or, with `None`, all; on a thread that may block.
pub fn run(pools: &Pools, clock: Clock, only: Option<&str>) -> Vec<Row> {
    let pool = &pools.four;
    let mut rows = Vec::new();
    let chosen = |group: &&str| match only {
        None => true,
        Some("rings") => !matches!(*group, "channel" | "fork"),
        Some(only) => only == *group,
    };
    for group in GROUPS.into_iter().filter(chosen) {
        rows.extend(match group {
            "channel" => channel::rows(pool, clock),
            "deque" => deque::rows(clock),
            "lock" => lock::rows(pool, clock),
            "mpmc" => mpmc::rows(pool, clock),
            "spsc" => spsc::rows(pool, clock),
            "fork" => fork::rows(pools, clock),
            _ => sleep::rows(pool, clock),
        });
    }
    rows
}

/// The rows as lines of JSON.
pub fn json(engine: &str, rows: &[Row]) -> String {
    let line = |row: &Row| {
        let Row { metric, peer, median, min, max } = row;
        format!(
            "{{\"engine\":\"{engine}\",\"metric\":\"{metric}\",\"peer\":\"{peer}\",\"median\":{median:.3},\"min\":{min:.3},\"max\":{max:.3}}}"
        )
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

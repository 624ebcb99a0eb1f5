//! The pool beside rayon, and beside what the platform gives by itself ("floor"): raw futex wake-ups, raw `postMessage`.
//!
//! rayon's threads on the web are workers that a pool of ours lends to it for good, which is what wasm-bindgen-rayon does with workers of its own: `rayon-core`
//! with a spawn handler. So both run the same closures in the same page, in turns.

#[cfg(target_arch = "wasm32")]
pub(crate) mod js;
mod rust;

use crate::{Clock, Pools};

/// One measurement.
pub struct Sample {
    /// `weblane`, `rayon`, or `floor`: the platform by itself.
    pub peer: &'static str,
    /// What was measured, with its unit at the end of the name.
    pub metric: &'static str,
    /// The workers of the pool.
    pub workers: u32,
    /// Which repetition.
    pub rep: u32,
    /// The figure.
    pub value: f64,
}

impl Sample {
    /// As a line of JSON.
    pub fn json(&self, engine: &str) -> String {
        let Sample { peer, metric, workers, rep, value } = self;
        let unit = metric.rsplit('_').next().unwrap_or_default();
        format!(
            "{{\"engine\":\"{engine}\",\"peer\":\"{peer}\",\"metric\":\"{metric}\",\"workers\":{workers},\"rep\":{rep},\"value\":{value:.4},\
             \"unit\":\"{unit}\"}}"
        )
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Repetitions.
    pub reps: u32,
    /// Tasks in each.
    pub tasks: u32,
    /// Wake-ups in each.
    pub wakes: u32,
}

impl Effort {
    /// For figures.
    pub const FULL: Effort = Effort { reps: 7, tasks: 100_000, wakes: 300 };
    /// To see that everything runs.
    pub const SMOKE: Effort = Effort { reps: 1, tasks: 500, wakes: 5 };
}

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
pub enum Part {
    /// Everything.
    All,
    /// Tasks from outside, and from a worker.
    Submit,
    /// Fork and join.
    Fork,
    /// Calls to those who sleep.
    Wake,
    /// Tasks with JS values.
    Js,
}

impl Part {
    fn has(self, part: Part) -> bool {
        self == Part::All || self == part
    }
}

/// The pool's groups: what to measure, and how much.
pub fn group(name: &str) -> Option<(Effort, Part)> {
    Some(match name {
        "pool" => (Effort::FULL, Part::All),
        "pool-submit" => (Effort::FULL, Part::Submit),
        "pool-fork" => (Effort::FULL, Part::Fork),
        "pool-wake" => (Effort::FULL, Part::Wake),
        "pool-js" => (Effort::FULL, Part::Js),
        "pool-smoke" => (Effort::SMOKE, Part::All),
        _ => return None,
    })
}

/// What needs no event loop, on a thread that may block.
pub fn samples(pools: &Pools, clock: Clock, effort: Effort, part: Part) -> Vec<Sample> {
    if part == Part::Js { Vec::new() } else { rust::samples(pools, clock, effort, part) }
}

/// The value that `part` of the sorted values do not exceed.
fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * part) as usize).min(values.len() - 1)]
}

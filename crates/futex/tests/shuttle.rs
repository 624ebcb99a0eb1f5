//! The same promises under shuttle: `RUSTFLAGS="--cfg shuttle" cargo test -p weblane-futex --release --tests`.
//!
//! shuttle's memory is sequentially consistent, as wasm's is. The smallest models are explored whole; the others by chance, and by
//! PCT, which looks for bugs of a given depth.
#![cfg(all(shuttle, not(loom)))]
#![allow(missing_docs, reason = "tests")]

use shuttle as modelled;

mod cases;

use cases::Seen;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

const RANDOM: usize = 3000;
const BY_DEPTH: usize = 1000;

/// From seeds, so that what a model says it must have seen does not hang on luck.
fn model(check: impl Fn() + Sync + Send + Clone + 'static) {
    Runner::new(RandomScheduler::new_from_seed(1, RANDOM), Config::default()).run(check.clone());
    Runner::new(PctScheduler::new_from_seed(1, 3, BY_DEPTH), Config::default()).run(check);
}

/// The same for a model that notes what it saw.
fn explore(check: impl Fn(&Seen) + Sync + Send + Clone + 'static) -> Vec<String> {
    let seen = Seen::default();
    let log = seen.clone();
    model(move || check(&log));
    seen.all()
}

/// Every interleaving.
#[test]
fn race_3_change_and_notify_vs_wait() {
    shuttle::check_dfs(cases::race_3_change_and_notify_vs_wait, None);
}

#[test]
fn race_3_with_spurious_wakes() {
    model(cases::race_3_with_spurious_wakes);
}

#[test]
fn race_3_with_time_outs() {
    model(cases::race_3_with_time_outs);
}

#[test]
fn counts_are_exact() {
    assert_eq!(explore(cases::counts_are_exact), ["(0, 0)", "(0, 1)", "(0, 2)", "(1, 0)", "(1, 1)"]);
}

#[test]
fn who_was_not_called_sleeps_on() {
    model(cases::who_was_not_called_sleeps_on);
}

/// Every interleaving.
#[test]
fn words_are_apart() {
    shuttle::check_dfs(cases::words_are_apart, None);
}

/// Every interleaving.
#[test]
fn race_41_time_out_vs_notify() {
    let seen = Seen::default();
    let log = seen.clone();
    shuttle::check_dfs(move || cases::race_41_time_out_vs_notify(&log), None);
    assert_eq!(seen.all(), ["TimedOut", "Woken"]);
}

#[test]
fn race_41_the_word_decides() {
    assert_eq!(
        explore(cases::race_41_the_word_decides),
        ["(Mismatch, 1)", "(TimedOut, 0)", "(TimedOut, 1)", "(Woken, 1)"]
    );
}

#[test]
fn spurious_wakes_are_bounded() {
    assert_eq!(explore(cases::spurious_wakes_are_bounded), ["(0, 0)", "(1, 0)", "(1, 1)", "(2, 1)", "(2, 2)"]);
}

#[test]
fn a_spent_budget_is_spent() {
    model(cases::a_spent_budget_is_spent);
}

#[test]
fn no_time_outs() {
    model(cases::no_time_outs);
}

#[test]
fn time_outs_are_bounded() {
    assert_eq!(explore(cases::time_outs_are_bounded), ["(false, false)", "(false, true)", "(true, false)"]);
}

#[test]
fn a_mutex_of_three_states() {
    model(cases::a_mutex_of_three_states);
}

//! The model futex against its own promises: `RUSTFLAGS="--cfg loom" cargo test -p weblane-futex --release --tests`.
#![cfg(loom)]
#![allow(missing_docs, reason = "tests")]

use loom as modelled;

mod cases;

use cases::Seen;

/// Every interleaving with up to `LOOM_MAX_PREEMPTIONS` preemptions, 2 unless set.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(move || {
        weblane_futex::model::begin();
        check();
    });
}

/// The same for a model that notes what it saw.
fn explore(check: impl Fn(&Seen) + Sync + Send + 'static) -> Vec<String> {
    let seen = Seen::default();
    let log = seen.clone();
    model(move || check(&log));
    seen.all()
}

#[test]
fn race_3_change_and_notify_vs_wait() {
    model(cases::race_3_change_and_notify_vs_wait);
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
    let mut builder = loom::model::Builder::new();
    // The notifier before and after its call, and the two sleepers.
    builder.preemption_bound = Some(3);
    builder.check(|| {
        weblane_futex::model::begin();
        cases::who_was_not_called_sleeps_on();
    });
}

#[test]
fn words_are_apart() {
    model(cases::words_are_apart);
}

#[test]
fn race_41_time_out_vs_notify() {
    assert_eq!(explore(cases::race_41_time_out_vs_notify), ["TimedOut", "Woken"]);
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

//! Traces: what the model does is accepted, and what a mutant does is not.

use weblane_model::accept::{Trace, accept, accept_model, events};
use weblane_model::explore::{Line, explore};
use weblane_model::machine::Machine;
use weblane_model::mutant::Mutant;
use weblane_model::scenario::Scenario;
use weblane_model::scenarios;

/// Marsaglia's xorshift32.
fn random(state: &mut u32) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state as usize
}

/// Some run of a scenario, to its end.
fn walk(scenario: &Scenario, mutant: Option<Mutant>, seed: &mut u32) -> Vec<Line> {
    let (mut machine, mut state, mut lines) = (Machine::new(scenario, mutant), scenario.initial(), Vec::new());
    // A mutant may go round for ever.
    while lines.len() < 1000 {
        machine.steps(&state);
        machine.next.retain(|next| !next.death);
        if machine.next.is_empty() {
            break;
        }
        let next = machine.next[random(seed) % machine.next.len()];
        lines.push(Line { actor: next.actor, what: next.what, then: next.then });
        state = next.state;
    }
    lines
}

#[test]
fn runs_of_the_model_are_accepted() {
    let mut seed = 1;
    for scenario in scenarios::all().iter().filter(|scenario| !scenario.dies()) {
        for _ in 0..500 {
            let lines = walk(scenario, None, &mut seed);
            if let Err(rejection) = accept_model(scenario, &lines) {
                let shown: Vec<String> =
                    events(&lines).iter().map(|event| format!("{} {}", event.thread, event.what)).collect();
                panic!("{}: {rejection:?}\n{}", scenario.name, shown[..=rejection.index].join("\n"));
            }
        }
    }
}

/// Whether some run of this mutant is not accepted: its counterexample, or one of many random ones.
fn rejected(mutant: Mutant) -> bool {
    let mut seed = 7;
    scenarios::all()
        .iter()
        .filter(|scenario| !scenario.dies() && !scenario.long)
        .any(|scenario| (0..200).any(|_| accept_model(scenario, &walk(scenario, Some(mutant), &mut seed)).is_err()))
}

#[test]
fn runs_of_mutants_are_rejected() {
    use Mutant::*;
    let of_the_loop = [
        NoRecheck,
        NoHandOff,
        FlagNotCount,
        NoChain,
        StaysListed,
        NotSearcherAgain,
        ForgetsClaim,
        NoWakeAfterMove,
        LeavesAsSearcher,
        ClaimKeepsSleeper,
        BatchWakesNobody,
        NoWakeAfterPromotion,
        HeldSearches,
        LevelNotLookedAt,
        SliceLeavesRest,
    ];
    for mutant in of_the_loop {
        assert!(rejected(mutant), "{}: {}", mutant.code(), mutant.text());
    }
}

#[test]
fn counterexamples_go_through_the_text_format() {
    let scenario = Scenario::new("one", 1).producer(&[weblane_model::scenario::Op::Submit(1)]);
    let wrong = explore(&scenario, Some(Mutant::NoRecheck), 10_000).wrong.expect("M1 is found");
    let mut text = "# M1\npool 1 1\n".to_owned();
    for event in events(&wrong.trace) {
        text += &format!("{} {}\n", event.thread, event.what);
    }
    let trace = Trace::parse(&text).expect("it was written by the model");
    assert_eq!(trace.events, events(&wrong.trace));
    assert!(accept(&trace).expect_err("it does not look again").why.contains("look at all queues again"));
    assert_eq!(Trace::parse("pool 1 1\nw0 jumps\n"), Err((2, "w0 jumps".to_owned())));
    assert_eq!(Trace::parse("w0 js 0"), Err((1, "w0 js 0".to_owned())));
}

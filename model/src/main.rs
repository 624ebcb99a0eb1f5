//! Every scenario against every mutant, as a table; or one mutant's shortest counterexample. `cargo xtask test-model --trace M5`.

use std::time::Instant;

use weblane_model::explore::{Outcome, explore};
use weblane_model::mutant::Mutant;
use weblane_model::scenario::Scenario;
use weblane_model::scenarios;

const LIMIT: usize = 20_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scenarios = scenarios::all()
        .into_iter()
        .filter(|scenario| arguments.get(1).is_none_or(|part| scenario.name.contains(part.as_str())));
    let scenarios: Vec<Scenario> = scenarios.collect();
    match arguments.first().map(String::as_str) {
        None | Some("all") => {
            for scenario in &scenarios {
                let start = Instant::now();
                let outcome = explore(scenario, None, LIMIT);
                let (states, steps) = (outcome.states, outcome.steps);
                println!(
                    "{states:>9} states {steps:>9} steps {:>6} ms  {}",
                    start.elapsed().as_millis(),
                    scenario.name
                );
                report(scenario, &outcome);
            }
        }
        Some("kills") => {
            for mutant in Mutant::ALL {
                let killers: Vec<String> = scenarios
                    .iter()
                    .filter(|scenario| !scenario.long)
                    .filter_map(|scenario| {
                        let wrong = explore(scenario, Some(*mutant), 300_000).wrong?;
                        Some(format!("\n      {} ({}: {})", scenario.name, wrong.trace.len(), wrong.complaint))
                    })
                    .collect();
                println!("{:<4} {}: {}", mutant.code(), mutant.text(), killers.concat());
            }
        }
        Some(code) => {
            let Some(mutant) = Mutant::by_code(code) else { return eprintln!("no mutant {code}") };
            println!("{}: {}", mutant.code(), mutant.text());
            let found = scenarios.iter().filter(|scenario| !scenario.long).filter_map(|scenario| {
                explore(scenario, Some(mutant), LIMIT).wrong.map(|wrong| (wrong, scenario.name))
            });
            match found.min_by_key(|(wrong, _)| wrong.trace.len()) {
                Some((wrong, name)) => println!("{name}, the shortest way to it:\n{}", wrong.text()),
                None => println!("no scenario notices"),
            }
        }
    }
}

fn report(scenario: &Scenario, outcome: &Outcome) {
    for what in scenario.reaches.iter().filter(|what| outcome.reached & what.mask() == 0) {
        println!("          not reached: {what:?}");
    }
    if let Some(wrong) = &outcome.wrong {
        println!("{}", wrong.text());
    }
}

//! The table of races in `ARCHITECTURE.md`: every test and every mutant that it names must be there.
//!
//! A row is `| number | race | guard | mutants | tests |`. Tests are names in backticks: of a function anywhere in the workspace, with `model::` before it of a
//! test of the protocol's model. The mutants' column is a list of
//!
//! - `M5`: a switch of the protocol's model (`model/src/mutant.rs`);
//! - `pool L2`: the mutant of that name in `crates/pool/mutants.json`, tried by `cargo xtask mutants`;
//! - `by rule: text`: what `cargo xtask mutants` makes by itself;
//! - `by hand: text`: what was taken out by hand, because only a browser notices it;
//! - `none: text`: why there is none.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::kit::{self, root};

const TABLE: &str = "ARCHITECTURE.md";
const RACES: usize = 55;

/// What the table may name.
#[derive(Default)]
struct Known {
    /// Functions anywhere.
    functions: BTreeSet<String>,
    /// Tests of the protocol's model.
    model: BTreeSet<String>,
    /// `M5`, `pool L2`.
    mutants: BTreeSet<String>,
}

/// What is wrong with the table.
pub(crate) fn complaints(files: &[PathBuf]) -> kit::Result<Vec<String>> {
    let mut known = Known::default();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        known.functions.extend(functions(&fs::read_to_string(file)?));
    }
    // A macro makes a test of each line there that is a name and nothing else.
    let tests = fs::read_to_string(root().join("model/tests/protocol.rs"))?;
    let is_name = |line: &&str| line.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    known.model.extend(tests.lines().map(str::trim).filter(is_name).map(str::to_owned));
    let switches = fs::read_to_string(root().join("model/src/mutant.rs"))?;
    known.mutants.extend(switches.split('"').filter(|text| is_switch(text)).map(str::to_owned));
    for entry in fs::read_dir(root().join("crates"))?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("mutants.json")) else { continue };
        let json: Value = serde_json::from_str(&text)?;
        let package = entry.file_name().to_string_lossy().into_owned();
        let names = json["named"].as_array().into_iter().flatten().filter_map(|mutant| mutant["name"].as_str());
        let codes = names.filter_map(|name| name.split_once(':').map(|(code, _)| code));
        known.mutants.extend(codes.map(|code| format!("{package} {code}")));
    }
    let table = fs::read_to_string(root().join(TABLE))?;
    Ok(check(&table, &known).into_iter().map(|text| format!("{TABLE}: {text}")).collect())
}

/// Whether this is a switch of the model: `M3`, `M3b`.
fn is_switch(text: &str) -> bool {
    let number = text.strip_prefix('M').unwrap_or_default();
    let number = number.strip_suffix('b').unwrap_or(number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The names of all functions that begin in a text.
fn functions(text: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect::<String>();
    text.split("fn ").skip(1).map(name).filter(|name| !name.is_empty()).collect()
}

fn check(table: &str, known: &Known) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = 1;
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, _, guard, mutants, tests, _] = cells[..] else { continue };
        let Ok(number) = number.parse::<usize>() else { continue };
        if number != next {
            found.push(format!("race {number} stands where {next} should"));
        }
        next = number + 1;
        if guard.is_empty() || tests.is_empty() {
            found.push(format!("race {number}: an empty cell"));
        }
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        for name in names.into_iter().filter(|name| !name.contains(' ') && !name.ends_with("::")) {
            let there = match name.strip_prefix("model::") {
                Some(name) => known.model.contains(name),
                None => known.functions.contains(name.rsplit("::").next().unwrap_or(name)),
            };
            if !there {
                found.push(format!("race {number}: there is no test `{name}`"));
            }
        }
        for name in
            mutants.split(';').flat_map(|part| if is_text(part) { vec![part] } else { part.split(',').collect() })
        {
            let name = name.trim();
            if !is_text(name) && !known.mutants.contains(name) {
                found.push(format!("race {number}: there is no mutant `{name}`"));
            }
        }
    }
    if next != RACES + 1 {
        found.push(format!("the table has {} races and not {RACES}", next - 1));
    }
    found
}

/// Whether a part of the mutants' column is no name.
fn is_text(part: &str) -> bool {
    let part = part.trim();
    ["by rule: ", "by hand: ", "none: "].iter().any(|kind| part.strip_prefix(kind).is_some_and(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::{Known, check, functions, is_switch};

    fn known() -> Known {
        Known {
            functions: ["a", "b"].map(str::to_owned).into(),
            model: ["b".to_owned()].into(),
            mutants: ["M1", "pool L2"].map(str::to_owned).into(),
        }
    }

    fn wrong(mutants: &str, tests: &str) -> Vec<String> {
        let mut found = check(&format!("| 1 | race | guard | {mutants} | {tests} |\n"), &known());
        found.pop().expect("the other 54 are missing");
        found
    }

    #[test]
    fn what_is_named_must_be_there() {
        assert!(wrong("M1, pool L2; by hand: x, y", "`a`, `model::b`; the compiler").is_empty());
        assert_eq!(wrong("M2", "`a`"), ["race 1: there is no mutant `M2`"]);
        assert_eq!(wrong("M1; a guard", "`a`"), ["race 1: there is no mutant `a guard`"]);
        assert_eq!(wrong("ring L2", "`a`"), ["race 1: there is no mutant `ring L2`"]);
        assert_eq!(wrong("none: x", "`c`"), ["race 1: there is no test `c`"]);
        assert_eq!(wrong("none: x", "`model::a`"), ["race 1: there is no test `model::a`"]);
        assert_eq!(wrong("–", "`a`").len(), 1);
    }

    #[test]
    fn all_races_must_be_there() {
        assert_eq!(check("", &known()), ["the table has 0 races and not 55"]);
        assert_eq!(check("| 2 | r | g | M1 | `a` |", &known())[0], "race 2 stands where 1 should");
    }

    #[test]
    fn names_are_found() {
        assert_eq!(functions("pub(crate) fn f<T>() {}\n    fn race_1_x() {"), ["f", "race_1_x"]);
        assert!(is_switch("M3b") && is_switch("M45") && !is_switch("M") && !is_switch("F1"));
    }
}

//! All mutants in one build: each place chooses, by a number in the environment, what it is.
//!
//! Building a mutant takes longer than its tests. So where a change can be decided when the program runs, all of them are built at once: an
//! ordering is an argument like others, a dropped look is one more condition, and of those that are named the whole function is there twice (see `named`).
//! What does not compile so is left out, and built alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::trial::{Suite, binaries, cargo_test};
use super::{Mutant, copy, named};
use crate::kit::{self, fail};

/// The variable with the mutant's number.
pub(super) const VARIABLE: &str = "WEBLANE_MUTANT";

/// What the choosing places call; goes to the end of the crate's root.
const CHOICE: &str = r#"
#[allow(dead_code)]
mod schema_mutant {
    extern crate std;
    use core::sync::atomic::Ordering;
    pub(crate) fn on(number: usize) -> bool {
        static NUMBER: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
        *NUMBER.get_or_init(|| std::env::var("WEBLANE_MUTANT").ok()?.parse().ok()) == Some(number)
    }
    pub(crate) fn order(usual: Ordering, others: &[(usize, Ordering)]) -> Ordering {
        others.iter().find(|(number, _)| on(*number)).map_or(usual, |(_, order)| *order)
    }
}
"#;

/// The binaries of a crate with all its mutants in them.
#[derive(Default)]
pub(super) struct Schema {
    suites: Vec<Built>,
}

struct Built {
    suite: &'static str,
    /// The mutants that are in there.
    numbers: BTreeSet<usize>,
    binaries: BTreeMap<String, PathBuf>,
}

impl Schema {
    pub(super) fn build(
        copy: &Path,
        package: &str,
        suites: &[Suite],
        targets: &[&str],
        mutants: &[Mutant],
    ) -> kit::Result<Schema> {
        let all: Vec<&Mutant> = mutants.iter().filter(|one| one.package == package).collect();
        let mut schema = Schema::default();
        for suite in suites {
            let mut members = all.clone();
            members.retain(|one| suite.splits || !one.replace.starts_with(".split_"));
            let mut placed = BTreeMap::new();
            for one in &members {
                if let Some(line) = line(copy, one)? {
                    placed.insert(one.number, (one.path(), line));
                }
            }
            members.retain(|one| placed.contains_key(&one.number));
            let outcome = loop {
                write(copy, package, &members)?;
                let result = cargo_test(copy, package, suite, targets).output()?;
                let messages = String::from_utf8_lossy(&result.stdout).into_owned();
                if result.status.success() {
                    break Some(messages);
                }
                let before = members.len();
                let lines = errors(&messages);
                members.retain(|one| placed.get(&one.number).is_some_and(|place| !lines.contains(place)));
                if members.len() == before {
                    kit::say(format!("{package} ({}) does not compile with all mutants: one by one", suite.name));
                    break None;
                }
            };
            let Some(messages) = outcome else { continue };
            let folder = copy.join("schema").join(package).join(suite.name);
            fs::create_dir_all(&folder)?;
            let mut kept = BTreeMap::new();
            for (target, binary) in binaries(&messages) {
                let own = folder.join(&target);
                fs::copy(binary, &own)?;
                kept.insert(target, own);
            }
            let numbers = members.iter().map(|one| one.number).collect();
            schema.suites.push(Built { suite: suite.name, numbers, binaries: kept });
        }
        copy::restore(copy)?;
        Ok(schema)
    }

    /// The binary with this mutant in it.
    pub(super) fn binary(&self, mutant: &Mutant, suite: &str, target: &str) -> Option<&Path> {
        let built = self.suites.iter().find(|built| built.suite == suite && built.numbers.contains(&mutant.number))?;
        built.binaries.get(target).map(PathBuf::as_path)
    }
}

impl Mutant {
    /// The file as the compiler names it.
    fn path(&self) -> String {
        Path::new("crates").join(self.package).join(&self.file).to_string_lossy().into_owned()
    }
}

/// The line that the compiler names if it does not like a mutant; nothing if it cannot be chosen.
fn line(copy: &Path, one: &Mutant) -> kit::Result<Option<u64>> {
    let source = fs::read_to_string(copy::pristine(copy).join(one.package).join(&one.file))?;
    let at = if one.mechanical { Some(one.at) } else { named::body(one, &source).map(|body| body.start) };
    Ok(at.and_then(|at| source.get(..at)).map(|before| before.matches('\n').count() as u64 + 1))
}

/// Where the compiler found errors.
fn errors(messages: &str) -> BTreeSet<(String, u64)> {
    let mut found = BTreeSet::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if message["message"]["level"] == "error" {
            collect(&message["message"]["spans"], &mut found);
            collect(&message["message"]["children"], &mut found);
        }
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<(String, u64)>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => {
            if let (Some(file), Some(line)) = (value["file_name"].as_str(), value["line_start"].as_u64()) {
                found.insert((file.to_owned(), line));
            }
            fields.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}

/// Writes the crate with these mutants in it.
fn write(copy: &Path, package: &str, members: &[&Mutant]) -> kit::Result<()> {
    let folder = copy.join("crates").join(package);
    let mut files: BTreeMap<&Path, Vec<&Mutant>> = BTreeMap::new();
    files.insert(Path::new("src/lib.rs"), Vec::new());
    // Also those that have none any more.
    copy::restore(copy)?;
    for one in members {
        files.entry(&one.file).or_default().push(one);
    }
    for (file, members) in files {
        let mut text = fs::read_to_string(copy::pristine(copy).join(package).join(file))?;
        let mut edits = edits(&members, &text);
        edits.sort_by_key(|edit| (edit.at, edit.rank));
        for edit in edits.iter().rev() {
            let Some(end) = edit.at.checked_add(edit.length).filter(|end| text.is_char_boundary(*end)) else {
                return Err(fail("a mutant beyond the end of its file"));
            };
            text.replace_range(edit.at..end, &edit.text);
        }
        if file == Path::new("src/lib.rs") {
            text += CHOICE;
        }
        copy::put(&folder.join(file), text.as_bytes())?;
    }
    Ok(())
}

struct Edit {
    at: usize,
    /// Of several at one place, the order in which they stand.
    rank: usize,
    length: usize,
    text: String,
}

fn edits(members: &[&Mutant], source: &str) -> Vec<Edit> {
    let mut found = Vec::new();
    let mut orders: BTreeMap<usize, Vec<&Mutant>> = BTreeMap::new();
    // The bodies of functions that named ones change: from where to where, and those that may run in their place.
    let mut bodies: BTreeMap<usize, (usize, String)> = BTreeMap::new();
    for one in members {
        let (at, length, number) = (one.at, one.find.len(), one.number);
        let on = format!("crate::schema_mutant::on({number})");
        if !one.mechanical {
            if let Some(body) = named::body(one, source) {
                let (_, others) = bodies.entry(body.start).or_insert((body.end, String::new()));
                *others += &format!(" if {on} {{ {} }} else", named::changed(one, source, &body));
            }
        } else if one.find.starts_with("Ordering::") {
            // A longer path cannot be put into a call from here.
            if !source[..at].ends_with("::") {
                orders.entry(at).or_default().push(one);
            }
        } else if let Some(operation) = one.replace.strip_prefix(".split_") {
            found.push(Edit { at, rank: 1, length, text: format!(".schema_{operation}{on}, ") });
        } else if one.replace == "false" {
            found.push(Edit { at, rank: 0, length: 0, text: format!("!{on} && (") });
            found.push(Edit { at: at + length, rank: 2, length: 0, text: ")".to_owned() });
        } else {
            found.push(Edit { at, rank: 1, length, text: format!(" - (if {on} {{ 2 }} else {{ 1 }})") });
        }
    }
    for (start, (end, others)) in bodies {
        found.push(Edit { at: start, rank: 3, length: 0, text: format!("{others} {{") });
        found.push(Edit { at: end, rank: 0, length: 0, text: "}".to_owned() });
    }
    for (at, ones) in orders {
        let usual = &ones[0].find;
        let others: Vec<String> = ones.iter().map(|one| format!("({}, {})", one.number, one.replace)).collect();
        let text = format!("crate::schema_mutant::order({usual}, &[{}])", others.join(", "));
        found.push(Edit { at, rank: 1, length: usual.len(), text });
    }
    found
}

#[cfg(test)]
mod tests {

    use super::super::Mutant;
    use super::edits;

    fn mutant(number: usize, source: &str, find: &str, replace: &str) -> Mutant {
        let (find, replace) = (find.to_owned(), replace.to_owned());
        let at = source.find(&find).expect("it is there");
        Mutant { package: "ring", at, find, replace, mechanical: true, number, ..Mutant::default() }
    }

    #[test]
    fn a_line_chooses_what_it_is() {
        let source = "if a.swap(1, Ordering::AcqRel) & (b - 1) {";
        let whole = &source[3..source.len() - 2];
        let ones = [
            mutant(1, source, "Ordering::AcqRel", "Ordering::Acquire"),
            mutant(2, source, "Ordering::AcqRel", "Ordering::Release"),
            mutant(3, source, ".swap(", ".split_swap("),
            mutant(4, source, " - 1", " - 2"),
            mutant(5, source, whole, "false"),
        ];
        let mut text = source.to_owned();
        let mut all = edits(&ones.iter().collect::<Vec<_>>(), source);
        all.sort_by_key(|edit| (edit.at, edit.rank));
        for edit in all.iter().rev() {
            text.replace_range(edit.at..edit.at + edit.length, &edit.text);
        }
        let order = "crate::schema_mutant::order(Ordering::AcqRel, &[(1, Ordering::Acquire), (2, Ordering::Release)])";
        let swap = format!("a.schema_swap(crate::schema_mutant::on(3), 1, {order})");
        let mask = "(b - (if crate::schema_mutant::on(4) { 2 } else { 1 }))";
        assert_eq!(text, format!("if !crate::schema_mutant::on(5) && ({swap} & {mask}) {{"));
    }
}

//! Which mutants there are: those made by rule, and those that `mutants.json` names.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Mutant, named};
use crate::kit::{self, fail, root};

/// All mutants of a crate.
///
/// Its `mutants.json` has the `named` ones; those that are known to be `equivalent`, and those that no model can tell from what they are made of (`unseen`), by
/// their names, or by file, text and perhaps what is put there (not `tried`, if no test on this system could tell them apart); and perhaps `elsewhere`: the beginnings of the files that no test on this system can break, and why.
pub(super) fn all(package: &'static str) -> kit::Result<Vec<Mutant>> {
    let folder = root().join("crates").join(package);
    let named: Value = serde_json::from_str(&fs::read_to_string(folder.join("mutants.json"))?)?;
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let elsewhere = where_else(&named);
    let mut found =
        by_rule(package, &folder, &|file| !elsewhere.iter().any(|(beginning, _)| file.starts_with(beginning)))?;
    for entry in named["named"].as_array().into_iter().flatten() {
        let (file, find) = (text(entry, "file"), text(entry, "find"));
        let source = fs::read_to_string(folder.join(&file))?;
        let [at] = source.match_indices(&find).map(|(at, _)| at).collect::<Vec<_>>()[..] else {
            return Err(fail(format!("mutants.json: `{find}` is not in {file} exactly once")));
        };
        let (file, replace) = (PathBuf::from(file), text(entry, "replace"));
        let name = text(entry, "name");
        found.push(Mutant { package, name, file, at, find, replace, ..Mutant::default() });
    }
    for list in ["equivalent", "unseen"] {
        for entry in named[list].as_array().into_iter().flatten() {
            let fits = |mutant: &&mut Mutant| {
                let name = text(entry, "name");
                if !name.is_empty() {
                    return without_line(&mutant.name) == name;
                }
                let replace = text(entry, "replace");
                mutant.mechanical
                    && mutant.file.starts_with(text(entry, "file"))
                    && mutant.find == text(entry, "find")
                    && (replace.is_empty() || mutant.replace == replace)
            };
            let mut any = false;
            for mutant in found.iter_mut().filter(fits) {
                let why = Some(text(entry, "why"));
                match list {
                    "unseen" => mutant.unseen = why,
                    _ => mutant.equivalent = why,
                }
                mutant.untried = entry["tried"] == Value::Bool(false);
                any = true;
            }
            if !any {
                return Err(fail(format!("mutants.json: there is no mutant for {entry}")));
            }
        }
    }
    let mut counts: HashMap<String, u32> = HashMap::new();
    for (number, mutant) in found.iter_mut().enumerate() {
        mutant.number = number;
        let name = without_line(&mutant.name);
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        mutant.key = if *count == 1 { format!("{package}: {name}") } else { format!("{package}: {name} ({count})") };
    }
    Ok(found)
}

/// What rules would change in files that this system does not compile: the names, and where they are compiled.
pub(super) fn out_of_reach(package: &'static str) -> kit::Result<Vec<(String, String)>> {
    let folder = root().join("crates").join(package);
    let named: Value = serde_json::from_str(&fs::read_to_string(folder.join("mutants.json"))?)?;
    let mut found = Vec::new();
    for (beginning, why) in where_else(&named) {
        let mutants = by_rule(package, &folder, &|file| file.starts_with(&beginning))?;
        if mutants.is_empty() {
            return Err(fail(format!("mutants.json: there is nothing to change in {beginning}")));
        }
        found.extend(mutants.into_iter().map(|mutant| (mutant.name, why.clone())));
    }
    Ok(found)
}

/// The beginnings of files, and where they are compiled.
fn where_else(named: &Value) -> Vec<(String, String)> {
    let entry = |entry: &Value| Some((entry["file"].as_str()?.to_owned(), entry["why"].as_str()?.to_owned()));
    named["elsewhere"].as_array().into_iter().flatten().filter_map(entry).collect()
}

/// Those that are made by rule, in some of a crate's files.
fn by_rule(package: &'static str, folder: &Path, ruled: &dyn Fn(&str) -> bool) -> kit::Result<Vec<Mutant>> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    collect(&folder.join("src"), &mut files)?;
    for file in files {
        let source = fs::read_to_string(&file)?;
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        if !ruled(&name) {
            continue;
        }
        let of_tests = named::of_tests(&source);
        let mut at = 0;
        for (index, line) in source.split_inclusive('\n').enumerate() {
            if of_tests.iter().any(|item| item.contains(&at)) {
                at += line.len();
                continue;
            }
            let code = line.split("//").next().unwrap_or_default();
            for (column, find, replace) in changes(code) {
                found.push(Mutant {
                    package,
                    mechanical: true,
                    name: format!("{name}:{}: {find} to {replace}: {}", index + 1, code.trim()),
                    file: PathBuf::from(&name),
                    at: at + column,
                    find,
                    replace,
                    ..Mutant::default()
                });
            }
            at += line.len();
        }
    }
    Ok(found)
}

/// A mechanical mutant's name without its line number, which changes with every edit.
fn without_line(name: &str) -> String {
    let mut parts = name.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(line), Some(rest)) if line.parse::<u32>().is_ok() => format!("{file}:{rest}"),
        _ => name.to_owned(),
    }
}

/// What can be changed in a line, mechanically: the column, what stands there, and what to put.
fn changes(code: &str) -> Vec<(usize, String, String)> {
    const WEAKER: &[(&str, &[&str])] = &[
        ("Ordering::AcqRel", &["Ordering::Acquire", "Ordering::Release"]),
        ("Ordering::Acquire", &["Ordering::Relaxed"]),
        ("Ordering::Release", &["Ordering::Relaxed"]),
    ];
    const SPLIT: &[&str] =
        &[".compare_exchange(", ".fetch_and(", ".fetch_or(", ".fetch_xor(", ".fetch_add(", ".fetch_sub(", ".swap("];
    const STRONGEST: &str = "Ordering::SeqCst";
    let mut found = Vec::new();
    for (column, _) in code.match_indices(STRONGEST) {
        let before = &code[..column];
        // A load that is no Acquire, a store that is no Release and the order of an exchange that fails have no AcqRel.
        let fails = before.contains("compare_exchange") && before.contains("Ordering::");
        let weaker = if fails || before.ends_with(".load(") {
            "Ordering::Acquire"
        } else if before.contains(".store(") {
            "Ordering::Release"
        } else {
            "Ordering::AcqRel"
        };
        found.push((column, STRONGEST.to_owned(), weaker.to_owned()));
    }
    for (strong, weaker) in WEAKER {
        for (column, _) in code.match_indices(strong) {
            found.extend(weaker.iter().map(|weak| (column, (*strong).to_owned(), (*weak).to_owned())));
        }
    }
    for whole in SPLIT {
        for (column, _) in code.match_indices(whole) {
            // An exchange whose result nobody uses is a store, and a split one is the same.
            let is_used = *whole != ".swap(" || !begins_statement(&code[..column]) || !code.trim_end().ends_with(';');
            if is_used {
                found.push((column, (*whole).to_owned(), format!(".split_{}", &whole[1..])));
            }
        }
    }
    found.extend(look(code));
    if code.contains("mask:") || code.contains("& (") {
        found.extend(code.match_indices(" - 1").map(|(column, _)| (column, " - 1".to_owned(), " - 2".to_owned())));
    }
    found
}

/// Whether nothing but a place stands before: `self.slots[(a + b) as usize]`, and not `let a = b`.
fn begins_statement(before: &str) -> bool {
    let mut depth = 0_u32;
    for letter in before.trim_start().chars() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => return false,
            _ => {}
        }
    }
    depth == 0
}

/// A look at a word that a branch hangs on: the branch is never taken.
fn look(code: &str) -> Option<(usize, String, String)> {
    let condition = code.trim_end().strip_suffix(" {")?;
    if !condition.contains(".load(") || condition.contains("let ") {
        return None;
    }
    let start = ["if ", "while "].into_iter().find_map(|word| {
        let at = condition.find(word)?;
        matches!(condition[..at].trim(), "" | "} else").then_some(at + word.len())
    })?;
    Some((start, condition[start..].to_owned(), "false".to_owned()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> kit::Result<()> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "tests" {
                collect(&path, files)?;
            }
        } else if name != "model_atomic.rs" && !name.ends_with("tests.rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// What is in a folder, if it is there, sorted.
pub(super) fn entries(folder: &Path) -> kit::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{changes, look, without_line};

    #[test]
    fn lines_are_changed_at_each_place_that_counts() {
        let found = changes("word.compare_exchange(a, b, Ordering::AcqRel, Ordering::Relaxed)");
        let to: Vec<&str> = found.iter().map(|(_, _, to)| to.as_str()).collect();
        assert_eq!(to, ["Ordering::Acquire", "Ordering::Release", ".split_compare_exchange("]);
        assert_eq!(changes("position as usize & (slots - 1)"), [(26, " - 1".to_owned(), " - 2".to_owned())]);
        assert!(changes("self.left.checked_sub(1)").is_empty());
        assert!(changes("    slot.swap(1, Ordering::Relaxed);\n").is_empty());
        assert!(changes("    self.slots[((a - b) % C) as usize].swap(0, Ordering::Relaxed);\n").is_empty());
        assert_eq!(changes("    drop(slot.swap(1, Ordering::Relaxed));\n").len(), 1);
    }

    #[test]
    fn the_strongest_order_becomes_what_the_operation_can_have() {
        let weaker = |code: &str| changes(code).into_iter().map(|(_, _, to)| to).collect::<Vec<_>>();
        assert_eq!(weaker("word.load(Ordering::SeqCst)"), ["Ordering::Acquire"]);
        assert_eq!(weaker("word.store(1, Ordering::SeqCst)"), ["Ordering::Release"]);
        assert_eq!(weaker("fence(Ordering::SeqCst)"), ["Ordering::AcqRel"]);
        let exchange = weaker("word.compare_exchange(a, b, Ordering::SeqCst, Ordering::SeqCst)");
        assert_eq!(exchange, ["Ordering::AcqRel", "Ordering::Acquire", ".split_compare_exchange("]);
    }

    #[test]
    fn a_branch_on_a_second_look_is_dropped() {
        let dropped =
            |code: &str| look(code).map(|(at, find, to)| format!("{}{to}{}", &code[..at], &code[at + find.len()..]));
        assert_eq!(dropped("  if a.load(Relaxed) != b {").as_deref(), Some("  if false {"));
        assert_eq!(dropped("  } else if a.load(Relaxed) != b {").as_deref(), Some("  } else if false {"));
        assert_eq!(dropped("  while a.load(Relaxed) != b {").as_deref(), Some("  while false {"));
        assert_eq!(dropped("  if let Some(a) = a.load(Relaxed) {"), None);
        assert_eq!(dropped("  let a = a.load(Relaxed);"), None);
    }

    #[test]
    fn names_are_known_without_their_line() {
        assert_eq!(without_line("src/a.rs:12: x to y: code"), "src/a.rs: x to y: code");
        assert_eq!(without_line("R1: the thief is ignored"), "R1: the thief is ignored");
    }
}

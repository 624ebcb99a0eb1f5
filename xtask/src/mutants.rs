//! `cargo xtask mutants`: breaks each line that concurrency hangs on, and sees whether a test notices.
//!
//! Mutants are made mechanically from the source (each ordering weakened by one step, each read-modify-write split into a load and a store, each mask
//! off by one), and read from the crate's `mutants.json`, which names the guards that no rule can find. Each is tried in a copy of the crate: its models first,
//! then its native tests, until one fails. One that no test notices fails this command, unless `mutants.json` says why it changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use crate::kit::process::{cargo, output};
use crate::kit::{self, fail, root, target};

pub(crate) fn command() -> Command {
    let only = Arg::new("only").long("only").value_name("TEXT").help("Only mutants whose name has this text in it");
    Command::new("mutants")
        .about("Breaks weblane-ring in many small ways and checks that a test notices each (half an hour)")
        .arg(only)
        .arg(Arg::new("list").long("list").num_args(0).help("Only lists the mutants"))
}

/// A change of one place in one file.
struct Mutant {
    name: String,
    file: PathBuf,
    at: usize,
    find: String,
    replace: String,
    /// Why it changes nothing, if it is known.
    equivalent: Option<String>,
}

const CRATE: &str = "crates/ring";
/// Longer than any of the tests takes; a mutant that hangs has been noticed.
const TIMEOUT: Duration = Duration::from_secs(90);

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let mut mutants = all()?;
    if let Some(only) = arguments.get_one::<String>("only") {
        mutants.retain(|mutant| mutant.name.contains(only.as_str()));
    }
    if arguments.get_flag("list") {
        mutants.iter().for_each(|mutant| println!("{}", mutant.name));
        return Ok(());
    }
    let copy = copy()?;
    let (count, mut survivors) = (mutants.len(), Vec::new());
    for (number, mutant) in mutants.into_iter().enumerate() {
        let verdict = match (&mutant.equivalent, attempt(&copy, &mutant)?) {
            (_, Some(test)) => format!("noticed by {test}"),
            (Some(why), None) => format!("equivalent: {why}"),
            (None, None) => {
                survivors.push(mutant.name.clone());
                "SURVIVED".to_owned()
            }
        };
        println!("{:3}/{count} {}: {verdict}", number + 1, mutant.name);
    }
    println!("{} passed, {} failed", count - survivors.len(), survivors.len());
    if survivors.is_empty() {
        return Ok(());
    }
    Err(fail(format!("no test notices: {}", survivors.join("; "))))
}

/// All mutants of the crate.
fn all() -> kit::Result<Vec<Mutant>> {
    let folder = root().join(CRATE);
    let named: Value = serde_json::from_str(&fs::read_to_string(folder.join("mutants.json"))?)?;
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    let mut files = Vec::new();
    collect(&folder.join("src"), &mut files)?;
    for file in files {
        let source = fs::read_to_string(&file)?;
        let name = file.strip_prefix(&folder).unwrap_or(&file).to_string_lossy().into_owned();
        let mut at = 0;
        for (index, line) in source.split_inclusive('\n').enumerate() {
            if line.contains("cfg(all(test") {
                break;
            }
            let code = line.split("//").next().unwrap_or_default();
            for (column, find, replace) in changes(code) {
                found.push(Mutant {
                    name: format!("{name}:{}: {find} to {replace}: {}", index + 1, code.trim()),
                    file: PathBuf::from(&name),
                    at: at + column,
                    find,
                    replace,
                    equivalent: None,
                });
            }
            at += line.len();
        }
    }
    for entry in named["named"].as_array().into_iter().flatten() {
        let (file, find) = (text(entry, "file"), text(entry, "find"));
        let source = fs::read_to_string(folder.join(&file))?;
        let [at] = source.match_indices(&find).map(|(at, _)| at).collect::<Vec<_>>()[..] else {
            return Err(fail(format!("mutants.json: `{find}` is not in {file} exactly once")));
        };
        let (file, replace) = (PathBuf::from(file), text(entry, "replace"));
        found.push(Mutant { name: text(entry, "name"), file, at, find, replace, equivalent: None });
    }
    for entry in named["equivalent"].as_array().into_iter().flatten() {
        let (name, why) = (text(entry, "name"), text(entry, "why"));
        let mut any = false;
        for mutant in found.iter_mut().filter(|mutant| without_line(&mutant.name) == name) {
            mutant.equivalent = Some(why.clone());
            any = true;
        }
        if !any {
            return Err(fail(format!("mutants.json: there is no mutant `{name}`")));
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
        ("Ordering::SeqCst", &["Ordering::AcqRel"]),
        ("Ordering::AcqRel", &["Ordering::Acquire", "Ordering::Release"]),
        ("Ordering::Acquire", &["Ordering::Relaxed"]),
        ("Ordering::Release", &["Ordering::Relaxed"]),
    ];
    const SPLIT: &[&str] = &[".compare_exchange(", ".fetch_and(", ".fetch_or(", ".fetch_add(", ".fetch_sub("];
    let mut found = Vec::new();
    for (strong, weaker) in WEAKER {
        for (column, _) in code.match_indices(strong) {
            found.extend(weaker.iter().map(|weak| (column, (*strong).to_owned(), (*weak).to_owned())));
        }
    }
    for whole in SPLIT {
        found.extend(
            code.match_indices(whole)
                .map(|(column, _)| (column, (*whole).to_owned(), format!(".split_{}", &whole[1..]))),
        );
    }
    if code.contains("mask:") || code.contains("& (") {
        found.extend(code.match_indices(" - 1").map(|(column, _)| (column, " - 1".to_owned(), " - 2".to_owned())));
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> kit::Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.file_name().is_some_and(|name| name != "model_atomic.rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// A copy of the crate in a workspace of its own, whose models know split read-modify-writes.
fn copy() -> kit::Result<PathBuf> {
    let copy = target().join("mutants");
    let sources = copy.join(CRATE);
    if sources.exists() {
        fs::remove_dir_all(&sources)?;
    }
    copy_folder(&root().join(CRATE), &sources)?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let (Some(members), Some(package)) = (manifest.find("members = ["), manifest.find("[workspace.package]")) else {
        return Err(fail("the workspace's manifest has no members"));
    };
    let manifest = format!("{}members = [\"{CRATE}\"]\n\n{}", &manifest[..members], &manifest[package..]);
    fs::write(copy.join("Cargo.toml"), manifest)?;
    fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    let atomics = sources.join("src/model_atomic.rs");
    let text = fs::read_to_string(&atomics)?;
    let anchor = "            pub(crate) fn store(";
    fs::write(&atomics, text.replacen(anchor, &format!("{SPLIT_METHODS}{anchor}"), 1))?;
    Ok(copy)
}

/// What a read-modify-write is when it is not one.
const SPLIT_METHODS: &str = "
            pub(crate) fn split_compare_exchange(&self, current: $value, new: $value, _: Ordering, _: Ordering) -> Result<$value, $value> {
                let seen = self.load(Ordering::Acquire);
                if seen != current {
                    return Err(seen);
                }
                self.swap(new, Ordering::AcqRel);
                Ok(seen)
            }

            pub(crate) fn split_fetch_and(&self, bits: $value, _: Ordering) -> $value {
                let seen = self.load(Ordering::Acquire);
                self.swap(seen & bits, Ordering::AcqRel);
                seen
            }
";

fn copy_folder(from: &Path, to: &Path) -> kit::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_folder(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

/// Tries a mutant; returns the test that noticed it.
fn attempt(copy: &Path, mutant: &Mutant) -> kit::Result<Option<String>> {
    let file = copy.join(CRATE).join(&mutant.file);
    let source = fs::read_to_string(&file)?;
    let end = mutant.at + mutant.find.len();
    fs::write(&file, format!("{}{}{}", &source[..mutant.at], mutant.replace, &source[end..]))?;
    let verdict = tests(copy, mutant);
    fs::write(&file, source)?;
    verdict
}

fn tests(copy: &Path, mutant: &Mutant) -> kit::Result<Option<String>> {
    // The tests of the changed module come first: most mutants are noticed there.
    let path = mutant.file.to_string_lossy();
    let module = ["mpmc", "steal"].into_iter().find(|name| path.contains(name)).unwrap_or("spsc");
    let split = mutant.replace.starts_with(".split_");
    for (flags, folder) in [("--cfg loom -Awarnings", "loom"), ("-Awarnings", "native")] {
        if split && folder == "native" {
            // Only the models' atomics can be split.
            continue;
        }
        let mut build = cargo();
        build.current_dir(copy).env("RUSTFLAGS", flags);
        build.args(["test", "--quiet", "--release", "--package", "weblane-ring", "--lib", "--tests", "--no-run"]);
        build.args(["--message-format", "json"]).arg("--target-dir").arg(copy.join("target").join(folder));
        let messages = match output(&mut build) {
            Ok(messages) => messages,
            Err(error) => return Err(fail(format!("{} does not compile: {error}", mutant.name))),
        };
        let mut binaries: Vec<PathBuf> = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["executable"].as_str().map(PathBuf::from))
            .collect();
        binaries.sort_by_key(|binary| !binary.file_name().is_some_and(|name| name.to_string_lossy().contains(module)));
        for binary in binaries {
            if let Some(test) = failing(&binary)? {
                return Ok(Some(test));
            }
        }
    }
    Ok(None)
}

/// Runs a test binary; returns the first test that fails, or what else went wrong.
fn failing(binary: &Path) -> kit::Result<Option<String>> {
    let log = target().join("mutants/log");
    let name = binary.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name).to_owned();
    let mut child = Program::new(binary)
        .env("LOOM_MAX_PREEMPTIONS", "2")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&log)?)
        .stderr(Stdio::null())
        .spawn()?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > TIMEOUT {
            child.kill()?;
            child.wait()?;
            return Ok(Some(format!("{name}, which did not end")));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if status.success() {
        return Ok(None);
    }
    let text = fs::read_to_string(&log)?;
    let failed: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED")).collect();
    Ok(Some(if failed.is_empty() { format!("{name}, which broke off") } else { failed.join(", ") }))
}

#[cfg(test)]
mod tests {
    use super::{changes, without_line};

    #[test]
    fn lines_are_changed_at_each_place_that_counts() {
        let found = changes("word.compare_exchange(a, b, Ordering::AcqRel, Ordering::Relaxed)");
        let to: Vec<&str> = found.iter().map(|(_, _, to)| to.as_str()).collect();
        assert_eq!(to, ["Ordering::Acquire", "Ordering::Release", ".split_compare_exchange("]);
        assert_eq!(changes("position as usize & (slots - 1)"), [(26, " - 1".to_owned(), " - 2".to_owned())]);
        assert!(changes("self.left.checked_sub(1)").is_empty());
    }

    #[test]
    fn names_are_known_without_their_line() {
        assert_eq!(without_line("src/a.rs:12: x to y: code"), "src/a.rs: x to y: code");
        assert_eq!(without_line("R1: the thief is ignored"), "R1: the thief is ignored");
    }
}

//! `cargo xtask mutants`: breaks each line that concurrency hangs on, and sees whether a test notices.
//!
//! Mutants are made mechanically from the source (each ordering weakened by one step, each read-modify-write split into a load and a store, each mask
//! off by one), and read from the crate's `mutants.json`, which names the guards that no rule can find. Each is tried in a copy of the crate: its models first,
//! then its native tests, until one fails. One that no test notices fails this command, unless `mutants.json` says why it changes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command};
use serde_json::Value;

use crate::kit::process::{cargo, output};
use crate::kit::{self, fail, root, target};

pub(crate) fn command() -> Command {
    let only = Arg::new("only").long("only").value_name("TEXT").help("Only mutants whose name has this text in it");
    Command::new("mutants")
        .about("Breaks the crates in many small ways and checks that a test notices each (hours for all; choose by --package and --only)")
        .arg(
            Arg::new("package")
                .long("package")
                .value_name("NAME")
                .value_parser(PossibleValuesParser::new(CRATES))
                .help("Only this crate"),
        )
        .arg(only)
        .arg(Arg::new("named").long("named").num_args(0).help("Only those that are named in mutants.json, none made by rule"))
        .arg(Arg::new("list").long("list").num_args(0).help("Only lists the mutants"))
}

/// A change of one place in one file.
struct Mutant {
    /// The crate: its folder under `crates`.
    package: &'static str,
    name: String,
    file: PathBuf,
    at: usize,
    find: String,
    replace: String,
    /// Made by rule, not by hand.
    mechanical: bool,
    /// In what only targets without 64-bit atomics and wasm have: tested with `--cfg weblane_narrow`.
    narrow: bool,
    /// Why it changes nothing, if it is known.
    equivalent: Option<String>,
}

const CRATES: [&str; 4] = ["ring", "futex", "sync", "pool"];

/// Longer than any of the tests takes; a mutant that hangs has been noticed.
const TIMEOUT: Duration = Duration::from_secs(300);

/// What became of a mutant.
enum Verdict {
    Noticed(String),
    Survived,
    /// A rule made it of something that it does not fit.
    DoesNotCompile,
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let package = arguments.get_one::<String>("package").map(String::as_str);
    let mut mutants = Vec::new();
    for name in CRATES.into_iter().filter(|name| package.is_none_or(|only| only == *name)) {
        mutants.extend(all(name)?);
    }
    if let Some(only) = arguments.get_one::<String>("only") {
        mutants.retain(|mutant| mutant.name.contains(only.as_str()));
    }
    if arguments.get_flag("named") {
        mutants.retain(|mutant| !mutant.mechanical);
    }
    if arguments.get_flag("list") {
        mutants.iter().for_each(|mutant| println!("{}: {}", mutant.package, mutant.name));
        return Ok(());
    }
    // Each hand has a copy of its own, and takes the next mutant when it is done with one.
    let hands = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let copies = (0..hands).map(copy).collect::<kit::Result<Vec<_>>>()?;
    let (count, next) = (mutants.len(), AtomicUsize::new(0));
    let survivors = Mutex::new(Vec::new());
    let work = |copy: &Path| -> kit::Result<()> {
        while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = match (&mutant.equivalent, attempt(copy, mutant)?) {
                (_, Verdict::Noticed(test)) => format!("noticed by {test}"),
                (_, Verdict::DoesNotCompile) => "does not compile".to_owned(),
                (Some(why), Verdict::Survived) => format!("equivalent: {why}"),
                (None, Verdict::Survived) => {
                    survivors.lock().map_err(|_| fail("another hand broke off"))?.push(mutant.name.clone());
                    "SURVIVED".to_owned()
                }
            };
            println!("{}: {}: {text}", mutant.package, mutant.name);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = copies.iter().map(|copy| scope.spawn(|| work(copy))).collect();
        hands.into_iter().try_for_each(|hand| hand.join().unwrap_or_else(|_| Err(fail("a hand broke off"))))
    })?;
    let survivors = survivors.into_inner().unwrap_or_default();
    println!("{} passed, {} failed", count - survivors.len(), survivors.len());
    if survivors.is_empty() {
        return Ok(());
    }
    Err(fail(format!("no test notices: {}", survivors.join("; "))))
}

/// All mutants of a crate.
///
/// Its `mutants.json` has the `named` ones, those that are known to be `equivalent`, and perhaps `mechanical`: the beginnings of the files that the
/// rules are applied to, where these are not all.
fn all(package: &'static str) -> kit::Result<Vec<Mutant>> {
    let folder = root().join("crates").join(package);
    let named: Value = serde_json::from_str(&fs::read_to_string(folder.join("mutants.json"))?)?;
    let ruled = |file: &str| {
        named["mechanical"].as_array().is_none_or(|beginnings| {
            beginnings.iter().filter_map(Value::as_str).any(|beginning| file.starts_with(beginning))
        })
    };
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    let mut files = Vec::new();
    collect(&folder.join("src"), &mut files)?;
    for file in files {
        let source = fs::read_to_string(&file)?;
        let name = file.strip_prefix(&folder).unwrap_or(&file).to_string_lossy().into_owned();
        if !ruled(&name) {
            continue;
        }
        let mut at = 0;
        for (index, line) in source.split_inclusive('\n').enumerate() {
            if line.contains("cfg(all(test") {
                break;
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
                    narrow: name.ends_with("spsc/flags.rs"),
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
        let name = text(entry, "name");
        let narrow = entry["narrow"] == true || file.ends_with("spsc/flags.rs");
        found.push(Mutant { package, mechanical: false, narrow, name, file, at, find, replace, equivalent: None });
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

/// A copy of the crates in a workspace of their own, whose models know split read-modify-writes.
fn copy(hand: usize) -> kit::Result<PathBuf> {
    let copy = target().join("mutants").join(hand.to_string());
    if copy.join("crates").exists() {
        fs::remove_dir_all(copy.join("crates"))?;
    }
    copy_folder(&root().join("crates"), &copy.join("crates"))?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let (Some(members), Some(package)) = (manifest.find("members = ["), manifest.find("[workspace.package]")) else {
        return Err(fail("the workspace's manifest has no members"));
    };
    let manifest = format!("{}members = [\"crates/*\"]\n\n{}", &manifest[..members], &manifest[package..]);
    fs::write(copy.join("Cargo.toml"), manifest)?;
    fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    for (package, visibility) in [("ring", "pub(crate)"), ("futex", "pub")] {
        let atomics = copy.join("crates").join(package).join("src/model_atomic.rs");
        let text = fs::read_to_string(&atomics)?;
        let anchor = format!("            {visibility} fn store(");
        let Some(at) = text.find(&anchor) else {
            return Err(fail(format!("{} has no `store` to put split operations before", atomics.display())));
        };
        let methods = split_methods(&text, visibility);
        fs::write(&atomics, format!("{}{methods}{}", &text[..at], &text[at..]))?;
    }
    Ok(copy)
}

/// What a read-modify-write is when it is not one, for the operations that these atomics have.
fn split_methods(atomics: &str, visibility: &str) -> String {
    let mut methods = format!(
        "
            #[allow(missing_docs, dead_code)]
            {visibility} fn split_compare_exchange(&self, current: $value, new: $value, _: Ordering, _: Ordering) -> Result<$value, $value> {{
                let seen = self.load(Ordering::Acquire);
                if seen != current {{
                    return Err(seen);
                }}
                self.swap(new, Ordering::AcqRel);
                Ok(seen)
            }}
"
    );
    for (name, result) in [
        ("fetch_and", "seen & with"),
        ("fetch_or", "seen | with"),
        ("fetch_add", "seen.wrapping_add(with)"),
        ("fetch_sub", "seen.wrapping_sub(with)"),
    ] {
        if atomics.contains(&format!("fn {name}(")) {
            methods += &format!(
                "
            #[allow(missing_docs, dead_code)]
            {visibility} fn split_{name}(&self, with: $value, _: Ordering) -> $value {{
                let seen = self.load(Ordering::Acquire);
                self.swap({result}, Ordering::AcqRel);
                seen
            }}
"
            );
        }
    }
    methods
}

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

/// Tries a mutant.
fn attempt(copy: &Path, mutant: &Mutant) -> kit::Result<Verdict> {
    let file = copy.join("crates").join(mutant.package).join(&mutant.file);
    let source = fs::read_to_string(&file)?;
    let end = mutant.at + mutant.find.len();
    fs::write(&file, format!("{}{}{}", &source[..mutant.at], mutant.replace, &source[end..]))?;
    let verdict = tests(copy, mutant);
    fs::write(&file, source)?;
    verdict
}

fn tests(copy: &Path, mutant: &Mutant) -> kit::Result<Verdict> {
    // Tests that are named after the changed module come first: most mutants are noticed there.
    let path = mutant.file.with_extension("").to_string_lossy().into_owned();
    let modules: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "src" | "mod" | "imp")).collect();
    let split = mutant.replace.starts_with(".split_");
    let suites = if mutant.narrow {
        [("--cfg loom --cfg weblane_narrow -Awarnings", "loom-narrow"), ("--cfg weblane_narrow -Awarnings", "narrow")]
    } else {
        [("--cfg loom -Awarnings", "loom"), ("-Awarnings", "native")]
    };
    for (native, (flags, folder)) in [false, true].into_iter().zip(suites) {
        if split && native {
            // Only the models' atomics can be split.
            continue;
        }
        let package = format!("weblane-{}", mutant.package);
        let mut build = cargo();
        build.current_dir(copy).env("RUSTFLAGS", flags);
        build.args(["test", "--quiet", "--release", "--package", &package, "--lib", "--tests", "--no-run"]);
        build.args(["--message-format", "json"]).arg("--target-dir").arg(copy.join("target").join(folder));
        let messages = match output(&mut build) {
            Ok(messages) => messages,
            Err(_) if mutant.mechanical => return Ok(Verdict::DoesNotCompile),
            Err(error) => return Err(fail(format!("{} does not compile: {error}", mutant.name))),
        };
        let mut binaries: Vec<PathBuf> = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["executable"].as_str().map(PathBuf::from))
            .collect();
        let matches = |binary: &PathBuf| {
            let name = binary.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            modules.iter().filter(|module| name.contains(**module)).count()
        };
        binaries.sort_by_key(|binary| core::cmp::Reverse(matches(binary)));
        for binary in binaries {
            if let Some(test) = failing(copy, &binary)? {
                return Ok(Verdict::Noticed(test));
            }
        }
    }
    Ok(Verdict::Survived)
}

/// Runs a test binary; returns the first test that fails, or what else went wrong.
fn failing(copy: &Path, binary: &Path) -> kit::Result<Option<String>> {
    let log = copy.join("log");
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

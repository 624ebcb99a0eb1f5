//! Trying a mutant: the tests that may notice it, from the likeliest on, until one fails.
//!
//! A test that does not end has noticed something too, but says little, and the machine may be busy or halted. So what counts is the time that
//! the machine gave the process (see [`Clock`]), against many times what its tests usually take; and the other binaries are asked then whether one fails.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::memory::{Memory, Sources};
use super::schema::{self, Schema};
use super::{Mutant, rules};
use crate::kit::process::{cargo, output};
use crate::kit::{self, fail};

/// One way to build a crate's tests.
pub(super) struct Suite {
    pub(super) name: &'static str,
    flags: &'static str,
    features: &'static [&'static str],
    /// Whether its atomics can be split.
    pub(super) splits: bool,
}

/// The suites of a crate, those first that notice most.
fn suites(package: &str) -> Vec<Suite> {
    let suite = |name, flags, splits| Suite { name, flags, features: &[], splits };
    let mut suites = vec![suite("loom", "--cfg loom -Awarnings", true)];
    match package {
        "ring" => {
            suites.push(suite("loom-sc", "--cfg loom --cfg weblane_sc -Awarnings", true));
            suites.push(suite("loom-narrow", "--cfg loom --cfg weblane_narrow -Awarnings", true));
            suites.push(suite("narrow", "--cfg weblane_narrow -Awarnings", false));
        }
        "futex" => suites.push(suite("shuttle", "--cfg shuttle -Awarnings", false)),
        _ => {}
    }
    // Locks know their holders where threads have numbers.
    let features: &[&str] = if package == "sync" { &["std"] } else { &[] };
    suites.push(Suite { name: "native", flags: "-Awarnings", features, splits: false });
    suites
}

/// A test, or a whole binary if its name is empty.
#[derive(Clone, PartialEq)]
pub(super) struct Place {
    pub(super) suite: String,
    /// A file in `tests`, or `lib`.
    pub(super) target: String,
    pub(super) test: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { suite, target, test } = self;
        if test.is_empty() { write!(f, "{target} ({suite})") } else { write!(f, "{test} in {target} ({suite})") }
    }
}

/// What became of a mutant.
pub(super) enum Verdict {
    Noticed(Place),
    /// Nothing else has noticed it.
    DidNotEnd(Place),
    Survived,
    /// A rule made it of something that it does not fit; or it is named, and the code has changed.
    DoesNotCompile,
}

/// A test binary that has tests, and how long they take.
pub(super) struct Usual {
    pub(super) suite: String,
    pub(super) target: String,
    pub(super) seconds: f64,
}

impl Usual {
    /// Mutants may have more to explore than what they are made from. When another binary did not end, this one is there to fail in time.
    fn limit(&self, another_hung: bool) -> Duration {
        Duration::from_secs_f64(if another_hung {
            (self.seconds * 3.0).max(10.0)
        } else {
            (self.seconds * 10.0).max(30.0)
        })
    }
}

/// A crate, and how it is tested.
pub(super) struct Package {
    pub(super) sources: Sources,
    suites: Vec<Suite>,
    usual: Vec<Usual>,
    schema: Schema,
}

impl Package {
    /// Runs all tests of a crate as it is: they must pass, and take as long as they take.
    pub(super) fn learn(copy: &Path, sources: Sources, memory: &Memory) -> kit::Result<Package> {
        let suites = suites(sources.package);
        if let Some(usual) = memory.usual(&sources) {
            return Ok(Package { sources, suites, usual, schema: Schema::default() });
        }
        let mut usual = Vec::new();
        let targets: Vec<String> = sources.tests.keys().cloned().chain(["lib".to_owned()]).collect();
        for suite in &suites {
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            for (target, binary) in build(copy, sources.package, suite, &targets)? {
                match attend(&binary, None, Duration::from_secs(1800), None)? {
                    Outcome::Passed { tests: 0, .. } => {}
                    Outcome::Passed { took, .. } => {
                        kit::say(format!("{} as it is: {target} ({}) takes {took:.1?}", sources.package, suite.name));
                        let (suite, seconds) = (suite.name.to_owned(), took.as_secs_f64());
                        usual.push(Usual { suite, target, seconds });
                    }
                    Outcome::Failed(test) => return Err(fail(format!("{test} of {target} fails as it is"))),
                    Outcome::DidNotEnd => return Err(fail(format!("{target} does not end as it is"))),
                }
            }
        }
        memory.keep_usual(&sources, &usual)?;
        Ok(Package { sources, suites, usual, schema: Schema::default() })
    }

    /// Builds all mutants at once, as far as they can be.
    pub(super) fn prepare(&mut self, copy: &Path, mutants: &[Mutant]) -> kit::Result<()> {
        let targets: BTreeSet<&str> = self.usual.iter().map(|usual| usual.target.as_str()).collect();
        let targets: Vec<&str> = targets.into_iter().collect();
        self.schema = Schema::build(copy, self.sources.package, &self.suites, &targets, mutants)?;
        Ok(())
    }
}

/// Tries a mutant.
pub(super) fn attempt(copy: &Path, mutant: &Mutant, package: &Package, memory: &Memory) -> kit::Result<Verdict> {
    let is_built = |usual: &Usual| package.schema.binary(mutant, &usual.suite, &usual.target).is_some();
    let splits = |usual: &Usual| package.suites.iter().any(|suite| suite.name == usual.suite && suite.splits);
    let split = mutant.replace.starts_with(".split_");
    if package.usual.iter().filter(|usual| !split || splits(usual)).all(is_built) {
        return tests(copy, mutant, package, memory);
    }
    let file = copy.join("crates").join(mutant.package).join(&mutant.file);
    let source = fs::read_to_string(&file)?;
    let end = mutant.at + mutant.find.len();
    fs::write(&file, format!("{}{}{}", &source[..mutant.at], mutant.replace, &source[end..]))?;
    let verdict = tests(copy, mutant, package, memory);
    fs::write(&file, source)?;
    verdict
}

fn tests(copy: &Path, mutant: &Mutant, package: &Package, memory: &Memory) -> kit::Result<Verdict> {
    let split = mutant.replace.starts_with(".split_");
    let before = memory.noticed_by(mutant);
    let mut hung = None;
    // First the test that noticed it last time, then all that is in the binaries.
    let remembered = before.iter().filter_map(|place| {
        let usual = package.usual.iter().find(|usual| usual.suite == place.suite && usual.target == place.target)?;
        (!place.test.is_empty()).then_some((usual, Some(place.test.as_str())))
    });
    // Tests that are named after the changed module come early: most mutants are noticed there.
    let path = mutant.file.with_extension("").to_string_lossy().into_owned();
    let modules: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "src" | "mod" | "imp")).collect();
    let mut binaries: Vec<&Usual> = package.usual.iter().collect();
    binaries.sort_by(|one, other| {
        let rank = |usual: &Usual| {
            let matches = modules.iter().filter(|module| usual.target.contains(**module)).count();
            let suite = package.suites.iter().position(|suite| suite.name == usual.suite);
            let luck = memory.luck(mutant, &usual.suite, &usual.target);
            (std::cmp::Reverse(luck), std::cmp::Reverse(matches), suite)
        };
        let quicker = one.seconds.total_cmp(&other.seconds);
        // Those that are named are often noticed by any run; an order that is too weak only by a model.
        if mutant.mechanical { rank(one).cmp(&rank(other)).then(quicker) } else { quicker }
    });
    for (usual, only) in remembered.chain(binaries.into_iter().map(|usual| (usual, None))) {
        let Some(suite) = package.suites.iter().find(|suite| suite.name == usual.suite) else { continue };
        if split && !suite.splits {
            continue;
        }
        let prepared = package.schema.binary(mutant, &usual.suite, &usual.target);
        let built = match prepared {
            Some(binary) => Ok(vec![(usual.target.clone(), binary.to_owned())]),
            None => build(copy, mutant.package, suite, &[&usual.target]),
        };
        let built = match built {
            Ok(built) => built,
            Err(_) => return Ok(Verdict::DoesNotCompile),
        };
        for (target, binary) in built {
            let place = |test: String| Place { suite: usual.suite.clone(), target: target.clone(), test };
            match attend(&binary, only, usual.limit(hung.is_some()), prepared.map(|_| mutant.number))? {
                Outcome::Passed { .. } => {}
                Outcome::Failed(test) => return Ok(Verdict::Noticed(place(test))),
                Outcome::DidNotEnd => hung = hung.or(Some(place(String::new()))),
            }
        }
    }
    Ok(hung.map_or(Verdict::Survived, Verdict::DidNotEnd))
}

/// Builds test binaries; returns them by their names.
fn build(copy: &Path, package: &str, suite: &Suite, targets: &[&str]) -> kit::Result<Vec<(String, PathBuf)>> {
    Ok(binaries(&output(&mut cargo_test(copy, package, suite, targets))?))
}

/// The command that builds test binaries.
pub(super) fn cargo_test(copy: &Path, package: &str, suite: &Suite, targets: &[&str]) -> Program {
    let mut build = cargo();
    build.current_dir(copy).env("RUSTFLAGS", suite.flags);
    build.args(["test", "--quiet", "--release", "--no-run", "--package", &format!("weblane-{package}")]);
    for target in targets {
        if *target == "lib" {
            build.arg("--lib")
        } else {
            build.args(["--test", target])
        };
    }
    if !suite.features.is_empty() {
        build.args(["--features", &suite.features.join(",")]);
    }
    build.args(["--message-format", "json"]).arg("--target-dir").arg(copy.join("target").join(suite.name));
    build
}

/// What cargo says that it has built.
pub(super) fn binaries(messages: &str) -> Vec<(String, PathBuf)> {
    let binary = |line: &str| {
        let message = serde_json::from_str::<Value>(line).ok()?;
        let executable = message["executable"].as_str()?;
        let is_test = message["target"]["kind"][0] == "test";
        let name = if is_test { message["target"]["name"].as_str()? } else { "lib" };
        Some((name.to_owned(), PathBuf::from(executable)))
    };
    messages.lines().filter_map(binary).collect()
}

/// How a test binary ended.
enum Outcome {
    Passed { tests: usize, took: Duration },
    Failed(String),
    DidNotEnd,
}

/// Runs a test binary, or only one of its tests, and stops it at the first that fails.
fn attend(binary: &Path, only: Option<&str>, limit: Duration, mutant: Option<usize>) -> kit::Result<Outcome> {
    let mut program = Program::new(binary);
    // Many at once, so that one that hangs does not keep the others from failing.
    program.env("RUST_TEST_THREADS", "8");
    program.env("LOOM_MAX_PREEMPTIONS", "2").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    match mutant {
        Some(mutant) => program.env(schema::VARIABLE, mutant.to_string()),
        None => program.env_remove(schema::VARIABLE),
    };
    if let Some(only) = only {
        program.args([only, "--exact"]);
    }
    let mut child = program.spawn()?;
    let (said, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        // The harness says of each test at once how it ended.
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| said.send(line)).ok()
        });
    }
    let mut clock = Clock::start();
    let (mut tests, mut took) = (0, Duration::ZERO);
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                let Some((test, how)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) else {
                    continue;
                };
                tests += 1;
                if how == "FAILED" {
                    end(&mut child)?;
                    return Ok(Outcome::Failed(test.trim_end_matches(" - should panic").to_owned()));
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                took = clock.given(&child);
                if took > limit {
                    end(&mut child)?;
                    return Ok(Outcome::DidNotEnd);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // It has closed its output, so it is about to end; or it broke off.
    Ok(if child.wait()?.success() { Outcome::Passed { tests, took } } else { Outcome::Failed(String::new()) })
}

fn end(child: &mut Child) -> kit::Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// How much time the machine gave a process: what it computed, and what it slept of its own will. Not what it waited for a processor, nor
/// what it, or all of us, stood still. Where the system does not tell, the time that has passed.
struct Clock {
    last: Instant,
    slept: Duration,
}

impl Clock {
    /// As much can pass between two looks, if we do not stand still.
    const STEP: Duration = Duration::from_millis(200);

    fn start() -> Clock {
        Clock { last: Instant::now(), slept: Duration::ZERO }
    }

    fn given(&mut self, child: &Child) -> Duration {
        let step = self.last.elapsed().min(Self::STEP);
        self.last = Instant::now();
        let computed = computed(child.id());
        if computed.is_none_or(|(_, wants_more)| !wants_more) {
            self.slept += step;
        }
        self.slept + computed.map_or(Duration::ZERO, |(time, _)| time)
    }
}

/// The processor time of a process, and whether one of its threads computes or would like to.
fn computed(process: u32) -> Option<(Duration, bool)> {
    /// What `sysconf(_SC_CLK_TCK)` says on every Linux.
    const TICKS: u64 = 100;
    let fields = |file: PathBuf| -> Option<Vec<String>> {
        let text = fs::read_to_string(file).ok()?;
        // The name before may have anything in it.
        Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
    };
    let folder = Path::new("/proc").join(process.to_string());
    let whole = fields(folder.join("stat"))?;
    let ticks: u64 = whole.get(11)?.parse::<u64>().ok()? + whole.get(12)?.parse::<u64>().ok()?;
    let threads = rules::entries(&folder.join("task")).ok()?;
    let sleeps = |thread: PathBuf| {
        fields(thread.join("stat")).is_none_or(|fields| fields.first().is_some_and(|state| state == "S"))
    };
    Some((Duration::from_millis(ticks * 1000 / TICKS), !threads.into_iter().all(sleeps)))
}

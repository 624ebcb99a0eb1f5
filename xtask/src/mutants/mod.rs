//! `cargo xtask mutants`: breaks each line that concurrency hangs on, and sees whether a test notices.
//!
//! Mutants are made mechanically from the source (each ordering weakened by one step, each look at a word dropped that a branch hangs on, each
//! read-modify-write split into a load and a store, each mask off by one), and read from the crate's `mutants.json`, which names the guards that no rule can
//! find. Each is tried in a copy of the crate: its models first, then its native tests, until one fails. One that no test notices fails
//! this command, unless `mutants.json` says why it changes nothing.
//!
//! What was found stays in `target/mutants/results.json` (see [`memory`]), so that a second run goes on where the first one was stopped, and
//! tries again only what a change of the sources concerns.

mod copy;
mod memory;
mod named;
mod rules;
mod schema;
mod trial;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::kit::{self, fail, target};
use copy::Copy;
use memory::{Memory, Sources};
use trial::{Package, Verdict};

pub(crate) fn command() -> Command {
    let only = Arg::new("only").long("only").value_name("TEXT").action(ArgAction::Append);
    let package = Arg::new("package").long("package").value_name("NAME");
    let jobs = Arg::new("jobs").long("jobs").value_name("N").value_parser(clap::value_parser!(u16).range(1..));
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).num_args(0).help(help);
    Command::new("mutants")
        .about("Breaks the crates in many small ways and checks that a test notices each (hours for all; may be stopped and goes on)")
        .arg(package.value_parser(PossibleValuesParser::new(CRATES)).help("Only this crate"))
        .arg(only.help("Only mutants whose name has this text in it; may be given several times, for one of several texts"))
        .arg(jobs.help("How many are tried at once, each in a copy of the crates [default: the processors, at most 4]"))
        .arg(flag("named", "Only those that are named in mutants.json, none made by rule"))
        .arg(flag("fresh", "Tries all again, whatever is remembered of earlier runs"))
        .arg(flag("list", "Only lists the mutants"))
}

/// A change of one place in one file.
#[derive(Default)]
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
    /// Why it changes nothing, if it is known.
    equivalent: Option<String>,
    /// Why a model may not notice it, although it is not equivalent.
    unseen: Option<String>,
    /// Models and this machine's processor make the same of both, so running tests says nothing.
    untried: bool,
    /// What it is remembered under: its name without the line, and which one of several of that name.
    key: String,
    /// Which one of its crate it is.
    number: usize,
}

const CRATES: [&str; 4] = ["ring", "futex", "sync", "pool"];

/// From so many mutants on they are built at once.
const SEVERAL: usize = 3;

/// What a run came to.
#[derive(Default)]
struct Count {
    survivors: Vec<String>,
    remembered: usize,
    no_code: usize,
    /// Noticed by nothing, as argued.
    equivalent: usize,
    /// Noticed by nothing, and argued to be out of the models' sight.
    unseen: usize,
    /// Noticed by nothing but a test that did not end.
    hung: usize,
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let package = arguments.get_one::<String>("package").map(String::as_str);
    let mut mutants = Vec::new();
    for name in CRATES.into_iter().filter(|name| package.is_none_or(|only| only == *name)) {
        mutants.extend(rules::all(name)?);
    }
    if let Some(only) = arguments.get_many::<String>("only") {
        mutants.retain(|mutant| only.clone().any(|text| mutant.name.contains(text.as_str())));
    }
    if arguments.get_flag("named") {
        mutants.retain(|mutant| !mutant.mechanical);
    }
    if arguments.get_flag("list") {
        mutants.iter().for_each(|mutant| println!("{}: {}", mutant.package, mutant.name));
        return Ok(());
    }
    let mut out_of_reach = 0;
    for name in CRATES.into_iter().filter(|name| package.is_none_or(|only| only == *name)) {
        for (mutant, why) in rules::out_of_reach(name)? {
            println!("{name}: {mutant}: not tried: {why}");
            out_of_reach += 1;
        }
    }
    let memory = Memory::open(target().join("mutants/results.json"), arguments.get_flag("fresh"))?;
    let all = CRATES.into_iter().map(Sources::of).collect::<kit::Result<Vec<_>>>()?;
    let sources = |mutant: &Mutant| all.iter().find(|sources| sources.package == mutant.package);
    let count = Mutex::new(Count::default());
    // Says what became of a mutant, and counts it.
    let tell = |mutant: &Mutant, verdict: &Verdict, remembered: bool| -> kit::Result<()> {
        let mut count = count.lock().map_err(|_| fail("another hand broke off"))?;
        let text = match (&mutant.equivalent, verdict) {
            (None, Verdict::Noticed(place)) => format!("noticed by {place}"),
            (None, Verdict::DidNotEnd(place)) => {
                count.hung += 1;
                format!("noticed only because {place} did not end")
            }
            (Some(_), Verdict::Noticed(place) | Verdict::DidNotEnd(place)) => {
                count.survivors.push(format!("{}: {}", mutant.package, mutant.name));
                format!("WRONGLY called equivalent in mutants.json: noticed by {place}")
            }
            (_, Verdict::DoesNotCompile) if !mutant.mechanical => {
                count.survivors.push(format!("{}: {}", mutant.package, mutant.name));
                "named in mutants.json, and DOES NOT COMPILE".to_owned()
            }
            (_, Verdict::DoesNotCompile) => {
                count.no_code += 1;
                "does not compile".to_owned()
            }
            (Some(why), Verdict::Survived) => {
                count.equivalent += 1;
                format!("equivalent: {why}")
            }
            (None, Verdict::Survived) => {
                if let Some(why) = &mutant.unseen {
                    count.unseen += 1;
                    format!("cannot be seen: {why}")
                } else {
                    count.survivors.push(format!("{}: {}", mutant.package, mutant.name));
                    "SURVIVED".to_owned()
                }
            }
        };
        count.remembered += usize::from(remembered);
        println!("{}: {}: {text}{}", mutant.package, mutant.name, if remembered { " (remembered)" } else { "" });
        Ok(())
    };
    let mut left = Vec::new();
    for mutant in &mutants {
        if mutant.untried {
            let mut count = count.lock().map_err(|_| fail("another hand broke off"))?;
            let (what, why) = match (&mutant.equivalent, &mutant.unseen) {
                (Some(why), _) => (&mut count.equivalent, why),
                (None, Some(why)) => (&mut count.unseen, why),
                (None, None) => return Err(fail(format!("{} is not tried for no reason", mutant.name))),
            };
            *what += 1;
            println!("{}: {}: argued and not tried: {why}", mutant.package, mutant.name);
            continue;
        }
        match sources(mutant).and_then(|sources| memory.verdict(mutant, sources)) {
            Some(verdict) => tell(mutant, &verdict, true)?,
            None => left.push(mutant),
        }
    }
    // Named ones first, then by rule; what is in folders comes late, for its tests take longer. Last what is said to be equivalent, which needs all tests.
    left.sort_by_key(|mutant| (mutant.equivalent.is_some(), mutant.mechanical, mutant.file.components().count()));
    // Each hand has a copy of its own, and takes the next mutant when it is done with one.
    let jobs = arguments.get_one::<u16>("jobs").map(|jobs| usize::from(*jobs));
    let jobs =
        jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from).min(4)).min(left.len());
    let copies = (0..jobs).map(|_| copy::make()).collect::<kit::Result<Vec<_>>>()?;
    let mut packages = Vec::new();
    if let Some(copy) = copies.first() {
        for sources in all.iter().filter(|sources| left.iter().any(|mutant| mutant.package == sources.package)) {
            let name = sources.package;
            let mut package = Package::learn(&copy.folder, sources.clone(), &memory)?;
            if left.iter().filter(|mutant| mutant.package == name).count() >= SEVERAL {
                package.prepare(&copy.folder, &mutants)?;
            }
            packages.push(package);
        }
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = |copy: &Copy| -> kit::Result<()> {
            while let Some(mutant) = left.get(next.fetch_add(1, Ordering::Relaxed)) {
                let package = packages.iter().find(|package| package.sources.package == mutant.package);
                let package = package.ok_or_else(|| fail("a mutant of no crate"))?;
                let verdict = trial::attempt(&copy.folder, mutant, package, &memory)?;
                memory.keep(mutant, &package.sources, &verdict)?;
                tell(mutant, &verdict, false)?;
            }
            Ok(())
        };
        let hands: Vec<_> = copies.iter().map(|copy| scope.spawn(move || work(copy))).collect();
        hands.into_iter().try_for_each(|hand| hand.join().unwrap_or_else(|_| Err(fail("a hand broke off"))))
    })?;
    let count = count.into_inner().unwrap_or_default();
    println!(
        "{} from memory, {} noticed only by a test that did not end, {} equivalent, {} out of sight, {} that do not compile, {out_of_reach} not for this \
         system",
        count.remembered, count.hung, count.equivalent, count.unseen, count.no_code
    );
    println!("{} passed, {} failed", mutants.len() - count.survivors.len(), count.survivors.len());
    if count.survivors.is_empty() {
        return Ok(());
    }
    Err(fail(format!(
        "no test notices, or wrongly called equivalent, or does not compile: {}",
        count.survivors.join("; ")
    )))
}

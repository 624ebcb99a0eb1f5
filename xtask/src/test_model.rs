//! `cargo xtask test-model`: the exhaustive model of the pool's scheduler.

use std::process::Command;

use clap::{Arg, ArgAction, ArgMatches};

use crate::kit::{self, process, process::cargo, suite::Tally};

pub(crate) fn command() -> clap::Command {
    clap::Command::new("test-model")
        .about("Looks at every interleaving of the scheduler's protocol, and sees that each mutant of it is noticed")
        .arg(Arg::new("long").long("long").action(ArgAction::SetTrue).help("The large scenarios too; takes minutes"))
        .arg(
            Arg::new("trace")
                .long("trace")
                .value_name("MUTANT")
                .conflicts_with("long")
                .help("Prints the shortest way in which a mutant fails, as M5; \"kills\" lists all"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    if let Some(mutant) = arguments.get_one::<String>("trace") {
        let mut show = model(&["run", "--quiet"]);
        return process::run(show.arg("--").arg(mutant));
    }
    let mut tally = Tally::default();
    suites(&mut tally, arguments.get_flag("long"))?;
    tally.finish()
}

pub(crate) fn suites(tally: &mut Tally, long: bool) -> kit::Result<()> {
    // The scenarios print how many states they have.
    let mut test = model(&["test", "--no-fail-fast"]);
    test.args(["--", "--show-output"]);
    if long {
        // One after the other: each may need a gigabyte or two.
        test.arg("--test-threads=1").env("WEBLANE_MODEL_LONG", "1");
    }
    tally.suite("model", [test])
}

fn model(what: &[&str]) -> Command {
    let mut command = cargo();
    command.args(what).args(["--release", "--package", "weblane-model"]);
    command
}

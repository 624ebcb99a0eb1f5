//! `cargo xtask test-loom`: the models.

use clap::{Arg, ArgMatches, Command};

use crate::kit::{self, process::cargo, suite::Tally};

pub(crate) fn command() -> Command {
    let bound = Arg::new("preemptions")
        .long("preemptions")
        .value_name("N")
        .default_value("2")
        .value_parser(clap::value_parser!(u8));
    Command::new("test-loom")
        .about("Runs the loom models of ring, futex, sync and pool")
        .arg(bound.help("Explores every interleaving with up to N preemptions"))
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    suites(&mut tally, arguments.get_one("preemptions").copied().unwrap_or(2))?;
    tally.finish()
}

pub(crate) fn suites(tally: &mut Tally, preemptions: u8) -> kit::Result<()> {
    // `--release`: models explore many states. Packages by themselves, so that each builds with its own features.
    let model = |package: &str, what: &str| {
        let mut test = cargo();
        test.args(["test", "--release", "--no-fail-fast", "--package", package, what]);
        // In a folder of its own: the flag changes every crate, and would rebuild the others' each time.
        test.arg("--target-dir").arg(kit::target().join("loom"));
        test.env("RUSTFLAGS", "--cfg loom").env("LOOM_MAX_PREEMPTIONS", preemptions.to_string());
        test
    };
    let packages = [
        ("weblane-ring", "--tests"),
        ("weblane-futex", "--tests"),
        ("weblane-sync", "--tests"),
        ("weblane-pool", "--lib"),
    ];
    tally.suite("loom", packages.map(|(package, what)| model(package, what)))
}

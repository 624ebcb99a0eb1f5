//! `cargo xtask test-loom`: the models.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::kit::{self, process::cargo, suite::Tally};

pub(crate) fn command() -> Command {
    let bound = Arg::new("preemptions")
        .long("preemptions")
        .value_name("N")
        .default_value("2")
        .value_parser(clap::value_parser!(u8));
    Command::new("test-loom")
        .about("Runs the loom models of ring, futex, sync and pool, and the shuttle models of futex and pool")
        .arg(bound.help("Explores every interleaving with up to N preemptions"))
        .arg(
            Arg::new("long")
                .long("long")
                .action(ArgAction::SetTrue)
                .conflicts_with("preemptions")
                .help("The same as --preemptions 3; takes hours"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    let preemptions = arguments.get_one("preemptions").copied().unwrap_or(2);
    suites(&mut tally, if arguments.get_flag("long") { 3 } else { preemptions })?;
    tally.finish()
}

pub(crate) fn suites(tally: &mut Tally, preemptions: u8) -> kit::Result<()> {
    // `--release`: models explore many states. Packages by themselves, so that each builds with its own features. In folders of their own: a flag
    // changes every crate, and would rebuild the others' each time.
    let model = |package: &str, what: &str, flags: &str, folder: &str| {
        let mut test = cargo();
        test.args(["test", "--release", "--no-fail-fast", "--package", package, what]);
        test.arg("--target-dir").arg(kit::target().join(folder));
        test.env("RUSTFLAGS", flags).env("LOOM_MAX_PREEMPTIONS", preemptions.to_string());
        test
    };
    let packages = [
        ("weblane-ring", "--tests"),
        ("weblane-futex", "--tests"),
        ("weblane-sync", "--tests"),
        ("weblane-pool", "--lib"),
    ];
    tally.suite("loom", packages.map(|(package, what)| model(package, what, "--cfg loom", "loom")))?;
    // What leaves out fences on wasm, as it is there, where every load reads the newest value; and the rings as they are without 64-bit atomics.
    let sc = |package, what| model(package, what, "--cfg loom --cfg weblane_sc", "loom-sc");
    let narrow = model("weblane-ring", "--tests", "--cfg loom --cfg weblane_narrow", "loom-narrow");
    let channels = sc("weblane-sync", "--test=loom_channel");
    tally.suite("loom-sc", [sc("weblane-ring", "--tests"), channels, sc("weblane-pool", "--lib"), narrow])?;
    // The same cases of the futex, and the whole scheduler with eight workers, by another explorer, which knows no weak memory, and so looks further.
    let packages = [("weblane-futex", "--tests"), ("weblane-pool", "--lib")];
    tally.suite("shuttle", packages.map(|(package, what)| model(package, what, "--cfg shuttle", "shuttle")))
}

//! `cargo xtask test-native`: unit tests, stress tests and doc tests on this machine.

use clap::{ArgMatches, Command};

use crate::kit::{self, process::cargo, suite::Tally};

pub(crate) fn command() -> Command {
    Command::new("test-native").about("Runs the unit, stress and doc tests of all crates on this machine")
}

pub(crate) fn run(_: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    suites(&mut tally)?;
    tally.finish()
}

pub(crate) fn suites(tally: &mut Tally) -> kit::Result<()> {
    let mut test = cargo();
    test.args(["test", "--no-fail-fast"]);
    for package in ["ring", "futex", "sync", "workers", "pool", "demo"] {
        test.args(["--package", &format!("weblane-{package}")]);
    }
    // Locks know their holders where threads have numbers.
    test.args(["--features", "weblane-sync/std"]);
    // What is only there with a feature.
    let mut hooks = cargo();
    hooks.args(["test", "--no-fail-fast", "--package", "weblane-pool", "--lib", "--features", "task-hook", "named::"]);
    tally.suite("native", [test, hooks])?;
    // The rings as they are on targets without 64-bit atomics. In a folder of its own, as everything that changes flags.
    let mut narrow = cargo();
    narrow.args([
        "test",
        "--package",
        "weblane-ring",
        "--lib",
        "--test",
        "mpmc",
        "--test",
        "mpmc_properties",
        "--test",
        "peers_mpmc",
    ]);
    narrow.arg("--target-dir").arg(kit::target().join("narrow")).env("RUSTFLAGS", "--cfg weblane_narrow");
    tally.suite("narrow", [narrow])?;
    let mut own = cargo();
    // And what a tool of it has instead of another's: its name is the other's.
    own.args(["test", "--package", "xtask", "--package", "rouille"]);
    tally.suite("xtask", [own])
}

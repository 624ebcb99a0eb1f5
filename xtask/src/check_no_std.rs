//! `cargo xtask check-no-std`: the primitives on microcontrollers, which have no system, and one of them no 64-bit atomics.

use clap::{ArgMatches, Command};

use crate::kit::process::{cargo, run as execute};
use crate::kit::{self, compiler, suite::Tally};

pub(crate) fn command() -> Command {
    Command::new("check-no-std")
        .about("Builds ring, futex and sync for bare-metal ARM and RISC-V, with and without an allocator")
}

pub(crate) fn run(_: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    suites(&mut tally);
    tally.finish()
}

/// Cortex-M4 and -M7, and a RISC-V core with atomics; neither has 64-bit atomics.
const TARGETS: [&str; 2] = ["thumbv7em-none-eabi", "riscv32imac-unknown-none-elf"];

pub(crate) fn suites(tally: &mut Tally) {
    for target in TARGETS {
        tally.step(&format!("no-std, {target}"), || {
            let compiler = compiler::get()?;
            for (package, features, library) in [
                ("weblane-ring", "", "core"),
                ("weblane-ring", "alloc", "core,alloc"),
                ("weblane-futex", "", "core"),
                ("weblane-sync", "", "core"),
                ("weblane-sync", "alloc", "core,alloc"),
            ] {
                let mut check = cargo();
                // The library is built from source, so that no target needs to be installed. The variable opens the option on stable compilers.
                check.env("RUSTC", &compiler.rustc).env("RUSTC_BOOTSTRAP", "1");
                check.args(["check", "--quiet", "--package", package, "--no-default-features", "--features", features]);
                check.args(["--target", target, "-Z", &format!("build-std={library}")]);
                check.arg("--target-dir").arg(kit::target().join("no-std"));
                execute(&mut check)?;
            }
            Ok(())
        });
    }
}

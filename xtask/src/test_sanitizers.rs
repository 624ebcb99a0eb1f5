//! `cargo xtask test-sanitizers`: the native tests under ThreadSanitizer and AddressSanitizer.
//!
//! They need a nightly compiler with the sanitizers' runtimes (rustup's has them). With `rust-src` the standard library is built with them too; without it
//! ThreadSanitizer cannot see what the library does to synchronise, and what it then says of the library itself, its test harness and `Arc` is
//! left out by name.

use std::fs;
use std::path::PathBuf;
use std::process::Command as Program;

use clap::{Arg, ArgMatches, Command};

use crate::kit::process::output;
use crate::kit::{self, fail, root, suite::Tally, target};

pub(crate) fn command() -> Command {
    Command::new("test-sanitizers")
        .about("Runs the native tests of ring, futex, sync and pool under ThreadSanitizer and AddressSanitizer (a nightly compiler)")
        .arg(Arg::new("only").value_name("SANITIZER").value_parser(["thread", "address"]).help("Only this one"))
}

/// What an uninstrumented library looks like to ThreadSanitizer.
const SUPPRESSED: &str = "race:std::sync::mpmc\nrace:std::thread\nrace:std::sys\nrace:test::\nrace:alloc::sync::Arc\n";

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    let only = arguments.get_one::<String>("only").map(String::as_str);
    let sysroot = output(Program::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"])).map_err(|error| {
        fail(format!(
            "{error}; the sanitizers need a nightly compiler: `rustup toolchain install nightly --component rust-src`"
        ))
    })?;
    let with_source = PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock").is_file();
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    for sanitizer in ["thread", "address"].into_iter().filter(|name| only.is_none_or(|only| only == *name)) {
        let folder = target().join(sanitizer);
        fs::create_dir_all(&folder)?;
        // Not `kit::process::cargo`, which is the one of the toolchain that built this.
        let mut test = Program::new("rustup");
        test.current_dir(root()).env_remove("RUSTC").args(["run", "nightly", "cargo"]);
        test.args(["test", "--no-fail-fast", "--lib", "--tests", "--target", &host]);
        // The rest of the library may be without it.
        let flags = format!("-Zsanitizer={sanitizer} -Cunsafe-allow-abi-mismatch=sanitizer");
        test.env("RUSTFLAGS", flags);
        if with_source {
            test.args(["-Z", "build-std"]);
        } else if sanitizer == "thread" {
            let file = folder.join("suppressed");
            fs::write(&file, SUPPRESSED)?;
            test.env("TSAN_OPTIONS", format!("suppressions={}", file.display()));
        }
        for package in ["ring", "futex", "sync", "pool"] {
            test.args(["--package", &format!("weblane-{package}")]);
        }
        test.arg("--target-dir").arg(folder);
        tally.suite_without_floor(&format!("{sanitizer} sanitizer"), [test])?;
    }
    tally.finish()
}

//! `cargo xtask test-i686`: the native tests as 32-bit programs, where `usize` has 32 bits as on wasm, and threads are the system's.

use std::path::{Path, PathBuf};
use std::process::Command as Program;

use clap::{ArgMatches, Command};

use crate::kit::process::{cargo, output};
use crate::kit::{self, cache, compiler, debian, fail, suite::Tally, target};

pub(crate) fn command() -> Command {
    Command::new("test-i686")
        .about("Runs the native tests of ring, futex, sync and pool as 32-bit programs (Linux on x86-64)")
}

pub(crate) fn run(_: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    let compiler = compiler::get()?;
    let linker = linker()?;
    let mut test = cargo();
    // The library is built from source, so that no target needs to be installed. The variable opens the option on stable compilers.
    test.env("RUSTC", &compiler.rustc).env("RUSTC_BOOTSTRAP", "1");
    test.env("CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER", linker);
    // Static, so that no 32-bit loader and libraries need to be installed.
    test.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    test.args(["test", "--no-fail-fast", "--lib", "--tests", "--target", "i686-unknown-linux-gnu", "-Z", "build-std"]);
    for package in ["ring", "futex", "sync", "pool"] {
        test.args(["--package", &format!("weblane-{package}")]);
    }
    test.arg("--target-dir").arg(target().join("i686"));
    tally.suite_without_floor("i686", [test])?;
    tally.finish()
}

/// The entry in the cache.
const KIND: &str = "libc-i686";
/// The packages with the 32-bit C library, and with the compiler's own.
const PACKAGES: &[&str] = &["libc6-dev-i386", "lib32gcc-12-dev", "libc6-i386", "lib32gcc-s1"];

/// A C compiler that links 32-bit programs: the system's, with libraries of its own or from Debian's packages.
fn linker() -> kit::Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(fail("32-bit programs can be tested on Linux on x86-64 only"));
    }
    let folder = match cache::newest(KIND) {
        Some(folder) => folder,
        None if debian::is_here() => debian::unpack(KIND, PACKAGES, finish)?,
        None => {
            return Err(fail(
                "no 32-bit C library: on Debian it is fetched; elsewhere install gcc's multilib, and link with `cc -m32`",
            ));
        }
    };
    Ok(folder.join("weblane/cc"))
}

fn finish(folder: &Path) -> kit::Result<()> {
    std::fs::create_dir(folder.join("weblane"))?;
    let gcc = output(Program::new("cc").arg("-dumpversion"))?;
    let own = format!("$here/../usr/lib/gcc/{}/{}/32", debian::multiarch(), gcc.trim());
    let line = format!("exec cc -m32 -B$here/../usr/lib32/ -B{own}/ -L$here/../usr/lib32 -L{own} \"$@\"");
    debian::script(&folder.join("weblane/cc"), &line)
}

//! Building for the web: wasm with threads, and its JS glue.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::compiler::Compiler;
use super::process::{cargo, run};
use super::{Result, fail, say, target};

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// What makes wasm with threads, each flag with its reason. The README has the same list.
pub(crate) const FLAGS: &[&str] = &[
    // Atomic instructions and `memory.copy`; without them memory cannot be shared.
    "-Ctarget-feature=+atomics,+bulk-memory,+mutable-globals",
    // One memory for all threads, made by the page and imported by every instance.
    "-Clink-arg=--shared-memory",
    "-Clink-arg=--import-memory",
    // A shared memory must say how large it may become: 1 GiB.
    "-Clink-arg=--max-memory=1073741824",
    // 64 MiB from the start, so that growth is rare: in Chromium memory that another thread has just added can trap.
    "-Clink-arg=--initial-memory=67108864",
    // What wasm-bindgen needs to set up the thread-local storage of each instance.
    "-Clink-arg=--export=__wasm_init_tls",
    "-Clink-arg=--export=__tls_size",
    "-Clink-arg=--export=__tls_align",
    "-Clink-arg=--export=__tls_base",
];

/// The folder of web builds: its flags differ from the host's, so it is kept apart.
pub(crate) fn folder() -> PathBuf {
    target().join("web")
}

/// What a web build is like.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Build {
    /// With threads; panics abort. What users build.
    Threads,
    /// With threads; panics unwind.
    Unwinding,
    /// Without threads: the compiler's defaults.
    NoThreads,
}

/// A cargo that builds with this compiler.
pub(crate) fn web_cargo(compiler: &Compiler, build: Build) -> Command {
    let mut cargo = cargo();
    cargo.env("RUSTC", &compiler.rustc);
    // Opens `-Z build-std` and the name of the wait instruction on compilers that are not nightlies.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    let mut flags = if build == Build::NoThreads { Vec::new() } else { FLAGS.to_vec() };
    if build == Build::Unwinding {
        flags.push("-Cpanic=unwind");
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    cargo
}

/// The arguments that web builds share.
pub(crate) fn arguments(build: Build) -> [&'static str; 4] {
    let std = if build == Build::Unwinding { "build-std=std,panic_unwind" } else { "build-std=std,panic_abort" };
    ["--target", TARGET, "-Z", std]
}

/// Builds one of this workspace's tools, which are heavy and therefore built on first need.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let binary = target().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !binary.exists() {
        say(format!("building {name}, once (a minute or two)"));
    }
    run(cargo().args(["build", "--quiet", "--package", name]))?;
    if binary.exists() {
        Ok(binary)
    } else {
        Err(fail(format!("{name} was built, but is not at {}", binary.display())))
    }
}

/// Builds the library of the package in `manifest` as a page's module: `OUT/NAME.js` and `OUT/NAME_bg.wasm`.
pub(crate) fn module(compiler: &Compiler, manifest: &Path, package: &str, out: &Path, name: &str) -> Result<()> {
    say(format!("building {package} for the web"));
    let mut build = web_cargo(compiler, Build::Threads);
    build.arg("build").args(arguments(Build::Threads)).args(["--release", "--lib"]);
    run(build.arg("--manifest-path").arg(manifest).args(["--package", package]).arg("--target-dir").arg(folder()))?;
    let wasm = folder().join(TARGET).join("release").join(format!("{}.wasm", package.replace('-', "_")));
    bindgen(&wasm, out, name)
}

/// Generates the glue of a wasm file.
pub(crate) fn bindgen(wasm: &Path, out: &Path, name: &str) -> Result<()> {
    let tool = tool("weblane-tool-bindgen")?;
    if !wasm.is_file() {
        return Err(fail(format!(
            "{} is not there: the package needs `crate-type = [\"cdylib\"]` in its [lib]",
            wasm.display()
        )));
    }
    run(Command::new(tool).arg(wasm).arg(out).arg(name).arg("--keep-names"))
}

//! Building for the web: wasm with threads, and its JS glue.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::compiler::Compiler;
use super::process::{cargo, run};
use super::{Result, cache, fail, root, say, target};

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

/// One of this workspace's tools. They are heavy, and the same in every clone: built on first need into the cache folder, keyed by wasm-bindgen's
/// version and by what the tool is made of, so that a second clone finds them there.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let (entry, file) = tool_entry(name)?;
    let made = cache::make(&entry, |folder| {
        say(format!("building {name} {}, once (a minute or two)", wasm_bindgen_version()?));
        run(cargo().args(["build", "--package", name]))?;
        let built = target().join("debug").join(&file);
        fs::copy(&built, folder.join(&file))
            .map(drop)
            .map_err(|error| fail(format!("{name} was built, but {} cannot be copied: {error}", built.display())))
    });
    Ok(made?.join(file))
}

/// The tool's place, if it has been built.
pub(crate) fn find_tool(name: &str) -> Result<Option<PathBuf>> {
    let (entry, file) = tool_entry(name)?;
    Ok(Some(cache::folder()?.join(entry).join(file)).filter(|file| file.is_file()))
}

/// The name of the tool's entry in the cache, and of its file there.
fn tool_entry(name: &str) -> Result<(String, String)> {
    let tools = root().join("tools");
    let mut sources = vec![tools.join(name.trim_start_matches("weblane-tool-"))];
    // Part of this one.
    sources.extend((name == "weblane-tool-test-runner").then(|| tools.join("server")));
    let version = wasm_bindgen_version()?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let entry = format!("{name}-{version}-{:016x}-{}", fingerprint(&sources)?, std::env::consts::ARCH);
    Ok((entry, file))
}

/// The version of wasm-bindgen in `Cargo.lock`: the tools must be of exactly that one.
fn wasm_bindgen_version() -> Result<String> {
    let lock = root().join("Cargo.lock");
    let text = fs::read_to_string(&lock)?;
    let mut lines = text.lines().skip_while(|line| *line != "name = \"wasm-bindgen\"");
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \""));
    let version = version.and_then(|rest| rest.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| fail(format!("{} names no wasm-bindgen", lock.display())))
}

/// A number that changes with any file of a tool (FNV-1a over its manifests and its sources, in the order of their names).
fn fingerprint(sources: &[PathBuf]) -> Result<u64> {
    let mut files = Vec::new();
    for source in sources {
        files.extend(fs::read_dir(source.join("src"))?.flatten().map(|entry| entry.path()));
        files.push(source.join("Cargo.toml"));
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files.iter().filter(|file| file.is_file()) {
        for byte in fs::read(file)? {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(hash)
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

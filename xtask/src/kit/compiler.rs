//! A compiler that can build `std` for wasm with threads: one whose matching source is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{output, run, which};
use super::{Result, cache, debian, fail, say};

/// A compiler with its source.
pub(crate) struct Compiler {
    pub(crate) rustc: PathBuf,
    /// Where it was found, for people.
    pub(crate) origin: &'static str,
}

/// The variable that overrides the search.
const OVERRIDE: &str = "WEBLANE_RUSTC";
/// The entry in the cache.
const KIND: &str = "rustc-web";

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let text = output(Command::new(rustc).args(["--print", "sysroot"]).current_dir(super::root())).ok()?;
    Some(PathBuf::from(text.trim()))
}

fn has_source(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
}

/// Finds a compiler, without changing anything.
pub(crate) fn find() -> Result<Option<Compiler>> {
    if let Some(rustc) = std::env::var_os(OVERRIDE).map(PathBuf::from) {
        let Some(sysroot) = sysroot(&rustc) else {
            return Err(fail(format!("{OVERRIDE} is set to {}, which is no compiler that runs", rustc.display())));
        };
        if !has_source(&sysroot) {
            let text = format!(
                "{OVERRIDE} is set to {}, but its source is not in {}; install its rust-src",
                rustc.display(),
                sysroot.display()
            );
            return Err(fail(text));
        }
        return Ok(Some(Compiler { rustc, origin: OVERRIDE }));
    }
    if let Some(active) = sysroot(Path::new("rustc")) {
        if has_source(&active) {
            return Ok(Some(Compiler { rustc: active.join("bin/rustc"), origin: "the active toolchain" }));
        }
        // Another toolchain of rustup's that has its source.
        let others = active.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
        let mut others: Vec<_> = others.map(|entry| entry.path()).filter(|path| has_source(path)).collect();
        others.sort();
        if let Some(other) = others.into_iter().map(|path| path.join("bin/rustc")).rfind(|rustc| rustc.is_file()) {
            return Ok(Some(Compiler { rustc: other, origin: "another installed toolchain" }));
        }
    }
    let unpacked = cache::newest(KIND).map(|folder| folder.join("usr/bin/rustc")).filter(|rustc| rustc.is_file());
    Ok(unpacked.map(|rustc| Compiler { rustc, origin: "Debian's packages in the cache folder" }))
}

/// Finds a compiler, or gets one.
pub(crate) fn get() -> Result<Compiler> {
    if let Some(compiler) = find()? {
        return Ok(compiler);
    }
    // Who sets this to 0 has said no to every change by rustup.
    let rustup_may = std::env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|value| value != "0");
    if rustup_may && which("rustup").is_some() {
        say(
            "adding the component rust-src to the active rustup toolchain, for threads on wasm (`rustup component add rust-src`)",
        );
        let added = run(Command::new("rustup").args(["component", "add", "rust-src"]).current_dir(super::root()));
        if added.is_ok()
            && let Some(compiler) = find()?
        {
            return Ok(compiler);
        }
    }
    if debian::is_here() {
        let packages = ["rustc-web", "rust-web-src", "libstd-rust-web-dev", "lld-22"];
        debian::unpack(KIND, &packages, finish)?;
        if let Some(compiler) = find()? {
            return Ok(compiler);
        }
    }
    Err(fail(format!(
        "no Rust compiler with its source, which threads on wasm need: run `rustup component add rust-src`, or set {OVERRIDE} to a rustc \
         that has it"
    )))
}

/// Debian's compiler expects its libraries where the linker looks and `rust-lld` beside it.
fn finish(folder: &Path) -> Result<()> {
    let library = folder.join("usr/lib");
    let multiarch = debian::multiarch();
    for entry in fs::read_dir(library.join(&multiarch))? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with("librustc_driver") || text.starts_with("libLLVM") {
            link(&format!("{multiarch}/{text}"), &library.join(&name))?;
        }
    }
    let tools = library.join(format!("rustlib/{}-unknown-linux-gnu/bin", std::env::consts::ARCH));
    fs::create_dir_all(&tools)?;
    let lld = fs::read_dir(&library)?.flatten().map(|entry| entry.path().join("bin/lld")).find(|lld| lld.exists());
    let lld = lld.ok_or_else(|| fail("Debian's package of lld has no lld in it"))?;
    let version = lld.strip_prefix(&library).map_err(|_| fail("lld is in an unexpected place"))?;
    link(&format!("../../../{}", version.display()), &tools.join("rust-lld"))?;
    for name in ["rustc", "rustdoc"] {
        let tool = folder.join("usr/bin").join(name);
        if tool.exists() {
            fs::rename(&tool, tool.with_extension("real"))?;
            let lines = format!(
                "LD_LIBRARY_PATH=\"$here/../lib:$here/../lib/{multiarch}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\" exec \"$here/{name}.real\" \"$@\""
            );
            debian::script(&tool, &lines)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn link(to: &str, at: &Path) -> Result<()> {
    if !at.exists() {
        std::os::unix::fs::symlink(to, at)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> Result<()> {
    Err(fail("Debian's packages are of no use on this system"))
}

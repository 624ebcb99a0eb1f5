//! Debian's packages, fetched and unpacked into the cache folder: nothing is installed, and no root is needed.
//!
//! `apt-get` is given lists and caches of its own, so the system's stay as they are. What the system has installed is not fetched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{output, run, which};
use super::{Result, cache, fail, say};

/// Whether this machine has Debian's tools.
pub(crate) fn is_here() -> bool {
    which("apt-get").is_some() && which("dpkg").is_some()
}

/// The architecture's folder in `usr/lib`.
pub(crate) fn multiarch() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

fn apt() -> Result<Command> {
    let state = cache::folder()?.join("apt");
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(state.join(folder))?;
    }
    let mut apt = Command::new("apt-get");
    let mut set = |name: &str, value: &Path| {
        apt.arg("-o").arg(format!("{name}={}", value.display()));
    };
    set("Dir::State::Lists", &state.join("lists"));
    set("Dir::Cache", &state);
    set("Dir::Cache::Archives", &state.join("archives"));
    apt.args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]);
    // Root's apt would fetch as another user, who cannot write to root's cache folder.
    apt.args(["-o", "APT::Sandbox::User=root", "-q"]);
    Ok(apt)
}

/// Unpacks `packages` and what they need into the cache, as `kind-VERSION` of the first package. `finish` makes it usable.
pub(crate) fn unpack(kind: &str, packages: &[&str], finish: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    say(format!("asking Debian's archive for {} (nothing is installed system-wide)", packages.join(", ")));
    run(apt()?.arg("update"))?;
    let plan = output(apt()?.args(["install", "-s", "--no-install-recommends"]).args(packages))?;
    // `Inst name [old version] (version archive [arch])`
    let mut closure: Vec<(String, String)> = Vec::new();
    for line in plan.lines().filter_map(|line| line.strip_prefix("Inst ")) {
        let name = line.split(' ').next().unwrap_or_default();
        let version = line.split('(').nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        closure.push((name.into(), version.into()));
    }
    // What is installed already is missing in the plan, but its files are wanted beside the others.
    for package in packages {
        if !closure.iter().any(|(name, _)| name == package) {
            let policy = output(apt()?.args(["download", "--print-uris"]).arg(package))?;
            let version = policy.split('_').nth(1).unwrap_or("installed").to_owned();
            closure.push(((*package).into(), version));
        }
    }
    let first = closure.iter().find(|(name, _)| name == packages[0]);
    let version = first.map_or("unknown", |(_, version)| version).replace([':', '/', '%'], "_");
    cache::make(&format!("{kind}-{version}"), |folder| {
        say(format!("fetching and unpacking {} Debian packages into {}", closure.len(), cache::folder()?.display()));
        let archives = folder.join("archives");
        fs::create_dir(&archives)?;
        run(apt()?.current_dir(&archives).arg("download").args(closure.iter().map(|(name, _)| name)))?;
        for archive in fs::read_dir(&archives)? {
            run(Command::new("dpkg").arg("-x").arg(archive?.path()).arg(folder))?;
        }
        fs::remove_dir_all(&archives)?;
        finish(folder)
    })
}

/// Writes an executable shell script that sets variables and becomes `program`. Paths in it are relative to the script's own
/// folder, by `$here`, because the cache entry is renamed when it is complete.
#[cfg(unix)]
pub(crate) fn script(file: &Path, lines: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let text = format!("#!/bin/sh\nhere=$(dirname \"$(readlink -f \"$0\")\")\n{lines}\n");
    fs::write(file, text).map_err(|error| fail(format!("cannot write {}: {error}", file.display())))?;
    Ok(fs::set_permissions(file, fs::Permissions::from_mode(0o755))?)
}

#[cfg(not(unix))]
pub(crate) fn script(_: &Path, _: &str) -> Result<()> {
    Err(fail("Debian's packages are of no use on this system"))
}

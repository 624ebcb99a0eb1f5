//! `cargo xtask test-packages`: each crate as somebody gets it who takes that one alone.
//!
//! The crates are packaged as for a registry and unpacked outside the workspace, so that a file that is missing in a package, a feature that only
//! another crate turns on, and a dependency that only the workspace has are noticed. A small program uses each; and how many crates come
//! with it is compared with what its README says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use clap::{ArgMatches, Command};

use crate::kit::process::{cargo, output, run as execute};
use crate::kit::{self, fail, root, suite::Tally, target};

pub(crate) fn command() -> Command {
    Command::new("test-packages")
        .about("Packages each crate, and builds a program that depends on it alone, outside the workspace")
}

pub(crate) fn run(_: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    suites(&mut tally);
    tally.finish()
}

/// A crate, and a program that takes it alone and prints "works".
const PROGRAMS: [(&str, &str); 5] = [
    (
        "ring",
        "static RING: weblane_ring::spsc::Ring<u32, 4> = weblane_ring::spsc::Ring::new();
    let (mut producer, mut consumer) = RING.ends().expect(\"nobody else has them\");
    assert_eq!((producer.push(3), consumer.pop()), (Ok(()), Some(3)));",
    ),
    (
        "futex",
        "use weblane_futex::{AtomicU32, Wait, notify_all, wait};
    let word = AtomicU32::new(1);
    assert_eq!(wait(&word, 0, None), Ok(Wait::Mismatch));
    assert_eq!(notify_all(&word), 0);",
    ),
    (
        "sync",
        "let mutex = weblane_sync::Mutex::new(1);
    *mutex.try_lock().expect(\"free\") += 1;
    assert_eq!(mutex.into_inner(), 2);",
    ),
    (
        "workers",
        "assert!(weblane_workers::ThreadId::MAIN.is_main());
    assert_eq!(weblane_workers::status(weblane_workers::ThreadId::from_index(1)), None);",
    ),
    (
        "pool",
        "let pool = weblane_pool::ThreadPool::with_threads(2).expect(\"two threads\");
    assert_eq!(pool.spawn(|| 6 * 7).join().expect(\"no panic\"), 42);",
    ),
];

pub(crate) fn suites(tally: &mut Tally) {
    let folder = std::env::temp_dir().join(format!("weblane-packages-{}", std::process::id()));
    let unpacked = unpack(&folder);
    for (name, program) in PROGRAMS {
        tally.step(&format!("package {name}, alone"), || match &unpacked {
            Ok(()) => alone(&folder, name, program),
            Err(error) => Err(fail(error.to_string())),
        });
    }
    let _ = fs::remove_dir_all(&folder);
}

fn packages() -> impl Iterator<Item = String> {
    PROGRAMS.iter().map(|(name, _)| format!("weblane-{name}"))
}

/// Packages all, and unpacks them into folders of their names.
fn unpack(folder: &Path) -> kit::Result<()> {
    fs::create_dir_all(folder)?;
    let mut package = cargo();
    // What is packaged is what stands here, committed or not; whether it builds is what the programs tell.
    package.args(["package", "--quiet", "--no-verify", "--allow-dirty"]);
    package.args(packages().flat_map(|name| ["--package".to_owned(), name]));
    execute(package.arg("--target-dir").arg(target()))?;
    let version = env!("CARGO_PKG_VERSION");
    for name in packages() {
        let archive = target().join("package").join(format!("{name}-{version}.crate"));
        execute(Program::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder))?;
        fs::rename(folder.join(format!("{name}-{version}")), folder.join(&name))?;
    }
    Ok(())
}

/// Builds and runs a program that depends on one crate, and counts what came with it.
fn alone(folder: &Path, name: &str, program: &str) -> kit::Result<()> {
    let (package, project) = (format!("weblane-{name}"), folder.join(format!("takes-{name}")));
    fs::create_dir_all(project.join("src"))?;
    let patches: String = packages().map(|name| format!("{name} = {{ path = \"../{name}\" }}\n")).collect();
    let manifest = format!(
        "[package]\nname = \"takes-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{package} = {{ path = \"../{package}\" }}\n\n\
         [patch.crates-io]\n{patches}\n[workspace]\n"
    );
    fs::write(project.join("Cargo.toml"), manifest)?;
    fs::write(project.join("src/main.rs"), format!("fn main() {{\n    {program}\n    println!(\"works\");\n}}\n"))?;
    // The versions that the workspace is tested with.
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock"))?;
    let build = |command: &str| {
        let mut cargo = cargo();
        // A patch for a crate that is not needed is only worth a warning, which says nothing here.
        cargo.current_dir(&project).args([command, "--quiet"]).env("RUSTFLAGS", "-Awarnings");
        cargo
    };
    let said = output(build("run").arg("--target-dir").arg(target().join("packages")))?;
    if said.trim() != "works" {
        return Err(fail(format!("the program that takes {package} alone says {said:?}")));
    }
    let tree = output(build("tree").args(["--edges", "normal", "--prefix", "none"]))?;
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    let others = crates.iter().filter(|name| !name.starts_with("takes-") && **name != package.as_str()).count();
    let sentence = format!("Crates that come with it natively: {others}.");
    let readme: PathBuf = folder.join(&package).join("README.md");
    if fs::read_to_string(&readme)?.contains(&sentence) {
        return Ok(());
    }
    let list: Vec<&str> = crates.into_iter().filter(|name| !name.starts_with("takes-") && *name != package).collect();
    Err(fail(format!("{package}'s README must say {sentence:?} ({})", list.join(", "))))
}

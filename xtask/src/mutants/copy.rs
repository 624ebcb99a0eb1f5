//! A copy of the crates, where mutants are tried.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::rules;
use crate::kit::{self, fail, root, target};

/// A folder that nobody else uses, also none of another run of this command.
pub(super) struct Copy {
    pub(super) folder: PathBuf,
    /// Locked as long as this lives.
    _lock: File,
}

/// A copy of the crates in a workspace of their own, whose models know split read-modify-writes.
///
/// Only what differs is written, so that what was built there before is not built again.
pub(super) fn make() -> kit::Result<Copy> {
    for hand in 0.. {
        let folder = target().join("mutants").join(hand.to_string());
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {
                fill_workspace(&folder)?;
                return Ok(Copy { folder, _lock: lock });
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    Err(fail("no folder is free"))
}

fn fill_workspace(copy: &Path) -> kit::Result<()> {
    // The sources may be edited while this works.
    fill(&root().join("crates"), &pristine(copy), &|path| Ok(fs::read(path)?))?;
    restore(copy)?;
    // The pool's tests know the scheduler's model.
    fill(&root().join("model"), &copy.join("model"), &|path| Ok(fs::read(path)?))?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let (Some(members), Some(package)) = (manifest.find("members = ["), manifest.find("[workspace.package]")) else {
        return Err(fail("the workspace's manifest has no members"));
    };
    let head = format!("{}members = [\"crates/*\", \"model\"]\n\n", &manifest[..members]);
    // Without the patches: they are for tools, which are not copied.
    let manifest = match (manifest.find("[patch."), manifest.find("[workspace.lints")) {
        (Some(patch), Some(lints)) if package < patch && patch < lints => {
            format!("{head}{}{}", &manifest[package..patch], &manifest[lints..])
        }
        _ => format!("{head}{}", &manifest[package..]),
    };
    put(&copy.join("Cargo.toml"), manifest.as_bytes())?;
    // Cargo leaves out what the members do not need.
    if !copy.join("Cargo.lock").exists() {
        fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    }
    Ok(())
}

pub(super) fn put(file: &Path, contents: &[u8]) -> kit::Result<()> {
    if fs::read(file).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    Ok(fs::write(file, contents)?)
}

/// The atomics of models, with operations that are split.
fn split(atomics: &Path) -> kit::Result<String> {
    let text = fs::read_to_string(atomics)?;
    let anchors = [
        ("pub(crate)", "$value", "            pub(crate) fn swap("),
        ("pub", "$value", "            pub fn swap("),
        ("pub(crate)", "*mut T", "        pub(crate) fn swap("),
    ];
    for (visibility, value, anchor) in anchors {
        if let Some(at) = text.find(&format!("\n{anchor}")) {
            let methods = split_methods(&text, visibility).replace("$value", value);
            return Ok(format!("{}{methods}{}", &text[..at], &text[at..]));
        }
    }
    Err(fail(format!("{} has no `swap` to put split operations before", atomics.display())))
}

/// What a read-modify-write is when it is not one, for the operations that these atomics have; and each with the choice (see `schema`).
fn split_methods(atomics: &str, visibility: &str) -> String {
    const PAIR: &str = "current: $value, new: $value, success: Ordering, failure: Ordering";
    const ONE: &str = "with: $value, order: Ordering";
    let compare = "if seen != current { return Err(seen); } self.swap(new, Ordering::AcqRel); Ok(seen)";
    let mut operations =
        vec![("compare_exchange", PAIR, "current, new, success, failure", "Result<$value, $value>", compare)];
    for (name, result) in [
        ("swap", "self.swap(with, Ordering::AcqRel); seen"),
        ("fetch_and", "self.swap(seen & with, Ordering::AcqRel); seen"),
        ("fetch_or", "self.swap(seen | with, Ordering::AcqRel); seen"),
        ("fetch_xor", "self.swap(seen ^ with, Ordering::AcqRel); seen"),
        ("fetch_add", "self.swap(seen.wrapping_add(with), Ordering::AcqRel); seen"),
        ("fetch_sub", "self.swap(seen.wrapping_sub(with), Ordering::AcqRel); seen"),
    ] {
        operations.push((name, ONE, "with, order", "$value", result));
    }
    operations.retain(|(name, ..)| atomics.contains(&format!("fn {name}(")));
    let mut methods = String::new();
    for (name, parameters, arguments, result, work) in operations {
        methods += &format!(
            "
            #[allow(missing_docs, dead_code, unused_variables)]
            {visibility} fn split_{name}(&self, {parameters}) -> {result} {{
                let seen = self.load(Ordering::Acquire);
                {work}
            }}
            #[allow(missing_docs, dead_code)]
            {visibility} fn schema_{name}(&self, split: bool, {parameters}) -> {result} {{
                if split {{ self.split_{name}({arguments}) }} else {{ self.{name}({arguments}) }}
            }}
"
        );
    }
    methods
}

/// The crates as they were when the copy was made.
pub(super) fn pristine(copy: &Path) -> PathBuf {
    copy.join("pristine")
}

/// Makes the crates as they were, but for the atomics of models.
pub(super) fn restore(copy: &Path) -> kit::Result<()> {
    fill(&pristine(copy), &copy.join("crates"), &|path| {
        let is_split = path.ends_with("model_atomic.rs") || path.ends_with("channel/primitive.rs");
        if is_split { Ok(split(path)?.into_bytes()) } else { Ok(fs::read(path)?) }
    })
}

/// Makes a folder the same as another.
fn fill(from: &Path, to: &Path, contents: &dyn Fn(&Path) -> kit::Result<Vec<u8>>) -> kit::Result<()> {
    fs::create_dir_all(to)?;
    let sources = rules::entries(from)?;
    for old in rules::entries(to)? {
        if sources.iter().any(|path| path.file_name() == old.file_name() && path.is_dir() == old.is_dir()) {
            continue;
        }
        if old.is_dir() { fs::remove_dir_all(old)? } else { fs::remove_file(old)? }
    }
    for path in sources {
        let to = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            fill(&path, &to, contents)?;
        } else {
            put(&to, &contents(&path)?)?;
        }
    }
    Ok(())
}

//! A copy of the crates, where mutants are tried.

use std::fs;
use std::path::{Path, PathBuf};

use super::rules;
use crate::kit::{self, fail, root, target};

/// A copy of the crates in a workspace of their own, whose models know split read-modify-writes.
///
/// Only what differs is written, so that what was built there before is not built again.
pub(super) fn make(hand: usize) -> kit::Result<PathBuf> {
    let copy = target().join("mutants").join(hand.to_string());
    fill(&root().join("crates"), &copy.join("crates"))?;
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let (Some(members), Some(package)) = (manifest.find("members = ["), manifest.find("[workspace.package]")) else {
        return Err(fail("the workspace's manifest has no members"));
    };
    let manifest = format!("{}members = [\"crates/*\"]\n\n{}", &manifest[..members], &manifest[package..]);
    put(&copy.join("Cargo.toml"), manifest.as_bytes())?;
    // Cargo leaves out what the members do not need.
    if !copy.join("Cargo.lock").exists() {
        fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock"))?;
    }
    Ok(copy)
}

fn put(file: &Path, contents: &[u8]) -> kit::Result<()> {
    if fs::read(file).is_ok_and(|old| old == contents) {
        return Ok(());
    }
    Ok(fs::write(file, contents)?)
}

/// The atomics of models, with operations that are split.
fn split(atomics: &Path) -> kit::Result<String> {
    let text = fs::read_to_string(atomics)?;
    let anchors = ["pub(crate)", "pub"].map(|visibility| (visibility, format!("            {visibility} fn store(")));
    for (visibility, anchor) in anchors {
        if let Some(at) = text.find(&anchor) {
            return Ok(format!("{}{}{}", &text[..at], split_methods(&text, visibility), &text[at..]));
        }
    }
    Err(fail(format!("{} has no `store` to put split operations before", atomics.display())))
}

/// What a read-modify-write is when it is not one, for the operations that these atomics have.
fn split_methods(atomics: &str, visibility: &str) -> String {
    let mut methods = format!(
        "
            #[allow(missing_docs, dead_code)]
            {visibility} fn split_compare_exchange(&self, current: $value, new: $value, _: Ordering, _: Ordering) -> Result<$value, $value> {{
                let seen = self.load(Ordering::Acquire);
                if seen != current {{
                    return Err(seen);
                }}
                self.swap(new, Ordering::AcqRel);
                Ok(seen)
            }}
"
    );
    methods += &format!(
        "
            #[allow(missing_docs, dead_code)]
            {visibility} fn split_swap(&self, value: $value, _: Ordering) -> $value {{
                let seen = self.load(Ordering::Acquire);
                self.swap(value, Ordering::AcqRel);
                seen
            }}
"
    );
    for (name, result) in [
        ("fetch_and", "seen & with"),
        ("fetch_or", "seen | with"),
        ("fetch_xor", "seen ^ with"),
        ("fetch_add", "seen.wrapping_add(with)"),
        ("fetch_sub", "seen.wrapping_sub(with)"),
    ] {
        if atomics.contains(&format!("fn {name}(")) {
            methods += &format!(
                "
            #[allow(missing_docs, dead_code)]
            {visibility} fn split_{name}(&self, with: $value, _: Ordering) -> $value {{
                let seen = self.load(Ordering::Acquire);
                self.swap({result}, Ordering::AcqRel);
                seen
            }}
"
            );
        }
    }
    methods
}

/// Makes a folder the same as another, but for the atomics of models.
fn fill(from: &Path, to: &Path) -> kit::Result<()> {
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
            fill(&path, &to)?;
        } else if path.file_name().is_some_and(|name| name == "model_atomic.rs") {
            put(&to, split(&path)?.as_bytes())?;
        } else {
            put(&to, &fs::read(&path)?)?;
        }
    }
    Ok(())
}

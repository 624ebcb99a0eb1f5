//! The user's cache folder: downloads and unpacked tools, one folder for each version, shared by all clones.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Result, fail};

/// `$XDG_CACHE_HOME/weblane`, or `~/.cache/weblane`.
pub(crate) fn folder() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    base.map(|base| base.join("weblane"))
        .ok_or_else(|| fail("no cache folder: set XDG_CACHE_HOME or HOME to a folder that can be written to"))
}

/// A complete entry whose name begins with `kind-`: the newest one.
pub(crate) fn newest(kind: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder().ok()?).ok()?.flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix(kind))
            .is_some_and(|rest| rest.starts_with('-'))
    };
    entries.filter(ours).max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok())
}

/// Makes the entry `name` by `fill`ing an empty folder, which is given its name only when that has succeeded: an entry is complete
/// or absent, whatever is interrupted.
pub(crate) fn make(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let entry = folder()?.join(name);
    if entry.is_dir() {
        return Ok(entry);
    }
    let unfinished = folder()?.join(format!(".unfinished-{name}-{}", std::process::id()));
    fs::create_dir_all(&unfinished)?;
    let filled = fill(&unfinished).and_then(|()| match fs::rename(&unfinished, &entry) {
        Ok(()) => Ok(()),
        // Another run has made it meanwhile.
        Err(_) if entry.is_dir() => Ok(()),
        Err(error) => Err(fail(format!("cannot rename {} to {}: {error}", unfinished.display(), entry.display()))),
    });
    if unfinished.exists() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    filled.map(|()| entry)
}

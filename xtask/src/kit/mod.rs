//! What the tasks share.

pub(crate) mod browser;
pub(crate) mod cache;
pub(crate) mod compiler;
pub(crate) mod debian;
pub(crate) mod process;
pub(crate) mod server;
pub(crate) mod suite;
pub(crate) mod web;
pub(crate) mod webdriver;

use std::path::{Path, PathBuf};

/// The error of a task: one text for people, which says what to do.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An error of this text.
pub(crate) fn fail(text: impl Into<String>) -> Error {
    text.into().into()
}

/// Says on stderr what is being done: everything that may take more than a moment is announced.
pub(crate) fn say(text: impl AsRef<str>) {
    eprintln!("==> {}", text.as_ref());
}

/// The workspace's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

/// The folder of everything that is built.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

//! Running other programs.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::{Result, fail};

/// This workspace's cargo.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(super::root());
    // What `cargo xtask` was started with must not leak into the builds that it starts.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC", "RUSTC_BOOTSTRAP"] {
        command.env_remove(name);
    }
    command
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Runs a program with its output on ours; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| fail(format!("cannot run `{}`: {error}", shown(command))))?;
    if status.success() { Ok(()) } else { Err(fail(format!("`{}` failed ({status})", shown(command)))) }
}

/// Runs a program and returns what it wrote to stdout; an error with its stderr if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| fail(format!("cannot run `{}`: {error}", shown(command))))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(fail(format!("`{}` failed ({}): {}", shown(command), output.status, why.trim())))
}

/// Runs a program with its output on ours, and returns its stdout too, with whether it succeeded.
pub(crate) fn tee(command: &mut Command) -> Result<(String, bool)> {
    let text = shown(command);
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| fail(format!("cannot run `{text}`: {error}")))?;
    let mut collected = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            let part = String::from_utf8_lossy(&line);
            print!("{part}");
            collected.push_str(&part);
            line.clear();
        }
    }
    let status = child.wait()?;
    Ok((collected, status.success()))
}

/// Where a program is, if it is on the path.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// A program that runs beside us and ends with this value.
pub(crate) struct Background {
    child: std::process::Child,
    /// The last lines of its stdout.
    said: Arc<Mutex<VecDeque<String>>>,
}

/// How many lines of a program's output are kept.
const KEPT: usize = 500;

impl Background {
    pub(crate) fn start(command: &mut Command) -> Result<Background> {
        let text = shown(command);
        let child = command.spawn().map_err(|error| fail(format!("cannot run `{text}`: {error}")))?;
        Ok(Background { child, said: Arc::default() })
    }

    /// Reads its stdout until `find` has found something in a line; of the rest the last lines are kept.
    pub(crate) fn wait_for<T>(&mut self, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let mut reader = BufReader::new(self.child.stdout.take()?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).ok()? > 0 {
            if let Some(found) = find(&String::from_utf8_lossy(&line)) {
                let said = Arc::clone(&self.said);
                std::thread::spawn(move || keep(reader, &said));
                return Some(found);
            }
            line.clear();
        }
        None
    }

    /// The last lines that it wrote to stdout after what `wait_for` found.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().map(|said| said.iter().cloned().collect()).unwrap_or_default()
    }
}

fn keep(mut reader: impl BufRead, said: &Mutex<VecDeque<String>>) {
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        if let Ok(mut said) = said.lock() {
            said.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            if said.len() > KEPT {
                said.pop_front();
            }
        }
        line.clear();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

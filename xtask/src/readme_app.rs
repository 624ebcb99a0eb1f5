//! `cargo xtask readme-app`: does what the README tells a new user to do, in an empty folder outside the workspace.
//!
//! The README's code blocks that name a file (` ```toml file=Cargo.toml `) are the app. They are written out as they stand, built with
//! the flags that are in them, and opened in a browser; the page must then say what the README promises (`<!-- expect: TEXT -->`).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Command};

use crate::kit::browser::Engine;
use crate::kit::process::{cargo, run as execute};
use crate::kit::webdriver::Session;
use crate::kit::{self, browser, compiler, fail, root, say, server, web};

pub(crate) fn command() -> Command {
    Command::new("readme-app")
        .about("Builds and opens the README's app, in an empty folder outside the workspace")
        .arg(browser::option())
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    check(Engine::chosen(arguments))
}

/// The README's files and the text that its page must show.
fn blocks(readme: &str) -> (Vec<(String, String)>, Option<String>) {
    let mut files = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("```").and_then(|info| info.split("file=").nth(1)) {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            files.push((path.trim().to_owned(), text.join("\n") + "\n"));
        }
    }
    let expected = readme.split("<!-- expect: ").nth(1).and_then(|rest| rest.split(" -->").next());
    (files, expected.map(str::to_owned))
}

pub(crate) fn check(engine: Engine) -> kit::Result<()> {
    let (files, expected) = blocks(&fs::read_to_string(root().join("README.md"))?);
    let expected = expected.ok_or_else(|| fail("README.md has no `<!-- expect: TEXT -->`"))?;
    let folder = Folder::new()?;
    let workspace = root().to_str().ok_or_else(|| fail("the workspace's path is not UTF-8"))?;
    for (path, text) in &files {
        let file = folder.0.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&folder.0))?;
        // The README's user has cloned Weblane beside his app.
        fs::write(file, text.replace("../weblane", workspace))?;
    }
    let compiler = compiler::get()?;
    say(format!("building the README's app ({} files) in {}", files.len(), folder.0.display()));
    // As the README's `cargo +nightly build --release`: the flags are the app's own.
    let mut build = cargo();
    build.args(["build", "--release"]).current_dir(&folder.0).env("CARGO_TARGET_DIR", web::folder());
    execute(build.env("RUSTC", &compiler.rustc).env("RUSTC_BOOTSTRAP", "1"))?;
    let wasm = web::folder().join(web::TARGET).join("release/app.wasm");
    web::bindgen(&wasm, &folder.0.join("pkg"), "app")?;
    let serving = server::serve(&folder.0, 0)?;
    let session = Session::start(&engine.get()?, 800, 600)?;
    session.open(&serving.url)?;
    let script = format!("return document.body.innerText.includes({});", serde_json::to_string(&expected)?);
    session.wait_for(&format!("the page's text {expected:?}"), &script, Duration::from_secs(60))?;
    say(format!("the page says {expected:?}"));
    Ok(())
}

/// A folder of our own outside the workspace, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> kit::Result<Folder> {
        let folder = std::env::temp_dir().join(format!("weblane-readme-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Folder(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn only_blocks_with_a_file_count() {
        let readme = "a\n```sh\nls\n```\n```toml file=Cargo.toml\n[x]\n```\n<!-- expect: sum 5 -->\n```rust file=src/lib.rs\nfn f() {}\n\n```\n";
        let (files, expected) = blocks(readme);
        assert_eq!(files, [("Cargo.toml".into(), "[x]\n".into()), ("src/lib.rs".into(), "fn f() {}\n\n".into())]);
        assert_eq!(expected.as_deref(), Some("sum 5"));
    }
}

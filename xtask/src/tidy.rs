//! `cargo xtask tidy`: the invariants of this workspace that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};

use crate::kit::{self, fail, root};
use crate::races;

pub(crate) fn command() -> Command {
    Command::new("tidy").about(
        "Checks what compilers do not: no JS in the pool, docs and SAFETY comments everywhere, who may depend on whom, the table of races",
    )
}

pub(crate) fn run(_: &ArgMatches) -> kit::Result<()> {
    check()
}

pub(crate) fn check() -> kit::Result<()> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    for folder in ["crates", "demo", "tests-browser", "tools", "xtask"] {
        collect(&root().join(folder), &mut files)?;
    }
    if files.len() < 60 {
        return Err(fail(format!("only {} files were found to look at", files.len())));
    }
    for file in &files {
        let name = file.strip_prefix(root()).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(file)?;
        found.extend(complaints(&name, &text).into_iter().map(|(line, text)| format!("{name}:{line}: {text}")));
    }
    found.extend(manifests()?);
    found.extend(races::complaints(&files)?);
    if found.is_empty() { Ok(()) } else { Err(fail(format!("{} untidy places:\n{}", found.len(), found.join("\n")))) }
}

/// All files with text in them, without what is built.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> kit::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| ["rs", "js", "mjs", "ts", "html", "css"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

/// What is wrong in one file, by line.
fn complaints(name: &str, text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    let in_pool = name.starts_with("crates/pool/");
    if in_pool && !name.ends_with(".rs") {
        found.push((1, "the pool contains no JS"));
    }
    if !name.ends_with(".rs") {
        return found;
    }
    if !text.starts_with("//!") && !text.starts_with("#![doc = include_str!") {
        found.push((1, "a module begins with what it is for: `//! ...`"));
    }
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > 600 {
        found.push((600, "a file of more than 600 lines is two files"));
    }
    // This file names what it looks for.
    let itself = name == "xtask/src/tidy.rs";
    for (index, line) in lines.iter().enumerate() {
        let number = index + 1;
        let code = line.split("//").next().unwrap_or_default();
        let mut complain = |wrong: bool, text| {
            if wrong && !itself {
                found.push((number, text));
            }
        };
        complain(code.contains("todo!(") || code.contains("unimplemented!("), "unfinished code does not land");
        complain(code.contains("dbg!("), "left from debugging");
        let js = ["inline_js", "raw_module", "extern \"C\"", "wasm_bindgen(", "eval("];
        complain(in_pool && js.iter().any(|word| code.contains(word)), "the pool contains no JS and imports none");
        complain(
            name.starts_with("crates/")
                && !name.contains("/tests")
                && code.contains(".unwrap()")
                && !in_tests(&lines, index),
            "no `unwrap` outside tests: `expect` with the reason, or an error",
        );
        complain(
            code.contains("unsafe ") && code.contains('{') && !excused(&lines, index),
            "an unsafe block says why it is sound: `// SAFETY: ...`",
        );
    }
    found
}

/// Whether a line is below its file's `#[cfg(test)]`.
fn in_tests(lines: &[&str], index: usize) -> bool {
    lines[..index].iter().any(|line| line.contains("cfg(test)") || line.contains("cfg(all(test"))
}

/// Whether the `unsafe` in this line is a declaration, or has its reason in the line or in the comment above its statement.
fn excused(lines: &[&str], index: usize) -> bool {
    let line = lines[index];
    if ["unsafe fn", "unsafe impl", "unsafe extern", "\"unsafe", "unsafe_"].iter().any(|word| line.contains(word))
        && !line.contains("unsafe {")
    {
        return !line.contains("unsafe impl") || above(lines, index).contains("SAFETY");
    }
    line.contains("SAFETY") || above(lines, index).contains("SAFETY")
}

/// The comment above a line, and what is between: a statement may have begun a few lines earlier.
fn above(lines: &[&str], index: usize) -> String {
    lines[index.saturating_sub(8)..index].join("\n")
}

/// Who depends on whom: "ring and futex know nobody of ours", and so on.
fn manifests() -> kit::Result<Vec<String>> {
    let allowed: [(&str, &[&str]); 5] = [
        ("ring", &[]),
        ("futex", &[]),
        ("sync", &["weblane-futex"]),
        ("workers", &["weblane-futex", "weblane-sync"]),
        ("pool", &["weblane-futex", "weblane-ring", "weblane-sync", "weblane-workers"]),
    ];
    let mut found = Vec::new();
    for (name, allowed) in allowed {
        let file = format!("crates/{name}/Cargo.toml");
        let text = fs::read_to_string(root().join(&file))?;
        let (mut section, mut web_only) = (String::new(), false);
        for (index, line) in text.lines().enumerate() {
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']').to_owned();
                web_only = section.contains("wasm32");
            }
            let dependency = line.split([' ', '=', '.']).next().unwrap_or_default();
            if !section.contains("dependencies") || !line.contains('=') {
                continue;
            }
            let mut complain = |wrong: bool, text: &str| {
                if wrong {
                    found.push(format!("{file}:{}: {text}", index + 1));
                }
            };
            let itself = dependency.strip_prefix("weblane-") == Some(name);
            // The model of the protocol is for tests alone, and is not published.
            let model = dependency == "weblane-model" && section.contains("dev-dependencies");
            let known = itself || model || allowed.contains(&dependency);
            complain(dependency.starts_with("weblane-") && !known, "must not know this crate");
            complain(dependency == "weblane-workers" && !web_only, "only the pool's web part knows the workers");
            let js = ["js-sys", "web-sys", "wasm-bindgen"].contains(&dependency);
            let optional = line.contains("optional = true");
            complain(
                js && !(name == "workers" || (name == "pool" && web_only) || (name == "futex" && optional)),
                "JS is not this crate's business",
            );
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::complaints;

    fn texts(name: &str, text: &str) -> Vec<&'static str> {
        complaints(name, text).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn the_pool_contains_no_js() {
        assert_eq!(texts("crates/pool/js/x.js", ""), ["the pool contains no JS"]);
        let imports = "//! x\n#[wasm_bindgen(inline_js = \"\")]\n";
        assert_eq!(texts("crates/pool/src/x.rs", imports), ["the pool contains no JS and imports none"]);
        assert!(texts("crates/workers/src/x.rs", imports).is_empty());
    }

    #[test]
    fn unsafe_code_says_why() {
        let without = "//! x\nfn f(p: *const u8) -> u8 {\n    unsafe { *p }\n}\n";
        assert_eq!(texts("crates/ring/src/x.rs", without).len(), 1);
        let with = without.replace("    unsafe", "    // SAFETY: it is valid.\n    unsafe");
        assert!(texts("crates/ring/src/x.rs", &with).is_empty());
    }

    #[test]
    fn modules_say_what_they_are_for() {
        assert_eq!(texts("xtask/src/x.rs", "fn f() {}\n").len(), 1);
    }

    #[test]
    fn unwrap_is_for_tests() {
        assert_eq!(texts("crates/ring/src/x.rs", "//! x\nfn f() { g().unwrap(); }\n").len(), 1);
        assert!(
            texts("crates/ring/src/x.rs", "//! x\n#[cfg(test)]\nmod tests { fn f() { g().unwrap(); } }\n").is_empty()
        );
    }
}

//! `cargo xtask setup`: everything that the other tasks would get on first need.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::kit::{self, browser::Engine, compiler, fail, say, web};

const TOOLS: [&str; 2] = ["weblane-tool-bindgen", "weblane-tool-test-runner"];

pub(crate) fn command() -> Command {
    Command::new("setup")
        .about("Finds or gets the compiler with its source, wasm-bindgen's tools and the browsers")
        .long_about(
            "Finds or gets what the other tasks need, in this order: for the compiler WEBLANE_RUSTC, the active rustup toolchain, `rustup component \
             add rust-src` (never where RUSTUP_AUTO_INSTALL=0), Debian's packages; for Chromium WEBLANE_CHROMIUM with WEBLANE_CHROMEDRIVER, the path, \
             Debian's packages; for Firefox WEBLANE_FIREFOX, the path, its usual places, Debian's packages; for its driver WEBLANE_GECKODRIVER, the path, \
             `cargo install geckodriver` into the cache folder. Debian's packages are unpacked into the cache folder (XDG_CACHE_HOME, or ~/.cache); wasm-bindgen's tools are built from the \
             crates in Cargo.lock. Nothing is installed system-wide.",
        )
        .arg(Arg::new("check").long("check").action(ArgAction::SetTrue).help("Only say what is there; change nothing"))
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    if arguments.get_flag("check") {
        return check();
    }
    let compiler = compiler::get()?;
    say(format!("compiler: {} ({})", compiler.rustc.display(), compiler.origin));
    for engine in Engine::ALL {
        let browser = engine.get()?;
        say(format!("{}: {} ({})", engine.name(), browser.binary.display(), browser.origin));
        say(format!("  driver: {}", browser.driver.display()));
    }
    for tool in TOOLS {
        say(format!("{tool}: {}", web::tool(tool)?.display()));
    }
    Ok(())
}

/// One line for each thing; what is missing is named with the command that gets it.
fn check() -> kit::Result<()> {
    let mut missing = Vec::new();
    let mut line = |name: &str, found: Option<String>| match found {
        Some(found) => println!("{name}: {found}"),
        None => {
            println!("{name}: missing; `cargo xtask setup` gets it");
            missing.push(name.to_owned());
        }
    };
    let compiler = compiler::find()?;
    line("compiler", compiler.map(|found| format!("{} ({})", found.rustc.display(), found.origin)));
    for engine in Engine::ALL {
        let found = engine.find()?;
        let shown = |found: kit::browser::Browser| {
            format!("{} ({}), driven by {}", found.binary.display(), found.origin, found.driver.display())
        };
        line(engine.name(), found.map(shown));
    }
    for tool in TOOLS {
        line(tool, web::find_tool(tool)?.map(|file| file.display().to_string()));
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(fail(format!("missing: {}; run `cargo xtask setup`", missing.join(", "))))
    }
}

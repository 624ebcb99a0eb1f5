//! `cargo xtask setup`: everything that the other tasks would get on first need.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::kit::{self, browser, compiler, fail, say, web};

pub(crate) fn command() -> Command {
    Command::new("setup")
        .about("Finds or gets the compiler with its source, wasm-bindgen's tools and a browser")
        .long_about(
            "Finds or gets what the other tasks need, in this order: for the compiler WEBLANE_RUSTC, the active rustup toolchain, `rustup component \
             add rust-src` (never where RUSTUP_AUTO_INSTALL=0), Debian's packages; for the browser WEBLANE_CHROMIUM with WEBLANE_CHROMEDRIVER, the path, \
             Debian's packages. Debian's packages are unpacked into the cache folder (XDG_CACHE_HOME, or ~/.cache); wasm-bindgen's tools are built from the \
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
    let browser = browser::get()?;
    say(format!("{}: {} ({})", browser.engine, browser.binary.display(), browser.origin));
    for tool in ["weblane-tool-bindgen", "weblane-tool-test-runner"] {
        say(format!("{tool}: {}", web::tool(tool)?.display()));
    }
    Ok(())
}

fn check() -> kit::Result<()> {
    let compiler = compiler::find()?;
    let browser = browser::find()?;
    let missing = "missing; `cargo xtask setup` gets it";
    match &compiler {
        Some(found) => println!("compiler: {} ({})", found.rustc.display(), found.origin),
        None => println!("compiler: {missing}"),
    }
    match &browser {
        Some(found) => println!("{}: {} ({})", found.engine, found.binary.display(), found.origin),
        None => println!("chromium: {missing}"),
    }
    if compiler.is_some() && browser.is_some() { Ok(()) } else { Err(fail("something is missing")) }
}

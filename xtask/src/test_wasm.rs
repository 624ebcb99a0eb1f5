//! `cargo xtask test-wasm`: the tests of `tests-browser`, in a browser.

use std::path::PathBuf;
use std::process::Command as Program;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::kit::browser::{Browser, Engine};
use crate::kit::compiler::Compiler;
use crate::kit::process::run as execute;
use crate::kit::{self, browser, compiler, root, say, suite::Tally, target, web};

pub(crate) fn command() -> Command {
    Command::new("test-wasm")
        .about("Runs the browser tests in one engine")
        .arg(browser::option())
        .arg(Arg::new("test").value_name("TEST").help("Only this file of tests-browser/tests, without its extension"))
        .arg(
            Arg::new("long")
                .long("long")
                .action(ArgAction::SetTrue)
                .help("Stress tests last ten seconds each instead of one: more than a minute for all of them"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    let only = arguments.get_one::<String>("test").map(String::as_str);
    suites(&mut tally, Engine::chosen(arguments), only, arguments.get_flag("long"))?;
    tally.finish()
}

/// Whether a test's page and build are as they should be, or lack something on purpose.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Threads, and a page that is cross-origin isolated.
    Usual,
    /// A page without the two headers.
    NotIsolated,
    /// wasm without atomics.
    NoThreads,
    /// Panics that unwind.
    Unwinding,
}

/// Every file of tests-browser/tests. Each is a page of its own, because `init` succeeds once for each page.
const TESTS: &[(&str, Kind)] = &[
    ("pool", Kind::Usual),
    ("start", Kind::Usual),
    ("workers", Kind::Usual),
    ("pool_js", Kind::Usual),
    ("hold", Kind::Usual),
    ("fork", Kind::Usual),
    ("death", Kind::Usual),
    ("primitives", Kind::Usual),
    ("futex", Kind::Usual),
    ("futex_armed", Kind::Usual),
    ("sync", Kind::Usual),
    ("sync_dead", Kind::Usual),
    ("channel", Kind::Usual),
    ("pool_end", Kind::Usual),
    ("watchdog", Kind::Usual),
    ("page", Kind::Usual),
    ("stress_rings", Kind::Usual),
    ("stress_sync", Kind::Usual),
    ("script_not_found", Kind::Usual),
    ("start_timeout", Kind::Usual),
    ("start_late", Kind::Usual),
    ("panic_abort", Kind::Usual),
    ("no_shared_array_buffer", Kind::Usual),
    ("not_isolated", Kind::NotIsolated),
    ("panic_unwind", Kind::Unwinding),
    ("no_atomics", Kind::NoThreads),
    ("futex_alone", Kind::NoThreads),
];

pub(crate) fn suites(tally: &mut Tally, engine: Engine, only: Option<&str>, long: bool) -> kit::Result<()> {
    if let Some(name) = only.filter(|name| !TESTS.iter().any(|(known, _)| known == name)) {
        let known: Vec<&str> = TESTS.iter().map(|(known, _)| *known).collect();
        return Err(kit::fail(format!("there is no browser test {name}; there are {}", known.join(", "))));
    }
    let compiler = compiler::get()?;
    let browser = engine.get()?;
    say(format!("compiler: {} ({})", compiler.rustc.display(), compiler.origin));
    say(format!("{}: {} ({})", engine.name(), browser.binary.display(), browser.origin));
    let runner = Runner::new(&browser, long)?;
    let chosen = || TESTS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    if chosen().any(|(_, kind)| matches!(kind, Kind::Usual | Kind::NotIsolated)) {
        say("building the browser tests (std is built too, once)");
        execute(runner.cargo(&compiler, Kind::Usual).args(["--tests", "--no-run"]))?;
    }
    let commands = chosen().map(|(name, kind)| {
        let mut test = runner.cargo(&compiler, *kind);
        // What a test reports, such as a latency, is shown also when it passes.
        test.args(["--test", name, "--", "--nocapture"]);
        if *kind == Kind::NotIsolated {
            test.env("WASM_BINDGEN_TEST_NO_ORIGIN_ISOLATION", "1");
        }
        test
    });
    let name = only.map_or_else(|| engine.name().to_owned(), |only| format!("{}-{only}", engine.name()));
    if only.is_some() { tally.suite_without_floor(&name, commands) } else { tally.suite(&name, commands) }
}

/// wasm-bindgen's test runner, told about our browser.
struct Runner<'a> {
    binary: PathBuf,
    browser: &'a Browser,
    capabilities: PathBuf,
    long: bool,
}

impl Runner<'_> {
    fn new(browser: &Browser, long: bool) -> kit::Result<Runner<'_>> {
        let binary = web::tool("weblane-tool-test-runner")?;
        let capabilities = target().join(format!("webdriver-{}.json", browser.engine.name()));
        std::fs::write(&capabilities, browser.engine.capabilities(&browser.binary).to_string())?;
        Ok(Runner { binary, browser, capabilities, long })
    }

    /// `cargo test` of the browser tests, with our runner. What differs in its flags has a target folder of its own.
    fn cargo(&self, compiler: &Compiler, kind: Kind) -> Program {
        let (build, folder) = match kind {
            Kind::Usual | Kind::NotIsolated => (web::Build::Threads, web::folder()),
            Kind::NoThreads => (web::Build::NoThreads, target().join("web-plain")),
            Kind::Unwinding => (web::Build::Unwinding, target().join("web-unwind")),
        };
        let mut test = web::web_cargo(compiler, build);
        test.args(["test", "--package", "tests-browser", "--release"]).args(web::arguments(build));
        test.arg("--target-dir").arg(folder);
        // The runner takes the first driver that it is told about; there must be one only.
        for other in ["GECKODRIVER", "SAFARIDRIVER", "CHROMEDRIVER", "MSEDGEDRIVER"] {
            test.env_remove(other).env_remove(format!("{other}_REMOTE"));
        }
        test.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", &self.binary)
            .env(self.browser.engine.runner_variable(), &self.browser.driver)
            .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", &self.capabilities)
            // Seconds for all tests of one page.
            .env("WASM_BINDGEN_TEST_TIMEOUT", if self.long { "900" } else { "180" })
            .current_dir(root());
        // Known when the tests are compiled: a page has no environment.
        if self.long {
            test.env("WEBLANE_LONG", "1");
        } else {
            test.env_remove("WEBLANE_LONG");
        }
        test
    }
}

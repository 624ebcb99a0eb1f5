//! `cargo xtask test`: everything. What CI runs, and nothing else.

use clap::{ArgMatches, Command};

use crate::kit::{self, browser::Engine, suite::Tally};
use crate::{
    bench, check_no_std, demo, readme_app, soak, test_loom, test_model, test_native, test_packages, test_wasm, tidy,
};

pub(crate) fn command() -> Command {
    Command::new("test").visible_alias("ci").about("Sets up what is missing and runs every test; what CI runs")
}

pub(crate) fn run(_: &ArgMatches) -> kit::Result<()> {
    let mut tally = Tally::default();
    tally.step("tidy", tidy::check);
    test_native::suites(&mut tally)?;
    check_no_std::suites(&mut tally);
    test_packages::suites(&mut tally);
    tally.step("bench, smoke", || bench::smoke(None));
    test_loom::suites(&mut tally, 2)?;
    test_model::suites(&mut tally, false)?;
    // The second engine runs what was built for the first.
    for engine in Engine::ALL {
        let name = engine.name();
        // A browser that cannot be had must not hide what the other suites say.
        if let Err(error) = test_wasm::suites(&mut tally, engine, None, false) {
            tally.step(&format!("{name}, set-up"), || Err(error));
        }
        let out = kit::target().join("demo-headless").join(name);
        tally.step(&format!("{name}, demo, seed 7"), || demo::headless(engine, 7, &out).map(drop));
        tally.step(&format!("{name}, README's app"), || readme_app::check(engine));
        tally.step(&format!("{name}, soak, a few seconds"), || soak::soak(engine, 0.1).map(drop));
        tally.step(&format!("{name}, bench, smoke"), || bench::smoke(Some(engine)));
    }
    tally.step("demo, another seed is another picture", || {
        let (first, second) = (demo::native_checksum(7)?, demo::native_checksum(8)?);
        if first == second { Err(kit::fail(format!("seeds 7 and 8 both give {first}"))) } else { Ok(()) }
    });
    tally.finish()
}

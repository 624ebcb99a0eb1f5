//! `cargo xtask`: the only door to building, testing and showing Weblane. One file per subcommand; what they share is in `kit`.

use std::process::ExitCode;

use clap::Command;

mod bench;
mod build;
mod check_no_std;
mod demo;
mod kit;
mod mutants;
mod races;
mod readme_app;
mod serve;
mod setup;
mod soak;
mod test;
mod test_i686;
mod test_loom;
mod test_model;
mod test_native;
mod test_packages;
mod test_sanitizers;
mod test_wasm;
mod tidy;

/// A subcommand: what it is called with, and what it does.
type Task = (fn() -> Command, fn(&clap::ArgMatches) -> kit::Result<()>);

const TASKS: &[Task] = &[
    (demo::command, demo::run),
    (test::command, test::run),
    (setup::command, setup::run),
    (test_native::command, test_native::run),
    (test_loom::command, test_loom::run),
    (test_model::command, test_model::run),
    (test_wasm::command, test_wasm::run),
    (test_packages::command, test_packages::run),
    (test_sanitizers::command, test_sanitizers::run),
    (test_i686::command, test_i686::run),
    (readme_app::command, readme_app::run),
    (mutants::command, mutants::run),
    (bench::command, bench::run),
    (soak::command, soak::run),
    (check_no_std::command, check_no_std::run),
    (tidy::command, tidy::run),
    (build::command, build::run),
    (serve::command, serve::run),
];

fn main() -> ExitCode {
    let about =
        "Builds, tests and shows Weblane. Sets up what is missing on the way: nothing is installed system-wide.";
    let command = Command::new("cargo xtask")
        .bin_name("cargo xtask")
        .about(about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(TASKS.iter().map(|(command, _)| command()));
    let matches = command.get_matches();
    let Some((name, arguments)) = matches.subcommand() else { return ExitCode::FAILURE };
    let run = TASKS
        .iter()
        .find(|(command, _)| command().get_name() == name || command().get_all_aliases().any(|a| a == name));
    match run.map_or_else(|| Err(kit::fail(format!("no task {name}"))), |(_, run)| run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

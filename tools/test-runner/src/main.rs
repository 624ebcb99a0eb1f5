//! wasm-bindgen's test runner, in the version that `Cargo.lock` names.
//!
//! A tool of `cargo xtask test-wasm`, which builds it on first need and hands it to cargo as the runner of wasm tests.
//! All of it is wasm-bindgen's; see `WASM_BINDGEN_TEST_*` in its guide for the variables it reads.

fn main() -> ExitCode {
    match wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

use std::process::ExitCode;

//! Generates the JS glue of one wasm file: `weblane-tool-bindgen IN.wasm OUT_DIR NAME [--keep-names]`.
//!
//! A tool of `cargo xtask`, which builds it on first need. It exists so that the generator is the version that
//! `Cargo.lock` names, and nobody has to install it by hand. The output is for `--target web`: an ES module with an `init`
//! function, the one target whose glue can be given a shared memory.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (keep_names, args): (Vec<_>, Vec<_>) = args.into_iter().partition(|a| a == "--keep-names");
    let [input, out_dir, name] = args.as_slice() else {
        eprintln!("usage: weblane-tool-bindgen IN.wasm OUT_DIR NAME [--keep-names]");
        return ExitCode::from(2);
    };
    match generate(input, out_dir, name, !keep_names.is_empty()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weblane-tool-bindgen: {input}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(input: &str, out_dir: &str, name: &str, keep_names: bool) -> Result<(), String> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.web(true).map_err(|e| format!("{e:#}"))?;
    bindgen
        .input_path(input)
        .out_name(name)
        .remove_name_section(!keep_names)
        // `init()` without arguments then finds the wasm file beside the glue.
        .omit_default_module_path(false)
        .generate(out_dir)
        .map_err(|e| format!("{e:#}"))
}

//! `cargo xtask build`: any package as a page's module.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use crate::kit::process::output;
use crate::kit::{self, compiler, fail, say, web};

pub(crate) fn command() -> Command {
    let path = |name: &'static str| Arg::new(name).long(name).required(true).value_parser(clap::value_parser!(PathBuf));
    Command::new("build")
        .about("Builds any package that uses Weblane for the web, with its JS glue")
        .arg(
            path("manifest-path").value_name("CARGO.TOML").help("The package's manifest; its library must be a cdylib"),
        )
        .arg(path("out").value_name("DIR").help("Where to put NAME.js and NAME_bg.wasm"))
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let path =
        |name: &str| arguments.get_one::<PathBuf>(name).cloned().ok_or_else(|| fail(format!("--{name} is missing")));
    let (manifest, out) = (path("manifest-path")?, path("out")?);
    let manifest =
        manifest.canonicalize().map_err(|error| fail(format!("cannot read {}: {error}", manifest.display())))?;
    let compiler = compiler::get()?;
    let mut name = kit::process::cargo();
    name.args(["read-manifest", "--manifest-path"]).arg(&manifest);
    let description: serde_json::Value = serde_json::from_str(&output(&mut name)?)?;
    let package = description["name"].as_str().ok_or_else(|| fail("the manifest names no package"))?;
    let module = package.replace('-', "_");
    std::fs::create_dir_all(&out)?;
    web::module(&compiler, &manifest, package, &out.canonicalize()?, &module)?;
    say(format!("built {}", out.join(format!("{module}.js")).display()));
    Ok(())
}

//! The browsers and their drivers.

mod chromium;
mod firefox;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Arg, ArgMatches, builder::PossibleValuesParser};
use serde_json::Value;

use super::process::output;
use super::{Result, debian, fail};

/// A browser engine.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Engine {
    Chromium,
    Firefox,
}

/// A browser that can be driven.
pub(crate) struct Browser {
    pub(crate) engine: Engine,
    pub(crate) binary: PathBuf,
    pub(crate) driver: PathBuf,
    /// Where it was found, for people.
    pub(crate) origin: &'static str,
}

impl Engine {
    pub(crate) const ALL: [Engine; 2] = [Engine::Chromium, Engine::Firefox];

    /// As it is written after `--engine`, in `floors.json` and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Chromium => "chromium",
            Engine::Firefox => "firefox",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Engine> {
        Engine::ALL.into_iter().find(|engine| engine.name() == name)
    }

    /// The engine that was chosen with `option`.
    pub(crate) fn chosen(arguments: &ArgMatches) -> Engine {
        arguments.get_one::<String>("engine").and_then(|name| Engine::of(name)).unwrap_or(Engine::Chromium)
    }

    /// Finds the browser and its driver, without changing anything.
    pub(crate) fn find(self) -> Result<Option<Browser>> {
        match self {
            Engine::Chromium => chromium::find(),
            Engine::Firefox => firefox::find(),
        }
    }

    /// Finds the browser and its driver, or gets them.
    pub(crate) fn get(self) -> Result<Browser> {
        match self {
            Engine::Chromium => chromium::get(),
            Engine::Firefox => firefox::get(),
        }
    }

    /// What WebDriver is told: start this binary, on a machine without display, GPU or a user that a sandbox could be made for.
    pub(crate) fn capabilities(self, binary: &Path) -> Value {
        match self {
            Engine::Chromium => chromium::capabilities(binary),
            Engine::Firefox => firefox::capabilities(binary),
        }
    }

    /// The variable by which wasm-bindgen's test runner is told which driver to use.
    pub(crate) fn runner_variable(self) -> &'static str {
        match self {
            Engine::Chromium => "CHROMEDRIVER",
            Engine::Firefox => "GECKODRIVER",
        }
    }
}

/// The option `--engine`.
pub(crate) fn option() -> Arg {
    Arg::new("engine")
        .long("engine")
        .value_name("ENGINE")
        .default_value("chromium")
        .value_parser(PossibleValuesParser::new(Engine::ALL.map(Engine::name)))
        .help("The browser engine to use")
}

/// The file that an override variable names; an error if it is none.
fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(file) = std::env::var_os(variable).map(PathBuf::from) else { return Ok(None) };
    if file.is_file() {
        Ok(Some(file))
    } else {
        Err(fail(format!("{variable} is set to {}, which is no file", file.display())))
    }
}

/// Makes a browser that was unpacked from Debian's packages usable: for each of `programs`, `(script, program)`, a script in the folder `weblane` that
/// starts the program with the unpacked libraries and fonts. `own` is the browser's own folder of libraries.
fn scripts(folder: &Path, own: &str, programs: &[(&str, &str)]) -> Result<()> {
    let scripts = folder.join("weblane");
    fs::create_dir(&scripts)?;
    let multiarch = debian::multiarch();
    let mut libraries: Vec<String> = [format!("usr/lib/{multiarch}"), format!("lib/{multiarch}"), own.into()]
        .map(|path| format!("$root/{path}"))
        .into();
    // Some libraries are in folders of their own, where the linker only finds them if it is told (libpulsecommon, for one).
    for entry in fs::read_dir(folder.join("usr/lib").join(&multiarch))?.flatten().filter(|entry| entry.path().is_dir())
    {
        let is_library = |file: fs::DirEntry| file.file_name().to_string_lossy().contains(".so");
        if fs::read_dir(entry.path())?.flatten().any(is_library) {
            libraries.push(format!("$root/usr/lib/{multiarch}/{}", entry.file_name().to_string_lossy()));
        }
    }
    let libraries = libraries.join(":");
    let variables = format!(
        "root=$(readlink -f \"$here/..\")\n\
         export LD_LIBRARY_PATH=\"{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
         fonts=$here/fonts.conf\n\
         if [ ! -f \"$fonts\" ]; then\n\
           printf '%s' \"<fontconfig><dir>/usr/share/fonts</dir><dir>$root/usr/share/fonts</dir><cachedir>$here/fonts</cachedir></fontconfig>\" > \"$fonts\"\n\
         fi\n\
         export FONTCONFIG_FILE=\"$fonts\"\n"
    );
    for (name, program) in programs {
        debian::script(&scripts.join(name), &format!("{variables}exec \"$root/{program}\" \"$@\""))?;
        // A library that is missing shows here, and not in a test's time-out.
        output(Command::new(scripts.join(name)).arg("--version"))?;
    }
    fs::remove_file(scripts.join("fonts.conf"))?;
    Ok(())
}

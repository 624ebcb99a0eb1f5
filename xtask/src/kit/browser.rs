//! A browser and its driver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Arg, builder::PossibleValuesParser};

use super::process::{output, which};
use super::{Result, cache, debian, fail};

/// A browser that can be driven.
pub(crate) struct Browser {
    pub(crate) engine: &'static str,
    pub(crate) binary: PathBuf,
    pub(crate) driver: PathBuf,
    /// Where it was found, for people.
    pub(crate) origin: &'static str,
}

const BINARY: &str = "WEBLANE_CHROMIUM";
const DRIVER: &str = "WEBLANE_CHROMEDRIVER";
/// The entry in the cache.
const KIND: &str = "chromium";

/// The option `--engine`.
pub(crate) fn engine() -> Arg {
    let engines = PossibleValuesParser::new(["chromium"]);
    Arg::new("engine")
        .long("engine")
        .value_name("ENGINE")
        .default_value("chromium")
        .value_parser(engines)
        .help("The browser engine to use")
}

/// Chromium's switches for a machine without display, GPU or a user that a sandbox could be made for.
pub(crate) fn switches() -> Vec<&'static str> {
    vec![
        "--headless",
        "--no-sandbox", // Chromium refuses to run as root with it, as in containers.
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-background-timer-throttling",
        "--disable-renderer-backgrounding",
    ]
}

/// Finds Chromium and its driver, without changing anything.
pub(crate) fn find() -> Result<Option<Browser>> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    match (named(BINARY), named(DRIVER)) {
        (Some(binary), Some(driver)) => {
            for (name, file) in [(BINARY, &binary), (DRIVER, &driver)] {
                if !file.is_file() {
                    return Err(fail(format!("{name} is set to {}, which is no file", file.display())));
                }
            }
            return Ok(Some(Browser { engine: "chromium", binary, driver, origin: BINARY }));
        }
        (None, None) => {}
        _ => {
            return Err(fail(format!(
                "set both {BINARY} and {DRIVER}, or neither: browser and driver must be of one version"
            )));
        }
    }
    let binary = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].into_iter().find_map(which);
    if let (Some(binary), Some(driver)) = (binary, which("chromedriver")) {
        return Ok(Some(Browser { engine: "chromium", binary, driver, origin: "the path" }));
    }
    let unpacked =
        cache::newest(KIND).map(|folder| (folder.join("weblane/chromium"), folder.join("weblane/chromedriver")));
    let unpacked = unpacked.filter(|(binary, driver)| binary.is_file() && driver.is_file());
    let origin = "Debian's packages in the cache folder";
    Ok(unpacked.map(|(binary, driver)| Browser { engine: "chromium", binary, driver, origin }))
}

/// Finds Chromium and its driver, or gets them.
pub(crate) fn get() -> Result<Browser> {
    if let Some(browser) = find()? {
        return Ok(browser);
    }
    if debian::is_here() {
        debian::unpack(KIND, &["chromium", "chromium-driver", "fonts-dejavu-core"], finish)?;
        if let Some(browser) = find()? {
            return Ok(browser);
        }
    }
    Err(fail(format!(
        "no Chromium with its driver: install both so that `chromium` (or `google-chrome`) and `chromedriver` are on the path (on Debian \
         `apt-get install chromium chromium-driver`), or set {BINARY} and {DRIVER}"
    )))
}

/// Scripts that start the unpacked programs with the unpacked libraries and fonts.
fn finish(folder: &Path) -> Result<()> {
    let scripts = folder.join("weblane");
    fs::create_dir(&scripts)?;
    let multiarch = debian::multiarch();
    let mut libraries: Vec<String> =
        [format!("usr/lib/{multiarch}"), format!("lib/{multiarch}"), "usr/lib/chromium".into()]
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
    debian::script(&scripts.join("chromium"), &format!("{variables}exec \"$root/usr/lib/chromium/chromium\" \"$@\""))?;
    debian::script(&scripts.join("chromedriver"), &format!("{variables}exec \"$root/usr/bin/chromedriver\" \"$@\""))?;
    // A library that is missing shows here, and not in a test's time-out.
    for program in ["chromium", "chromedriver"] {
        output(Command::new(scripts.join(program)).arg("--version"))?;
    }
    fs::remove_file(scripts.join("fonts.conf"))?;
    Ok(())
}

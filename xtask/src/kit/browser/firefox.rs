//! Firefox and geckodriver. The two need not be of one version.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Browser, Engine, named, scripts};
use crate::kit::process::{cargo, run, which};
use crate::kit::{Result, cache, debian, fail, say};

const BINARY: &str = "WEBLANE_FIREFOX";
const DRIVER: &str = "WEBLANE_GECKODRIVER";
/// The entry in the cache.
const KIND: &str = "firefox";
/// The version of the driver that is built where there is none: it drives every Firefox from 128 on.
const GECKODRIVER: &str = "0.37.1";
/// Where Firefox is when it is not on the path.
const PLACES: [&str; 4] = [
    "/Applications/Firefox.app/Contents/MacOS/firefox",
    "/usr/lib/firefox/firefox",
    "C:\\Program Files\\Mozilla Firefox\\firefox.exe",
    "/snap/firefox/current/usr/lib/firefox/firefox",
];

pub(super) fn capabilities(binary: &Path) -> Value {
    let preferences = json!({
        // What pages and workers write to the console comes out of the driver, for whoever reads a failure.
        "devtools.console.stdout.content": true,
        // A page in the background keeps its timers: there is no foreground without a display.
        "dom.min_background_timeout_value": 4,
        "dom.timeout.enable_budget_timer_throttling": false,
    });
    json!({"moz:firefoxOptions": {"args": ["-headless"], "binary": binary, "prefs": preferences}})
}

pub(super) fn find() -> Result<Option<Browser>> {
    let (Some((binary, origin)), Some(driver)) = (find_binary()?, find_driver()?) else { return Ok(None) };
    Ok(Some(Browser { engine: Engine::Firefox, binary, driver, origin }))
}

fn find_binary() -> Result<Option<(PathBuf, &'static str)>> {
    if let Some(binary) = named(BINARY)? {
        return Ok(Some((binary, BINARY)));
    }
    if let Some(binary) = ["firefox", "firefox-esr"].into_iter().find_map(which) {
        return Ok(Some((binary, "the path")));
    }
    if let Some(binary) = PLACES.into_iter().map(PathBuf::from).find(|place| place.is_file()) {
        return Ok(Some((binary, "its usual place")));
    }
    let unpacked = cache::newest(KIND).map(|folder| folder.join("weblane/firefox")).filter(|binary| binary.is_file());
    Ok(unpacked.map(|binary| (binary, "Debian's packages in the cache folder")))
}

fn find_driver() -> Result<Option<PathBuf>> {
    if let Some(driver) = named(DRIVER)? {
        return Ok(Some(driver));
    }
    Ok(which("geckodriver").or_else(|| built_driver().ok().filter(|driver| driver.is_file())))
}

/// The cache's entry for the driver that we build.
fn entry() -> String {
    format!("geckodriver-{GECKODRIVER}-{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn built_driver() -> Result<PathBuf> {
    Ok(cache::folder()?.join(entry()).join("bin").join(format!("geckodriver{}", std::env::consts::EXE_SUFFIX)))
}

pub(super) fn get() -> Result<Browser> {
    if find_binary()?.is_none() {
        get_binary()?;
    }
    if find_driver()?.is_none() {
        build_driver()?;
    }
    find()?.ok_or_else(|| fail("Firefox and its driver were got, and are not found"))
}

fn get_binary() -> Result<()> {
    if debian::is_here() {
        debian::unpack(KIND, &["firefox-esr", "fonts-dejavu-core"], |folder| {
            scripts(folder, "usr/lib/firefox-esr", &[("firefox", "usr/lib/firefox-esr/firefox-esr")])
        })?;
    }
    if find_binary()?.is_some() {
        return Ok(());
    }
    Err(fail(format!(
        "no Firefox: install it so that `firefox` is on the path (on Debian `apt-get install firefox-esr`), or set {BINARY}"
    )))
}

/// Builds the driver with cargo, whose registry is the one source that every user of this workspace has.
fn build_driver() -> Result<()> {
    cache::make(&entry(), |folder| {
        say(format!(
            "building geckodriver {GECKODRIVER} into {}, once (one to five minutes)",
            cache::folder()?.display()
        ));
        let mut install = cargo();
        install.args(["install", "geckodriver", "--locked", "--version", &format!("={GECKODRIVER}"), "--root"]);
        install.arg(folder).arg("--target-dir").arg(folder.join("build"));
        // Away from this workspace's folder, whose `.cargo/config.toml` is not for others.
        let installed = run(install.current_dir(folder)).map_err(|error| {
            fail(format!("{error}; or install geckodriver so that it is on the path, or set {DRIVER} to it"))
        });
        installed?;
        Ok(fs::remove_dir_all(folder.join("build"))?)
    })
    .map(drop)
}

//! Chromium and chromedriver, which must be of one version.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Browser, Engine, named, scripts};
use crate::kit::process::which;
use crate::kit::{Result, cache, debian, fail};

const BINARY: &str = "WEBLANE_CHROMIUM";
const DRIVER: &str = "WEBLANE_CHROMEDRIVER";
/// The entry in the cache.
const KIND: &str = "chromium";

/// Switches for a machine without display, GPU or a user that a sandbox could be made for.
const SWITCHES: [&str; 11] = [
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
];

pub(super) fn capabilities(binary: &Path) -> Value {
    json!({"goog:chromeOptions": {"args": SWITCHES, "binary": binary}, "goog:loggingPrefs": {"browser": "ALL"}})
}

pub(super) fn find() -> Result<Option<Browser>> {
    let found = |binary: PathBuf, driver: PathBuf, origin| Browser { engine: Engine::Chromium, binary, driver, origin };
    match (named(BINARY)?, named(DRIVER)?) {
        (Some(binary), Some(driver)) => return Ok(Some(found(binary, driver, BINARY))),
        (None, None) => {}
        _ => {
            return Err(fail(format!(
                "set both {BINARY} and {DRIVER}, or neither: browser and driver must be of one version"
            )));
        }
    }
    let binary = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].into_iter().find_map(which);
    if let (Some(binary), Some(driver)) = (binary, which("chromedriver")) {
        return Ok(Some(found(binary, driver, "the path")));
    }
    let unpacked =
        cache::newest(KIND).map(|folder| (folder.join("weblane/chromium"), folder.join("weblane/chromedriver")));
    let unpacked = unpacked.filter(|(binary, driver)| binary.is_file() && driver.is_file());
    Ok(unpacked.map(|(binary, driver)| found(binary, driver, "Debian's packages in the cache folder")))
}

pub(super) fn get() -> Result<Browser> {
    if let Some(browser) = find()? {
        return Ok(browser);
    }
    if debian::is_here() {
        debian::unpack(KIND, &["chromium", "chromium-driver", "fonts-dejavu-core"], |folder| {
            let programs = [("chromium", "usr/lib/chromium/chromium"), ("chromedriver", "usr/bin/chromedriver")];
            scripts(folder, "usr/lib/chromium", &programs)
        })?;
        if let Some(browser) = find()? {
            return Ok(browser);
        }
    }
    Err(fail(format!(
        "no Chromium with its driver: install both so that `chromium` (or `google-chrome`) and `chromedriver` are on the path (on Debian \
         `apt-get install chromium chromium-driver`), or set {BINARY} and {DRIVER}"
    )))
}

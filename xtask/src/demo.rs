//! `cargo xtask demo`: the path tracer, in your browser or without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use crate::kit::browser::Engine;
use crate::kit::process::{cargo, output, which};
use crate::kit::server::{Serving, serve};
use crate::kit::webdriver::{self, Session};
use crate::kit::{self, browser, compiler, fail, root, say, target, web};

pub(crate) fn command() -> Command {
    let seed = Arg::new("seed").long("seed").value_name("N").default_value("7").value_parser(clap::value_parser!(u32));
    let out = Arg::new("out").long("out").value_name("DIR").value_parser(clap::value_parser!(PathBuf));
    let port =
        Arg::new("port").long("port").value_name("PORT").default_value("8090").value_parser(clap::value_parser!(u16));
    let headless = Arg::new("headless").long("headless").action(ArgAction::SetTrue);
    Command::new("demo")
        .about("Builds, serves and opens the demo: a path tracer on the pool")
        .arg(headless.help("Render in a browser without a window, compare with a native render, and end"))
        .arg(browser::option())
        .arg(seed.help("The seed of the scene"))
        .arg(out.help("With --headless: where to write result.json and page.png [default: target/demo-headless]"))
        .arg(port.help("Without --headless: the port to serve on"))
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let seed = arguments.get_one("seed").copied().unwrap_or(7);
    if arguments.get_flag("headless") {
        let out = arguments.get_one::<PathBuf>("out").cloned().unwrap_or_else(|| target().join("demo-headless"));
        let result = headless(Engine::chosen(arguments), seed, &out)?;
        println!("{result:#}");
        return Ok(());
    }
    let serving = build_and_serve(arguments.get_one("port").copied().unwrap_or(8090))?;
    let url = format!("{}?seed={seed}", serving.url);
    println!("the demo is at {url} (Ctrl-C ends it)");
    open(&url);
    loop {
        std::thread::park();
    }
}

/// Opens a page in the user's browser, if there is a display.
fn open(url: &str) {
    let display = std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    let opener = match std::env::consts::OS {
        "macos" => Some("open"),
        "linux" if display => Some("xdg-open"),
        _ => None,
    };
    if let Some(opener) = opener.and_then(which) {
        // The URL has been printed; a browser that does not open is no failure.
        let _ = Program::new(opener).arg(url).spawn().map(|mut child| child.wait());
    }
}

fn build_and_serve(port: u16) -> kit::Result<Serving> {
    let compiler = compiler::get()?;
    let folder = target().join("demo");
    web::module(&compiler, &root().join("Cargo.toml"), "weblane-demo", &folder, "demo")?;
    for entry in fs::read_dir(root().join("demo/page"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    serve(&folder, port)
}

fn native(seed: u32) -> Program {
    let mut native = cargo();
    native.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "weblane-demo",
        "--bin",
        "weblane-demo-native",
        "--",
        "--seed",
    ]);
    native.arg(seed.to_string());
    native
}

/// The checksum of the scene of this seed, rendered natively.
pub(crate) fn native_checksum(seed: u32) -> kit::Result<String> {
    let line: Value = serde_json::from_str(output(&mut native(seed))?.trim())?;
    line["checksum"].as_str().map(str::to_owned).ok_or_else(|| fail("the native render printed no checksum"))
}

/// Renders in a browser and natively, compares, and writes `result.json` and `page.png`.
pub(crate) fn headless(engine: Engine, seed: u32, out: &Path) -> kit::Result<Value> {
    let browser = engine.get()?;
    let serving = build_and_serve(0)?;
    fs::create_dir_all(out)?;
    say(format!("rendering seed {seed} in {}", engine.name()));
    let session = Session::start(&browser, 1280, 960)?;
    session.open(&format!("{}?seed={seed}", serving.url))?;
    let done =
        "const demo = globalThis.weblaneDemo; return demo && (demo.done || demo.error) ? JSON.stringify(demo) : null;";
    let answer = session.wait_for("the picture", done, Duration::from_secs(300))?;
    let page: Value = serde_json::from_str(answer.as_str().unwrap_or("null"))?;
    if let Some(error) = page["error"].as_str() {
        return Err(fail(format!("the demo failed: {error}\n{}", session.console())));
    }
    let (png, differing) = photograph(&session)?;
    fs::write(out.join("page.png"), png)?;
    drop(session);
    say(format!("rendering seed {seed} natively"));
    let checksum_native = native_checksum(seed)?;
    let result = json!({
        "engine": engine.name(),
        "seed": seed,
        "workers": page["workers"],
        "checksum": page["checksum"],
        "checksum_native": checksum_native,
        "tasks": page["tasks"],
        "js_tasks": page["js_tasks"],
        "frame_p95_ms": page["frame_p95_ms"],
    });
    fs::write(out.join("result.json"), format!("{result:#}\n"))?;
    if result["checksum"].as_str() != Some(&checksum_native) {
        return Err(fail(format!(
            "the picture is wrong: {} in the browser, {checksum_native} natively",
            result["checksum"]
        )));
    }
    // The checksum is of the memory that was rendered into; the screenshot shows what the workers drew on their canvases.
    if differing != 0 {
        return Err(fail(format!(
            "the picture is right in memory and wrong on the page: {differing} pixels of {} differ",
            out.join("page.png").display()
        )));
    }
    Ok(result)
}

/// A screenshot of the page when all canvases show what is in memory, or of the last attempt; and how many pixels differ.
fn photograph(session: &Session) -> kit::Result<(Vec<u8>, u64)> {
    session.run("globalThis.weblaneDemo.close();")?;
    let mut attempts = 0;
    loop {
        let png = session.screenshot()?;
        let differing = session.run(&format!("return globalThis.weblaneDemo.differing('{png}');"))?;
        let differing =
            differing.as_u64().ok_or_else(|| fail(format!("the page cannot read its picture: {differing}")))?;
        attempts += 1;
        if differing == 0 || attempts == 40 {
            return Ok((webdriver::base64(&png)?, differing));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

//! `cargo xtask soak`: everything at once in a page, for minutes, with counts that must add up.

use std::fs;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser};
use serde_json::Value;

use crate::kit::browser::Engine;
use crate::kit::webdriver::Session;
use crate::kit::{self, compiler, fail, root, say, server, target, web};

pub(crate) fn command() -> Command {
    Command::new("soak")
        .about("Runs everything at once in a page for minutes; the counts must add up")
        .long_about(
            "Runs Rust tasks, priorities, cancellations, joins, JS tasks, batches, broadcasts, held promises and growths of the memory in one page, and ends with counts that \
             must add up: submitted = run + cancelled + discarded, JS likewise; and the memory may not have grown by more than a twentieth since the first minute.",
        )
        .arg(
            Arg::new("engine")
                .long("engine")
                .value_name("ENGINE")
                .default_value("chromium")
                .value_parser(PossibleValuesParser::new(Engine::ALL.map(Engine::name)))
                .help("Where to run"),
        )
        .arg(
            Arg::new("minutes")
                .long("minutes")
                .value_name("N")
                .default_value("10")
                .value_parser(clap::value_parser!(f64))
                .help("For how long"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let engine = arguments.get_one::<String>("engine").and_then(|name| Engine::of(name)).unwrap_or(Engine::Chromium);
    let minutes = arguments.get_one::<f64>("minutes").copied().unwrap_or(10.0);
    println!("{}", soak(engine, minutes)?);
    Ok(())
}

/// Returns the counts, as JSON.
pub(crate) fn soak(engine: Engine, minutes: f64) -> kit::Result<String> {
    let (compiler, browser) = (compiler::get()?, engine.get()?);
    let folder = target().join("bench");
    web::module(&compiler, &root().join("Cargo.toml"), "weblane-bench", &folder, "bench")?;
    fs::copy(root().join("bench/page/soak.html"), folder.join("soak.html"))?;
    let serving = server::serve(&folder, 0)?;
    let session = Session::start(&browser, 800, 600)?;
    session.open(&format!("{}soak.html?minutes={minutes}", serving.url))?;
    say(format!("soaking in {} for {minutes} minutes", engine.name()));
    let script = "return globalThis.weblaneSoak ? JSON.stringify(globalThis.weblaneSoak) : null;";
    let time = Duration::from_secs_f64(minutes * 60.0 + 180.0);
    let answer: Value = serde_json::from_str(session.wait_for("the soak", script, time)?.as_str().unwrap_or("null"))?;
    let Some(counts) = answer["counts"].as_str() else {
        return Err(fail(format!("the soak failed: {}", answer["error"])));
    };
    let parsed: Value = serde_json::from_str(counts)?;
    if parsed["ok"] == true { Ok(counts.to_owned()) } else { Err(fail(format!("the counts do not add up: {counts}"))) }
}

//! `cargo xtask bench`: Weblane beside its peers, in one run, as ratios.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, builder::PossibleValuesParser};
use serde_json::Value;

use crate::kit::browser::Engine;
use crate::kit::process::{cargo, output};
use crate::kit::webdriver::Session;
use crate::kit::{self, compiler, fail, root, say, server, target, web};

pub(crate) fn command() -> Command {
    let engines = PossibleValuesParser::new(["native", "chromium", "firefox"]);
    Command::new("bench")
        .about("Measures Weblane beside its peers, in one run, and prints ratios")
        .long_about(
            "Measures Weblane beside its peers, in one run, and prints ratios.\n\nGroups: `rings` is all of deque, spsc, mpmc, sleep and lock; `channel`; \
             `fork`; `pool` beside rayon and the bare platform, whose --json has a line for each measurement, and parts of it; `pool-smoke` is a tiny run of it, which shows that \
             everything runs.",
        )
        .arg(
            Arg::new("group")
                .value_name("GROUP")
                .value_parser(PossibleValuesParser::new([
                    "deque",
                    "spsc",
                    "mpmc",
                    "sleep",
                    "lock",
                    "channel",
                    "fork",
                    "pool",
                    "pool-submit",
                    "pool-fork",
                    "pool-wake",
                    "pool-js",
                    "pool-smoke",
                    "rings",
                ]))
                .help("Only this group of metrics"),
        )
        .arg(
            Arg::new("engine")
                .long("engine")
                .value_name("ENGINE")
                .default_value("native")
                .value_parser(engines)
                .help("Where to run"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Also write the rows here"),
        )
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let engine = arguments.get_one::<String>("engine").map_or("native", String::as_str);
    let only = arguments.get_one::<String>("group").map(String::as_str);
    let lines = match Engine::of(engine) {
        Some(engine) => in_browser(engine, only)?,
        None => native(only)?,
    };
    if let Some(file) = arguments.get_one::<PathBuf>("json") {
        fs::write(file, &lines)?;
    }
    print_table(&lines)
}

/// A tiny run, which shows that everything runs: every metric has a figure.
pub(crate) fn smoke(engine: Option<Engine>) -> kit::Result<()> {
    let lines = match engine {
        Some(engine) => in_browser(engine, Some("pool-smoke"))?,
        None => native(Some("pool-smoke"))?,
    };
    let rows = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let wanted =
        ["submit_ns", "submit_bare_ns", "spawn_ns", "spawn_bare_ns", "scope_spawn_ns", "wake_p50_us", "wake_p99_us"];
    let js = ["js_task_us", "js_batch_us", "js_busy_p50_us", "js_busy_p99_us", "js_idle_p50_us", "main_submit_p999_us"];
    let js = js.into_iter().filter(|_| engine.is_some());
    for metric in wanted.into_iter().chain(js) {
        let ours = |row: &&Value| row["metric"] == metric && row["peer"] == "weblane";
        if !rows.iter().filter(ours).any(|row| row["value"].as_f64().is_some_and(|value| value > 0.0)) {
            return Err(fail(format!("the benchmark has no figure for {metric}")));
        }
    }
    Ok(())
}

fn native(only: Option<&str>) -> kit::Result<String> {
    say("building and running the benchmark natively");
    let mut run = cargo();
    run.args(["run", "--quiet", "--release", "--package", "weblane-bench", "--bin", "weblane-bench-native", "--"]);
    output(run.args(only))
}

fn in_browser(engine: Engine, only: Option<&str>) -> kit::Result<String> {
    let (compiler, browser) = (compiler::get()?, engine.get()?);
    let folder = target().join("bench");
    web::module(&compiler, &root().join("Cargo.toml"), "weblane-bench", &folder, "bench")?;
    fs::copy(root().join("bench/page/index.html"), folder.join("index.html"))?;
    let serving = server::serve(&folder, 0)?;
    let session = Session::start(&browser, 800, 600)?;
    let only = only.map(|only| format!("&only={only}")).unwrap_or_default();
    session.open(&format!("{}?engine={}{only}", serving.url, engine.name()))?;
    say(format!("running the benchmark in {}", engine.name()));
    let script = "return globalThis.weblaneBench ? JSON.stringify(globalThis.weblaneBench) : null;";
    let answer = session.wait_for("the benchmark", script, Duration::from_secs(600))?;
    let answer: Value = serde_json::from_str(answer.as_str().unwrap_or("null"))?;
    match answer["rows"].as_str() {
        Some(rows) => Ok(rows.to_owned()),
        None => Err(fail(format!("the benchmark failed: {}", answer["error"]))),
    }
}

/// A row for each metric and contender of single measurements: median, least and most.
fn summed_up(samples: &[Value]) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    for sample in samples {
        let same = |other: &&Value| other["metric"] == sample["metric"] && other["peer"] == sample["peer"];
        if rows.iter().any(|row| same(&row)) {
            continue;
        }
        let mut values: Vec<f64> = samples.iter().filter(same).filter_map(|other| other["value"].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else { continue };
        let median = values[values.len() / 2];
        let mut row = sample.clone();
        row["median"] = median.into();
        row["min"] = (*min).into();
        row["max"] = (*max).into();
        rows.push(row);
    }
    // Contenders of a metric one below the other, in the order of the first.
    let order: Vec<Value> = rows.iter().map(|row| row["metric"].clone()).collect();
    rows.sort_by_key(|row| order.iter().position(|metric| *metric == row["metric"]));
    rows
}

/// One table for each metric: the figures, and each contender's ratio to our best.
fn print_table(lines: &str) -> kit::Result<()> {
    let mut rows = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    if rows.iter().any(|row| row["value"].is_number()) {
        rows = summed_up(&rows);
    }
    let mut metric = "";
    for row in &rows {
        let name = row["metric"].as_str().unwrap_or_default();
        if name != metric {
            metric = name;
            println!(
                "\n{metric} ({}): median, least to most, ratio to the best of ours",
                row["engine"].as_str().unwrap_or_default()
            );
        }
        let ours = rows.iter().filter(|other| other["metric"] == row["metric"]);
        let ours = ours.filter(|other| other["peer"].as_str().is_some_and(|peer| peer.starts_with("weblane")));
        let best = ours.filter_map(|other| other["median"].as_f64()).fold(f64::INFINITY, f64::min);
        let number = |name: &str| row[name].as_f64().unwrap_or(f64::NAN);
        let peer = row["peer"].as_str().unwrap_or_default();
        println!(
            "  {peer:28} {:9.2}  {:9.2} to {:9.2}  {:6.2}",
            number("median"),
            number("min"),
            number("max"),
            if best.is_finite() { number("median") / best } else { f64::NAN }
        );
    }
    Ok(())
}

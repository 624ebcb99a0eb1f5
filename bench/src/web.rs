//! The page's side of the benchmark.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;
use weblane_pool::ThreadPool;
use weblane_workers::{Options, init, ready};

use crate::Pools;
use crate::pool::Part;

fn clock() -> f64 {
    let performance = Reflect::get(&js_sys::global(), &"performance".into()).expect("every global scope has a clock");
    let now: js_sys::Function = Reflect::get(&performance, &"now".into()).expect("a clock has a time").unchecked_into();
    now.call0(&performance).ok().and_then(|value| value.as_f64()).unwrap_or(0.0)
}

/// Runs one group, or all, on nine workers in four pools and returns lines of JSON.
#[wasm_bindgen(js_name = runBench)]
pub async fn run_bench(engine: String, only: Option<String>) -> Result<String, JsError> {
    let threads = init(Options::new().count(9).name("bench").start_timeout(core::time::Duration::from_secs(60)))?;
    ready().await?;
    let mut rest = threads.into_iter();
    let mut pool = |workers| ThreadPool::new(rest.by_ref().take(workers).collect());
    let pools = Pools { four: pool(4)?, two: pool(2)?, one: pool(1)?, peer: pool(2)? };
    let inner = pools.clone();
    if let Some((effort, part)) = only.as_deref().and_then(crate::pool::group) {
        // The parts in turn: each has the cores for itself.
        let mut samples = pools.four.spawn(move || crate::pool::samples(&inner, clock, effort, part)).await?;
        if matches!(part, Part::All | Part::Js) {
            let js = crate::pool::js::samples(&pools, effort).await;
            samples.extend(js.map_err(|error| JsError::new(&format!("{error:?}")))?);
        }
        return Ok(samples.iter().map(|sample| sample.json(&engine)).collect::<Vec<_>>().join("\n"));
    }
    let rows = pools.four.spawn(move || crate::run(&inner, clock, only.as_deref())).await?;
    Ok(crate::json(&engine, &rows))
}
